"""Spans beside records: their shape, and which call a record without a `call_sid` belongs to by its span.

Several calls can share one trace (a worker that serves many, a conversation nested into another's). So a trace never
decides alone: the nearest span that names a call does.
"""

from __future__ import annotations

from otel_logging.plain import field, plain
from otel_logging.search import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

CALL_SPAN = "call"  # each process that served a call exports one when the call ends in it
END_REASON = "otel_logging.end_reason"
# A carrier's own words for having hung up. Any other end of a process's part may be followed by more of the same call.
_HUNG_UP = frozenset({"stop", "completed", "busy", "failed", "no-answer", "canceled"})

_DEPTH = 128  # parents followed; a broken writer could make a circle


@plain(slots=True)
class Span:
    """One span. Times are nanoseconds since 1970 UTC, ids are lower-case hex or None."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None
    name: str = ""
    service: str = ""
    start: int = 0
    end: int = 0
    failed: bool = False
    status: str = ""
    call_sid: str | None = None
    links: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def end_reason(self) -> str:
        """Why the call ended in this service; empty for spans that are no `call` span."""
        return str(self.attributes.get(END_REASON) or "") if self.name == CALL_SPAN and self.call_sid else ""

    @property
    def hung_up(self) -> bool:
        """Whether this is the end of the whole call, not only of a service's part in it."""
        return self.end_reason in _HUNG_UP

    def flat(self) -> dict[str, Any]:
        """The span as one flat mapping for JSON."""
        return {
            "name": self.name,
            "service": self.service,
            "start": clock.rfc3339(self.start),
            "seconds": round(max(self.end - self.start, 0) / clock.NANOS, 6),
            "failed": self.failed,
            "call_sid": self.call_sid,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "attributes": self.attributes,
        }


def end_reasons(spans: Iterable[Span]) -> dict[str, str]:
    """Why the call ended, by service; where a service served it several times, a hang-up or else its last end."""
    ends = sorted((span for span in spans if span.end_reason), key=lambda span: (span.hung_up, span.end))
    return dict(sorted({span.service: span.end_reason for span in ends}.items()))


class Owners:
    """Which call a span belongs to: its own `call_sid`, or that of the nearest span above it that has one."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        for span in spans:
            self.add(span)

    def add(self, span: Span) -> None:
        """Take one more span into account."""
        if span.trace_id and span.span_id:
            self._spans[span.trace_id, span.span_id] = (span.call_sid, span.parent_id)

    def of(self, trace_id: str | None, span_id: str | None) -> str | None:
        """The call of that span, or None if no span up to the root names one."""
        for _ in range(_DEPTH):
            if not trace_id or not span_id:
                return None
            call_sid, span_id = self._spans.get((trace_id, span_id), (None, None))
            if call_sid is not None:
                return call_sid
        return None
