"""One file of the spool: frames are appended at its end by one process and taken from its beginning by one process.

    file    = header, frame, frame, …
    header  = "OTELSPL1", wall clock (f64), steady clock (f64), boot (8 bytes), crc32; then two copies of the cursor
    cursor  = offset of the first frame that is not done (u64), records of it that are (u32), crc32
    frame   = marker (8 bytes), length (u32), records (u32), crc32 of the payload, crc32 of these fields; payload

All numbers are little-endian. A payload is an encoded `ExportLogsServiceRequest`. The marker is random, one a file, and
part of the file's name: after damage the next frame is found by it, and no text that somebody logged can pass for a
frame. Checksums begin with it too. A torn tail, a flipped bit or a hole costs the frames it lies in and no other.

Whoever holds the advisory lock (`flock`) of a file owns it. A file gets its name only after it is locked. Which files
there are, and how much they may take, is the business of `spool`; what is in the payloads, of others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
import time
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

SUPPORTED: Final = fcntl is not None and hasattr(os, "pwrite") and os.open in os.supports_dir_fd
"""Whether this platform has what the spool needs: file locks, writes at a position, paths relative to a folder."""

SUFFIX: Final = ".spool"
PART: Final = ".part"
_MAGIC: Final = b"OTELSPL1"
_HEAD: Final = struct.Struct("<8sdd8sI")
_CURSOR: Final = struct.Struct("<QII")
_FRAME: Final = struct.Struct("<8sIIII")
START: Final = _HEAD.size + 2 * _CURSOR.size
"""Where the first frame of a file begins."""

_CHUNK: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9._]+-(\d+)-([0-9a-f]+)-(\d+)-([0-9a-f]{16})\.spool")
_NOT_FOR_NAMES: Final = re.compile(r"[^A-Za-z0-9._]+")
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Frame(NamedTuple):
    """One intact frame: where it ends, how many records it holds, the request."""

    start: int
    end: int
    records: int
    payload: bytes


class Clock:
    """What time it is, for the age of files. A wall clock that jumps must not make files old.

    Args:
        wall: seconds since 1970.
        steady: seconds since the machine started; goes on while it sleeps, where the platform has such a clock.
        boot: 8 bytes that say which start of the machine that was.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
        boot: bytes | None = None,
    ) -> None:
        self.wall = wall
        self.steady = steady or _steady
        self.boot = _boot() if boot is None else boot


def _steady() -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _boot() -> bytes:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as stream:  # noqa: PTH123 (a Path would be made for once)
            return zlib.crc32(stream.read()).to_bytes(8, "little")
    except OSError:
        return bytes(8)


