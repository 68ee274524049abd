"""How much a store may hold: the tighter of 7 days and 4 GB, far less where its folder is on a memory file system.

What nobody writes to any more goes, oldest first. Files that are being written are never touched, so that a store may
be over its bounds by what its writers have open.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_logging.search import frames
from otel_logging.search.files import LOGS, SUFFIX, TRACES
from otel_logging.search.sealing import closed_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_logging.private_files import Folder

MAX_SECONDS: Final = 7 * 24 * 3600
MAX_BYTES: Final = 4 * 1024**3
MEMORY_BYTES: Final = 256 * 1024**2
"""On a memory file system, if an eighth of that is not less still."""

_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


class Limits(NamedTuple):
    """What a store is kept to. `in_memory`: its folder takes memory, not disk."""

    max_bytes: int = MAX_BYTES
    max_seconds: float = MAX_SECONDS
    in_memory: bool = False


def limits_of(store: Path) -> Limits:
    """What the store at this place is kept to; the place need not exist yet."""
    place = store
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        if not _in_memory(os.stat(place).st_dev):
            return Limits()
        about = os.statvfs(place)
    except (OSError, AttributeError):
        return Limits()
    whole = about.f_blocks * about.f_frsize
    return Limits(min(MEMORY_BYTES, whole // 8) if whole else MEMORY_BYTES, MAX_SECONDS, in_memory=True)


def _in_memory(device: int) -> bool:
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields, _, rest = line.partition(" - ")
            if fields.split(" ", 3)[2] == wanted and rest.split(" ", 1)[0] in _MEMORY:
                return True
    return False


class _Old(NamedTuple):
    modified: float
    size: int
    kind: str
    name: str


def tighten(store: Folder, limits: Limits, clock: Callable[[], float] = time.time) -> int:
    """Remove what is too old or too much in a store that is held by `sealing.keeping`; returns how many files went."""
    found = sorted(_files(store))
    room = limits.max_bytes - sum(file.size for file in found)
    oldest = clock() - limits.max_seconds
    gone = 0
    for file in found:
        if room >= 0 and file.modified >= oldest:
            break
        with store.inner(file.kind, make=False) as folder:
            try:
                removed = _remove(folder, file.name)
            except OSError:
                continue  # it stays
        if removed:
            room += file.size
            gone += 1
    return gone


def _files(store: Folder) -> Iterator[_Old]:
    for kind in (LOGS, TRACES):
        try:
            folder = store.inner(kind, make=False)
        except OSError:
            continue
        with folder:
            for name in folder.names():
                try:
                    about = folder.stat(name)
                except OSError:
                    continue
                if stat.S_ISREG(about.st_mode) and name.endswith((SUFFIX, *(SUFFIX + end for end in frames.SUFFIXES))):
                    yield _Old(about.st_mtime, about.st_size, kind, name)


def _remove(folder: Folder, name: str) -> bool:
    if name.endswith(frames.SUFFIXES) or name.startswith("recalled-"):
        folder.remove(name)
        return True
    with closed_file(folder, name) as file:
        if file is None:
            return False
        folder.remove(name)
        return True
