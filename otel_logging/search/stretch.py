"""What the index notes of lines that follow one another: their parts, the keys in each of them, and their numbers.

Reads the lines, without JSON where it can; where they come from and where the notes are written is for `indexing`.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

from otel_logging.search import index as index_module
from otel_logging.search.digest import Digest, joined
from otel_logging.search.index import BIGGEST, key_of_call, key_of_trace
from otel_logging.search.raw_lines import whole_line
from otel_logging.search.reading import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_logging.search.digest import Columns
    from otel_logging.search.glance import Facts
    from otel_logging.search.line_facts import LineFacts


def parts_of(data: bytes, *, rest: bool) -> Iterator[bytes]:
    """The whole lines of `data` in parts; those at its end, too few for a part, only if `rest` is true."""
    begin = 0
    while True:
        end = data.find(b"\n", begin + index_module.PART - 1) + 1
        if not end:
            break
        yield data[begin:end]
        begin = end
    end = data.rfind(b"\n") + 1
    if rest and end > begin:
        yield data[begin:end]


class Stretch:
    """What stands in some parts that follow one another, until it is written."""

    def __init__(self, spans: bool, facts: LineFacts, start: int) -> None:
        self.spans = spans
        self.start = self.end = start
        self.parts: list[_Part] = []
        self._facts = facts
        self._digest = Digest()
        self._plain: list[Columns] = []

    def add(self, parts: Iterable[bytes]) -> bool:
        """Read the parts that follow; False if there are none."""
        before = self.end
        for part in parts:
            plain = None if self.spans else self._facts.of(part)
            if plain is not None:
                self._plain.append(plain)
            self.parts.append(_Part(self.spans, self._digest, plain, part))
            self.end += len(part)
        return self.end > before

    def digest(self) -> tuple[Digest, set[str]]:
        """The numbers of all of it, and the names of its calls."""
        names = {call for part in self.parts for call in part.calls}
        if self._plain:
            self._digest.count_columns(joined(self._plain))
            self._plain = []
        return self._digest, names.union(self._digest.calls)

    def rows(self, file: int, number: int) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
        """The rows of its parts, numbered from `number` on, and of the keys in them."""
        rows: list[tuple[int, ...]] = []
        locs: list[tuple[int, int]] = []
        start = self.start
        for here, part in enumerate(self.parts, number):
            rows.append((here, file, start, part.size, part.first, part.last, part.worst, part.broken, part.odd))
            locs += zip(part.keys, repeat(here))
            start += part.size
        locs.sort()
        return rows, locs


class _Part:
    """What stands in one part; `calls` are those of its spans, the others are in the digest."""

    def __init__(self, spans: bool, digest: Digest, plain: Columns | None, part: bytes) -> None:
        self.calls: set[str] = set()
        self.keys: set[int] = set()
        self.size = len(part)
        self.lines = part.count(b"\n") if plain is None else plain.lines
        self.broken = self.worst = 0
        self.odd = False  # there is a line that must be looked at whatever is asked
        self.first, self.last = BIGGEST, 0
        if plain is not None:
            self._columns(plain)
            return
        for line in _lines(part):
            self._line(spans, digest, line)

    def _columns(self, found: Columns) -> None:
        groups = {*found.groups}
        self.keys.update([place for group in groups for place in group.places])
        self.first = min(int(min(found.times)), BIGGEST)
        self.last = min(int(max(found.times)), BIGGEST)
        self.worst = max([group.rank for group in groups])

    def _line(self, spans: bool, digest: Digest, line: bytes) -> None:
        payload = parse(line)
        if payload is not None:
            self._spans(digest, payload) if spans else self._count(digest.add_records(payload))
        elif line.strip():
            self.broken += 1
            self.odd = True
        if not self.odd and not whole_line(line):
            self.odd = True

    def _count(self, found: list[Facts]) -> None:
        if found:
            self.keys.update([key_of_call(one[0]) for one in found if one[0] is not None])
            self.keys.update([key_of_trace(one[1]) for one in found if one[1] is not None])
            times = [one[3] for one in found]
            self.first = min(self.first, *times)
            self.last = min(max(self.last, *times), BIGGEST)
            self.worst = max(self.worst, *[one[4] for one in found])

    def _spans(self, digest: Digest, payload: dict[str, Any]) -> None:
        self.first, self.last = 0, BIGGEST
        for span in digest.add_spans(payload):
            if span.call_sid is not None:
                self.calls.add(span.call_sid)
                self.keys.add(key_of_call(span.call_sid))
            if span.trace_id is not None:
                self.keys.add(key_of_trace(span.trace_id))


def _lines(part: bytes) -> Iterator[bytes]:
    """The lines of whole lines; `split` looks at each byte, `find` does not."""
    begin = 0
    while (end := part.find(b"\n", begin)) >= 0:
        yield part[begin:end]
        begin = end + 1
