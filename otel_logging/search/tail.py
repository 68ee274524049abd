"""What was appended to a store since a place in it: whole new lines of open files, as records and spans.

The place is an offset for each file, as short text, so that a reader who was cut off can go on. Files that were packed
or deleted meanwhile are only noticed; what they hold is for `find_call` to say. Deciding what is wanted is the
caller's.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_logging.search import otlp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

_FOLDERS = ("logs", "traces")
_SUFFIX = ".jsonl"
_AT_ONCE = 8 * 1024 * 1024  # bytes of one file read in one go
_NAME = 8
_HEX = frozenset("0123456789abcdef")
_MOST = 2000  # files in a place; of more, those written to last


@dataclass(slots=True)
class News:
    """What is new. `lost` says that a file is gone, or shorter, so that something may have been missed."""

    records: list[Record] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    lost: bool = False


class Tail:
    """Reads on in a store from a place; `place()` is where it has come to.

    Args:
        store: the store's folder.
        place: text that `place()` gave, or None for the present end of every file.

    Raises:
        ValueError: `place` is no such text.
    """

    def __init__(self, store: Path, place: str | None = None) -> None:
        self._store = store
        self._offsets = _parse(place) if place is not None else {}
        # A file's end may be in the middle of a line that is being written: the place is behind the last whole one.
        if place is None:
            for path, size in _files(store):
                self._offsets[_key(path)] = _last_line_end(path, size)

    def place(self) -> str:
        """The place as text: ASCII, without blanks."""
        return ",".join(f"{key}.{offset:x}" for key, offset in self._offsets.items())

    def read(self, wanted: Sequence[bytes] = ()) -> News:
        """Everything appended since the last time.

        Args:
            wanted: only lines that contain one of these, in lower case, are parsed; empty means all.
        """
        news = News()
        present: dict[str, int] = {}
        for path, size in _files(self._store):
            key = _key(path)
            offset = self._offsets.get(key, 0)
            if size < offset:
                news.lost = True
                offset = 0
            present[key] = offset + self._read(path, offset, wanted, news) if size > offset else offset
        news.lost = news.lost or bool(self._offsets.keys() - present.keys())
        self._offsets = present
        return news

    @staticmethod
    def _read(path: Path, offset: int, wanted: Sequence[bytes], news: News) -> int:
        """Take the whole lines behind `offset`; returns how many bytes they are."""
        data = _bytes(path, offset, _AT_ONCE)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == _AT_ONCE:
            news.lost = True  # a line that is longer than any of ours
            return len(data)
        logs = path.parent.name == _FOLDERS[0]
        for payload in _payloads(data[:end], wanted):
            if logs:
                news.records += otlp.records(payload, f"logs/{path.name}")
            else:
                news.spans += otlp.spans(payload, f"traces/{path.name}")
        return end


def _payloads(data: bytes, wanted: Sequence[bytes]) -> Iterator[Any]:
    for line in data.split(b"\n"):
        if wanted and not any(needle in line.lower() for needle in wanted):
            continue
        try:
            yield json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):  # broken or empty
            continue


def _parse(place: str) -> dict[str, int]:
    offsets = {}
    for part in filter(None, place.split(",")):
        key, _, offset = part.partition(".")
        if len(key) != _NAME or not (0 < len(offset) <= 16) or not _HEX.issuperset(key + offset):
            raise ValueError(f"{part[:40]!r} is no place in a store")
        offsets[key] = int(offset, 16)
    return offsets


def _key(path: Path) -> str:
    """A short name for a file."""
    name = f"{path.parent.name}/{path.name}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(name, digest_size=_NAME // 2).hexdigest()


def _files(store: Path) -> list[tuple[Path, int]]:
    """The open files and their sizes, by name. Links are not followed, as in `local`."""
    found: list[tuple[float, Path, int]] = []
    for folder in _FOLDERS:
        try:
            if (store / folder).is_symlink():
                continue
            with os.scandir(store / folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False):
                        facts = entry.stat(follow_symlinks=False)
                        found.append((facts.st_mtime, Path(entry.path), facts.st_size))
        except OSError:  # a store without spans, or none yet
            continue
    found.sort(reverse=True)
    return sorted((path, size) for _, path, size in found[:_MOST])


def _bytes(path: Path, offset: int, count: int) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(number, "rb") as stream:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                return b""
            stream.seek(offset)
            return stream.read(count)
    except OSError:  # gone, or not ours to read: `find_call` reports it
        return b""


def _last_line_end(path: Path, size: int) -> int:
    """Behind the last newline of the first `size` bytes."""
    step = 65_536
    end = size
    while end > 0:
        start = max(end - step, 0)
        cut = _bytes(path, start, end - start).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        end = start
    return 0
