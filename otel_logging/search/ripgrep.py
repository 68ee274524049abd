"""ripgrep, where it is installed, finds a text in large files: many times faster than we can.

It finds exactly what `raw_lines.lines_of` would: the same bytes, regardless of the case of ASCII letters. It is asked
once for all files, only for places; what stands there is read here. What it means is decided elsewhere.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from heapq import merge
from operator import itemgetter

from otel_logging.search.slices import Cutting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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
_STEP: Final = 32 * 1024  # bytes read behind a hit at first
_KILL: Final = 9  # `signal` is not light
_TOGETHER: Final = 4 * 1024 * 1024  # bytes of lines that are cut at once


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

    def among(
        self, others: Iterator[tuple[int, Any]], source: Source, plan: Plan, slicer: Slicer | None, name: str
    ) -> Iterator[tuple[int, Any]]:
        """What `lines` gives, among other lines, all in order."""
        return merge(self.lines(source, plan, slicer, name), others, key=itemgetter(0))

    def lines(self, source: Source, plan: Plan, slicer: Slicer | None, name: str) -> Iterator[tuple[int, Any]]:
        """The lines with hits and where they begin, or the records that contain hits; of what the index knows.

        Parts of the plan are left out: those are read as a whole.
        """
        begins = [part.start for part in plan.parts]
        cutting = None if slicer is None else Cutting(slicer, name)
        latest = size = -1
        begin = 0  # of those that come together it is enough to know what they stand before and behind
        for start, columns in sorted(self._lines.items()):
            number = bisect_right(begins, start) - 1
            if start >= plan.known.indexed or (number >= 0 and start < plan.parts[number].end):
                continue
            line = _line(source, start, max(columns), plan.known.indexed)
            if cutting is None:
                yield start, line
                continue
            if number != latest or size >= _TOGETHER:  # the plan reads what comes between
                yield from _placed(begin, cutting.rest())
                latest, size, begin = number, 0, start
            size += len(line)
            yield from _placed(begin, cutting.add(line, _next_of(sorted(columns)), start))
        if cutting is not None:
            yield from _placed(begin, cutting.rest())


def _placed(begin: int, cut: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    for found in cut:
        yield begin, found if isinstance(found, list) else found[1]


def _next_of(places: list[int]) -> Callable[[int], int]:
    def after(place: int) -> int:
        number = bisect_left(places, place)
        return places[number] if number < len(places) else -1

    return after


def _line(source: Source, start: int, column: int, end: int) -> bytes:
    """The line that begins at `start` and has a hit at `column`, without its end."""
    pieces: list[bytes] = []
    size = column + _STEP
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
    program = _program()
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


def _program() -> str | None:
    """Where ripgrep is; `shutil` would take longer to import than it takes to look."""
    if not hasattr(os, "posix_spawn"):
        return None
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, "rg")
        if folder and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def _ask(command: list[str], found: dict[str, Hits], room: int) -> int:
    """Run ripgrep; returns what remains of the room for its answer, 0 if it cannot be used."""
    try:
        process, answer = _started(command)
    except OSError:
        return 0
    with open(answer, "rb") as lines:
        for said in lines:
            room -= len(said)
            name, _, place = said.rpartition(b"\0")
            column, _, offset = place.partition(b":")
            mine = found.get(os.fsdecode(name))
            if mine is None or room <= 0:
                room = 0
                os.kill(process, _KILL)
                break
            mine.add(int(offset.rstrip(b":\n")), int(column) - 1)
    _, status = os.waitpid(process, 0)
    return room if os.waitstatus_to_exitcode(status) in {0, 1} else 0  # 1: nothing found


def _started(command: list[str]) -> tuple[int, int]:
    """Start a process; returns its id and where its answer is read. No shell: texts and paths cannot be options.

    `subprocess` would take as long to import as half of ripgrep's search.
    """
    answer, stdout = os.pipe()
    try:
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        actions = [nothing, (os.POSIX_SPAWN_DUP2, stdout, 1)]
        return os.posix_spawn(command[0], command, os.environ, file_actions=actions), answer
    except OSError:
        os.close(answer)
        raise
    finally:
        os.close(stdout)
