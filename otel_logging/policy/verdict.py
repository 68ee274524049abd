"""The answer about one record. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Verdict:
    """Keep the record or drop it, and why.

    `reason` is what the ledger counts a dropped record under: `policy:<id>`, `sampled:<id>` or `rate_limited:<id>`.
    `policy` is the id of the policy that decided, None where none matched.
    """

    keep: bool
    reason: str = ""
    policy: str | None = None


KEPT: Final = Verdict(keep=True)
