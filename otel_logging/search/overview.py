"""What a store holds as a whole: its calls, one summary each, and its totals. Single records do not belong in here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock
from otel_logging.search.books import Told
from otel_logging.search.call_view import state_of
from otel_logging.search.digest import Digest
from otel_logging.search.glance import of_record
from otel_logging.search.local import LOGS, TRACES, digests
from otel_logging.search.one_call import own_trace, seen_traces
from otel_logging.search.record import LEVELS
from otel_logging.search.source import Ask, Asked, Local, Source, reading, source_of
from otel_logging.search.spans import Owners, Span, end_reasons

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_logging.search.digest import Tally
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

    def add(self, tally: Tally) -> None:
        """Count some records."""
        self.records += tally.records
        self.recovered += tally.recovered
        self.levels.update(tally.by_level())
        self.services |= tally.services
        self.first = min(self.first or tally.first, tally.first or self.first)
        self.last = max(self.last, tally.last)


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
    """Count the whole store, reading what the index does not know, or what another source has of `ask`."""
    source = source_of(store)
    searched = Asked() if searched is None else searched
    with reading(source):
        books = _Books()
        for digest in _digests(source, TRACES, ask or Ask(), searched):
            books.take_spans(digest)
        view = Overview([], searched)
        for digest in _digests(source, LOGS, ask or Ask(), searched):
            total = digest.total
            view.records += total.records
            view.levels.update(total.by_level())
            view.services.update(digest.services)
            view.told.merge(digest.told)
            view.first = min(view.first or total.first, total.first or view.first)
            view.last = max(view.last, total.last)
            books.add(digest)
    view.without_call = books.settle()
    view.calls = sorted(books.calls.values(), key=lambda call: (-call.first, call.call_sid))
    return view


def _digests(source: Source, folder: str, ask: Ask, searched: Asked) -> Iterator[Digest]:
    if isinstance(source, Local):
        yield from digests(source.store, folder, searched)
        return
    digest = Digest()
    if folder == TRACES:
        digest.spans.extend(source.spans(ask, searched))
    else:
        digest.count([of_record(record) for record in source.records(ask, searched)])
    yield digest


class _Books:
    """Assigns records to calls by the same rules as `one_call.belongs`."""

    def __init__(self) -> None:
        self.calls: dict[str, Summary] = {}
        self._owners = Owners()
        self._loose: dict[tuple[str, str | None], Tally] = {}  # records without a call, by trace and span
        self._nowhere = 0

    def take_spans(self, digest: Digest) -> None:
        for span in digest.spans:
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

    def add(self, digest: Digest) -> None:
        for call_sid, tally in digest.calls.items():
            call = self._call(call_sid)
            call.add(tally)
            call.traces |= tally.traces
        for key, tally in digest.loose.items():
            held = self._loose.setdefault(key, tally)
            if held is not tally:
                held.add(tally)
        self._nowhere += digest.nowhere

    def settle(self) -> int:
        """Give the records without a call to the calls of their traces; returns how many no call took."""
        by_trace: dict[str, list[Summary]] = {}
        for call in self.calls.values():
            for trace in call.traces:
                by_trace.setdefault(trace, []).append(call)
        for (trace, span_id), tally in self._loose.items():
            owner = self._owners.of(trace, span_id)
            mine = [call for call in by_trace.get(trace, []) if owner in (None, call.call_sid)]
            for call in mine:
                call.add(tally)
            if not mine:
                self._nowhere += tally.records
        for call in self.calls.values():
            if not call.records:
                call.first, call.last = call.spanned
        return self._nowhere
