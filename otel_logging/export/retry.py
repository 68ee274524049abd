"""When to ask an endpoint again: pauses that grow, with jitter, or what the endpoint itself asked for.

Nothing in here waits; it only says how long to.
"""

from __future__ import annotations

import random
import time
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS: Final = 0.5
MAX_SECONDS: Final = 30.0
MAX_ASKED_SECONDS: Final = 600.0  # an endpoint that asks for more is asked again after this


class Backoff:
    """The pause after a failure: doubled with each one in a row, less up to a half at random.

    The jitter keeps a fleet that lost its Collector at one moment from coming back at one moment.

    Args:
        clock: seconds, monotonic.
        share: a random number from 0 to 1.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, share: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._share = share
        self._failures = 0
        self._until = 0.0
        self.asked = False
        """The pause is one that the endpoint asked for."""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def failed(self, asked: float | None = None) -> None:
        """An attempt failed; `asked` is the pause in seconds that the endpoint wants, if it said."""
        pause = min(FIRST_SECONDS * 2 ** min(self._failures, 16), MAX_SECONDS) * (1 - self._share() / 2)
        self._failures += 1
        self.asked = asked is not None
        if asked is not None:
            # Never sooner than asked; the jitter comes on top.
            pause = min(asked, MAX_ASKED_SECONDS) + pause / 4
        self._until = self._clock() + pause

    def succeeded(self) -> None:
        """An attempt went through."""
        self._failures = 0
        self._until = 0.0
        self.asked = False

    def wait(self) -> float:
        """Seconds until the next attempt, 0 if it may be made now."""
        return max(self._until - self._clock(), 0.0) if self._failures else 0.0


def retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date; None if it says neither."""
    if value is None:
        return None
    try:
        seconds = float(value.strip())
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        seconds = when.timestamp() - now()
    return max(seconds, 0.0) if seconds == seconds else None  # noqa: PLR0124 (NaN)
