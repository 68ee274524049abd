"""The store, and what waits in its spool: whether they can be used, how much room is left, how old the oldest is.

Files are read, one is made in the store and removed again; no lock is taken, so no running process notices.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging.doctor.finding import FAILED, OK, SKIPPED, WARNING, Finding
from otel_logging.export import spool_files
from otel_logging.export.spool import FOLDER, KEEP_SECONDS
from otel_logging.private_files import NotPrivate, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_logging.private_files import Folder
    from otel_logging.settings import Settings

TIGHT_BYTES: Final = 1024**3
"""Less free space than this is a warning: the store and the spool may take more."""
FULL_BYTES: Final = 64 * 1024**2
"""Less than this is as good as full."""
WAITING_SECONDS: Final = 120
"""What waits longer than two looks of the courier waits for a reason."""

_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_CLOCK_SLACK: Final = 60


def store_findings(read: Settings) -> Iterator[Finding]:
    """Whether the store can be used by a process of this user, and how full its file system is."""
    used_for = _uses(read)
    if read.store is None:
        if used_for:
            says = f"there is no folder for {' and '.join(used_for)}: no home folder, and OTEL_LOGGING_STORE is not set"
            yield Finding("store", WARNING, says, "set OTEL_LOGGING_STORE to a folder that outlives the container")
        else:
            yield Finding("store", SKIPPED, "no store is set, and nothing needs one")
        return
    folder = read.store
    exists = folder.is_dir() or folder.is_symlink()
    problem = _unusable(folder) if exists else _cannot_be_made(folder)
    facts = {"folder": str(folder)}
    if problem is not None:
        verdict = FAILED if used_for else WARNING
        yield Finding("store", verdict, *problem, facts=facts)
        return
    yield from _room(folder, facts)
    says = f"{folder} can be written" if exists else f"{folder} does not exist yet and can be made"
    mode = f" (mode {stat.S_IMODE(folder.stat().st_mode):04o})" if exists else ""
    yield Finding("store", OK, f"{says}{mode}, {_size(_free(folder))} free", facts=facts)


def _uses(read: Settings) -> list[str]:
    uses = ["the local store"] if "local" in read.logs_exporter else []
    return uses + (["the spool"] if "otlp" in read.logs_exporter and read.spool != "off" else [])


def _unusable(folder: Path) -> tuple[str, str] | None:
    """What is wrong with a store that is there, and the cure."""
    name = f"doctor-{secrets.token_hex(8)}.tmp"
    try:
        with open_folder(folder, make=False, for_owner=True) as opened:
            os.close(opened.create(name))
            opened.remove(name)
    except NotPrivate as error:
        return f"{error}", "make it a folder of the service's user with mode 0700, or set OTEL_LOGGING_STORE"
    except OSError as error:
        says = f"{folder} cannot be written by {_user()}: {error.strerror or error}"
        return says, "give it to the service's user (chown, mode 0700), mount it writable, or set OTEL_LOGGING_STORE"
    return None


def _cannot_be_made(folder: Path) -> tuple[str, str] | None:
    above = _nearest(folder)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return None
    says = f"{folder} does not exist and cannot be made by {_user()} in {above}"
    return says, "make it with mode 0700 for the service's user, or set OTEL_LOGGING_STORE"


def _nearest(folder: Path) -> Path:
    """The folder itself, or the lowest one above it that exists."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path(os.sep))


def _user() -> str:
    return f"uid {os.geteuid()}" if hasattr(os, "geteuid") else "this user"


def _free(folder: Path) -> int:
    try:
        about = os.statvfs(_nearest(folder))
    except (OSError, AttributeError):  # Windows
        return -1
    return about.f_bavail * about.f_frsize


