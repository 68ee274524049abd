"""What a stretch of lines amounts to in numbers: calls, levels, services, spans. So `calls` need not read it again.

A digest of any stretch is made by the same code, whether it is kept in the index or made on the way; adding digests up
gives what one over all lines would be. Which call a record without a name belongs to is decided by `overview`, when all
traces are known.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_logging.search import otlp
from otel_logging.search.books import Told
from otel_logging.search.glance import facts
from otel_logging.search.record import LEVELS
from otel_logging.search.spans import END_REASON, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_logging.search.glance import Facts


@dataclass(slots=True)
class Tally:
    """Some records in numbers. Times are nanoseconds since 1970 UTC, 0 if unknown."""

    records: int = 0
    recovered: int = 0
    levels: list[int] = field(default_factory=lambda: [0] * len(LEVELS))
    first: int = 0
    last: int = 0
    services: set[str] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)

    def add(self, other: Tally) -> None:
        """Count the records of another tally, too."""
        self.records += other.records
        self.recovered += other.recovered
        self.levels = [mine + theirs for mine, theirs in zip(self.levels, other.levels, strict=True)]
        self.first = min(self.first or other.first, other.first or self.first)
        self.last = max(self.last, other.last)
        self.services |= other.services
        self.traces |= other.traces

    def by_level(self) -> dict[str, int]:
        """How many records of each level that there is."""
        return {level: count for level, count in zip(LEVELS, self.levels, strict=True) if count}

    def as_row(self) -> list[Any]:
        """For JSON."""
        return [
            self.records, self.recovered, self.levels, self.first, self.last, sorted(self.services),
            sorted(self.traces),
        ]  # fmt: skip

    @classmethod
    def of_row(cls, row: list[Any]) -> Tally:
        """What `as_row` gave."""
        records, recovered, levels, first, last, services, traces = row
        return cls(records, recovered, levels, first, last, set(services), set(traces))


@dataclass(slots=True, eq=False)
class Group:
    """What some records have in common, none of which is a summary. Compared as objects, which is quick.

    `key` is the name of their call; trace and span of records without one; None for those with neither. `rank` is their
    level, 0 for DEBUG to 4 for CRITICAL; `places` the keys under which the index finds them.
    """

    key: str | tuple[str, str | None] | None
    trace: str | None
    places: tuple[int, ...]
    service: str
    rank: int


class Columns(NamedTuple):
    """The facts of some records, column by column.

    `times` are 19 digits each, the first of them none zero: the first and the last of them are found without making
    them numbers. `recovered` is empty where no record is. `lines` is how many lines they are of.
    """

    groups: list[Group]
    times: list[bytes]
    recovered: list[bool]
    lines: int


def joined(several: Sequence[Columns]) -> Columns:
    """The columns of all of them, in order."""
    recovered: list[bool] = []
    if any(one.recovered for one in several):
        recovered = [back for one in several for back in one.recovered or repeat(False, len(one.times))]
    groups = list(chain.from_iterable([one.groups for one in several]))
    times = list(chain.from_iterable([one.times for one in several]))
    return Columns(groups, times, recovered, sum([one.lines for one in several]))


@dataclass(slots=True)
class Digest:
    """The numbers of some lines of one kind.

    `calls` counts the records that name their call; `loose` those with only a trace, by trace and span; `nowhere` are
    records with neither.
    """

    calls: dict[str, Tally] = field(default_factory=dict)
    loose: dict[tuple[str, str | None], Tally] = field(default_factory=dict)
    nowhere: int = 0
    services: Counter[str] = field(default_factory=Counter)
    total: Tally = field(default_factory=Tally)
    told: Told = field(default_factory=Told)
    spans: list[Span] = field(default_factory=list)

    def add_records(self, payload: Any) -> list[Facts]:
        """Count the records of one line; returns their facts."""
        found = facts(payload)
        self.count(found)
        return found

    def count(self, found: list[Facts]) -> None:  # noqa: C901 (where indexing spends its time)
        """Count the records of which these are the facts."""
        calls = self.calls
        for call_sid, trace_id, span_id, time, rank, service, recovered, summary in found:
            if call_sid is not None:
                tally = calls.get(call_sid)
                if tally is None:
                    tally = calls[call_sid] = Tally()
                if trace_id is not None:
                    tally.traces.add(trace_id)
            elif trace_id is not None:
                tally = self.loose.get((trace_id, span_id))
                if tally is None:
                    tally = self.loose[trace_id, span_id] = Tally()
            else:
                self.nowhere += 1
                tally = Tally()  # counted in the total only
            tally.records += 1
            tally.levels[rank] += 1
            tally.services.add(service)
            if recovered:
                tally.recovered += 1
            if time > tally.last:  # noqa: PLR1730 (a call of max costs as much as the rest)
                tally.last = time
            if time and (time < tally.first or not tally.first):
                tally.first = time
            if summary is not None:
                self.told.add(summary)
        self._total(found)

    def count_columns(self, found: Columns) -> None:
        """Count these records: the same as `count`, and several times as fast, the more of them there are."""
        groups, times, recovered, _ = found
        if times != sorted(times):
            order = sorted(range(len(times)), key=times.__getitem__)
            ends = [groups[number] for number in order], [times[number] for number in order]
        else:
            ends = groups, times
        firsts = dict(zip(reversed(ends[0]), reversed(ends[1]), strict=True))
        lasts = dict(zip(*ends, strict=True))
        total = self.total
        for group, count in Counter(groups).items():
            first, last = int(firsts[group]), int(lasts[group])
            self.services[group.service] += count
            total.levels[group.rank] += count
            if group.key is None:
                self.nowhere += count
                continue
            tally = self._tally(group.key)
            tally.records += count
            tally.levels[group.rank] += count
            tally.services.add(group.service)
            if group.trace is not None and isinstance(group.key, str):
                tally.traces.add(group.trace)
            if first < tally.first or not tally.first:
                tally.first = first
            if last > tally.last:  # noqa: PLR1730 (as above)
                tally.last = last
        for group, back in zip(groups, recovered, strict=False):
            if back and group.key is not None:
                self._tally(group.key).recovered += 1
        total.records += len(times)
        total.first = min(total.first or int(ends[1][0]), int(ends[1][0]))
        total.last = max(total.last, int(ends[1][-1]))

    def _tally(self, key: str | tuple[str, str | None]) -> Tally:
        if isinstance(key, str):
            tally = self.calls.get(key)
            if tally is None:
                tally = self.calls[key] = Tally()
        else:
            tally = self.loose.get(key)
            if tally is None:
                tally = self.loose[key] = Tally()
        return tally

    def _total(self, found: list[Facts]) -> None:
        total = self.total
        total.records += len(found)
        self.services.update([one[5] for one in found])
        for rank, count in Counter([one[4] for one in found]).items():
            total.levels[rank] += count
        if times := [one[3] for one in found if one[3]]:
            total.first = min(total.first or times[0], *times)
            total.last = max(total.last, *times)

    def add_spans(self, payload: Any) -> list[Span]:
        """Note the spans of one line, and return them."""
        found = list(otlp.spans(payload))
        self.spans += found
        return found

    def dump(self) -> bytes:
        """As bytes for the index."""
        told = [self.told.summaries, self.told.figures, self.told.dropped]
        loose = [[trace, span, tally.as_row()] for (trace, span), tally in self.loose.items()]
        page = {
            "calls": [[call, tally.as_row()] for call, tally in self.calls.items()],
            "loose": loose,
            "nowhere": self.nowhere,
            "services": self.services,
            "total": self.total.as_row(),
            "told": told,
            "spans": [_row(span) for span in self.spans],
        }
        return zlib.compress(json.dumps(page, separators=(",", ":")).encode(), 1)

    @classmethod
    def load(cls, data: bytes) -> Digest:
        """What `dump` gave.

        Raises:
            ValueError: it is something else, or damaged.
        """
        try:
            page = json.loads(zlib.decompress(data))
            summaries, figures, dropped = page["told"]
            return cls(
                calls={call: Tally.of_row(row) for call, row in page["calls"]},
                loose={(trace, span): Tally.of_row(row) for trace, span, row in page["loose"]},
                nowhere=page["nowhere"],
                services=Counter(page["services"]),
                total=Tally.of_row(page["total"]),
                told=Told(summaries, Counter(figures), Counter(dropped)),
                spans=list(_spans(page["spans"])),
            )
        except (zlib.error, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no digest ({error})") from None


def _row(span: Span) -> list[Any]:
    """What `overview` needs of a span."""
    return [
        span.trace_id, span.span_id, span.parent_id, span.name, span.service, span.start, span.end, span.call_sid,
        span.links if span.call_sid else (), span.end_reason,
    ]  # fmt: skip


def _spans(rows: list[list[Any]]) -> Iterator[Span]:
    for trace_id, span_id, parent_id, name, service, start, end, call_sid, links, reason in rows:
        yield Span(
            trace_id=trace_id, span_id=span_id, parent_id=parent_id, name=name, service=service, start=start, end=end,
            call_sid=call_sid, links=tuple(links), attributes={END_REASON: reason} if reason else {},
        )  # fmt: skip
