"""Plays Twilio: the voice webhook, the media stream with real mu-law frames, the status callback.

It speaks the real protocol over real sockets and knows nothing of logging. What it saw of each call (was it answered,
did the stream break) is the outcome that the demonstration reports.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from .server import audio

FRAME_SECONDS = 0.02
ACCOUNT = "AC" + "0" * 32
_PATIENCE = 30.0


@dataclass(frozen=True)
class Webhooks:
    """Where the service wants to hear of calls; no `status`: it wants no status callback."""

    voice: str = "/webhook/voice"
    status: str | None = "/webhook/status"


class CallFailedError(RuntimeError):
    """The caller could not do its part: the service is not there, refuses, or never hangs up."""


@dataclass(frozen=True)
class Caller:
    """Somebody who calls: from where, whom, the voice's pitch in Hz, when they speak and listen (20 ms frames)."""

    name: str
    phone: str
    dials: str
    pitch: float
    plan: tuple[tuple[str, int], ...]

    @property
    def frames(self) -> int:
        """Length of the call in frames, if it is not cut short."""
        return sum(count for _, count in self.plan)


_PATIENT = (("listen", 95), ("speak", 60), ("listen", 140), ("speak", 50), ("listen", 140))
CALLERS = (
    Caller("David (Hebrew)", "+972501234567", "+97235550101", 118.0, _PATIENT),
    Caller("Maya (her model dies)", "+12065550199", "+12065550102", 205.0, _PATIENT),
    Caller("A first-time caller", "+14155550188", "+14155550103", 140.0, _PATIENT),
    Caller(
        "Oliver (interrupts)",
        "+442075550177",
        "+442075550104",
        128.0,
        (("listen", 90), ("speak", 50), ("listen", 90), ("speak", 55), ("listen", 150)),
    ),
    Caller("Zoë", "+33655550166", "+33155550105", 220.0, _PATIENT),
)


@dataclass
class Played:
    """One call as the caller saw it: its id, who called, frames sent and heard, and how it went."""

    call_sid: str
    caller: Caller
    sent: int = 0
    heard: int = 0
    cleared: int = 0
    marks: list[str] = field(default_factory=list)
    outcome: str = "not answered"


def new_call_sid() -> str:
    """A call id of Twilio's form."""
    return "CA" + secrets.token_hex(16)


def choose(count: int) -> list[tuple[str, Caller]]:
    """`count` calls, each with a fresh id; the callers take turns."""
    return [(new_call_sid(), CALLERS[number % len(CALLERS)]) for number in range(count)]


async def play_all(
    base_url: str,
    calls: list[tuple[str, Caller]],
    speed: float,
    progress: Callable[[int], None],
    webhooks: Webhooks = Webhooks(),
) -> list[Played]:
    """Play calls at once, `speed` times faster than real time; `progress` is told of every few frames sent.

    Raises:
        CallFailedError: if the service cannot be reached or does not answer in time.
    """
    for _, who in calls:
        _frames(who)  # made before anybody rings: Python is slow at it, and a caller who waits is no real caller
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=_PATIENCE, trust_env=False) as client:
            line = _Line(client, webhooks, speed, progress)
            return list(await asyncio.gather(*(_play(line, sid, who) for sid, who in calls)))
    except (httpx.HTTPError, websockets.WebSocketException, OSError, ET.ParseError) as error:
        raise CallFailedError(f"a call could not be played: {error!r}") from error


@dataclass(frozen=True)
class _Line:
    """What all calls of one play share."""

    client: httpx.AsyncClient
    webhooks: Webhooks
    speed: float
    progress: Callable[[int], None]


