"""The little statistics that the benchmarks need: medians, percentiles, and what is left over what nothing costs."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

median = statistics.median


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed.

    Raises:
        ValueError: without values, or for a share outside of 0 to 1.
    """
    ordered = sorted(values)
    if not ordered or not 0 <= share <= 1:
        raise ValueError("a percentile is that of some values, and a share of 0 to 1")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the turns of ours as a multiple of theirs: what slows the machine down for a while slows both.

    Raises:
        ValueError: if there are not as many turns of the one as of the other.
    """
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def beyond(ours: float, theirs: float, none: float) -> float | None:
    """What ours adds to none as a multiple of what theirs adds; None if theirs adds nothing that could be told."""
    return max(0.0, ours - none) / (theirs - none) if theirs > none else None
