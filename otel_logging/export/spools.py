"""This process's spools, one a destination: they outlive a second `configure()`, and are in the books as one figure."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from otel_logging.export.spool import Spool
from otel_logging.export.spool_files import SUPPORTED

if TYPE_CHECKING:
    from pathlib import Path

_spools: dict[Path, Spool] = {}
_registry = threading.Lock()


def open_spool(folder: Path, service: str) -> Spool | None:
    """This process's spool in `folder`, which outlives a second `configure()`; None where the platform has no locks.

    Args:
        folder: from `folder_of`.
        service: for the names of files.
    """
    if not SUPPORTED:
        return None
    with _registry:
        found = _spools.get(folder)
        if found is None:
            found = _spools[folder] = Spool(folder, service)
        return found


def count(exporter: object) -> None:
    """The records of an exporter that has a spool count as held while they are in there."""
    spool = getattr(exporter, "spool", None)
    if isinstance(spool, Spool):
        spool.in_books = True


def held() -> int:
    """Records of this process that wait on disk: the ledger's gauge."""
    return sum(spool.held for spool in list(_spools.values()) if spool.in_books)


def figures() -> dict[str, int]:
    """What is on disk of this process, and what became of records that other processes had left."""
    total = {"held": held(), "adopted_delivered": 0, "adopted_dropped": 0}
    for spool in list(_spools.values()):
        for what, count in spool.adopted.items():
            total[f"adopted_{what}"] += count
    return total


def forget() -> None:
    """Let go of all spools: for tests."""
    for spool in list(_spools.values()):
        spool.release()
    _spools.clear()


def _after_fork_in_child() -> None:
    global _registry
    _registry = threading.Lock()
    for spool in list(_spools.values()):
        spool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