async def _play(line: _Line, call_sid: str, caller: Caller) -> Played:
    played = Played(call_sid, caller)
    form = {
        "CallSid": call_sid,
        "AccountSid": ACCOUNT,
        "From": caller.phone,
        "To": caller.dials,
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    answer = await line.client.post(line.webhooks.voice, data={**form, "CallStatus": "ringing"})
    answer.raise_for_status()
    stream = ET.fromstring(answer.text).find("./Connect/Stream")  # noqa: S314 (our own service's answer)
    if stream is not None:
        parameters = {item.attrib["name"]: item.attrib["value"] for item in stream.iter("Parameter")}
        async with websockets.connect(stream.attrib["url"], compression=None, proxy=None) as connection:
            await _stream(line, connection, played, parameters)
        played.outcome = "completed" if connection.close_code == 1000 else "failed"
    seconds = str(round(played.sent * FRAME_SECONDS))
    if line.webhooks.status is not None:
        done = await line.client.post(
            line.webhooks.status, data={**form, "CallStatus": "completed", "CallDuration": seconds}
        )
        done.raise_for_status()
    return played


async def _stream(line: _Line, connection: ClientConnection, played: Played, parameters: dict[str, str]) -> None:
    stream_sid = "MZ" + secrets.token_hex(16)
    start = {
        "accountSid": ACCOUNT,
        "streamSid": stream_sid,
        "callSid": played.call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    listener = asyncio.create_task(_listen(connection, played, stream_sid))
    try:
        await connection.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        await _say(connection, stream_sid, 1, {"event": "start", "start": start})
        await _send_audio(line, connection, played, stream_sid)
        stop = {"accountSid": ACCOUNT, "callSid": played.call_sid}
        await _say(connection, stream_sid, played.sent + 2, {"event": "stop", "stop": stop})
    except websockets.ConnectionClosed:
        pass  # the service hung up on us: the close code says how
    line.progress(played.caller.frames - played.sent // 10 * 10)
    # The service hangs up when it has done its work.
    done, _ = await asyncio.wait({listener}, timeout=_PATIENCE)
    if not done:
        raise CallFailedError(f"the service did not hang up within {_PATIENCE:.0f} s after {played.call_sid} ended")
    listener.result()


async def _send_audio(line: _Line, connection: ClientConnection, played: Played, stream_sid: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for frame in _frames(played.caller):
        media = {
            "track": "inbound",
            "chunk": str(played.sent + 1),
            "timestamp": str(played.sent * 20),
            "payload": base64.b64encode(frame).decode(),
        }
        await _say(connection, stream_sid, played.sent + 2, {"event": "media", "media": media})
        played.sent += 1
        if played.sent % 10 == 0:
            line.progress(10)
        # Paced by the clock, not by sleeps of 20 ms, so that lateness does not add up.
        await asyncio.sleep(max(began + played.sent * FRAME_SECONDS / line.speed - loop.time(), 0))


@functools.cache
def _frames(caller: Caller) -> list[bytes]:
    frames: list[bytes] = []
    for number, (what, count) in enumerate(caller.plan):
        if what == "speak":
            frames += audio.speech(caller.pitch, count, seed=number)
        else:
            noise = audio.line_noise(8, seed=number)
            frames += (noise * (count // len(noise) + 1))[:count]
    return frames


async def _say(connection: ClientConnection, stream_sid: str, number: int, message: dict[str, Any]) -> None:
    await connection.send(json.dumps({**message, "sequenceNumber": str(number), "streamSid": stream_sid}))


async def _listen(connection: ClientConnection, played: Played, stream_sid: str) -> None:
    """Read what the service says: count audio, play marks back as Twilio does when the audio before them was played."""
    try:
        async for text in connection:
            message = json.loads(text)
            if message["event"] == "media":
                played.heard += len(base64.b64decode(message["media"]["payload"])) // audio.FRAME
            elif message["event"] == "clear":
                played.cleared += 1
            elif message["event"] == "mark":
                played.marks.append(message["mark"]["name"])
                await _say(connection, stream_sid, 0, {"event": "mark", "mark": message["mark"]})
    except websockets.ConnectionClosed:
        pass  # a broken end: `_play` reads the close code
