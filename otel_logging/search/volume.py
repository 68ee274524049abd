"""How much a store's services log: lines and bytes by call, service, day, level, kind of line; and what a month makes.

A line's bytes are those of the record as one JSON object, which is about what back ends count. Nothing is printed here.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_logging.search import clock
from otel_logging.search.local import Searched, scan
from otel_logging.search.record import LEVELS, Record, flat
from otel_logging.search.text import json_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DAY_NANOS: Final = 86_400 * clock.NANOS
MONTH_DAYS: Final = 30
_MOST_KINDS: Final = 20_000  # kept apart; beyond that the rarest are counted together
_LONGEST_KIND: Final = 120  # characters
OTHERS: Final = "(others)"
TRIGGER: Final = "otel_logging.trigger"

# What differs from one line of a place to the next: quoted text, and every word with a digit in it (numbers, ids).
_VARIABLE: Final = re.compile(r""""[^"\n]*"|'[^'\n]*'|(?:(?<!\w)[+-])?\b\w*\d\w*(?:[.,:-]\w*\d\w*)*""")


@dataclass(slots=True)
class Amount:
    """Lines, and their bytes."""

    lines: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """One more line of `size` bytes."""
        self.lines += 1
        self.bytes += size

    def as_json(self) -> dict[str, int]:
        """For `volume --json`."""
        return {"lines": self.lines, "bytes": self.bytes}


Table = dict[str, Amount]


@dataclass(slots=True)
class Volume:
    """What a store holds, counted. `given_back` is part of everything else but `kept`: lines of calls gone wrong."""

    searched: Searched
    total: Amount = field(default_factory=Amount)
    no_call: Amount = field(default_factory=Amount)
    given_back: Amount = field(default_factory=Amount)
    calls: Table = field(default_factory=dict)
    kept: Table = field(default_factory=dict)  # of each call, what the rules alone let through
    services: Table = field(default_factory=dict)
    days: Table = field(default_factory=dict)
    levels: Table = field(default_factory=dict)
    kinds: Table = field(default_factory=dict)
    first: int = 0
    last: int = 0

    def add(self, record: Record) -> None:
        """Count one record."""
        size = len(json_line(flat(record)).encode("utf-8", "surrogatepass"))
        self.total.add(size)
        if record.call_sid is None:
            self.no_call.add(size)
        else:
            _count(self.calls, record.call_sid, size)
        if TRIGGER in record.attributes or record.recovered:
            self.given_back.add(size)
        elif record.call_sid is not None:
            _count(self.kept, record.call_sid, size)
        _count(self.services, record.service or "(no name)", size)
        _count(self.levels, record.level, size)
        _count(self.kinds, f"[{record.logger}] {kind_of(record)}", size)
        if len(self.kinds) > _MOST_KINDS:
            self.kinds = _fewer(self.kinds)
        if record.time:
            _count(self.days, clock.rfc3339(record.time)[:10], size)
            self.first = min(self.first or record.time, record.time)
            self.last = max(self.last, record.time)

    def per_call(self, table: Table) -> dict[str, float]:
        """Lines of a call in `calls` or `kept`: mean, median, the 95th percentile, most; and mean bytes."""
        lines = sorted(amount.lines for amount in table.values())
        if not lines:
            return dict.fromkeys(("mean", "median", "p95", "most", "bytes"), 0)
        return {
            "mean": round(sum(lines) / len(lines), 1),
            "median": lines[(len(lines) - 1) // 2],
            "p95": lines[-(len(lines) // 20) - 1],
            "most": lines[-1],
            "bytes": round(sum(amount.bytes for amount in table.values()) / len(lines)),
        }

    def month(self, calls_a_day: int | None = None) -> dict[str, Any] | None:
        """What 30 days make of it.

        Args:
            calls_a_day: each as large as the mean of those counted; lines of no call are left out, as their number has
                nothing to do with calls. None: everything goes on as between the first line and the last.

        Returns:
            `lines`, `bytes` and `seconds` (how long it was observed); None if nothing can be said: no call was counted,
            or no time passed.
        """
        seconds = (self.last - self.first) / clock.NANOS
        if calls_a_day is not None:
            if not self.calls:
                return None
            counted = (self.total.lines - self.no_call.lines, self.total.bytes - self.no_call.bytes)
            factor = calls_a_day * MONTH_DAYS / len(self.calls)
        else:
            if self.last <= self.first:
                return None
            counted = (self.total.lines, self.total.bytes)
            factor = MONTH_DAYS * DAY_NANOS / (self.last - self.first)
        return {"lines": round(counted[0] * factor), "bytes": round(counted[1] * factor), "seconds": round(seconds, 3)}

    def as_json(self, top: int, calls_a_day: int | None) -> dict[str, Any]:
        """For `volume --json`; calls and kinds are the `top` loudest (0: all)."""
        return {
            **self.total.as_json(),
            "calls": len(self.calls),
            "lines_per_call": self.per_call(self.calls),
            "kept_lines_per_call": self.per_call(self.kept),
            "without_call": self.no_call.as_json(),
            "given_back": self.given_back.as_json(),
            "month": self.month(calls_a_day),
            "by_level": {level: self.levels[level].as_json() for level in LEVELS if level in self.levels},
            "by_service": {name: amount.as_json() for name, amount in loudest(self.services)},
            "by_day": {day: self.days[day].as_json() for day in sorted(self.days)},
            "by_call": [{"call_sid": name, **amount.as_json()} for name, amount in loudest(self.calls, top)],
            "by_template": [{"template": name, **amount.as_json()} for name, amount in loudest(self.kinds, top)],
            "searched": self.searched.as_json(),
        }


def volume(store: Path, *, since: int | None = None, until: int | None = None, services: Sequence[str] = ()) -> Volume:
    """Read the store once and count: records from `since` on and before `until` (nanoseconds), of these services."""
    wanted = frozenset(services)
    found = Volume(Searched())
    for record in scan(store, searched=found.searched):
        if (
            (since is None or record.time >= since)
            and (until is None or record.time < until)
            and (not wanted or record.service in wanted)
        ):
            found.add(record)
    return found


def kind_of(record: Record) -> str:
    """The line without what differs each time: its template if it carries one, else its first line with `*` for it."""
    template = record.attributes.get("log.record.template")
    text = template if isinstance(template, str) else _VARIABLE.sub("*", record.body.partition("\n")[0][:1000])
    return text if len(text) <= _LONGEST_KIND else text[: _LONGEST_KIND - 1] + "…"


def loudest(table: Mapping[str, Amount], top: int = 0) -> list[tuple[str, Amount]]:
    """The entries with most lines first, of as many lines those with most bytes; all of them if `top` is 0."""
    ordered = sorted(table.items(), key=lambda item: (-item[1].lines, -item[1].bytes, item[0]))
    return ordered[:top] if top else ordered


def _count(table: Table, name: str, size: int) -> None:
    amount = table.get(name)
    if amount is None:
        amount = table[name] = Amount()
    amount.add(size)


def _fewer(table: Table) -> Table:
    """The louder half, and the rest as one: memory stays bounded, whatever is logged."""
    ordered = [entry for entry in loudest(table) if entry[0] != OTHERS]
    kept = dict(ordered[: _MOST_KINDS // 2])
    rest = Counter({"lines": 0, "bytes": 0})
    for _, amount in (*ordered[_MOST_KINDS // 2 :], (OTHERS, table.get(OTHERS, Amount()))):
        rest.update(amount.as_json())
    kept[OTHERS] = Amount(rest["lines"], rest["bytes"])
    return kept
