"""What the page lists, in time order: records, spans at their start, and gaps. Geometry and HTML stand elsewhere."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock
from otel_logging.search.record import RECOVERED, as_text
from otel_logging.search.text import harmless, harmless_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_logging.search.call_view import CallView
    from otel_logging.search.missing import Missing
    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

SHOWN = 1000  # characters of a message in its row; all of them stand in its details
TRIGGER = "otel_logging.trigger"
_BESIDE = 4  # attributes shown in the row itself
_BESIDE_LONG = 48
_OWN = (
    "call_sid",
    "trace_id",
    "span_id",
    "event_name",
    "otel_logging.",
    "code.",
    "exception.",
    "event.",
    "otel.",
    "turn.",
    "telemetry.",
    "log.",
    "thread.",
    "process.",
)
_REASONS = {
    "error": "an ERROR was logged",
    "critical": "a CRITICAL was logged",
    "exception": "an exception left the call",
    "closed_without_stop": "the media stream closed without a stop",
    "cancelled": "the call's handler was cancelled",
    "process_end": "the process ended in mid-call",
    "recall": "somebody asked for it with recall",
}


@dataclass(slots=True)
class Row:
    """One line of the list. `kind` is `record`, `span` or `gap`; `at` is milliseconds since the call's first record."""

    kind: str
    key: str
    at: float
    when: str
    text: str = ""
    level: str = ""
    service: str = ""
    logger: str = ""
    classes: str = ""
    beside: list[tuple[str, str]] = field(default_factory=list)
    cut: int = 0  # characters left out of the row
    last_line: str = ""  # of a traceback
    details: dict[str, Any] = field(default_factory=dict)


class Namer:
    """Keys of records that stay the same when the page is loaded again; equal records get numbers."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def key(self, record: Record) -> str:
        """The key of one more record."""
        base = fingerprint(record)
        number = self._seen.get(base, 0) + 1
        self._seen[base] = number
        return base if number == 1 else f"{base}-{number}"


def fingerprint(record: Record) -> str:
    """Ten letters that tell this record from others."""
    parts = (record.time, record.observed, record.service, record.logger, record.span_id, record.severity, record.body)
    text = "\x1f".join(map(str, parts))
    return "r" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def rows_of(view: CallView) -> list[Row]:
    """Everything of the call as rows, gaps between them included."""
    namer = Namer()
    because = Because(view.records)
    rows = [record_row(record, view.first, namer.key(record), because) for record in view.records]
    rows += [span_row(span, view.first) for span in view.spans]
    rows += gap_rows(view)
    rows.sort(key=lambda row: row.at)  # stable: records of the same time stay in their order
    return rows


class Because:
    """Why frames were recovered: the trigger that the record names, and the first error at or after it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._errors: dict[str, list[int]] = {}  # by service, and of all under the empty name
        for record in records:
            if record.level in {"ERROR", "CRITICAL"} and not record.recovered and record.time:
                self._errors.setdefault(record.service, []).append(record.time)
        self._all = sorted((time, service) for service, times in self._errors.items() for time in times)
        for times in self._errors.values():
            times.sort()

    def of(self, record: Record, first: int) -> str:
        """A sentence; empty for a record that is not recovered."""
        if not record.recovered:
            return ""
        trigger = as_text(record.attributes.get(TRIGGER))
        sentence = f"recovered because {_REASONS.get(trigger, harmless(trigger) or 'its call went wrong')}"
        if trigger in {"error", "critical", "exception"} and (found := self._after(record)):
            time, service = found
            sentence += f" at {clock.relative(time - first)} in {harmless(service) or '(no name)'}"
        return sentence

    def _after(self, record: Record) -> tuple[int, str] | None:
        """The first error from the record on: of its own service, or else of any."""
        own = self._errors.get(record.service, [])
        at = bisect_left(own, record.time)
        if at < len(own):
            return own[at], record.service
        at = bisect_left(self._all, (record.time, ""))
        return self._all[at] if at < len(self._all) else None


