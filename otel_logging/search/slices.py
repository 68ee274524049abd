"""Only the wanted records out of a part of a file: what is not wanted is not even parsed.

For parts of which the index knows that every line is JSON, and lines of the shape that our own writers and the
Collector's give them: one resource, one scope, records that begin with their time. Every other line is given back as a
whole.
"""

from __future__ import annotations

import json
from functools import partial

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
        return self.cut(part, _finder(part.lower(), wanted), source)

    def cut(
        self, part: bytes, hit_from: Callable[[int], int], source: str
    ) -> Iterator[list[Record] | tuple[int, bytes]]:
        """The records with a hit in them, in order; of unusual lines, place and line instead.

        Args:
            part: whole lines, each of them a JSON object; the last one's end may be missing.
            hit_from: the first hit at or after a place, -1 if there is none.
            source: the name of the file.
        """
        cutting = Cutting(self, source)
        yield from cutting.add(part, hit_from)
        yield from cutting.rest()

    def owner_of(self, part: bytes, start: int, end: int) -> Owner | None:
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


class Cutting:
    """Cuts parts that follow one another; what it found is made into records many at a time, as that has its price."""

    def __init__(self, slicer: Slicer, source: str) -> None:
        self._slicer = slicer
        self._source = source
        self._owner: Owner | None = None
        self._pieces: list[bytes] = []
        self._lines: list[tuple[int, bytes]] = []

    def add(
        self, part: bytes, hit_from: Callable[[int], int], base: int = 0
    ) -> Iterator[list[Record] | tuple[int, bytes]]:
        """Cut one part, whose places count from `base`; see `Slicer.cut`. Some of the records come later."""
        done = end = area = area_end = 0
        while (hit := hit_from(done)) >= 0:
            if hit >= end:
                start = part.rfind(b"\n", 0, hit) + 1
                end = part.find(b"\n", hit)
                end = len(part) if end < 0 else end
                owner = self._slicer.owner_of(part, start, end)
                if owner is not self._owner:
                    yield from self.rest()
                    self._owner = owner
                line = (base + start, part[start:end])
                if owner is None:
                    yield line
                    done = end
                    continue
                self._lines.append(line)
                area, area_end = part.find(FIRST, start), end - len(END)
            if hit < area or hit >= area_end:  # the resource may say anything; what ends a line is of no record
                done = area if hit < area else end
            else:
                begin = part.rfind(NEXT, area, hit)
                stop = part.find(NEXT, hit, area_end)
                done = area_end if stop < 0 else stop + 1
                self._pieces.append(part[area if begin < 0 else begin + 2 : done])

    def rest(self) -> Iterator[list[Record] | tuple[int, bytes]]:
        """What has not come yet: records, or their lines where those turn out to be unusual."""
        pieces, lines, self._pieces, self._lines = self._pieces, self._lines, [], []
        if not pieces or self._owner is None:
            return
        try:
            made = records_of(pieces, self._owner, self._source)
        except (ValueError, AttributeError):
            yield from lines  # no UTF-8, or times in a place where none are expected
        else:
            yield made


def _finder(lowered: bytes, wanted: Sequence[bytes]) -> Callable[[int], int]:
    """What finds the first of `wanted` from a place on; -1 if there is none."""
    if len(wanted) == 1:
        return partial(lowered.find, wanted[0])
    return lambda place: min([at for needle in wanted if (at := lowered.find(needle, place)) >= 0], default=-1)


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
