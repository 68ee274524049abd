"""Closed files of a store, re-packed as frames of whole compressed lines: about a tenth of the room.

Safe at any moment: the sealed form is on the disk under its final name before the file as written is dropped, and while
both are there readers take the latter. Only files that nobody can be writing to are touched: those of our own writers,
who hold a lock as long as they live, and those that the Collector's file exporter has put aside.
"""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from otel_logging.private_files import NotPrivate, open_folder
from otel_logging.search import frames
from otel_logging.search.files import LOGS, SUFFIX, TRACES, is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from otel_logging.private_files import Folder

LOCK: Final = "seal.lock"
ROTATED: Final = re.compile(r".+-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(?:-[a-z]+)?\.jsonl")
"""Names that the Collector's file exporter gives to files it has put aside; newer ones say why: `…-size.jsonl`."""

_YOUNG_SECONDS: Final = 60.0  # an empty file this young may belong to a writer who is about to lock it
_ABANDONED_SECONDS: Final = 3600.0  # a temporary file this old is a killed process's
_SMALLEST: Final = 4096  # bytes; below this, nothing is gained


class Busy(Exception):  # noqa: N818 (nothing is wrong)
    """Somebody else is sealing, or nobody can here."""


@contextmanager
def keeping(store: Path) -> Iterator[Folder]:
    """The store's folder, while no other process seals or removes files.

    Raises:
        Busy: another one does, or the platform has no locks.
        OSError: there is no such store, or it is not to be used.
    """
    with open_folder(store, make=False, for_owner=True) as folder:
        descriptor = folder.open(LOCK, os.O_RDWR | os.O_CREAT)
        try:
            if not try_lock(descriptor):
                raise Busy
            yield folder
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive advisory lock of an open file, until it is closed; False if it is taken or there are none."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def closed_file(folder: Folder, name: str) -> Iterator[BinaryIO | None]:
    """The file opened and locked, if it is one that nobody writes to any more, else None. Raises OSError."""
    if not (is_own(name) or ROTATED.fullmatch(name)):
        yield None
        return
    with os.fdopen(folder.open(name), "rb", buffering=0) as file:
        yield file if try_lock(file.fileno()) else None


def seal_all(store: Folder, pause: Callable[[float], None] | None = None) -> int:
    """Seal the closed files of a store that is held by `keeping`; returns how many.

    Args:
        store: from `keeping`.
        pause: called after each frame with the seconds it took, to leave the machine to others.
    """
    sealed = 0
    for kind in (LOGS, TRACES):
        try:
            folder = store.inner(kind, make=False)
        except OSError:
            continue  # none, or not to be used; the writers say so
        with folder:
            for name in folder.names():
                try:
                    _drop_abandoned(folder, name)
                    if name.endswith(SUFFIX):
                        sealed += _seal(folder, name, pause)
                except (OSError, ValueError, LookupError):  # noqa: PERF203 (one file must not keep the others)
                    continue  # it stays as it is, and is readable as it is
    return sealed


def _drop_abandoned(folder: Folder, name: str) -> None:
    if name.startswith(".") and name.endswith(".part"):
        about = folder.stat(name)
        if stat.S_ISREG(about.st_mode) and time.time() - about.st_mtime > _ABANDONED_SECONDS:
            folder.remove(name)


def _seal(folder: Folder, name: str, pause: Callable[[float], None] | None) -> bool:
    with closed_file(folder, name) as file:
        if file is None:
            return False
        before = os.fstat(file.fileno())
        if not before.st_size:
            if time.time() - before.st_mtime > _YOUNG_SECONDS:
                folder.remove(name)
            return False
        if before.st_size < _SMALLEST:
            return False
        suffix = frames.best_suffix()
        folder.replace(name + suffix, _frames(file, suffix, pause), sync=True, modified=before.st_mtime_ns)
        folder.sync()
        after, named = os.fstat(file.fileno()), folder.stat(name)
        if (after.st_size, named.st_ino, file.tell()) != (before.st_size, before.st_ino, before.st_size):
            folder.remove(name + suffix)  # somebody writes to it against the rules
            return False
        folder.remove(name)
        for other in frames.SUFFIXES:
            if other != suffix:
                folder.remove(name + other)
        return True


def _frames(file: BinaryIO, suffix: str, pause: Callable[[float], None] | None) -> Iterator[bytes]:
    for block in frames.blocks_of_lines(file):
        began = time.thread_time()
        yield frames.compress(block, suffix)
        if pause is not None:
            pause(time.thread_time() - began)


__all__ = ["LOCK", "ROTATED", "Busy", "NotPrivate", "closed_file", "keeping", "seal_all", "try_lock"]
