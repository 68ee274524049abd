"""ASGI middleware: the call in force while a request is answered or a websocket is served.

It watches what passes by and takes nothing away: the body is seen as the application reads it, messages as it receives
them, exceptions go on unchanged. If the middleware itself fails, the application is called as if it were not there.
What names a call is said in `request` and `twilio`; how the middleware gets around an application, in `servers`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import baggage, twilio
from otel_logging.calls import request as requests
from otel_logging.calls.activation import restore
from otel_logging.calls.call import open_call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from otel_logging.calls.handle import Call

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

WEBSOCKET: Final = "websocket"
_MAX_HEADER: Final = 16 * 1024  # bytes of one header's value that are looked at: twice what baggage may have
_SHORT_LIFE: Final = 10.0  # seconds; a socket that closes sooner without a word was meant to become something
_CLOSED_ON_PURPOSE: Final = frozenset({1000, 1001})


class CallMiddleware:
    """An ASGI 3 application around another that puts the call in force for each request and websocket.

    Wrapping twice does nothing more than wrapping once. Lifespan and unknown scope types pass untouched.

    Args:
        app: the application.
        own_tasks: the caller runs each request in a task of its own, as uvicorn and hypercorn do. The call then stays
            in force in that task, so that what the server logs about a failed request belongs to it too.
    """

    def __init__(self, app: App, *, own_tasks: bool = False) -> None:
        self.app = app
        self._own_tasks = own_tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one websocket."""
        await follow(self.app, scope, receive, send, own_task=self._own_tasks)

    def __getattr__(self, name: str) -> Any:
        """The wrapped application's own attributes, for code that looks at what a server has loaded."""
        if name == "app":  # not set yet: being unpickled or copied
            raise AttributeError(name)
        return getattr(self.app, name)


async def follow(app: App, scope: Scope, receive: Receive, send: Send, *, own_task: bool = False) -> None:
    """Call `app` once, with the call in force that the scope, the body or the messages name.

    `own_task` says that the running task is this request's alone: the call is left in force in it.
    """
    if scope.get("type") not in {"http", "websocket"} or requests.MARK in scope:
        await app(scope, receive, send)
        return
    followed = _begin(scope, receive)
    scope[requests.MARK] = True  # also where nothing was found, or the framework's wrapper would look again
    try:
        if followed is None:
            await app(scope, receive, send)
        else:
            await _within(followed, app, scope, send, own_task=own_task)
    finally:
        scope.pop(requests.MARK, None)


async def _within(followed: _Http | _Stream, app: App, scope: Scope, send: Send, *, own_task: bool) -> None:
    token = slot.current.set(followed.call)
    error: BaseException | None = None
    try:
        await app(scope, followed.receive, send)
    except BaseException as raised:
        error = raised
        raise
    finally:
        if not own_task:
            restore(token, followed.call)
        followed.finish(error)
        error = None  # no cycle between the exception and this frame


def _begin(scope: Scope, receive: Receive) -> _Http | _Stream | None:
    try:
        found: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in _WATCHED:
                text = value[:_MAX_HEADER].decode("latin-1")
                if name not in found:
                    found[name] = text
                elif len(found[name]) <= baggage.MAX_BYTES:  # thousands of one name are not joined one by one
                    found[name] = f"{found[name]},{text}"
        path, query = scope["path"], scope["query_string"].decode("latin-1") if scope.get("query_string") else ""
        carried, header = found.get(b"baggage"), found.get(b"x-call-sid")
        if scope["type"] == "websocket":
            call = open_call(origin=WEBSOCKET)
            named = any(call.name(*one) for one in requests.candidates(path, query, carried, header))
            is_twilio = b"x-twilio-signature" in found or found.get(b"user-agent", "").startswith("Twilio")
            return _Stream(call, receive, path, named=named, is_stream=is_twilio)
        kind_of_body, length = found.get(b"content-type"), found.get(b"content-length")
        begun = requests.begin(path, query, carried, header, content_type=kind_of_body, length=length)
        return None if begun is None else _Http(begun, receive)
    except Exception as error:
        trouble.report("carrier_failed", f"a request could not be looked at ({error!r}); it is served without its call")
        return None


