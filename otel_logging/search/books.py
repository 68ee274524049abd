"""What the summaries say that services write at the end of their calls: records made, kept, recovered, dropped and why.

Finding summaries, and what follows from them, do not belong here.
"""

from __future__ import annotations

from collections import Counter

TYPE_CHECKING = False  # `call` waits for this module: it loads nothing that it can do without
if TYPE_CHECKING:
    from typing import Any, Final

    from otel_logging.search.record import Record

SUMMARY_EVENT: Final = "otel_logging.call.summary"
"""The event of the record in which a process says what became of a call's records."""

_FIGURES = ("made", "kept", "recovered")


class Told:
    """What the summaries of calls say, added up: records made, kept, dropped by reason, recovered."""

    __slots__ = ("dropped", "figures", "summaries")

    def __init__(
        self, summaries: int = 0, figures: Counter[str] | None = None, dropped: Counter[str] | None = None
    ) -> None:
        self.summaries = summaries
        self.figures: Counter[str] = Counter() if figures is None else figures
        self.dropped: Counter[str] = Counter() if dropped is None else dropped

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
