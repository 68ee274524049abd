"""What the summaries say that services write at the end of their calls: records made, kept, recovered, dropped and why.

Finding summaries, and what follows from them, do not belong here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_logging.search.record import Record

SUMMARY_EVENT: Final = "otel_logging.call.summary"
"""The event of the record in which a process says what became of a call's records."""

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
            self.figures[name] += whole(record.attributes.get(f"otel_logging.{name}"))
        reasons = record.attributes.get("otel_logging.dropped_by")
        if isinstance(reasons, dict):
            for reason, count in reasons.items():
                self.dropped[str(reason)] += whole(count)

    def merge(self, other: Told) -> None:
        """Count the summaries of another, too."""
        self.summaries += other.summaries
        self.figures.update(other.figures)
        self.dropped.update(other.dropped)

    def as_json(self) -> dict[str, Any]:
        """For `stats --json`."""
        return {
            "summaries": self.summaries,
            **{name: self.figures[name] for name in _FIGURES},
            "dropped": dict(sorted(self.dropped.items())),
        }


def whole(value: Any) -> int:
    """A count that somebody wrote into a summary; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
