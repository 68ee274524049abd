"""The files of a local store: which there are, opened safely, read at any place, sealed or not.

A file is known by its name as it was written, `logs/x.jsonl`; sealed, it is `x.jsonl.zst` or `x.jsonl.gz`. While both
are there the one as written counts: sealing is not finished, or it has been written anew. What stands in the lines, and
the index, do not belong here.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from contextlib import contextmanager

from otel_logging.plain import Row
from otel_logging.search import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO, Final, Protocol

    from otel_logging.search.frames import Frame
else:
    Protocol = object

LOGS, TRACES = "logs", "traces"
SUFFIX: Final = ".jsonl"

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_FIRST_FIELD: Final = b"\x0a"  # how every OTLP request in Protocol Buffers begins
_DATA: Final = (".json", ".ndjson", ".zst", ".gz", ".log", ".binpb")  # what looks like somebody's records
_OTHER_NAME: Final = f"the names of a store's files end in {SUFFIX}"
_DIGITS: Final = frozenset("0123456789")
_LINK: Final = "a symbolic link, not followed"


class Notes(Protocol):
    """Where it is written down what could not be read; `local.Searched` is one."""

    missed: bool

    def problem(self, path: str, why: str) -> None:
        """Remember that `path` was not read."""


class StoreFile(Row):
    """One file: its name as written, the path to open, and how it is compressed (empty: as written)."""

    name: str
    path: str
    sealed: str

    @property
    def written(self) -> str:
        """The path of the file as it was written."""
        return self.path.removesuffix(self.sealed) if self.sealed else self.path


def is_own(name: str) -> bool:
    """Whether only this project's writers give such a name, `x-123-20240121T193026123456Z.jsonl`.

    Process and moment are in it, and its writer holds a lock.
    """
    who, _, moment = name.removesuffix("Z.jsonl").rpartition("-")
    service, _, process = who.rpartition("-")
    day, _, time = moment.partition("T")
    return (
        name.endswith("Z.jsonl") and len(day) == 8 and len(time) == 12 and service != "" and process != ""
        and _DIGITS.issuperset(day + time + process)
    )  # fmt: skip


def listed(store: str | os.PathLike[str], folder: str, notes: Notes) -> list[StoreFile]:
    """The files of `folder`, by name. Symbolic links are not followed: a store may stand where others can write."""
    root = os.path.join(store, folder)
    found: dict[str, StoreFile] = {}
    try:
        if os.path.islink(root):
            notes.problem(folder, _LINK)
            notes.missed = True
            return []
        # Twice: in one listing, a file that is being replaced by its sealed form may be missed in both forms.
        for _ in range(2):
            with os.scandir(root) as entries:
                for entry in entries:
                    _add(entry, folder, found, notes)
    except FileNotFoundError:
        pass  # a store without spans, or none at all
    except OSError as error:
        notes.problem(folder, error.strerror or type(error).__name__)
        notes.missed = True
    return [found[name] for name in sorted(found)]


def _add(entry: os.DirEntry[str], folder: str, found: dict[str, StoreFile], notes: Notes) -> None:
    suffix = next((end for end in ("", *frames.SUFFIXES) if entry.name.endswith(SUFFIX + end)), None)
    if entry.name.startswith("."):
        return
    if suffix is None:
        if entry.name.endswith(_DATA) and entry.is_file(follow_symlinks=False):
            notes.problem(f"{folder}/{entry.name}", _OTHER_NAME)
        return
    name = entry.name.removesuffix(suffix) if suffix else entry.name
    if entry.is_symlink():
        notes.problem(f"{folder}/{entry.name}", _LINK)
    elif entry.is_file(follow_symlinks=False) and (not suffix or name not in found):
        found[name] = StoreFile(f"{folder}/{name}", entry.path, suffix)


@contextmanager
def opened(file: StoreFile) -> Iterator[tuple[BinaryIO, StoreFile]]:
    """Open a file and say in which form: it may have been sealed since it was listed.

    Raises:
        FileNotFoundError: it is gone in every form.
        OSError: it cannot be opened, or was swapped for a link or a pipe since it was listed.
    """
    forms = [file, *(StoreFile(file.name, file.written + end, end) for end in ("", *frames.SUFFIXES))]
    for form in forms:
        try:
            number = os.open(form.path, _FLAGS)
        except FileNotFoundError:
            if form is forms[-1]:
                raise
            continue
        with open(number, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError(0, "not a regular file")
            if not form.sealed and (why := foreign(stream)):
                raise OSError(0, why)
            yield stream, form
        return


_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def foreign(stream: BinaryIO) -> str:
    """Why an open file as written cannot be read as lines, empty if it can: the Collector's exporter has other forms.

    They put a length of four bytes before each message.
    """
    head = stream.read(8)
    stream.seek(0)
    if head[4:] == _ZSTD_MAGIC:
        return "compressed by the Collector's file exporter; leave `compression` off there, the store packs files"
    if head[4:5] == _FIRST_FIELD and 0 < int.from_bytes(head[:4], "big") <= os.fstat(stream.fileno()).st_size:
        return "no lines of JSON: the Collector's file exporter has to write `format: json`"
    return ""


class Source:
    """An open file whose lines are read at any place: places are those of the file as written.

    Args:
        stream: the open file.
        sealed: how it is compressed.
        known: its frames, if it is sealed and they are known; without them it is read from its beginning only.
    """

    def __init__(self, stream: BinaryIO, sealed: str, known: Sequence[Frame] = ()) -> None:
        self._stream = stream
        self._sealed = sealed
        self.known = known
        self._starts = [frame.start for frame in known]
        self._latest: tuple[int, bytes] = (-1, b"")

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, fewer at the end of the file. Raises OSError, LookupError."""
        if not self._sealed:
            return self._raw(start, end - start)
        pieces = []
        number = max(bisect_right(self._starts, start) - 1, 0)
        while number < len(self.known) and (frame := self.known[number]).start < end:
            block = self._block(number, frame)
            pieces.append(block[max(start - frame.start, 0) : end - frame.start])
            number += 1
        return b"".join(pieces)

    def _block(self, number: int, frame: Frame) -> bytes:
        if self._latest[0] != number:
            data = self._raw(frame.place, frame.size)
            self._latest = number, frames.decompress(data, self._sealed, frame.end - frame.start)
        return self._latest[1]

    def _raw(self, place: int, size: int) -> bytes:
        self._stream.seek(place)
        return self._stream.read(size)

    def pieces(self, start: int, size: int) -> Iterator[bytes]:
        """All bytes from `start` on, `size` at a time. Raises OSError, LookupError."""
        if not self._sealed or self.known:
            while data := self.read(start, start + size):
                yield data
                start += len(data)
            return
        if start:
            raise ValueError("the frames are not known")
        whole = frames.stream(self._stream, self._sealed)
        # Not more at once: what stands before a damage is to be read.
        while data := whole.read(min(size, frames.FRAME_BYTES)):
            yield data
