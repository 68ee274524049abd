"""What a store holds as a whole: its calls, one summary each, and its totals. Single records do not belong in here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock
from otel_logging.search.call_view import state_of
from otel_logging.search.one_call import own_trace, seen_traces
from otel_logging.search.record import LEVELS, Record
from otel_logging.search.source import Ask, Asked, Source, source_of
from otel_logging.search.spans import Owners, Span, end_reasons

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otel_logging.search.local import Searched


@dataclass(slots=True)
class Summary:
    """One call in numbers, counted as `find_call` collects it. Times are nanoseconds since 1970 UTC, 0 if unknown."""

    call_sid: str
    first: int = 0
    last: int = 0
    records: int = 0
    recovered: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    services: set[str] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)
    hung_up: int = 0
    ends: list[Span] = field(default_factory=list)  # its `call` spans
    spanned: tuple[int, int] = (0, 0)  # from its first span's start to its last one's end

    @property
    def errors(self) -> int:
        """Records of ERROR and above."""
        return self.levels["ERROR"] + self.levels["CRITICAL"]

    def state(self, now: int) -> str:
        """`live`, `settling` or `complete`; see `call_view.state_of`."""
        return state_of(latest=self.last if self.records else 0, hung_up=self.hung_up, now=now)

    def as_json(self, now: int) -> dict[str, Any]:
        """For one JSON line."""
        return {
            "call_sid": self.call_sid,
            "start": clock.rfc3339(self.first) if self.first else None,
            "end": clock.rfc3339(self.last) if self.last else None,
            "seconds": round((self.last - self.first) / clock.NANOS, 6),
            "state": self.state(now),
            "ends": end_reasons(self.ends),
            "records": self.records,
            "levels": {level: self.levels[level] for level in LEVELS if self.levels[level]},
            "errors": self.errors,
            "recovered": self.recovered,
            "services": sorted(self.services),
            "trace_ids": sorted(self.traces),
        }

    def add(self, brief: _Brief) -> None:
        """Count one record."""
        self.records += 1
        self.recovered += brief.recovered
        self.levels[brief.level] += 1
        self.services.add(brief.service)
        if brief.time:
            self.first = min(self.first or brief.time, brief.time)
            self.last = max(self.last, brief.time)


@dataclass(slots=True)
class _Brief:
    """What a summary needs of a record; records without a call wait in this form until all traces are known."""

    time: int
    level: str
    service: str
    recovered: bool
    span_id: str | None


SUMMARY_EVENT = "otel_logging.call.summary"  # the record in which a process says what became of a call's records
_FIGURES = ("made", "kept", "recovered")


@dataclass(slots=True)
class Told:
    """What the summaries of calls say, added up: records made, kept, dropped by reason, recovered."""

    summaries: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one summary; what is no number in it is left out."""
        self.summaries += 1
        for name in _FIGURES:
            self.figures[name] += _number(record.attributes.get(f"otel_logging.{name}"))
        reasons = record.attributes.get("otel_logging.dropped_by")
        if isinstance(reasons, dict):
            for reason, count in reasons.items():
                self.dropped[str(reason)] += _number(count)

    def as_json(self) -> dict[str, Any]:
        """For `stats --json`."""
        return {
            "summaries": self.summaries,
            **{name: self.figures[name] for name in _FIGURES},
            "dropped": dict(sorted(self.dropped.items())),
        }


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


@dataclass(slots=True)
class Overview:
    """The whole store in numbers."""

    calls: list[Summary]  # newest first
    searched: Searched
    records: int = 0
    without_call: int = 0  # records that no call takes
    first: int = 0
    last: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)
    told: Told = field(default_factory=Told)

    def as_json(self) -> dict[str, Any]:
        """For `stats --json`."""
        return {
            **self.searched.as_json(),
            "calls": len(self.calls),
            "records_without_call": self.without_call,
            "oldest": clock.rfc3339(self.first) if self.first else None,
            "newest": clock.rfc3339(self.last) if self.last else None,
            "levels": {level: self.levels[level] for level in LEVELS if self.levels[level]},
            "services": dict(sorted(self.services.items())),
            "books": self.told.as_json(),
        }


def overview(store: Path | Source, ask: Ask | None = None, searched: Asked | None = None) -> Overview:
    """Read the whole store, or what a source has of `ask`, once and count."""
    source = source_of(store)
    ask = Ask() if ask is None else ask
    searched = Asked() if searched is None else searched
    books = _Books(source.spans(ask, searched))
    view = Overview([], searched)
    for record in source.records(ask, searched):
        view.records += 1
        view.levels[record.level] += 1
        view.services[record.service] += 1
        if record.event_name == SUMMARY_EVENT:
            view.told.add(record)
        if record.time:
            view.first = min(view.first or record.time, record.time)
            view.last = max(view.last, record.time)
        books.add(record)
    view.without_call = books.settle()
    view.calls = sorted(books.calls.values(), key=lambda call: (-call.first, call.call_sid))
    return view


class _Books:
    """Assigns records to calls, in one pass, by the same rules as `one_call.belongs`."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.calls: dict[str, Summary] = {}
        self._owners = Owners()
        self._waiting: dict[str, list[_Brief]] = {}  # by trace
        self._nowhere = 0
        for span in spans:
            self._owners.add(span)
            if span.call_sid:
                self._take_span(span, span.call_sid)

    def _take_span(self, span: Span, call_sid: str) -> None:
        call = self._call(call_sid)
        call.traces.update(seen_traces(span))
        call.services.add(span.service)
        call.spanned = (min(call.spanned[0] or span.start, span.start), max(call.spanned[1], span.end))
        if span.end_reason:
            call.ends.append(span)
        if span.hung_up:
            call.hung_up = max(call.hung_up, span.end)

    def _call(self, call_sid: str) -> Summary:
        call = self.calls.get(call_sid)
        if call is None:
            call = self.calls[call_sid] = Summary(call_sid, traces={own_trace(call_sid)})
        return call

    def add(self, record: Record) -> None:
        brief = _Brief(record.time, record.level, record.service, record.recovered, record.span_id)
        if record.call_sid is not None:
            call = self._call(record.call_sid)
            call.add(brief)
            if record.trace_id:
                call.traces.add(record.trace_id)
        elif record.trace_id:
            self._waiting.setdefault(record.trace_id, []).append(brief)
        else:
            self._nowhere += 1

    def settle(self) -> int:
        """Give the waiting records to the calls of their traces; returns how many no call took."""
        by_trace: dict[str, list[Summary]] = {}
        for call in self.calls.values():
            for trace in call.traces:
                by_trace.setdefault(trace, []).append(call)
        for trace, briefs in self._waiting.items():
            takers = by_trace.get(trace, [])
            for brief in briefs:
                owner = self._owners.of(trace, brief.span_id)
                mine = [call for call in takers if owner in (None, call.call_sid)]
                for call in mine:
                    call.add(brief)
                self._nowhere += not mine
        for call in self.calls.values():
            if not call.records:
                call.first, call.last = call.spanned
        return self._nowhere
