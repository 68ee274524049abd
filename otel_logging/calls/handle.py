"""The `Call`: a mutable handle on one call, held by every task and thread that works for it.

Handles named the same share one state (see `registry`); what a handle learns before its name moves there. How calls
are opened, and what is in force, is the business of `call`.
"""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from otel_logging import ids, trouble
from otel_logging.bridge.memory import CallMemory
from otel_logging.calls import registry, spans, state
from otel_logging.calls.activation import Activation
from otel_logging.calls.waiting import WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Span, SpanContext

    from otel_logging.bridge.scope import CallScope
    from otel_logging.calls.state import State

MAX_ATTRIBUTES = 128  # bound to one call
_MAX_SPANS = 256  # open spans that an unnamed call remembers


class Call:
    """One call, as seen by whoever opened it or found it. Made by `open_call`, `call` and `find`.

    All members may be used from any thread or task, and none raises.
    """

    __slots__ = (
        "__weakref__",
        "_attributes",
        "_end_reason",
        "_ended",
        "_limits",
        "_links",
        "_opened_ns",
        "_opener",
        "_room",
        "_spans",
        "_state",
        "memory",
        "origin",
    )

    def __init__(self, origin: str, attributes: Mapping[str, Any], *, wait: bool, opener: bool = True) -> None:
        self.origin = origin
        """What opened the call: `websocket`, `webhook`, `job`, `block`."""
        self._state: State | None = None
        self._attributes: Mapping[str, Any] = dict(attributes)
        self._opened_ns = time.time_ns()
        self._opener = opener
        self._ended = False
        self._end_reason: str | None = None
        self._room = WaitingRoom(self, is_open=wait)
        self._spans: list[weakref.ref[Any]] = []
        self._links: list[SpanContext] = []
        self._limits: OrderedDict[Any, Any] = OrderedDict()
        # A plain slot, as the gate reads it for each frame: whoever sets `_state` sees to it that the two agree.
        self.memory = CallMemory()
        """What the bridge remembers of the call; all handles of a named call share one."""

    # What the bridge reads (CallScope).

    @property
    def call_sid(self) -> str | None:
        """The call's id; None until it is named."""
        known = self._state
        return None if known is None else known.call_sid

    @property
    def trace_id(self) -> int:
        """The call's trace id, which follows from its id; 0 while it has no name."""
        known = self._state
        return 0 if known is None else known.trace_id

    @property
    def span_id(self) -> int:
        """The span id of this process's `call` span; 0 without one."""
        known = self._state
        return 0 if known is None else known.span_id

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What `bind()` and the opener added; goes on every further record. A snapshot, not to be changed."""
        known = self._state
        if known is None:
            return self._attributes
        known.touched = True
        return known.attributes

    @property
    def waiting(self) -> bool:
        """True while records are to wait for the call's name."""
        return self._room.open

    def hold(self, deliver: Callable[[CallScope], None], size: int) -> bool:
        """Keep one record of `size` bytes until the call is named or the wait is over; `deliver` is then called once.

        Returns False, keeping nothing, when the wait is over or its budget is spent.
        """
        return self._room.hold(deliver, size)

    # What whoever opened the call tells it.

    def name(self, call_sid: object, source: str = "") -> bool:
        """Tell the call its id; True if the call has this id now.

        Every task that holds the call learns it at once, records that waited are delivered, open spans are stamped.
        An id that is none is refused with one line; a call that has a name keeps it. `source` says where the id came
        from and only shows in that line.
        """
        if not isinstance(call_sid, str) or not ids.is_call_id(call_sid):
            trouble.report("call_id_rejected", _rejection(call_sid, source))
            return False
        with state.lock:
            if self._state is not None:
                if self._state.call_sid == call_sid:
                    return True
                trouble.count("call_renamed")
                return False
            joined = registry.join(call_sid, opener=self._opener)
            merged = {**joined.attributes, **self._attributes}
            if len(merged) <= MAX_ATTRIBUTES:
                joined.attributes = merged
            for key, value in self._limits.items():
                joined.limits.setdefault(key, value)
            links = self._take_links(joined)
            own = self.memory
            if joined.memory is None:
                own.named(joined.call_sid, joined.trace_id)
                joined.memory = own
            self._state, self.memory = joined, joined.memory
            opened, self._spans = self._spans, []
        if self.memory is not own:
            self.memory.absorb(own)
        registry.tidy()
        self._give_span(joined, links)
        for reference in opened:
            span = reference()
            if span is not None:
                spans.stamp(span, call_sid)
        self._room.release()
        return True

    def bind(self, **attributes: Any) -> None:
        """Add attributes to all further records of the call. `call_sid=…` names a call that has no name yet."""
        named = attributes.pop("call_sid", None)
        with state.lock:
            known = self._state
            merged = {**(self._attributes if known is None else known.attributes), **attributes}
            if len(merged) <= MAX_ATTRIBUTES:
                if known is None:
                    self._attributes = merged
                else:
                    known.attributes = merged
                    known.touched = True
        if len(merged) > MAX_ATTRIBUTES:
            trouble.report(
                "bind_refused", f"bind() would give one call more than {MAX_ATTRIBUTES} attributes; these are left out"
            )
        if named is not None:
            self.name(named, "bind")

    def activate(self) -> Activation:
        """A context manager, sync and async, within which this call is in force: for queue workers and callbacks."""
        return Activation(self)

    # The end.

    @property
    def ended(self) -> bool:
        """True from the call's end on; records are still attributed to it."""
        known = self._state
        return self._ended if known is None else known.ended

    @property
    def end_reason(self) -> str | None:
        """Why the call ended: `stop`, `completed`, `closed`, `error`, `idle`, …; None while it is open."""
        known = self._state
        return self._end_reason if known is None else known.end_reason

    def end(self, reason: str | None = None) -> None:
        """The call is over, for everyone in this process. Records that still wait are delivered.

        `reason` is a word (`stop`, `completed`, `closed`; default `ended`). After a carrier's own word for hanging up
        (`registry.FINAL`) the call stays ended; after any other, a new opener within a minute opens it again.
        """
        self._finish(reason or "ended", None, whole=True)

    def leave(
        self, reason: str | None = None, *, grace: float = registry.GRACE_SECONDS, error: BaseException | None = None
    ) -> None:
        """This opener is done with the call, which may go on: a webhook was answered, and its stream follows.

        The call ends when its last opener has left and `grace` seconds went by without a new one. `error` is an
        exception that left the opener's work; it is noted on the call's span. Safe to call twice.
        """
        self._finish(reason or "left", error, whole=False, grace=grace)

    def _finish(self, reason: str, error: BaseException | None, *, whole: bool, grace: float = 0.0) -> None:
        with state.lock:
            was_opener, self._opener = self._opener, False
            known = self._state
            if known is None and not self._ended and (whole or was_opener):
                self._ended = True
                self._end_reason = reason
        if was_opener or whole:
            self._note_failure(reason, error, whole=whole)
        if known is not None:
            if error is not None and known.span is not None:
                spans.record_error(known.span, error)
            if was_opener:
                registry.leave(known, reason, grace, whole=whole)
            elif whole:
                registry.end(known, reason)
        elif whole or was_opener:
            self.memory.end(reason)
        self._room.release()

    def _note_failure(self, reason: str, error: BaseException | None, *, whole: bool) -> None:
        """Tell the bridge what the call's records may not: what was dropped is of interest now."""
        if error is not None:
            self.memory.went_wrong("exception")
        elif reason == "cancelled" or (whole and reason == "closed_without_stop"):
            # A socket that only watches the call may close as it likes: it leaves, and does not end the call.
            self.memory.went_wrong(reason)

    # What `spans` and `limits` keep here.

    def meet(self, span: Any) -> None:
        """An OTel span is open within the call: stamp it, now or when the call is named, and link to it."""
        context = span.get_span_context()
        parent = getattr(span, "parent", None)
        entered = parent is None or parent.is_remote  # a server's span, or one that begins a trace of its own
        with state.lock:
            known = self._state
            if known is None:
                if len(self._spans) >= _MAX_SPANS:
                    self._spans = [one for one in self._spans if one() is not None][-_MAX_SPANS // 2 :]
                self._spans.append(weakref.ref(span))
            if entered and context.is_valid:
                self._links.append(context)
                del self._links[: -spans.MAX_LINKS]
            links = self._take_links(known) if known is not None else []
            target = known.span if known is not None else None
        if known is not None:
            spans.stamp(span, known.call_sid)
            if target is not None and links:
                spans.add_links(target, links)

    def note_link(self, context: SpanContext) -> None:
        """The call's span is to be linked to the span of `context`."""
        with state.lock:
            self._links.append(context)
            del self._links[: -spans.MAX_LINKS]

    def _take_links(self, known: State) -> list[SpanContext]:
        """Move this handle's links to the shared state; returns the new ones. Under the lock."""
        met = {(link.trace_id, link.span_id) for link in known.links}
        new = []
        for link in self._links:
            at = (link.trace_id, link.span_id)
            if link.trace_id != known.trace_id and at not in met and len(known.links) < spans.MAX_LINKS:
                met.add(at)
                known.links.append(link)
                new.append(link)
        self._links = []
        return new

    def _give_span(self, known: State, links: list[SpanContext]) -> None:
        """Start the call's span if it has none open, or link the open one to what this handle met."""
        if not spans.tracing() or not self._opener:
            return
        with state.lock:
            existing = known.span
            if known.ended or known.span_starting:
                return  # whoever is starting it adds the links
            known.span_starting = existing is None
            first = known.span_id == 0
            all_links = list(known.links)
            attributes = {**known.attributes, "otel_logging.origin": self.origin}
        if existing is not None:
            spans.add_links(existing, links)
            return
        # Started outside the lock, as span processors are foreign code.
        span = spans.start(known.call_sid, attributes, all_links, self._opened_ns if first else None)
        context = span.get_span_context() if span is not None else None
        with state.lock:
            known.span_starting = False
            if context is not None:
                known.span_context = context
                known.span_id = context.span_id
            if not known.ended:
                known.span = span
            late = known.links[len(all_links) :]
            reason = known.end_reason
        if span is not None:
            spans.add_links(span, late)
            if reason is not None:  # it ended while its span was starting
                spans.end(span, reason, known.attributes)

    @property
    def span(self) -> Span | None:
        """This process's `call` span while it is open."""
        known = self._state
        return None if known is None else known.span

    @property
    def span_context(self) -> SpanContext | None:
        """The context of this process's `call` span, also after its end."""
        known = self._state
        return None if known is None else known.span_context

    @property
    def limits(self) -> OrderedDict[Any, Any]:
        """What `limits` remembers for this call."""
        known = self._state
        return self._limits if known is None else known.limits

    def __repr__(self) -> str:
        about = self.call_sid or "unnamed"
        return f"<Call {about} {self.origin}{f' ended: {self.end_reason}' if self.ended else ''}>"


def _rejection(call_sid: object, source: str) -> str:
    text = call_sid if isinstance(call_sid, str) else repr(call_sid)[:200]
    shown = ascii(text if len(text) <= 48 else text[:45] + "...")
    size = f" ({len(text)} characters)" if len(text) > 48 else ""
    where = f" from {source}" if source else ""
    return (
        f"call id {shown}{size}{where} is refused: a call id is 1 to 128 of A-Z a-z 0-9 . _ : @ - and no WhatsApp jid; "
        "the records stay without it"
    )