def record_row(record: Record, first: int, key: str, because: Because) -> Row:
    """One record as a row, with what its opened form shows."""
    level = record.level
    text = "\n".join(harmless_lines(record.body or record.event_name))
    exception = "\n".join(harmless_lines(record.exception))
    marks = ["e" if level in {"ERROR", "CRITICAL"} else "w" if level == "WARNING" else "d" if level == "DEBUG" else ""]
    if record.recovered:
        marks.append("rec")
    elif TRIGGER in record.attributes:
        marks.append("let")
    pairs = [(harmless(key), "\n".join(harmless_lines(as_text(value)))) for key, value in attributes_of(record)]
    details: dict[str, Any] = {
        "time": clock.rfc3339(record.time) if record.time else "unknown",
        "pairs": pairs,
        "resource": resource_of(record),
    }
    if exception:
        details["exception"] = exception
    if reason := because.of(record, first):
        details["because"] = reason
    elif "let" in marks:
        details["because"] = f"let through because of the trigger {harmless(as_text(record.attributes[TRIGGER]))}"
    if len(text) > SHOWN:
        details["body"] = text
    return Row(
        kind="record",
        key=key,
        at=(record.time - first) / 1e6 if record.time else 0.0,
        when=clock.relative(record.time - first) if record.time else "?",
        text=text[:SHOWN],
        cut=max(len(text) - SHOWN, 0),
        level=level,
        service=harmless(record.service),
        logger=harmless(record.logger),
        classes=" ".join(filter(None, marks)),
        beside=[pair for pair in pairs if len(pair[1]) <= _BESIDE_LONG and not pair[0].startswith(_OWN)][:_BESIDE],
        last_line=exception.rpartition("\n")[2][:SHOWN],
        details=details,
    )


def resource_of(record: Record) -> dict[str, str]:
    """The record's resource as text; thousands of records share one."""
    if not record.resource:
        return {}
    return {harmless(key): harmless(as_text(value)) for key, value in record.resource.items()}


def attributes_of(record: Record) -> Iterator[tuple[str, Any]]:
    """What can be filtered by: the record's own parts under their names in `search`, then its attributes."""
    own = {"call_sid": record.call_sid, "trace_id": record.trace_id, "span_id": record.span_id}
    if record.event_name:
        own["event_name"] = record.event_name
    yield from ((key, value) for key, value in own.items() if value)
    for key, value in record.attributes.items():
        if key not in {RECOVERED, "exception.stacktrace"}:
            yield key, value


def span_row(span: Span, first: int) -> Row:
    """A span as a row at its start; the rows after it with its span id are its records."""
    failed = f" failed{': ' + harmless(span.status) if span.status else ''}" if span.failed else ""
    reason = f", {harmless(span.end_reason)}" if span.end_reason else ""
    pairs = [("span_id", span.span_id), ("parent_id", span.parent_id), ("trace_id", span.trace_id)]
    everything = [*((key, value) for key, value in pairs if value), *span.attributes.items()]
    return Row(
        kind="span",
        key=f"s{harmless(span.span_id or '')}",
        at=(span.start - first) / 1e6,
        when=clock.relative(span.start - first),
        text=f"{harmless(span.name)} {clock.duration(span.end - span.start)}{reason}{failed}",
        level="",
        service=harmless(span.service),
        classes="e" if span.failed else "",
        details={
            "time": clock.rfc3339(span.start),
            "pairs": [(harmless(as_text(key)), "\n".join(harmless_lines(as_text(value)))) for key, value in everything],
            "resource": {},
        },
    )


def gap_rows(view: CallView) -> list[Row]:
    """A row where no service logged anything for 3 seconds, marked harder from 10 on, and where something lacks."""
    silences = [
        Row(
            kind="gap",
            key=f"g{gap.start}-{gap.end}",
            # Just behind the record before it, which the sort above keeps in front.
            at=(gap.start - view.first) / 1e6 + 1e-6,
            when=clock.relative(gap.start - view.first),
            text=f"no record from any service for {clock.duration(gap.end - gap.start)}",
            classes="dead" if gap.dead_air else "",
        )
        for gap in view.gaps
    ]
    return silences + [
        Row(
            kind="gap",
            key=gap_key(item),
            at=(item.at - view.first) / 1e6 + 1e-6,
            when=clock.relative(item.at - view.first),
            text=item.sentence(),
            classes="lost",
        )
        for item in view.missing
    ]


def gap_key(item: Missing) -> str:
    """The key of the row that marks what is missing; it changes with what is said there."""
    text = f"{item.service}\x1f{item.at}\x1f{item.kept}\x1f{item.here}"
    return "m" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
