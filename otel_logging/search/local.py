"""The local store, read plainly: every whole line of `<store>/logs/*.jsonl` and `<store>/traces/*.jsonl`.

Any number of processes may be writing while this reads, so a file ends at its last newline. A line that cannot contain
what is wanted is passed over before JSON is parsed; what matches is decided by the caller on the finished record, so
that passing over never changes an answer. No query logic, no index.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from otel_logging.search import otlp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

LOGS, TRACES = "logs", "traces"
_SUFFIX = ".jsonl"
_BLOCK = 1024 * 1024
_LONGEST = 256 * 1024 * 1024  # a line beyond this is no line of ours, and must not fill the memory


@dataclass(slots=True)
class Searched:
    """What a scan looked at, so that silence is never read as "there is nothing"."""

    store: str = ""
    files: int = 0
    bytes: int = 0
    lines: int = 0
    records: int = 0  # parsed and looked at; lines passed over are not counted here
    spans: int = 0
    broken: int = 0  # lines that are no JSON object
    unfinished: int = 0  # last lines without a newline: still being written, or torn off
    problems: list[str] = field(default_factory=list)  # files and folders that could not be read, and why
    missed: bool = False  # something that may hold wanted records could not be read

    def problem(self, path: str, why: str) -> None:
        """Remember that `path` was not read."""
        text = f"{path}: {why}"
        if text not in self.problems:
            self.problems.append(text)

    def as_json(self) -> dict[str, Any]:
        """For `--format json`."""
        names = ("store", "files", "bytes", "lines", "records", "spans", "broken", "unfinished", "problems")
        return {name: getattr(self, name) for name in names}


def scan(store: Path, *, wanted: Sequence[bytes] = (), searched: Searched | None = None) -> Iterator[Record]:
    """The records of the store, file by file in name order, in the order they were written.

    Args:
        store: the store's folder; one that does not exist holds nothing.
        wanted: only lines that contain one of these (lower case; compared without case) are parsed; empty means all.
        searched: counts are added to it.
    """
    notes = Searched() if searched is None else searched
    for name, payload in _payloads(store, LOGS, wanted, notes):
        for record in otlp.records(payload, name):
            notes.records += 1
            yield record


def scan_spans(store: Path, *, wanted: Sequence[bytes] = (), searched: Searched | None = None) -> Iterator[Span]:
    """The spans of the store; see `scan`."""
    notes = Searched() if searched is None else searched
    for name, payload in _payloads(store, TRACES, wanted, notes):
        for span in otlp.spans(payload, name):
            notes.spans += 1
            yield span


def needles(*texts: str | None) -> tuple[bytes, ...]:
    """What to pass as `wanted` for lines that contain one of these texts, however a JSON writer spelled them."""
    found: dict[bytes, None] = {}
    for text in texts:
        for ascii_only in (False, True):
            spelled = json.dumps(text or "", ensure_ascii=ascii_only)[1:-1]
            found[spelled.encode("utf-8", "surrogatepass").lower()] = None
    found.pop(b"", None)
    return tuple(found)


def _payloads(store: Path, folder: str, wanted: Sequence[bytes], notes: Searched) -> Iterator[tuple[str, Any]]:
    notes.store = str(store)
    for path in _files(store, folder, notes):
        name = os.path.join(folder, os.path.basename(path))  # noqa: PTH118,PTH119 (pathlib costs a third of a small scan)
        try:
            with _open(path) as stream:
                notes.files += 1
                for block in _blocks(stream, notes):
                    for line in _lines(block, wanted, notes):
                        payload = _parse(line)
                        if payload is None:
                            notes.broken += 1
                            notes.missed = True
                        else:
                            yield name, payload
        except OSError as error:
            notes.problem(name, error.strerror or type(error).__name__)
            notes.missed = True


def _files(store: Path, folder: str, notes: Searched) -> list[str]:
    """Regular files only, by name. Symbolic links are not followed: a store may stand where others can write."""
    root = store / folder
    found: list[str] = []
    try:
        if root.is_symlink():
            notes.problem(folder, "a symbolic link, not followed")
            notes.missed = True
            return found
        with os.scandir(root) as entries:
            for entry in entries:
                if not entry.name.endswith(_SUFFIX):
                    continue
                if entry.is_symlink():
                    notes.problem(f"{folder}/{entry.name}", "a symbolic link, not followed")
                elif entry.is_file(follow_symlinks=False):
                    found.append(entry.path)
    except FileNotFoundError:
        pass  # a store without spans, or none at all
    except OSError as error:
        notes.problem(folder, error.strerror or type(error).__name__)
        notes.missed = True
    return sorted(found)


@contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    """Open a regular file; one that was swapped for a link or a pipe since it was listed is refused."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    number = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    with open(number, "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(0, "not a regular file")
        yield stream


def _blocks(stream: BinaryIO, notes: Searched) -> Iterator[bytes]:
    """The file in blocks of whole lines, up to its last newline."""
    pending: list[bytes] = []
    held = 0
    too_long = False
    while data := stream.read(_BLOCK):
        notes.bytes += len(data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            held += len(data)
            too_long = too_long or held > _LONGEST
            pending = [] if too_long else [*pending, data]
            continue
        if too_long:
            notes.broken += 1
            notes.lines += 1
            notes.missed = True
            yield data[data.find(b"\n") + 1 : cut]
        else:
            yield b"".join([*pending, data[:cut]])
        pending, held, too_long = ([data[cut:]], len(data) - cut, False) if cut < len(data) else ([], 0, False)
    if held:
        notes.unfinished += 1


def _lines(block: bytes, wanted: Sequence[bytes], notes: Searched) -> Iterator[bytes]:
    """The lines of a block worth parsing. Case is ignored: a superset, as the caller decides on the finished record."""
    lines = block.split(b"\n")
    notes.lines += len(lines) - 1
    if not wanted:
        yield from (line for line in lines if line.strip())
        return
    # Broken lines are counted even where they are not wanted; those that are wanted count when they are parsed.
    odd = [line for line in lines if line[-1:] != b"}"]
    notes.broken += sum(1 for line in odd if not _whole(line) and not _any(wanted, line.lower()))
    lowered = block.lower()
    starts: set[int] = set()
    for needle in wanted:
        place = lowered.find(needle)
        while place >= 0:
            starts.add(lowered.rfind(b"\n", 0, place) + 1)
            end = lowered.find(b"\n", place)
            place = lowered.find(needle, end)
    for start in sorted(starts):
        yield block[start : block.find(b"\n", start)]


def _any(wanted: Sequence[bytes], line: bytes) -> bool:
    return any(needle in line for needle in wanted)


def _whole(line: bytes) -> bool:
    line = line.strip()
    return not line or (line.startswith(b"{") and line.endswith(b"}"))


def _parse(line: bytes) -> dict[str, Any] | None:
    """The line as an object of a kind we know, or None if it is broken. Bytes that are no UTF-8 are replaced."""
    try:
        try:
            payload = json.loads(line)
        except UnicodeDecodeError:
            payload = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
