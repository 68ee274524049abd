"""What is read of one open file: the parts that the index names and what it does not know yet, or everything.

Lines come out, or records where a part is sliced. Which files and which parts, and parsing, do not belong here.
"""

from __future__ import annotations

from otel_logging.plain import Row
from otel_logging.search.files import Source, StoreFile
from otel_logging.search.raw_lines import lines_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO, Final

    from otel_logging.search.frames import Frame
    from otel_logging.search.index import Known, Part
    from otel_logging.search.local import Searched
    from otel_logging.search.slices import Slicer

BLOCK: Final = 1024 * 1024
LONGEST: Final = 256 * 1024 * 1024
"""Bytes of a line; beyond this it is no line of ours, and must not fill the memory."""


class Plan(Row):
    """What the index says about one open file: what it knows, and which parts of that are worth reading."""

    known: Known
    parts: list[Part]
    frames: list[Frame]


def source_of(stream: BinaryIO, form: StoreFile, plan: Plan | None) -> Source:
    """The open file, to be read at any place if its frames are known."""
    stream.seek(0)
    return Source(stream, form.sealed, () if plan is None else plan.frames)


def wanted_lines(
    source: Source,
    plan: Plan | None,
    wanted: Sequence[bytes],
    notes: Searched,
    slicer: Slicer | None = None,
    name: str = "",
) -> Iterator[tuple[int, Any]]:
    """The lines worth parsing and where they begin; with a slicer, also lists of records instead of lines."""
    start = 0
    if plan is not None:
        notes.bytes += plan.known.indexed
        notes.lines += plan.known.lines
        for begin, end, odd in plan.parts:
            part = source.read(begin, end)
            if slicer is None or odd:
                yield from ((begin + place, line) for place, line in lines_of(part, wanted, notes))
                continue
            for found in slicer.wanted(part, wanted, name):
                yield (begin, found) if isinstance(found, list) else (begin + found[0], found[1])
        start = plan.known.indexed
    for block_start, block in whole_blocks(source, start, notes):
        notes.lines += block.count(b"\n")
        for place, line in lines_of(block, wanted, notes):
            yield block_start + place, line


def whole_blocks(source: Source, start: int, notes: Searched) -> Iterator[tuple[int, bytes]]:
    """The file from `start` to its last newline, in blocks of whole lines with their places."""
    pending: list[bytes] = []
    held = 0
    too_long = False
    at = start  # where the pending bytes begin
    for data in source.pieces(start, BLOCK):
        notes.bytes += len(data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            held += len(data)
            too_long = too_long or held > LONGEST
            pending = [] if too_long else [*pending, data]
            continue
        if too_long:
            notes.broken += 1
            notes.lines += 1
            notes.missed = True
            first = data.find(b"\n") + 1
            yield at + held + first, data[first:cut]
        else:
            yield at, b"".join([*pending, data[:cut]])
        at += held + cut
        pending, held, too_long = ([data[cut:]], len(data) - cut, False) if cut < len(data) else ([], 0, False)
    if held:
        notes.unfinished += 1
