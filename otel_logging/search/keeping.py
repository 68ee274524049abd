"""Keeping a store in order: sealing what is closed, then removing what is too old or too much.

Writers do this in a thread of theirs (`export.keeper`); a program that reads a store for long may, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_logging.search import retention, sealing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Kept(NamedTuple):
    """What was done."""

    sealed: int = 0
    removed: int = 0


def keep(store: Path, limits: retention.Limits | None = None, pause: Callable[[float], None] | None = None) -> Kept:
    """Put a store in order, unless somebody else is at it. Takes as long as it takes: not for an event loop.

    Args:
        store: the store's folder.
        limits: what it is kept to; by default what `retention.limits_of` says.
        pause: called after each frame with the seconds it took.

    Raises:
        OSError: there is no such store, or it is not to be used.
    """
    bounds = retention.limits_of(store) if limits is None else limits
    try:
        with sealing.keeping(store) as folder:
            removed = retention.tighten(folder, bounds)
            sealed = sealing.seal_all(folder, pause)
            return Kept(sealed, removed + retention.tighten(folder, bounds))
    except sealing.Busy:
        return Kept()
