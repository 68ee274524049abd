"""Policy files that change under a running process: noticed, compiled aside, put in force as a whole or not at all."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging import trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_logging.policy.engine import PolicySet

_BUNDLED: Final = re.compile("[a-z][a-z0-9_-]*")  # names of bundled sets, as `policy.load` knows them
_SETTLED: Final = 0.3  # seconds: a file younger than this may still be being written

_Signature = tuple[tuple[int, int, int] | None, ...]


class PolicyFiles:
    """The files among `sources`, and what is to happen when one changes.

    Args:
        sources: as OTEL_LOGGING_POLICIES names them; bundled sets do not change.
        read: reads and compiles all sources; gives the set and what is wrong with it.
        apply: puts a new set in force.
    """

    def __init__(
        self,
        sources: Sequence[str],
        read: Callable[[], tuple[PolicySet, list[str]]],
        apply: Callable[[PolicySet], None],
    ) -> None:
        self.paths = [Path(source).expanduser() for source in sources if not _BUNDLED.fullmatch(source)]
        self._read = read
        self._apply = apply
        self._known = self._signature()

    def _signature(self) -> _Signature:
        return tuple(_signature(path) for path in self.paths)

    def check(self) -> None:
        """Look whether a file changed; a set with anything wrong in it leaves the old one in force, and is said."""
        found = self._signature()
        if found == self._known:
            return
        now = time.time_ns()
        if any(one is not None and 0 <= now - one[0] < _SETTLED * 1e9 for one in found):
            return  # the next look will do
        self._known = found
        policies, errors = self._read()
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            trouble.report("policy_reload", f"the policies stay as they were: {errors[0]}{more}")
            return
        self._apply(policies)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()  # of what a link leads to: Kubernetes replaces the link
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
