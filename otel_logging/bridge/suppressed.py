"""What was held back since the last line of its kind: counted, and left on the next line that passes.

Limits and guards drop lines of a kind, not lines for ever. How many they dropped since the last one stands as
`otel_logging.suppressed` on the next one, and what no next line takes is told by `summary`. Counts are per call, on its
page; what belongs to no call has a page of its own. No decision about a line belongs in here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import fates
from otel_logging.bridge.memory import CallMemory

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from types import CodeType

    from otel_logging.bridge.scope import CallScope

_TOLD: Final = "told"  # among a page's guards: how many of each reason's count lines or summaries have told
_PATIENCE: Final = 100  # records that others make before the line that was to tell is given up: it may never come
_LIMITS: Final = ("rate_limited:", "limited:")

outside = CallMemory()
"""The page of what belongs to no call. Only lines that limits hold back are counted on it."""

first_outside: Callable[[], None] | None = None
"""Called when something was held back outside of any call; set by `summary`. Must be quick."""


def count(call: CallScope | None, reason: str) -> None:
    """Count a line that was dropped for `reason` on the page of its call."""
    if call is not None:
        counts = call.memory.counts
    elif reason.startswith(_LIMITS):
        counts = outside.counts
        if first_outside is not None:
            first_outside()
    else:
        return
    counts[reason] = counts.get(reason, 0) + 1


def take(call: CallScope | None, reason: str) -> int:
    """How many were dropped for `reason` since somebody asked last: for the line that passes now."""
    memory = outside if call is None else call.memory
    fates.settle(memory)
    counted = memory.counts.get(reason)
    if not counted:
        return 0
    told = told_of(memory)
    left = counted - told.get(reason, 0)
    if left > 0:
        told[reason] = counted
    return max(left, 0)


def tell(memory: CallMemory, reason: str, n: int) -> None:
    """A line tells of `n` others that were dropped for `reason`."""
    told = told_of(memory)
    told[reason] = told.get(reason, 0) + n


def told_of(memory: CallMemory) -> dict[str, int]:
    """How many of each reason lines have told."""
    told: dict[str, int] | None = memory.guards.get(_TOLD)
    if told is None:
        told = memory.guards.setdefault(_TOLD, {})
    return told


def untold(memory: CallMemory) -> dict[str, int]:
    """By reason, what limits and guards dropped and no line has told of."""
    fates.settle(memory)
    told = told_of(memory)
    found = {
        reason: n - told.get(reason, 0)
        for reason, n in list(memory.counts.items())
        if reason.startswith(_LIMITS) or reason.endswith("_guard")
    }
    return {reason: n for reason, n in found.items() if n > 0}


def reset() -> None:
    """Forget what was counted outside of calls, and what this thread was to tell: for tests."""
    this_thread.offered = None
    fates.settle(outside)
    outside.counts.clear()
    outside.guards.clear()


# -- `every()` and its like ask before there is a record: the next line of the same function carries their count. ------


class Held:
    """One key of a hand-written limit: its state, and how many were refused since it last said yes."""

    __slots__ = ("refused", "state")

    def __init__(self, state: Any) -> None:
        self.state = state
        self.refused = 0


class _Thread(threading.local):
    offered: tuple[Held, str, CallMemory, CodeType] | None = None
    others = 0  # records that were made by others since then


this_thread = _Thread()


def offer(held: Held, reason: str, call: CallScope | None, code: CodeType) -> None:
    """A limit says yes, having refused some: the next record of this thread that `code` makes is to tell.

    If none comes soon, as where the line is logged by a helper, it is not waited for: lines would go the long way, and
    the call's memory would stay. The next line or a summary tells then.
    """
    this_thread.others = 0
    this_thread.offered = (held, reason, outside if call is None else call.memory, code)


def accept(record: logging.LogRecord) -> int:
    """What a record is to tell of, 0 if it is not the one that was waited for."""
    offered = this_thread.offered
    if offered is None:
        return 0
    held, reason, memory, code = offered
    if record.funcName != code.co_name or record.pathname != code.co_filename:
        this_thread.others += 1
        if this_thread.others >= _PATIENCE:
            this_thread.offered = None
        return 0
    this_thread.offered = None
    # Not more than no summary has told meanwhile.
    n = min(held.refused, memory.counts.get(reason, 0) - told_of(memory).get(reason, 0))
    held.refused = 0
    if n <= 0:
        return 0
    tell(memory, reason, n)
    return n
