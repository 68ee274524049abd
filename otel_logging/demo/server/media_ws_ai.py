"""The media stream: an async receive loop, a queue, and a synchronous handler thread that does the work.

The protocol is Twilio's Media Streams: JSON text messages `connected`, `start`, `media`, `mark`, `stop` come in;
`media`, `mark` and `clear` go out. The thread starts before anybody knows which call this is.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from . import audio, crm, jobs
from .agent import PAUSE_FRAMES, ModelConnectionLostError, ScriptedModel
from .scripts import SCRIPTS, Script

logger = logging.getLogger(__name__)
metrics_logger = logging.getLogger("server.metrics")

Send = Callable[[dict[str, Any] | int], None]

FRAME_SECONDS = 0.02
NORMAL, BROKEN = 1000, 1011


class MediaStreamHandler:
    """One call's synchronous handler: `run()` is the body of its thread."""

    def __init__(self, inbox: queue.Queue[str | None], send: Send) -> None:
        self._inbox = inbox
        self._send = send
        self._stream_sid = ""
        self._script: Script | None = None
        self._model: ScriptedModel | None = None
        self._frames = 0
        self._tx_frames = 0
        self._transcript: list[str] = []
        self._turns = 0
        self._turn: dict[str, Any] = {}

    def run(self) -> None:
        """Consume messages until the stream ends, whatever way it ends."""
        reason, code = "stream_closed", NORMAL
        try:
            while (message := self._inbox.get()) is not None:
                if self._handle(message):
                    reason = "customer_hangup"
                    break
        except ModelConnectionLostError:
            logger.exception("💥 [REALTIME] model connection lost, hanging up")
            reason, code = "model_connection_lost", BROKEN
        except Exception:
            logger.exception("💥 [MEDIA] handler crashed")
            reason, code = "error", BROKEN
        finally:
            self._finish(reason)
            self._send(code)

    def _handle(self, message: str) -> bool:
        """One message; True if it was the last."""
        try:
            data = json.loads(message)
            event = data["event"]
        except (ValueError, KeyError, TypeError):
            logger.warning(f"⚠️ [MEDIA] not a media stream message: {message[:60]!r}")
            return False
        if event == "start":
            self._start(data)
        elif event == "media":
            self._media(data["media"]["payload"])
        elif event == "mark":
            logger.debug(f"🏁 [MARK] {data['mark']['name']} played, frames_tx={self._tx_frames}")
        elif event == "stop":
            print("📴 [MEDIA] stop received")
            return True
        return False

    def _start(self, data: dict[str, Any]) -> None:
        start = data["start"]
        self._stream_sid = data["streamSid"]
        parameters = start.get("customParameters", {})
        script = self._script = SCRIPTS[parameters["to"]]
        logger.info(
            f"🚀 [CALL_START] call_sid={start['callSid']}, business_id={script.business_id}, "
            f"direction=inbound, mode=realtime"
        )
        crm.load_customer(script, parameters["from"])
        began = time.perf_counter()
        self._model = ScriptedModel(script)
        self._model.connect()
        logger.info(f"🔌 [REALTIME] Model connected in {(time.perf_counter() - began) * 1000:.0f}ms")
        logger.info("🎤 [GREETING] Playing greeting audio")
        self._dispatch(self._model.greet())

    def _media(self, payload: str) -> None:
        frame = base64.b64decode(payload)
        loudness = audio.rms(frame)
        self._frames += 1
        logger.debug(f"🎧 [AUDIO_IN] frame={self._frames}, bytes={len(frame)}, rms={loudness:.1f}")
        if self._frames % 2 == 0:
            logger.info(f"📊 [RMS] rms={loudness:.1f}, threshold=900, frame={self._frames}")
        if self._frames % 10 == 0:
            logger.debug("📦 [QUEUE] rx queue size=%d", self._inbox.qsize())
            print(f"🔈 [VOLUME] volume={min(loudness / 80, 100):.0f}% frame={self._frames}")
        if self._frames % 25 == 0:
            logger.info(f"🐕 [WATCHDOG] tick: idle={0.0:.1f}s, frames={self._frames}, tx={self._tx_frames}")
            metrics_logger.info(f"frames={self._frames}")
        if self._model is not None:
            self._dispatch(self._model.feed(loudness))

    def _dispatch(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            kind = event["type"]
            if kind == "response.audio.delta":
                self._play(event)
            elif kind == "response.created":
                logger.info(f"🤖 [RESPONSE_CREATED] response_id={event['response_id']}, type={event['kind']}")
                logger.info(f"[TX_RESPONSE] start response_id={event['response_id']}")
            elif kind == "response.done":
                self._response_done(event)
            elif kind == "conversation.item.input_audio_transcription.completed":
                self._transcript.append(f"Customer: {event['transcript']}")
                self._turn = {"heard": self._frames, "user_text": event["transcript"]}
                logger.info(f'💬 [TRANSCRIPT] Customer: "{event["transcript"]}"')
            elif kind == "response.function_call_arguments.done":
                logger.info(f"📅 [TOOL_CALL] {event['name']}: {event['arguments']}")
                logger.info(f"✅ [TOOL_RESULT] {event['result']}")
            elif kind == "input_audio_buffer.speech_started" and event["interrupts"]:
                logger.info("✋ [BARGE_IN] Customer interrupted, clearing the playback")
                self._send({"event": "clear", "streamSid": self._stream_sid})
            else:
                logger.debug(f"🧠 [REALTIME] event {kind}")

    def _play(self, event: dict[str, Any]) -> None:
        payload = event["delta"]
        self._turn.setdefault("first", self._frames)
        self._tx_frames += 1
        logger.info(f"[AUDIO_DELTA] response_id={event['response_id']}, bytes={len(payload)}")
        self._send({"event": "media", "streamSid": self._stream_sid, "media": {"payload": payload}})
        logger.debug(f"📤 [AUDIO_TX] frame={self._tx_frames} queued")

    def _response_done(self, event: dict[str, Any]) -> None:
        logger.info(f"[TX_RESPONSE] end response_id={event['response_id']}, frames={event['frames']}")
        if event["kind"] != "greeting" and event["status"] == "completed":
            self._transcript.append(f"AI: {event['transcript']}")
            logger.info(f'💬 [TRANSCRIPT] AI: "{event["transcript"]}"')
        self._turn_done(event)
        self._send({"event": "mark", "streamSid": self._stream_sid, "mark": {"name": event["response_id"]}})

    def _turn_done(self, event: dict[str, Any]) -> None:
        """Tell how long the caller waited for this answer, and why: a turn event, on the clock of the frames."""
        turn, self._turn = self._turn, {}
        if "user_text" not in turn:
            return
        self._turns += 1
        pause, model = PAUSE_FRAMES * FRAME_SECONDS * 1000, (turn["first"] - turn["heard"]) * FRAME_SECONDS * 1000
        logger.info(
            f"⏱️ [TURN] {self._turns}: answered after {pause + model:.0f}ms",
            extra={
                "otel.event.name": "turn",
                "turn.number": self._turns,
                "turn.user_text": turn["user_text"],
                "turn.agent_text": event["transcript"],
                "turn.latency_ms": pause + model,
                "turn.latency.endpointing_ms": pause,
                "turn.latency.model_ms": model,
                "turn.interrupted": event["status"] == "cancelled",
            },
        )

    def _finish(self, reason: str) -> None:
        duration = self._frames * FRAME_SECONDS
        logger.info(
            f"🔚 [CALL_END] duration={duration:.0f}s, reason={reason}, "
            f"frames_in={self._frames}, frames_out={self._tx_frames}"
        )
        if self._script is not None:
            jobs.enqueue_summary(self._script.business_id, duration, self._transcript)


async def _send_loop(websocket: WebSocket, outbox: asyncio.Queue[dict[str, Any] | int]) -> None:
    """Send what the handler thread puts out, until it puts out a close code."""
    sent = 0
    while not isinstance(item := await outbox.get(), int):
        await websocket.send_text(json.dumps(item))
        sent += 1
        if sent % 50 == 0:
            logger.debug(f"📦 [QUEUE] tx queue size={outbox.qsize()}, sent={sent}")
    await websocket.close(item)


async def media_stream(websocket: WebSocket) -> None:
    """The websocket endpoint: one Twilio media stream, from the first byte to the last."""
    await websocket.accept()
    print("📡 [MEDIA] Twilio media stream connected")
    loop = asyncio.get_running_loop()
    inbox: queue.Queue[str | None] = queue.Queue()
    outbox: asyncio.Queue[dict[str, Any] | int] = asyncio.Queue()

    def send(item: dict[str, Any] | int) -> None:
        loop.call_soon_threadsafe(outbox.put_nowait, item)

    thread = threading.Thread(target=MediaStreamHandler(inbox, send).run, name="media-handler", daemon=True)
    thread.start()
    sender = asyncio.create_task(_send_loop(websocket, outbox))
    logger.debug("📡 [MEDIA] handler thread started, waiting for start")
    try:
        while True:
            inbox.put(await websocket.receive_text())
    except WebSocketDisconnect as error:
        logger.debug(f"📡 [MEDIA] websocket closed, code={error.code}")
    except RuntimeError:
        # The sender may close the stream while this loop puts a frame away; then nothing can be received any more.
        if websocket.application_state is not WebSocketState.DISCONNECTED:
            raise
        logger.debug("📡 [MEDIA] websocket closed by us")
    finally:
        inbox.put(None)
        await asyncio.to_thread(thread.join, 10)
        await asyncio.gather(sender, return_exceptions=True)
