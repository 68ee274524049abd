"""ripgrep, where it is installed, finds a text in large files: many times faster than we can.

It finds exactly what `raw_lines.lines_of` would: the same bytes, regardless of the case of ASCII letters. It is asked
once for all files, only for places; what stands there is read here. What it means is decided elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from bisect import bisect_left, bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO, Final

    from otel_logging.search.files import Source
    from otel_logging.search.plans import Plan
    from otel_logging.search.slices import Slicer

WORTH_IT: Final = 4 * 1024 * 1024
"""Bytes of all files; below this, starting a process takes longer."""

_OPTIONS: Final = (
    "--no-config", "--text", "--fixed-strings", "--ignore-case", "--no-unicode", "--byte-offset", "--column",
    "--only-matching", "--replace=", "--with-filename", "--null", "--no-line-number", "--color=never", "--no-heading",
    "--no-messages",
)  # fmt: skip
_AT_ONCE: Final = 500  # files that one process is given
_MOST: Final = 64 * 1024 * 1024  # bytes of places; where nearly every line is a hit, reading them all is as quick
_STEP: Final = 64 * 1024


class Hits:
    """Where the texts stand in one file: beginnings of lines, and for each the places in it."""

    def __init__(self, about: os.stat_result) -> None:
        self._about = (about.st_dev, about.st_ino)
        self._lines: dict[int, list[int]] = {}

    def add(self, place: int, column: int) -> None:
        """One more place, and how far it is in its line."""
        self._lines.setdefault(place - column, []).append(column)

    def same(self, stream: BinaryIO) -> bool:
        """Whether this is the file that was searched: it may have been sealed or put aside meanwhile."""
        about = os.fstat(stream.fileno())
        return (about.st_dev, about.st_ino) == self._about

    def lines(self, source: Source, plan: Plan, slicer: Slicer | None, name: str) -> Iterator[tuple[int, Any]]:
        """The lines with hits and where they begin, or the records that contain hits; of what the index knows.

        Parts of the plan are left out: those are read as a whole.
        """
        begins = [part.start for part in plan.parts]
        for start, columns in sorted(self._lines.items()):
            number = bisect_right(begins, start) - 1
            if start >= plan.known.indexed or (number >= 0 and start < plan.parts[number].end):
                continue
            line = _line(source, start, plan.known.indexed)
            if slicer is None:
                yield start, line
                continue
            for found in slicer.cut(line, _next_of(columns), name):
                yield start, found if isinstance(found, list) else found[1]


def _next_of(columns: list[int]) -> Any:
    def after(place: int) -> int:
        number = bisect_left(columns, place)
        return columns[number] if number < len(columns) else -1

    return after


def _line(source: Source, start: int, end: int) -> bytes:
    """The line that begins at `start`, without its end."""
    pieces: list[bytes] = []
    size = _STEP
    while data := source.read(start, min(start + size, end)):
        cut = data.find(b"\n")
        pieces.append(data if cut < 0 else data[:cut])
        if cut >= 0:
            break
        start += len(data)
        size *= 2
    return b"".join(pieces)


def hits(paths: Sequence[str], wanted: Sequence[bytes]) -> dict[str, Hits]:
    """The places of the texts in each file, by path; empty where ripgrep is not there, or of no use."""
    try:
        texts = [needle.decode() for needle in wanted]
        abouts = {path: os.lstat(path) for path in paths}
    except (UnicodeDecodeError, OSError):
        return {}
    found = {path: Hits(about) for path, about in abouts.items() if about.st_size}
    size = sum(about.st_size for about in abouts.values())
    if not texts or any("\0" in text or "\n" in text for text in texts) or size < WORTH_IT:
        return {}
    program = shutil.which("rg")
    if program is None:
        return {}
    room = _MOST
    command = [program, *_OPTIONS, *[f"--regexp={text}" for text in texts], "--"]
    names = list(found)
    for first in range(0, len(names), _AT_ONCE):
        room = _ask([*command, *names[first : first + _AT_ONCE]], found, room)
        if room <= 0:
            return {}
    return found


def _ask(command: list[str], found: dict[str, Hits], room: int) -> int:
    """Run ripgrep; returns what remains of the room for its answer, 0 if it cannot be used."""
    try:
        # No shell; texts and paths cannot be options.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603
    except OSError:
        return 0
    with process:
        if process.stdout is None:
            return 0
        for said in process.stdout:
            room -= len(said)
            name, _, place = said.rpartition(b"\0")
            column, _, offset = place.partition(b":")
            mine = found.get(os.fsdecode(name))
            if mine is None or room <= 0:
                process.kill()
                return 0
            mine.add(int(offset.rstrip(b":\n")), int(column) - 1)
    return room if process.returncode in {0, 1} else 0  # 1: nothing found
