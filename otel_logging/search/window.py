"""Which records are of interest at all: what lets a reader pass over whole parts of files."""

from __future__ import annotations

from otel_logging.plain import plain


@plain(frozen=True)
class Window:
    """Which records are of interest at all: from `since` on, before `until` (nanoseconds), at least of level `worst`.

    `worst` counts from 0 for DEBUG to 4 for CRITICAL.
    """

    since: int | None = None
    until: int | None = None
    worst: int = 0

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None or self.worst > 0
