"""The `call` span of this process, and the stamping of everyone else's spans with `call_sid`.

The span's trace id is the call's (see `otel_logging.ids`), so it is a root span whose id we choose. OTel's API is
imported when a tracer is set, its SDK never. Nothing here decides when a call begins or ends.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from otel_logging import ids, trouble
from otel_logging.bridge import scope
from otel_logging.bridge.values import clean_text, safe_str

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider

NAME = "call"
SCOPE = "otel_logging"  # the instrumentation scope of call spans
MAX_LINKS = 32

_tracer: Tracer | None = None
_redact: Callable[[dict[str, Any]], dict[str, Any]] = dict
_salt = ""  # tells the processes of one call apart where we cannot choose span ids


class _Wanted(threading.local):
    trace_id: int = 0


_wanted = _Wanted()  # the trace id for the root span that this thread is starting


class _CallIds:
    """The SDK's id generator for our tracer: the trace id is the call's, span ids are made as before."""

    def __init__(self, usual: Any) -> None:
        self.usual = usual

    def generate_trace_id(self) -> int:
        return _wanted.trace_id or int(self.usual.generate_trace_id())

    def generate_span_id(self) -> int:
        return int(self.usual.generate_span_id())

    def is_trace_id_random(self) -> bool:
        return False  # whoever issues call ids promises nothing about their randomness


def use_tracer(
    provider: TracerProvider | None, redact: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> None:
    """Make the `call` spans with `provider` from now on; None: make none. Never raises.

    `redact` is given the attributes of a `call` span or of an event on it, and gives what may leave the process.
    """
    global _tracer, _salt, _redact
    _redact = redact or dict
    if provider is None:
        _tracer = None
        return
    try:
        tracer = provider.get_tracer(SCOPE)
        usual = getattr(tracer, "id_generator", None)
        if usual is not None and not isinstance(usual, _CallIds):
            tracer.id_generator = _CallIds(usual)  # type: ignore[attr-defined] # the SDK's Tracer has it, the API's not
        _salt = f"{random.getrandbits(64):016x}"
        _tracer = tracer
    except Exception as error:
        trouble.report("call_span_failed", f"no spans are made for calls: {trouble.sentence(error)}")


def tracing() -> bool:
    """True when calls get a span."""
    return _tracer is not None


def start(
    call_sid: str, attributes: Mapping[str, Any], links: Sequence[SpanContext], start_ns: int | None
) -> Span | None:
    """Start the `call` span; None without a tracer. `start_ns`: when the call was first heard of, None for now."""
    tracer = _tracer
    if tracer is None:
        return None
    trace_id = ids.trace_id_for(call_sid)
    try:
        from opentelemetry import trace
        from opentelemetry.context import Context

        context = Context()
        if not isinstance(getattr(tracer, "id_generator", None), _CallIds):
            # Not the SDK's tracer: a parent that was never exported carries the trace id.
            parent = trace.SpanContext(
                trace_id, ids.span_id_for(call_sid, _salt), is_remote=True, trace_flags=trace.TraceFlags(1)
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent), context)
        _wanted.trace_id = trace_id
        try:
            return tracer.start_span(
                NAME,
                context=context,
                attributes={**scalars(_redact(scalars(attributes))), "call_sid": call_sid},
                links=[trace.Link(link) for link in links],
                start_time=start_ns,
            )
        finally:
            _wanted.trace_id = 0
    except Exception as error:
        trouble.report("call_span_failed", f"a call got no span: {trouble.sentence(error)}")
        return None


def end(span: Span, reason: str, attributes: Mapping[str, Any]) -> None:
    """End a `call` span with what was bound to the call and the reason of its end."""
    try:
        if span.is_recording():
            span.set_attributes({**scalars(_redact(scalars(attributes))), "otel_logging.end_reason": reason})
        span.end(time.time_ns())
    except Exception as error:
        trouble.report("call_span_failed", f"a call's span was not ended: {trouble.sentence(error)}")


def record_error(span: Span, error: BaseException) -> None:
    """An exception left the call's block: note it on its span."""
    try:
        from opentelemetry.trace import Status, StatusCode

        # As `record_exception` does it, which would show what the exception says as it is.
        kind = type(error)
        told = {
            "exception.type": kind.__qualname__
            if kind.__module__ == "builtins"
            else f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": safe_str(error),
            "exception.stacktrace": clean_text("".join(traceback.format_exception(error))),
            "exception.escaped": "True",
        }
        span.add_event("exception", _redact(told))
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
    except Exception as problem:
        trouble.report("call_span_failed", f"an exception was not noted on a call's span: {type(problem).__name__}")


def add_links(span: Span, links: Sequence[SpanContext]) -> None:
    """Link an open `call` span to further spans that the call met."""
    try:
        for link in links:
            span.add_link(link)
    except Exception as error:
        trouble.report("call_span_failed", f"a call's span was not linked: {type(error).__name__}")


def scalars(attributes: Mapping[str, Any]) -> dict[str, str | bool | int | float]:
    """The attributes that a span can carry."""
    return {key: value for key, value in attributes.items() if isinstance(value, (str, bool, int, float))}


def active() -> Span | None:
    """The active OTel span, None without one. Does not import OTel: where it is not loaded, no span is active."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    try:
        from opentelemetry import trace

        span = trace.get_current_span()
        return span if span.get_span_context().is_valid else None
    except Exception:
        return None  # a foreign span class that fails here is as good as none


def stamp(span: Any, call_sid: str) -> None:
    """Set `call_sid` on a span that is still open. Never raises."""
    try:
        if span.is_recording():
            span.set_attribute("call_sid", call_sid)
    except Exception as error:
        trouble.report("span_stamp_failed", f"a span could not be given its call_sid: {type(error).__name__}")


class SpanStamper:
    """An SDK span processor, by shape: each span started within a call gets its `call_sid`, now or at the naming."""

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:  # noqa: ARG002 (the SDK's signature)
        """Stamp the span, or have the call remember it until it is named."""
        call = scope.current.get()
        if call is None:
            return
        try:
            meet = getattr(call, "meet", None)  # our own Call; another CallScope may only know its name
            if meet is not None:
                meet(span)
            elif call.call_sid is not None:
                stamp(span, call.call_sid)
        except Exception as error:
            trouble.report("span_stamp_failed", f"a span could not be given its call_sid: {type(error).__name__}")

    def _on_ending(self, span: Any) -> None:
        """Nothing to do: spans are stamped while they are open."""

    def on_end(self, span: Any) -> None:
        """Nothing to do."""

    def shutdown(self) -> None:
        """Nothing to do: nothing is kept here."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is kept here, so all is delivered."""
        return True
