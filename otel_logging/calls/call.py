"""The face of this room: opening a call, the call in force, and what the process does to all calls.

How a call behaves is `handle`'s business, who shares one is `registry`'s.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from otel_logging import trouble
from otel_logging.bridge import scope
from otel_logging.calls import registry, spans, waiting
from otel_logging.calls.activation import Activation, leaves, restore
from otel_logging.calls.handle import Call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token
    from types import TracebackType

    from otel_logging.bridge.scope import CallScope

__all__ = [
    "Activation",
    "Call",
    "CallBlock",
    "bind",
    "call",
    "current_call",
    "end_all",
    "find",
    "held_waiting",
    "open_call",
    "release_waiting",
]


def open_call(call_sid: str | None = None, *, origin: str, wait: bool = True, **attributes: Any) -> Call:
    """Open a call for a carrier (middleware, a job): named now, or later by `Call.name`.

    The call is not put in force: use `Call.activate()`. Whoever opens it also says `Call.end` (it is over) or
    `Call.leave` (this part of it is done). Records wait for the name if `wait` is true and there is none yet. The OTel
    span that is active now, such as a server's, is taken as the call's: stamped with its id, and linked to.
    """
    opened = Call(origin, attributes, wait=wait and call_sid is None)
    span = spans.active()
    if span is not None:
        opened.note_link(span.get_span_context())
        _meet(opened, span)
    if call_sid is not None:
        opened.name(call_sid, origin)
    return opened


def find(call_sid: str) -> Call | None:
    """A handle on a call that is open in this process or ended less than 60 seconds ago, else None.

    The handle does not keep the call open.
    """
    known = registry.find(call_sid)
    if known is None:
        return None
    found = Call("found", {}, wait=False, opener=False)
    found._state = known  # noqa: SLF001 (one room, one thing)
    if known.memory is not None:
        found.memory = known.memory
    return found


def current_call() -> Call | None:
    """The call in force in this task or thread, or None."""
    call = scope.current.get()
    return call if isinstance(call, Call) else None


def bind(**attributes: Any) -> None:
    """Add attributes to all further records of the call in force. Without one nothing happens but a count."""
    call = current_call()
    if call is None:
        trouble.count("bind_without_call")
        return
    call.bind(**attributes)


def call(call_sid: str, **attributes: Any) -> CallBlock:
    """A context manager, sync and async: all records of the block belong to this call and carry `attributes`.

    The call ends with the block, unless someone else (a middleware, an outer block) holds it open. An exception that
    leaves the block is noted on the call, and goes on. An id that is none is refused with one line, and the block
    runs without a call id.
    """
    return CallBlock(call_sid, attributes)


class CallBlock:
    """What `call()` returns. May be entered again, also while it is entered."""

    __slots__ = ("_attributes", "_call_sid", "_entered")

    def __init__(self, call_sid: str, attributes: Mapping[str, Any]) -> None:
        self._call_sid = call_sid
        self._attributes = attributes
        self._entered: list[tuple[Call, Token[CallScope | None], Any]] = []

    def __enter__(self) -> Call:
        opened = Call("block", self._attributes, wait=False)
        span = spans.active()
        if span is not None:
            # The span around the block may serve many calls: it is linked to, but not stamped.
            opened.note_link(span.get_span_context())
        opened.name(self._call_sid, "call()")
        attached = _attach_span(opened) if span is None else None
        self._entered.append((opened, scope.current.set(opened), attached))
        return opened

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._entered:
            return
        opened, token, attached = self._entered.pop()
        if restore(token, opened) and attached is not None:
            _detach_span(attached)
        if error is not None:
            leaves(error, opened)
        if error is None:
            opened.leave("block", grace=0.0)
        elif isinstance(error, Exception):
            opened.leave("error", grace=0.0, error=error)
        else:
            opened.leave("cancelled" if type(error).__name__ == "CancelledError" else "exit", grace=0.0)

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def end_all(reason: str) -> None:
    """End every open call of this process, and deliver every record that waits."""
    registry.end_all(reason)
    waiting.release_all()


def release_waiting() -> None:
    """Deliver every record that waits for its call's name now; waits at most a second for other threads doing so."""
    waiting.release_all()


def held_waiting() -> int:
    """How many records wait for their call's name."""
    return waiting.held()


def _meet(opened: Call, span: Any) -> None:
    try:
        opened.meet(span)
    except Exception as error:
        trouble.report("span_stamp_failed", f"the active span was not joined to its call: {type(error).__name__}")


def _attach_span(opened: Call) -> Any:
    """Make the call's span the active one, so that the application's own spans join the call's trace."""
    context = opened.span_context
    if context is None or "opentelemetry.trace" not in sys.modules:
        return None
    try:
        from opentelemetry import context as otel_context
        from opentelemetry import trace

        span = opened.span or trace.NonRecordingSpan(context)
        return otel_context.attach(trace.set_span_in_context(span))
    except Exception as error:
        trouble.report("call_span_failed", f"a call's span could not be made active: {type(error).__name__}")
        return None


def _detach_span(token: Any) -> None:
    from opentelemetry import context as otel_context

    otel_context.detach(token)
