"""What Twilio says about a call, read from URLs, webhook forms and Media Streams messages.

Pure parsing: bytes and text in, ids and events out. Nothing here knows a framework, opens a call or reports trouble;
ids are handed on as they were found and judged by `Call.name`.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

BODY_LIMIT: Final = 64 * 1024  # bytes of a form that are looked at; Twilio's webhooks have 1 to 3 KB
MESSAGE_LIMIT: Final = 64 * 1024  # characters of a websocket message that may be parsed
FORM_TYPE: Final = "application/x-www-form-urlencoded"

_CALL_SID: Final = re.compile(r"CA[0-9a-fA-F]{32}")
_OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_STREAM_EVENTS: Final = frozenset({"connected", "start", "media", "mark", "dtmf", "stop"})

CONNECTED: Final = "connected"
START: Final = "start"
STOP: Final = "stop"
MALFORMED: Final = "malformed"
NAMELESS: Final = "nameless"  # a `start` that names no call


class Named(NamedTuple):
    """What a request says: the call's id as it was found (not yet judged), and its `CallStatus`."""

    call_sid: str | None = None
    status: str | None = None


def is_over(status: str | None) -> bool:
    """True for a `CallStatus` after which nothing more happens in the call."""
    return status in _OVER


def from_url(path: str, query: str) -> Named:
    """The call that a URL names.

    A parameter `call_sid` (also `CallSid`, `callSid`, `call-sid`) wins; then any path segment or parameter that looks
    like a Twilio CallSid. `ParentCallSid` names another call and is left alone.
    """
    alike: str | None = None
    if "CA" in path:
        alike = next((part for part in path.split("/") if _CALL_SID.fullmatch(part)), None)
    if not query:
        return Named(alike)
    told: str | None = None
    status: str | None = None
    for pair in query[:BODY_LIMIT].split("&"):
        key, _, value = pair.partition("=")
        key = key.lower().replace("_", "").replace("-", "")
        if not value:
            continue
        if key == "callsid":
            told = told or unquote_plus(value)
        elif key == "callstatus":
            status = status or unquote_plus(value)
        elif alike is None and not key.startswith("parent") and _CALL_SID.fullmatch(value):
            alike = value
    return Named(told or alike, status)


class FormWatcher:
    """Finds `CallSid` and `CallStatus` in a form body that passes by in pieces, 64 KiB of it at most.

    `call_sid` and `status` are set as soon as their pair is complete; `done` is True when nothing more can come.
    """

    __slots__ = ("_length", "_rest", "_seen", "call_sid", "done", "status")

    def __init__(self, length: int | None = None) -> None:
        """`length` is the body's announced length in bytes, if there is one: it tells where the last pair ends."""
        self.call_sid: str | None = None
        self.status: str | None = None
        self.done = False
        self._length = length
        self._rest = b""
        self._seen = 0

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Look at the next piece; `last` says that the body ends with it."""
        if self.done:
            return
        self._seen += len(chunk)
        last = last or (self._length is not None and self._seen >= self._length)
        cut = self._seen > BODY_LIMIT
        if cut:  # the pair at the limit may be torn: only whole ones before it count
            chunk = chunk[: len(chunk) - (self._seen - BODY_LIMIT)]
        pairs = (self._rest + chunk).split(b"&")
        self._rest = b"" if last and not cut else pairs.pop()
        for pair in pairs:
            key, _, value = pair.partition(b"=")
            if key == b"CallSid" and value and self.call_sid is None:
                self.call_sid = _text(value)
            elif key == b"CallStatus" and self.status is None:
                self.status = _text(value)
        if last or cut or (self.call_sid is not None and self.status is not None):
            self.done = True
            self._rest = b""


def _text(value: bytes) -> str:
    return unquote_plus(value.decode("utf-8", "replace"))


class StreamEvent(NamedTuple):
    """One thing learned from a Media Streams message: its kind, the call's id, and messages that were no JSON."""

    kind: str
    call_sid: str | None = None
    malformed: int = 0


class StreamWatcher:
    """Follows a Media Streams websocket by its text messages: `start`, `stop`, and what is broken.

    A stream carries 50 `media` messages a second, so only messages that could be a `start` or `stop` are parsed.
    Which other messages are broken is judged by their first and last character, and only on a socket known to be a
    media stream: on any other websocket plain text is nobody's mistake.
    """

    __slots__ = ("_odd", "is_stream", "other", "started", "stopped")

    def __init__(self, *, named: bool = False, is_stream: bool = False) -> None:
        """`named`: the URL or a header named the call already. `is_stream`: the handshake said it is Twilio's."""
        self.started = named
        self.stopped = False
        self.is_stream = is_stream
        self.other = False  # something came that no media stream carries: this is some other websocket
        self._odd = 0  # broken messages seen before it was known that this is a media stream

    def feed(self, text: str) -> StreamEvent | None:
        """Look at the next text message; None if it says nothing new."""
        if text[:1] == "{" and text[-1:] == "}" and '"stop"' not in text:
            if self.started and self.is_stream:
                return None
            if '"start"' not in text and '"connected"' not in text:
                if not self.is_stream and '"event"' not in text:
                    self.other = True
                return None
        return self._look(text)

    def _look(self, text: str) -> StreamEvent | None:
        if len(text) > MESSAGE_LIMIT:
            return None
        stripped = text.strip()
        try:
            message = json.loads(stripped) if stripped[:1] == "{" else None
        except (ValueError, RecursionError):
            message = None
        if message is None:
            return self._broken(stripped)
        event = message.get("event")
        if not isinstance(event, str) or event not in _STREAM_EVENTS:
            self.other = self.other or not self.is_stream
            return None
        malformed, self._odd, self.is_stream = self._odd, 0, True
        if event == CONNECTED:
            return StreamEvent(CONNECTED, None, malformed)
        if event == STOP:
            self.stopped = True
            return StreamEvent(STOP, None, malformed)
        if event == START and not self.started:
            call_sid = _start_names(message.get("start"))
            if call_sid is None:
                return StreamEvent(NAMELESS, None, malformed)
            self.started = True
            return StreamEvent(START, call_sid, malformed)
        return StreamEvent(event, None, malformed) if malformed else None

    def _broken(self, text: str) -> StreamEvent | None:
        self._odd += 1
        if not self.is_stream and not (text.startswith("{") and '"event"' in text):
            return None
        malformed, self._odd, self.is_stream = self._odd, 0, True
        return StreamEvent(MALFORMED, None, malformed)


def _start_names(start: object) -> str | None:
    if not isinstance(start, dict):
        return None
    call_sid = start.get("callSid")
    if isinstance(call_sid, str) and call_sid:
        return call_sid
    parameters = start.get("customParameters")
    call_sid = parameters.get("call_sid") if isinstance(parameters, dict) else None
    return call_sid if isinstance(call_sid, str) and call_sid else None