class SpoolFile:
    """One file of the spool that this process owns. Made by `create` or `take_over`.

    `append` may be called again in the midst of itself, by a signal handler; its callers take turns otherwise. The
    other methods are for one thread at a time, which need not be the one that appends.
    """

    def __init__(self, folder: int, name: str, fd: int, marker: bytes, created: tuple[float, float, bytes]) -> None:
        self._folder = folder  # a descriptor, lent by the owner
        self.name = name
        self.fd = fd
        self.marker = marker
        self.created = created
        about = os.fstat(fd)
        self._identity = (about.st_dev, about.st_ino)
        self._seed = zlib.crc32(marker)
        self._writing = 0
        self.end = self.committed = max(about.st_size, START)  # where the next frame goes; what is written for good
        self.cursor = (START, 0)
        self.written = 0  # records appended by this process
        self.settled = 0  # records of these that are done with

    # -- making and taking over ----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: int, service: str, clock: Clock, born: int = 0, number: int = 0) -> SpoolFile:
        """A new file in `folder` (a descriptor): the `number`-th one of what was `born` then, which gives the order.

        Raises:
            OSError: it cannot be made.
        """
        marker = os.urandom(8)
        safe = _NOT_FOR_NAMES.sub("_", service).strip("._")[:60] or "unknown_service"
        name = f"{safe}-{os.getpid()}-{born:x}-{number}-{marker.hex()}{SUFFIX}"
        part = name + PART
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600, dir_fd=folder)
        try:
            _lock(fd)
            created = (clock.wall(), clock.steady(), clock.boot)
            head = _HEAD.pack(_MAGIC, *created, 0)[:-4]
            head += zlib.crc32(head, zlib.crc32(marker)).to_bytes(4, "little")
            head += _cursor(START, 0, zlib.crc32(marker)) * 2
            _write(fd, head, 0)
            # Whoever looks for files to take over does not see it before it is locked.
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            return cls(folder, name, fd, marker, created)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=folder)
            os.close(fd)
            raise

    @classmethod
    def take_over(cls, folder: int, name: str, clock: Clock) -> SpoolFile | None:
        """Own a file that another process has left; None if it is not one, is owned, or has just been finished."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        try:
            fd = os.open(name, os.O_RDWR | os.O_NONBLOCK | _NOFOLLOW, dir_fd=folder)
        except OSError:
            return None
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
                raise OSError(errno.EPERM, "not ours")  # noqa: TRY301 (one way out)
            _lock(fd)
            # Its last owner may have finished and removed it between our opening and our lock.
            if os.fstat(fd).st_nlink == 0:
                raise OSError(errno.ENOENT, "gone")  # noqa: TRY301
            marker = bytes.fromhex(found[4])
            head = os.pread(fd, START, 0)
            taken = cls(folder, name, fd, marker, _created(head, marker, clock))
            taken.cursor = _read_cursor(head[_HEAD.size :], zlib.crc32(marker)) or (START, 0)
        except OSError:
            os.close(fd)
            return None
        return taken

    # -- writing -------------------------------------------------------------------------------------------------------

    def append(self, payload: bytes, count: int) -> tuple[int, int]:
        """Append a request of `count` records; gives where it begins and ends.

        It survives the end of this process, but not a power cut within the next seconds.

        Raises:
            OSError: it is not in the file.
        """
        self._check()
        fields = _FRAME.pack(self.marker, len(payload), count, zlib.crc32(payload, self._seed), 0)[:-4]
        frame = b"".join((fields, zlib.crc32(fields, self._seed).to_bytes(4, "little"), payload))
        # The place is taken before it is written: what a signal handler appends meanwhile goes behind it.
        start = self.end
        self.end = end = start + len(frame)
        self._writing += 1
        try:
            _write(self.fd, frame, start)
            self.written += count
            return start, end
        except BaseException:
            if self.end == end:  # else there is a hole, which readers step over
                self.end = start
                with contextlib.suppress(OSError):
                    os.ftruncate(self.fd, start)
            raise
        finally:
            self._writing -= 1
            if not self._writing:
                self.committed = self.end

    def _check(self) -> None:
        about = os.fstat(self.fd)
        if (about.st_dev, about.st_ino) != self._identity or about.st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the spool's file was removed", self.name)

    def moved(self, offset: int, skip: int) -> None:
        """All before `offset`, and `skip` records of the frame there, are done with. Never raises."""
        self.cursor = (offset, skip)
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                if os.fstat(self.fd).st_ino == self._identity[1]:
                    os.pwrite(self.fd, _cursor(offset, skip, self._seed) * 2, _HEAD.size)

    # -- reading -------------------------------------------------------------------------------------------------------

    def frame_at(self, offset: int) -> Frame | None:
        """The first intact frame at or after `offset`, None if there is none."""
        stop = self.committed
        while offset + _FRAME.size <= stop:
            fields = self._read(_FRAME.size, offset)
            marker, length, count, payload_crc, crc = _FRAME.unpack(fields)
            begin = offset + _FRAME.size
            if marker == self.marker and zlib.crc32(fields[:-4], self._seed) == crc and begin + length <= stop:
                payload = self._read(length, begin)
                if zlib.crc32(payload, self._seed) == payload_crc:
                    return Frame(offset, begin + length, count, payload)
                offset = begin + length
            else:
                offset = self._next_marker(offset + 1, stop)
        return None

    def _read(self, size: int, offset: int) -> bytes:
        try:
            return os.pread(self.fd, size, offset).ljust(size, b"\0")
        except OSError:  # a bad sector: what lies there is damaged, nothing else
            return bytes(size)

    def _next_marker(self, offset: int, stop: int) -> int:
        while offset < stop:
            found = self._read(min(_CHUNK, stop - offset), offset).find(self.marker)
            if found >= 0:
                return offset + found
            offset += _CHUNK - len(self.marker) + 1
        return stop

    @property
    def order(self) -> tuple[int, int, int]:
        """Files of one process in the order they were made, whatever its clocks did; of several, by their birth."""
        found = _NAME.fullmatch(self.name)
        return (int(found[2], 16), int(found[1]), int(found[3])) if found is not None else (0, 0, 0)

    def age(self, clock: Clock) -> float:
        """Seconds since it was made. Within one start of the machine, jumps of the wall clock do not count."""
        wall, steady, boot = self.created
        if boot == clock.boot and boot != bytes(8):
            return max(clock.steady() - steady, 0)
        return max(clock.wall() - wall, 0)

    # -- the end of it -------------------------------------------------------------------------------------------------

    def close(self, *, delete: bool = False) -> None:
        """Let go of the file; with `delete` it is removed while the lock is still held. Never raises."""
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError):
            about = os.fstat(fd)
            if (about.st_dev, about.st_ino) != self._identity:
                return  # somebody closed all descriptors, and the number means another file now
            if delete:
                os.unlink(self.name, dir_fd=self._folder)
        with contextlib.suppress(OSError):
            os.close(fd)

    @property
    def pending(self) -> int:
        """Records that this process appended and that are not done with."""
        return self.written - self.settled

    @property
    def busy(self) -> bool:
        """Whether something is being appended just now."""
        return self._writing > 0

    @property
    def exhausted(self) -> bool:
        """Whether all that is in it is done with."""
        return self.cursor[0] >= self.committed


def _write(fd: int, data: bytes, offset: int) -> None:
    if os.pwrite(fd, data, offset) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _cursor(offset: int, skip: int, seed: int) -> bytes:
    fields = _CURSOR.pack(offset, skip, 0)[:-4]
    return fields + zlib.crc32(fields, seed).to_bytes(4, "little")


def _read_cursor(data: bytes, seed: int) -> tuple[int, int] | None:
    """The cursor from its two copies: the furthest one that is intact."""
    found = []
    for start in range(0, 2 * _CURSOR.size, _CURSOR.size):
        copy = data[start : start + _CURSOR.size]
        if len(copy) == _CURSOR.size:
            offset, skip, crc = _CURSOR.unpack(copy)
            if zlib.crc32(copy[:-4], seed) == crc and offset >= START:
                found.append((offset, skip))
    return max(found, default=None)


def undelivered(fd: int, name: str) -> tuple[int, float]:
    """Bytes of a file that are not done with, and the wall clock at its making; for looking on, without its lock.

    Raises:
        OSError: it cannot be read.
    """
    found = _NAME.fullmatch(name)
    about = os.fstat(fd)
    if found is None:
        return 0, about.st_mtime
    marker = bytes.fromhex(found[4])
    head = os.pread(fd, START, 0)
    offset, _ = _read_cursor(head[_HEAD.size :], zlib.crc32(marker)) or (START, 0)
    wall, _, _ = _created(head, marker, Clock(wall=lambda: about.st_mtime))
    return max(0, about.st_size - offset), wall


def _created(head: bytes, marker: bytes, clock: Clock) -> tuple[float, float, bytes]:
    data = head[: _HEAD.size]
    if len(data) == _HEAD.size:
        _, wall, steady, boot, crc = _HEAD.unpack(data)
        if zlib.crc32(data[:-4], zlib.crc32(marker)) == crc:
            return wall, steady, boot
    return clock.wall(), clock.steady(), clock.boot  # damaged: what is in it must not go for that, so it is new