_WATCHED: Final = frozenset(
    {b"baggage", b"x-call-sid", b"content-type", b"content-length", b"x-twilio-signature", b"user-agent"}
)


class _Http:
    """A request whose body passes by."""

    __slots__ = ("_receive", "_request", "call", "receive")

    def __init__(self, begun: requests.Request, receive: Receive) -> None:
        self._request = begun
        self._receive = receive
        self.call = begun.call
        self.receive: Receive = self._receive_and_look if begun.reading else receive

    async def _receive_and_look(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if self._request.reading and message.get("type") == "http.request":
            self._request.look(message.get("body") or b"", last=not message.get("more_body", False))
        return message

    def finish(self, error: BaseException | None) -> None:
        self._request.finish(error)


class _Stream:
    """A websocket whose messages pass by: a media stream, or something else that is soon left alone."""

    __slots__ = ("_code", "_path", "_quiet", "_receive", "_since", "_started", "_watcher", "call")

    def __init__(self, call: Call, receive: Receive, path: str, *, named: bool, is_stream: bool) -> None:
        self.call = call
        self._receive = receive
        self._path = path
        self._since = time.monotonic()
        self._watcher = twilio.StreamWatcher(named=named, is_stream=is_stream)
        self._code: int | None = None  # of the close that the other side sent
        self._quiet = True  # nothing but Twilio's own messages came
        self._started = False  # a start came, whatever it said

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        try:
            kind = message["type"]
            if kind == "websocket.receive":
                text = message.get("text")
                if text is None:
                    self._quiet = False
                else:
                    event = self._watcher.feed(text)
                    if event is not None:
                        self._learn(event)
            elif kind == "websocket.disconnect":
                self._code = message.get("code", 1005)
        except Exception as error:
            trouble.report("carrier_failed", f"a websocket message could not be looked at ({error!r})")
        return message

    def _learn(self, event: twilio.StreamEvent) -> None:
        if event.malformed:
            for _ in range(min(event.malformed, 100)):
                trouble.report(
                    "malformed_message", f"a media stream on {self._path} sent a message that is no JSON; it is ignored"
                )
        if event.kind == twilio.START and event.call_sid is not None:
            self._started = True
            self.call.name(event.call_sid, "start.callSid")
        elif event.kind == twilio.NAMELESS:
            self._started = True
            trouble.report(
                "start_without_call_sid",
                f"a media stream on {self._path} started without a callSid; its records stay without a call id",
            )

    def finish(self, error: BaseException | None) -> None:
        try:
            self._finish(error)
        except Exception as trouble_of_ours:
            trouble.report("carrier_failed", f"a websocket's call could not be ended ({trouble_of_ours!r})")

    def _finish(self, error: BaseException | None) -> None:
        watcher = self._watcher
        noticed = type(error).__name__ in {"WebSocketDisconnect", "ClientDisconnected"}  # Starlette's, uvicorn's
        hung_up = noticed or self._code is not None
        if isinstance(error, Exception) and not noticed:
            reason = "error"
        elif watcher.stopped:
            reason = "stop"
        elif error is not None and not isinstance(error, Exception):
            reason = "cancelled"
        else:
            reason = "closed_without_stop" if hung_up else "closed"
        if self.call.call_sid is None and not self._started and self._was_to_be_a_stream():
            trouble.report(
                "stream_died_before_start",
                f"a websocket on {self._path} closed before a start message named its call; "
                "its records stay without a call id",
            )
        # Only the media stream itself ends the call for all: a page that watches the call may come and go.
        self.call.leave(reason, grace=0.0, error=error if reason == "error" and isinstance(error, Exception) else None)
        if watcher.is_stream:
            self.call.end(reason)

    def _was_to_be_a_stream(self) -> bool:
        if self._watcher.is_stream:
            return True
        if self._watcher.other or not self._quiet:
            return False
        return self._code not in _CLOSED_ON_PURPOSE or time.monotonic() - self._since < _SHORT_LIFE
