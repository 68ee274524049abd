"""The spool of one destination: what it has not taken yet, on disk, in the order it was made.

`<store>/spool/<host>-<hash>/<service>-<pid>-<start>-<number>-<marker>.spool`: each process writes files of its own, and
owns them by a lock. A file that nobody owns was left by a process that ended or crashed; the first process of the same
destination that finds it takes it over, and removes it when all of it has been delivered. Folders have mode 0700,
files 0600; links are not followed. All files of a destination together are kept to a size and an age: the oldest go
first.

Appending is for any thread, one at a time; all else is for the one thread that delivers. What is sent, and what is
counted in the books, is the business of `courier`. The files themselves are that of `spool_files`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otel_logging import trouble
from otel_logging.export.otlp_request import cut, join
from otel_logging.export.parcel import Parcel
from otel_logging.export.spool_files import PART, SUFFIX, Clock, SpoolFile
from otel_logging.private_files import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FOLDER: Final = "spool"
MAX_BYTES: Final = 512 * 1024 * 1024
"""All files of one destination; a tenth of the file system where that is less."""
KEEP_SECONDS: Final = 72 * 60 * 60
FILE_BYTES: Final = 4 * 1024 * 1024
_FILE_SECONDS: Final = 60 * 60  # a file is closed after this, so that its age is that of what is in it
_PART_SECONDS: Final = 60 * 60
_WAIT: Final = 1.0  # seconds for the other side's lock; it is held for one write
_SECRET: Final = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)


def folder_of(store: Path, protocol: str, url: str, headers: Mapping[str, str]) -> Path:
    """The folder of a destination: its URL, and its headers but for those that may be credentials.

    Headers may choose the tenant, and one tenant's records are not another's. A new token is the same destination.
    """
    tenant = sorted((name.lower(), value) for name, value in headers.items() if not _SECRET.search(name))
    about = repr((protocol, url, tenant)).encode("utf-8", "surrogatepass")
    try:
        host = urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    safe = re.sub(r"[^A-Za-z0-9._]+", "_", host).strip("._")[:60] or "endpoint"
    return store / FOLDER / f"{safe}-{hashlib.sha256(about).hexdigest()[:16]}"


class Spool:
    """See the module. `append` raises OSError; nothing else does.

    Args:
        folder: the destination's folder; made when first needed.
        service: this process's service, for the names of files.
        lost: told of this process's records that are given up: a reason of the ledger, and how many.
        max_bytes: what all files of the folder may take.
        keep_seconds: how old files may become.
        file_bytes: when to begin another file.
    """

    def __init__(
        self,
        folder: Path,
        service: str,
        *,
        lost: Callable[[str, int], None] | None = None,
        max_bytes: int = MAX_BYTES,
        keep_seconds: float = KEEP_SECONDS,
        file_bytes: int = FILE_BYTES,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder
        self._service = service
        self.lost = lost or (lambda _reason, _n: None)
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._file_bytes = file_bytes
        self._clock = clock or Clock()
        self.in_books = False
        self._files: deque[SpoolFile] = deque()
        self._adopted: deque[SpoolFile] = deque()
        self._folder_fd = -1
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._born = time.time_ns()
        self._made = 0
        self._lock = threading.RLock()  # appending, and taking files out of use; never held while something is sent
        self._files.clear()  # this process's, oldest first; the last one is appended to
        self._adopted.clear()
        self._limit = self._room = self._max_bytes
        self.written = 0
        self.settled = 0
        self.adopted = {"delivered": 0, "dropped": 0}

    # -- for any thread ------------------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Records of this process that are in here."""
        return self.written - self.settled

    def append(self, blob: bytes, count: int) -> tuple[SpoolFile, int, int]:
        """Put a request of `count` records on disk; gives its file, and where it begins and ends there.

        Raises:
            OSError: it is not on disk.
        """
        if not self._lock.acquire(timeout=_WAIT):
            raise OSError(errno.EAGAIN, "the spool is busy")
        try:
            if self._room < -self._limit // 2:
                raise OSError(errno.ENOSPC, "the spool has reached its size")
            current = self._current(len(blob))
            try:
                place = current.append(blob, count)
            except FileNotFoundError:  # somebody tidied up with `rm -r`; what is in the old file can still be read
                self._close_folder()
                current = self._new_file()
                place = current.append(blob, count)
            self.written += count
            self._room -= len(blob)
            return current, *place
        finally:
            self._lock.release()

    def _current(self, size: int) -> SpoolFile:
        if self._files:
            last = self._files[-1]
            has_room = last.end + size <= min(self._file_bytes, self._limit // 8)
            if last.busy or (has_room and last.age(self._clock) < _FILE_SECONDS):
                return last
        return self._new_file()

    def _new_file(self) -> SpoolFile:
        if not self._open_folder(make=True):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.folder))
        self._made += 1
        made = SpoolFile.create(self._folder_fd, self._service, self._clock, self._born, self._made)
        self._files.append(made)
        return made

    @property
    def full(self) -> bool:
        """Whether something should make room (`look_round`)."""
        return self._room < 0

    # -- for the thread that delivers ----------------------------------------------------------------------------------

    def next(self, records: int, size: int, *, adopted: bool = False) -> Parcel | None:
        """What is to be sent next, at most about `records` and `size` bytes of it; None if there is nothing.

        Nothing changes by asking; `settle` says what became of it.
        """
        files = self._adopted if adopted else self._files
        while files:
            file = files[0]
            try:
                found = self._parcel(file, records, size)
            except Exception:  # a request that protobuf cannot read: it is sent alone, or passed over
                found = self._first(file)
            if found is not None:
                found.own = not adopted
                return found
            if not self._finish(file, adopted=adopted):
                return None
        return None

    def _parcel(self, file: SpoolFile, records: int, size: int) -> Parcel | None:
        offset, skip = file.cursor
        begin: tuple[int, int] | None = None
        blobs: list[bytes] = []
        ends: list[tuple[int, int]] = []
        while file.fd >= 0 and (frame := file.frame_at(offset)) is not None:
            if blobs and (frame.records > records or len(frame.payload) > size):
                break
            if frame.start != file.cursor[0]:
                skip = 0  # the frame that was begun is damaged, or done with
            begin = begin or (frame.start, skip)
            blobs.append(cut(frame.payload, skip, frame.records) if skip else frame.payload)
            ends.append((frame.end, frame.records - skip))
            records -= frame.records - skip
            size -= len(frame.payload)
            offset = frame.end
        if begin is None:
            return None
        return Parcel(join(blobs), sum(count for _, count in ends), file, begin, ends)

    def _first(self, file: SpoolFile) -> Parcel | None:
        frame = file.frame_at(file.cursor[0])
        if frame is None:
            return None
        if frame.start == file.cursor[0] and file.cursor[1]:
            file.moved(frame.end, 0)
            return self._first(file)
        return Parcel(frame.payload, frame.records, file, (frame.start, 0), [(frame.end, frame.records)])

    def settle(self, parcel: Parcel, count: int, *, dropped: bool = False) -> None:
        """The next `count` records of a parcel are done with: delivered, or dropped."""
        file = parcel.file
        if file is None:
            return
        file.moved(*parcel.advance(count))
        if parcel.own:
            file.settled += count
            self.settled += count
        else:
            self.adopted["dropped" if dropped else "delivered"] += count

    def _finish(self, file: SpoolFile, *, adopted: bool) -> bool:
        """Nothing intact is left in a file: remove it. False if something came meanwhile, or if it is to be kept."""
        if not self._lock.acquire(timeout=_WAIT):
            return False
        try:
            if not adopted:
                if file.busy or file.frame_at(file.cursor[0]) is not None:
                    return False
                self._write_off(file, "spool_damaged")
                self._files.remove(file)
            else:
                self._adopted.remove(file)
            self._room += file.end
            file.close(delete=True)
            return True
        finally:
            self._lock.release()

    def retire(self, *, keep_last: bool) -> None:
        """Remove files that are done with; `keep_last`: not the one that is appended to, unless it has grown."""
        while self._files and self._files[0].exhausted:
            last = len(self._files) == 1
            if last and keep_last and self._files[0].end < min(self._file_bytes, self._limit // 8) // 4:
                break
            if not self._finish(self._files[0], adopted=False):
                break

    def _write_off(self, file: SpoolFile, reason: str) -> None:
        gone = file.pending
        if gone:
            file.settled = file.written
            self.settled += gone
            self.lost(reason, gone)

    def look_round(self, *, adopt: bool = True) -> None:
        """Take over files that nobody owns, and keep all of them to their age and size. Never raises."""
        try:
            if self._open_folder(make=False):
                self._look_round(adopt=adopt)
        except OSError as error:
            trouble.report("spool", f"the spool {self.folder} cannot be read ({error.strerror})")

    def _look_round(self, *, adopt: bool) -> None:
        ours = {file.name for file in [*self._files, *self._adopted]}
        taken = 0
        for name in os.listdir(self._folder_fd):  # noqa: PTH208 (by descriptor)
            if not name.endswith((SUFFIX, SUFFIX + PART)):
                continue
            try:
                about = os.stat(name, dir_fd=self._folder_fd, follow_symlinks=False)
            except OSError:
                continue  # another process was faster
            taken += about.st_size
            if name.endswith(PART):
                if self._clock.wall() - about.st_mtime > _PART_SECONDS:
                    with contextlib.suppress(OSError):
                        os.unlink(name, dir_fd=self._folder_fd)
            elif adopt and name not in ours:
                found = SpoolFile.take_over(self._folder_fd, name, self._clock)
                if found is not None:
                    self._adopted.append(found)
        self._adopted = deque(sorted(self._adopted, key=lambda file: file.order))
        about_system = os.fstatvfs(self._folder_fd)
        with self._lock:
            self._limit = min(self._max_bytes, about_system.f_blocks * about_system.f_frsize // 10 or self._max_bytes)
            self._room = self._limit - taken
        self._tidy()

    def _tidy(self) -> None:
        for file in [*self._adopted, *self._files]:
            if file.age(self._clock) > self._keep_seconds:
                self._drop(file, "spool_expired")
        while self._room < 0:
            last = self._files[-1] if self._files else None
            old = [file for file in [*self._adopted, *self._files] if file is not last]
            if not old:
                break
            self._drop(max(old, key=lambda file: file.age(self._clock)), "spool_full")

    def _drop(self, file: SpoolFile, reason: str) -> None:
        if not self._lock.acquire(timeout=_WAIT):
            return
        try:
            if file.busy:
                return
            if file in self._adopted:
                self._adopted.remove(file)
                self.adopted["dropped"] += _records(file)
            else:
                self._files.remove(file)
                self._write_off(file, reason)
            self._room += file.end
            file.close(delete=True)
        finally:
            self._lock.release()
        why = "is too old" if reason == "spool_expired" else "has reached its size"
        trouble.report(reason, f"the spool {self.folder} {why}; its oldest records are dropped (counted as {reason})")

    @property
    def has_adopted(self) -> bool:
        """Whether files of other processes wait for delivery."""
        return bool(self._adopted)

    # -- the folder ----------------------------------------------------------------------------------------------------

    def _open_folder(self, *, make: bool) -> bool:
        """Open the folder, as `private_files` has it. False if there is none and none is to be made."""
        if self._folder_fd >= 0:
            return True
        above = self.folder.parent
        try:
            with (
                open_folder(above.parent, make=make) as store,
                store.inner(above.name, make=make) as spools,
                spools.inner(self.folder.name, make=make) as opened,
            ):
                self._folder_fd = opened.duplicate()
        except FileNotFoundError:
            if make:
                raise
            return False
        return True

    def _close_folder(self) -> None:
        # Files that are open hold the number; they are removed through it, so it is left open for them.
        if self._files or self._adopted:
            _kept_open.append(self._folder_fd)
        elif self._folder_fd >= 0:
            os.close(self._folder_fd)
        self._folder_fd = -1

    def close(self) -> None:
        """Let go of everything that no record of this process is in. What is adopted is left to others."""
        with self._lock:
            for file in list(self._files):
                if file.exhausted and not file.pending:
                    self._files.remove(file)
                    file.close(delete=True)
            while self._adopted:
                file = self._adopted.popleft()
                file.close(delete=file.exhausted)
            if not self._files and self._folder_fd >= 0:
                os.close(self._folder_fd)
                self._folder_fd = -1

    def release(self) -> None:
        """Let go of all files, whatever is in them."""
        for file in [*self._files, *self._adopted]:
            file.close()
        self._files.clear()
        self._adopted.clear()
        if self._folder_fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._folder_fd)
            self._folder_fd = -1

    def after_fork(self) -> None:
        """In a forked child: the files are the parent's, and so are its locks, which closing here does not end."""
        if self._pid == os.getpid():
            return
        self.release()
        self._begin()


_kept_open: list[int] = []


def _records(file: SpoolFile) -> int:
    count, (offset, skip) = 0, file.cursor
    while (frame := file.frame_at(offset)) is not None:
        count += frame.records - (skip if frame.start == file.cursor[0] else 0)
        offset = frame.end
    return count
