"""What the times of a call tell beside the order of its records: gaps without a record, and clocks that disagree.

Nothing is reordered here: a record stays where its own clock put it, and the disagreement is said beside it.
"""

from __future__ import annotations

from itertools import pairwise

from otel_logging.plain import plain
from otel_logging.search import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

SILENCE = 3 * clock.NANOS
DEAD_AIR = 10 * clock.NANOS
_SKEW = 5_000_000  # nanoseconds; below that it is no more than a clock's ordinary error
_AHEAD = clock.NANOS  # how far in the future a record may be before a clock is called wrong


@plain(frozen=True, slots=True)
class Gap:
    """A time in which no service logged anything, in nanoseconds since 1970 UTC."""

    start: int
    end: int

    @property
    def dead_air(self) -> bool:
        """Whether it is long enough for a caller to ask if anybody is there."""
        return self.end - self.start >= DEAD_AIR

    def as_json(self, first: int) -> dict[str, Any]:
        """For `--format json`; `first` is the call's first time."""
        return {
            "kind": "dead_air" if self.dead_air else "silence",
            "relative": round((self.start - first) / clock.NANOS, 6),
            "seconds": round((self.end - self.start) / clock.NANOS, 6),
        }


def gaps_of(records: Iterable[Record], least: int = SILENCE) -> list[Gap]:
    """The gaps of at least `least` nanoseconds between neighbouring records, in time order."""
    times = sorted(record.time for record in records if record.time)
    return [Gap(before, after) for before, after in pairwise(times) if after - before >= least]


@plain(frozen=True, slots=True)
class Skew:
    """A service's clock that is behind another's by at least so many nanoseconds; `against` is empty for this machine.

    Where `against` is empty, the service's clock is ahead of this machine's.
    """

    service: str
    against: str
    at_least: int

    def sentence(self) -> str:
        """For people."""
        length = f"{self.at_least / 1e6:,.0f} ms" if self.at_least < clock.NANOS else clock.duration(self.at_least)
        if not self.against:
            return f"the clock of {self.service} is at least {length} ahead of this machine's"
        return f"the clock of {self.service} is at least {length} behind that of {self.against}"


def skews_of(records: Iterable[Record], spans: Iterable[Span], now: int) -> list[Skew]:
    """Clocks that cannot be right: a span that begins before the one that caused it, a record from the future.

    How far off a clock really is, nobody can tell from this; the least that explains what is seen is given.
    """
    listed = list(spans)
    known: dict[tuple[str | None, str | None], Span] = {
        (span.trace_id, span.span_id): span for span in listed if span.span_id
    }
    worst: dict[tuple[str, str], int] = {}
    for span in listed:
        cause = known.get((span.trace_id, span.parent_id))
        if cause is not None and cause.service != span.service and span.start and cause.start > span.start:
            pair = (span.service, cause.service)
            worst[pair] = max(worst.get(pair, 0), cause.start - span.start)
    latest = now + _AHEAD
    for record in records:
        if record.time > latest:
            worst[record.service, ""] = max(worst.get((record.service, ""), 0), record.time - now)
    return [Skew(*pair, length) for pair, length in sorted(worst.items()) if length >= _SKEW]
