"""One thing that was looked at: its verdict, a sentence, and the cure where one is needed.

Every sentence goes through `hidden`, so that no token of a header or URL is shown, whoever quoted it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_logging import hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
"""Not looked at, and why: it says nothing about how things are."""

_WEIGHT: Final = {SKIPPED: 0, OK: 1, WARNING: 2, FAILED: 3}


@dataclass(frozen=True)
class Finding:
    """A verdict on one thing.

    Args:
        check: what was looked at, one word: `settings`, `store`, `tls`, ...
        verdict: `OK`, `WARNING`, `FAILED` or `SKIPPED`.
        says: one sentence.
        cure: what to do; empty where nothing is to be done.
        facts: figures and names for programs.
    """

    check: str
    verdict: str
    says: str
    cure: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "says", hidden.shown(self.says))
        object.__setattr__(self, "cure", hidden.shown(self.cure))

    def as_json(self) -> dict[str, Any]:
        """For `--json`; without what is empty."""
        told = {"check": self.check, "verdict": self.verdict, "says": self.says, "cure": self.cure, **self.facts}
        return {key: value for key, value in told.items() if value not in ("", None)}


def worst(findings: Iterable[Finding]) -> str:
    """The verdict on all of them; `OK` where there is none."""
    return max((one.verdict for one in findings), key=_WEIGHT.__getitem__, default=OK)
