"""Only the wanted records out of a part of a file: what is not wanted is not even parsed.

For parts of which the index knows that every line is JSON, and lines of the shape that our own writers and the
Collector's give them: one resource, one scope, records that begin with their time. Every other line is given back as a
whole.
"""

from __future__ import annotations

import json

from otel_logging.search.otlp import owner_of
from otel_logging.search.own_lines import records_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from otel_logging.search.otlp import Owner
    from otel_logging.search.record import Record

_BEGIN: Final = b'{"resourceLogs":[{'
RECORDS: Final = b'"logRecords":['
FIRST: Final = b'{"timeUnixNano":"'
NEXT: Final = b'},{"timeUnixNano":"'
END: Final = b"]}]}]}"


class Slicer:
    """Slices parts; remembers what stands around the records of the lines it has seen."""

    def __init__(self) -> None:
        self._owners: dict[bytes, Owner | None] = {}

    def wanted(self, part: bytes, wanted: Sequence[bytes], source: str) -> Iterator[list[Record] | tuple[int, bytes]]:
        """The records that contain one of `wanted` (lower case, as in `local.scan`); see `cut`."""
        lowered = part.lower()
        return self.cut(part, lambda place: _first(lowered, wanted, place), source)

    def cut(
        self, part: bytes, hit_from: Callable[[int], int], source: str
    ) -> Iterator[list[Record] | tuple[int, bytes]]:
        """The records with a hit in them, in order; of unusual lines, place and line instead.

        Args:
            part: whole lines, each of them a JSON object; the last one's end may be missing.
            hit_from: the first hit at or after a place, -1 if there is none.
            source: the name of the file.
        """
        pieces: list[bytes] = []
        lines: list[tuple[int, bytes]] = []
        owner: Owner | None = None
        done = end = area = area_end = 0
        while (hit := hit_from(done)) >= 0:
            if hit >= end:
                start = part.rfind(b"\n", 0, hit) + 1
                end = part.find(b"\n", hit)
                end = len(part) if end < 0 else end
                before, owner = owner, self._owner_of(part, start, end)
                if owner is not before:
                    if pieces:
                        yield from self._made_of(pieces, lines, before, source)
                    pieces, lines = [], []
                line = (start, part[start:end])
                if owner is None:
                    yield line
                    done = end
                    continue
                lines.append(line)
                area, area_end = part.find(FIRST, start), end - len(END)
            if hit < area:  # the resource may say anything
                done = area
            else:
                begin = part.rfind(NEXT, area, hit)
                stop = part.find(NEXT, hit, area_end)
                done = area_end if stop < 0 else stop + 1
                pieces.append(part[area if begin < 0 else begin + 2 : done])
        if pieces:
            yield from self._made_of(pieces, lines, owner, source)

    def _made_of(
        self, pieces: list[bytes], lines: list[tuple[int, bytes]], owner: Owner | None, source: str
    ) -> Iterator[list[Record] | tuple[int, bytes]]:
        if owner is None:
            return
        try:
            made = records_of(pieces, owner, source)
        except (ValueError, AttributeError):
            yield from lines  # no UTF-8, or times in a place where none are expected
        else:
            yield made

    def _owner_of(self, part: bytes, start: int, end: int) -> Owner | None:
        """Whose the records of a line are, None if it is of an unusual shape."""
        area = part.find(RECORDS, start, end) + len(RECORDS)
        head = part[start:area]
        if (
            not head.startswith(_BEGIN)
            or not part.startswith(FIRST, area)
            or not part.startswith(END, end - len(END))
            or part.find(RECORDS, area, end) >= 0
        ):
            return None
        if head not in self._owners:
            self._owners[head] = owner_of_head(head)
        return self._owners[head]


def _first(lowered: bytes, wanted: Sequence[bytes], start: int) -> int:
    """Where the first of `wanted` stands from `start` on, -1 if none does."""
    if len(wanted) == 1:
        return lowered.find(wanted[0], start)
    return min([place for needle in wanted if (place := lowered.find(needle, start)) >= 0], default=-1)


def owner_of_head(head: bytes) -> Owner | None:
    """What stands around the records, if it is one resource with one scope."""
    try:
        payload = json.loads(head + END)
        (group,) = payload["resourceLogs"]
        (scoped,) = group["scopeLogs"]
    except (ValueError, KeyError, TypeError):
        return None
    usual = isinstance(group, dict) and isinstance(scoped, dict) and len(payload) == 1
    return owner_of(group, scoped) if usual and scoped.get("logRecords") == [] else None