def _room(folder: Path, facts: dict[str, str]) -> Iterator[Finding]:
    free = _free(folder)
    if 0 <= free < FULL_BYTES:
        says = f"the file system of {folder} is full: {_size(free)} are free; records that should wait there are lost"
        yield Finding("store", FAILED, says, "make room, or set OTEL_LOGGING_STORE to another volume", facts)
    elif 0 <= free < TIGHT_BYTES:
        says = f"only {_size(free)} are free in the file system of {folder}"
        yield Finding("store", WARNING, says, "make room: the store keeps up to 4 GB, the spool up to 512 MiB", facts)
    if _file_system(_nearest(folder)) in _MEMORY:
        says = f"{folder} is in memory: what waits there is gone when the machine or the container restarts"
        yield Finding("store", WARNING, says, "mount a volume there, or set OTEL_LOGGING_STORE to one", facts)


def _file_system(folder: Path) -> str:
    """The type of the file system that `folder` is in, as Linux tells it; empty elsewhere."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        place = os.path.realpath(folder)
        best, kind = "", ""
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            before, _, after = line.partition(" - ")
            mount = before.split()[4].replace("\\040", " ")
            if len(mount) >= len(best) and (place == mount or place.startswith(mount.rstrip("/") + "/")):
                best, kind = mount, after.split()[0]
        return kind
    return ""


def _size(count: int) -> str:
    if count < 0:
        return "an unknown number of bytes"
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,} {unit}"
        count //= 1024
    return f"{count:,} GiB"


# -- the spool -------------------------------------------------------------------------------------------------------


def spool_findings(read: Settings, now: float | None = None) -> Iterator[Finding]:
    """What waits for delivery, one line a destination; files of processes that are running are among them."""
    if read.store is None or read.spool == "off" or not spool_files.SUPPORTED:
        yield Finding("spool", SKIPPED, "nothing is spooled: no store, OTEL_LOGGING_SPOOL=off, or Windows")
        return
    moment = time.time() if now is None else now
    found = 0
    try:
        with (
            open_folder(read.store, make=False, for_owner=True) as store,
            store.inner(FOLDER, make=False) as spools,
        ):
            for name in spools.names():
                with spools.inner(name, make=False) as one:
                    waiting = _waiting(one)
                if waiting:
                    found += 1
                    yield _about(name, waiting, moment)
    except FileNotFoundError:
        pass
    except OSError as error:
        cure = "the folder and its files belong to the service's user alone (0700, 0600)"
        yield Finding("spool", FAILED, f"the spool cannot be read: {error}", cure)
        return
    if not found:
        yield Finding("spool", OK, "nothing waits for delivery", facts={"waiting_bytes": 0})


def _waiting(folder: Folder) -> list[tuple[int, float]]:
    """Bytes that are not delivered, and when they were begun, of each file that has some."""
    found = []
    for name in folder.names():
        if not name.endswith(spool_files.SUFFIX):
            continue
        with contextlib.suppress(OSError):  # delivered and removed meanwhile
            fd = folder.open(name)
            try:
                left, created = spool_files.undelivered(fd, name)
            finally:
                os.close(fd)
            if left:
                found.append((left, created))
    return found


def _about(name: str, waiting: list[tuple[int, float]], now: float) -> Finding:
    size, oldest = sum(left for left, _ in waiting), min(created for _, created in waiting)
    age = max(0, int(now - oldest))
    facts = {"destination": name, "waiting_bytes": size, "oldest_seconds": age, "files": len(waiting)}
    destination = name.rpartition("-")[0] or name
    says = f"{_size(size)} wait for {destination}, the oldest since {_duration(age)}"
    if age <= WAITING_SECONDS:
        return Finding("spool", OK, f"{says}; they are being delivered", facts=facts)
    left = KEEP_SECONDS - age
    if left < _CLOCK_SLACK:
        return Finding("spool", FAILED, f"{says}; the oldest are being dropped", _CURE, facts)
    return Finding("spool", WARNING, f"{says}; dropped in {_duration(left)} if nothing takes them", _CURE, facts)


_CURE: Final = (
    "see `endpoint` and `round trip`; records of a destination that is no longer used (another URL or tenant) are sent "
    "only by a process that is set to it"
)


def _duration(seconds: int) -> str:
    for name, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {name}"
    return f"{seconds} seconds"
