"""A file of JSON lines that this process alone appends to: `<folder>/<service>-<pid>-<start>.jsonl`.

Opened lazily with the first line; a new one is begun after a fork, when it has grown too large and when somebody
deleted it. While it is open it is locked, which tells whoever seals and removes files to leave it alone. Each `append`
is one write by the operating system, so that a reader who stops at the last newline never sees half a line, and a
killed process leaves whole lines. Folders and files are `private_files`: transcripts are private. What stands in the
lines belongs elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from otel_logging.private_files import open_folder

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_NOT_FOR_NAMES: Final = re.compile(r"[^A-Za-z0-9._]+")
_MAX_NAME: Final = 100
_TRIES: Final = 100


def file_name(service: str, pid: int, start: datetime) -> str:
    """The name of a file: the service in letters that any file system takes, the process id, the UTC time."""
    safe = _NOT_FOR_NAMES.sub("_", service).strip("._")[:_MAX_NAME] or "unknown_service"
    return f"{safe}-{pid}-{start.astimezone(timezone.utc):%Y%m%dT%H%M%S%fZ}.jsonl"


def _locked(descriptor: int) -> bool:
    """Whether a new file is ours now; yes where there are no locks, as nobody seals or removes files there."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


class JsonlFile:
    """Appends lines; thread-safe, fork-safe.

    Args:
        folder: where the files go, a folder in a store; both are made when first needed.
        service: the first part of the files' names.
        max_bytes: a file that has reached this size is closed, and the next line begins another one.
    """

    def __init__(self, folder: Path, service: str, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._folder = folder
        self._service = service
        self.max_bytes = max_bytes
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._fd = -1
        self._identity = (0, 0)
        self._size = 0
        self.path: Path | None = None

    def append(self, line: bytes) -> None:
        """Append one whole line.

        Raises:
            NotPrivate: the folder or its parent is not to be used.
            OSError: it could not be written, and no part of it stays in the file. The next call tries anew.
        """
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._lock:
            if self._fd >= 0:
                self._check()
            if self._fd < 0:
                self._open()
            self._write(line)

    def _check(self) -> None:
        """Leave a file that is full or gone, and never touch a descriptor that has come to mean another file."""
        try:
            now = os.fstat(self._fd)
        except OSError:
            self._fd = -1  # a process that turns itself into a daemon closes all it has
            return
        if (now.st_dev, now.st_ino) != self._identity:
            self._fd = -1
        elif self._size >= self.max_bytes or now.st_nlink == 0:
            self._close()

    def _open(self) -> None:
        start = datetime.now(timezone.utc)
        with open_folder(self._folder.parent) as store, store.inner(self._folder.name) as folder:
            for more in range(_TRIES):
                name = file_name(self._service, os.getpid(), start + timedelta(microseconds=more))
                try:
                    self._fd = folder.create(name)
                except FileExistsError:
                    continue  # two files within one tick of the clock
                if not _locked(self._fd):
                    self._close()  # somebody looks at it just now, and may take it for one that was left empty
                    continue
                made = os.fstat(self._fd)
                self._identity = (made.st_dev, made.st_ino)
                self._size = 0
                self.path = self._folder / name
                return
        raise FileExistsError(errno.EEXIST, "no free file name", str(self._folder))

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._fd, view) :]  # a full disk or a signal may cut a write short
        except OSError:
            if len(view) < len(line):
                # Half a line is in the file, and the next one must not be glued to it.
                try:
                    os.ftruncate(self._fd, self._size)
                except OSError:
                    self._close()
            raise
        self._size += len(line)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def close(self) -> None:
        """Close the file; a later `append` begins another one."""
        with self._lock:
            self._close()

    def after_fork_in_child(self) -> None:
        """Leave the parent's file to the parent. Its lock may be held by a thread that does not exist here."""
        self._close()
        self._begin()
