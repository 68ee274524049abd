"""Where remembered lines come from, and what they have in common: for `ring`, and for the gate's short way.

Plain data, and no OpenTelemetry: `calls` imports this module by way of the tallies.
"""

from __future__ import annotations

from typing import Any, Final

Why = tuple[int, "str | None"]
"""A level, and why a message of it was dropped; None for one below its logger's level."""

Site = tuple[str, "tuple[int, int]", Why, "str | None", "tuple[tuple[str, Any], ...]"]
"""What messages have in common: their logger's name, trace and span id, why, a `%` template or None, extras."""

NO_IDS: Final = (0, 0)


class Place:
    """A place that lines come from, and the number of the site of the last one of them.

    It is good for the next one, if `logger` and OTel's `context` are still the same ones. It goes where that one went:
    to the list `pending`, which is `full` at that length.
    """

    __slots__ = ("code", "context", "full", "logger", "pending")

    def __init__(self) -> None:
        self.context: Any = None
        self.logger: Any = None
        self.pending: list[Any] = []
        self.full = 0
        self.code = 0
