"""What is done last of all when the interpreter ends: after everything has been delivered, whoever was set up first.

`atexit` runs what was registered last first, so this is registered before anything else of ours is. Light: nothing but
the standard library is imported here, and no work belongs in here.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_callbacks: Final[list[Callable[[], None]]] = []
_standing_by = False


def at_last(callback: Callable[[], None]) -> None:
    """Have `callback` called at the very end. It must not raise, and must be quick."""
    stand_by()
    _callbacks.append(callback)


def stand_by() -> None:
    """What is registered with `atexit` from now on runs before what `at_last` was given, or will be."""
    global _standing_by
    if not _standing_by:
        _standing_by = True
        atexit.register(_run)


def _run() -> None:
    for callback in _callbacks:
        callback()
