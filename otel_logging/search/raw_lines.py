"""Which lines of a block of bytes are worth parsing. Nothing here parses, and nothing reads files."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from otel_logging.search.local import Searched

_BRACE: Final = b"}"[0]


def lines_of(block: bytes, wanted: Sequence[bytes], notes: Searched) -> Iterator[tuple[int, bytes]]:
    """The lines of a block worth parsing. Case is ignored: a superset, as the caller decides on the finished record."""
    if not wanted:
        place = 0
        for line in block.split(b"\n"):
            if line.strip():
                yield place, line
            place += len(line) + 1
        return
    # Broken lines are counted even where they are not wanted; those that are wanted count when they are parsed.
    lowered = block.lower()
    if not _all_closed(block):
        odd = [line for line in block.split(b"\n") if line[-1:] != b"}"]
        notes.broken += sum(1 for line in odd if not whole_line(line) and not _any(wanted, line.lower()))
    starts: set[int] = set()
    for needle in wanted:
        place = lowered.find(needle)
        while place >= 0:
            starts.add(lowered.rfind(b"\n", 0, place) + 1)
            end = lowered.find(b"\n", place)
            place = lowered.find(needle, end) if end >= 0 else -1
    for start in sorted(starts):
        yield start, block[start : block.find(b"\n", start)]


def _all_closed(block: bytes) -> bool:
    """Whether every line ends with a brace."""
    place = block.find(b"\n")
    while place > 0:
        if block[place - 1] != _BRACE:
            return False
        place = block.find(b"\n", place + 1)
    return place < 0


def _any(wanted: Sequence[bytes], line: bytes) -> bool:
    return any(needle in line for needle in wanted)


def whole_line(line: bytes) -> bool:
    """Whether it looks like a JSON object, or is empty."""
    line = line.strip()
    return not line or (line.startswith(b"{") and line.endswith(b"}"))
