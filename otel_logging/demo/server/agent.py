"""The scripted agent that stands in for a speech model behind a realtime connection.

It is fed the loudness of each incoming frame and gives events back, named as such models name them. Its clock is the
frames themselves, so a call runs the same at any speed. No telephony and no sending in here.
"""

from __future__ import annotations

import base64
import logging
import uuid
from typing import Any

from . import audio
from .scripts import Script, Turn

logger = logging.getLogger(__name__)

Event = dict[str, Any]

LOUD = 900.0
SPEECH_FRAMES = 4
PAUSE_FRAMES = 12


class ModelConnectionLostError(ConnectionError):
    """The realtime connection to the model broke off."""


class ScriptedModel:
    """One realtime session: greets, listens, answers the script's turns, stops when it is interrupted."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._turns = list(script.turns)
        self._voice = audio.speech(170.0, 16, seed=script.business_id)
        self._speaking: Turn | None = None
        self._response_id = ""
        self._left = 0
        self._loud = 0
        self._quiet = 0
        self._heard_speech = False
        self._frame = 0

    def connect(self) -> None:
        """Open the session: there is nothing to wait for here, but real ones log as if there were."""
        logger.debug(f"🧠 [REALTIME] instructions length={len(self._script.instructions)} chars")
        logger.info(f"📝 [REALTIME] payload preview: {self._script.instructions[:60]!r}...")

    def greet(self) -> list[Event]:
        """Begin to speak first, as an agent that answers a telephone does."""
        return self._speak(Turn("", self._script.greeting, self._script.greeting_frames, kind="greeting"))

    def feed(self, loudness: float) -> list[Event]:
        """Take one incoming frame's loudness; give back what the model has to say about it.

        Raises:
            ModelConnectionLostError: where the script says that the connection breaks.
        """
        self._frame += 1
        events: list[Event] = []
        if loudness > LOUD:
            self._loud, self._quiet = self._loud + 1, 0
        else:
            self._loud, self._quiet = 0, self._quiet + 1
        if self._loud == SPEECH_FRAMES:
            self._heard_speech = True
            events.append({"type": "input_audio_buffer.speech_started", "interrupts": self._speaking is not None})
            if self._speaking is not None:
                events.append(self._done("cancelled"))
        if self._heard_speech and self._quiet == PAUSE_FRAMES:
            self._heard_speech = False
            events.append({"type": "input_audio_buffer.speech_stopped"})
            if self._turns:
                events += self._answer(self._turns.pop(0))
        elif self._speaking is not None:
            events += self._next_delta(self._speaking)
        return events

    def _answer(self, turn: Turn) -> list[Event]:
        events: list[Event] = [
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": turn.heard}
        ]
        if turn.tool is not None:
            events.append(
                {
                    "type": "response.function_call_arguments.done",
                    "name": turn.tool.name,
                    "arguments": turn.tool.arguments,
                    "result": turn.tool.result,
                }
            )
        return events + self._speak(turn)

    def _speak(self, turn: Turn) -> list[Event]:
        self._speaking, self._left = turn, turn.frames
        self._response_id = f"resp_{uuid.uuid4().hex[:12]}"
        return [{"type": "response.created", "response_id": self._response_id, "kind": turn.kind}]

    def _next_delta(self, turn: Turn) -> list[Event]:
        sent = turn.frames - self._left
        if turn.dies_at is not None:
            self._strain(turn.dies_at - sent)
        delta = self._voice[sent % len(self._voice)]
        self._left -= 1
        payload = base64.b64encode(delta).decode()
        event: Event = {"type": "response.audio.delta", "response_id": self._response_id, "delta": payload}
        if self._left:
            return [event]
        return [event, self._done("completed")]

    def _strain(self, frames_left: int) -> None:
        """A connection that dies seldom dies at once: it slows down first, and only the frame lines show it."""
        if 0 < frames_left <= 20:
            logger.debug(f"🌐 [REALTIME] ping={40 + (20 - frames_left) ** 2 * 6}ms send_queue size={21 - frames_left}")
        elif frames_left <= 0:
            try:
                raise ConnectionResetError(104, "Connection reset by peer")
            except ConnectionResetError as error:
                raise ModelConnectionLostError("realtime session closed by the other side (code 1006)") from error

    def _done(self, status: str) -> Event:
        turn, self._speaking = self._speaking, None
        assert turn is not None  # noqa: S101 (callers check; mypy cannot see it)
        return {
            "type": "response.done",
            "response_id": self._response_id,
            "status": status,
            "kind": turn.kind,
            "transcript": turn.reply,
            "frames": turn.frames - self._left,
        }
