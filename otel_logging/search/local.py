"""The local store as records and spans: every whole line of the files under `<store>/logs` and `<store>/traces`.

Any number of processes may be writing, sealing and removing files while this reads. A file ends at its last newline. A
line that cannot contain what is wanted is passed over before JSON is parsed, and parts of files that cannot, by the
index, are not even read; what matches is decided by the caller on the finished record, so that passing over never
changes an answer. No query logic; how lines are read is `reading`'s.
"""

from __future__ import annotations

import json

from otel_logging.plain import field, plain
from otel_logging.search import otlp
from otel_logging.search.files import LOGS, TRACES
from otel_logging.search.reading import one_reading, reading_of
from otel_logging.search.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from typing import Any

    from otel_logging.search.digest import Digest
    from otel_logging.search.index import Ids
    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

__all__ = ["LOGS", "TRACES", "Searched", "Window", "digests", "naming", "needles", "one_reading", "scan", "scan_spans"]

_ALL = Window()


@plain(slots=True)
class Searched:
    """What a scan looked at, so that silence is never read as "there is nothing"."""

    store: str = ""
    files: int = 0
    bytes: int = 0  # of the lines as they were written
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

    def add(self, other: Searched) -> None:
        """Count what another scan looked at, too."""
        self.store = self.store or other.store
        for name in ("files", "bytes", "lines", "records", "spans", "broken", "unfinished"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems += [problem for problem in other.problems if problem not in self.problems]
        self.missed = self.missed or other.missed

    def as_json(self) -> dict[str, Any]:
        """For `--format json`."""
        names = ("store", "files", "bytes", "lines", "records", "spans", "broken", "unfinished", "problems")
        return {name: getattr(self, name) for name in names}


class Wanted(tuple[bytes, ...]):  # noqa: SLOT001 (tuples have no room for slots)
    """What lines must contain, as `needles` makes it, and the ids that records must carry, as `naming` adds them."""

    ids: Ids | None = None


def scan(
    store: str | os.PathLike[str],
    *,
    wanted: Sequence[bytes] = (),
    searched: Searched | None = None,
    window: Window = _ALL,
) -> Iterator[Record]:
    """The records of the store, file by file in name order, in the order they were written.

    Args:
        store: the store's folder; one that does not exist holds nothing.
        wanted: only lines that contain one of these (lower case; compared without case) are parsed; empty means all.
            From `naming`: records that carry none of the ids may be left out.
        searched: counts are added to it.
        window: records outside of it may be left out.
    """
    notes = Searched() if searched is None else searched
    ids = wanted.ids if isinstance(wanted, Wanted) else None
    fits = None if ids is None else ids.fits
    with reading_of(store) as reading:
        made = None if ids is None else reading.made
        for name, payload in reading.payloads(LOGS, wanted, ids, window, notes):
            if type(payload) is list:
                notes.records += len(payload)
                yield from payload
                continue
            for record in otlp.records(payload, name, fits, made):
                notes.records += 1
                yield record


def scan_spans(
    store: str | os.PathLike[str], *, wanted: Sequence[bytes] = (), searched: Searched | None = None
) -> Iterator[Span]:
    """The spans of the store; see `scan`."""
    notes = Searched() if searched is None else searched
    ids = wanted.ids if isinstance(wanted, Wanted) else None
    with reading_of(store) as reading:
        for name, payload in reading.payloads(TRACES, wanted, ids, _ALL, notes):
            for span in otlp.spans(payload, name):
                notes.spans += 1
                yield span


def digests(store: str | os.PathLike[str], folder: str, searched: Searched) -> Iterator[Digest]:
    """What all lines of `LOGS` or `TRACES` amount to, stretch by stretch; out of the index where it has them."""
    with reading_of(store) as reading:
        for digest in reading.digests(folder, searched):
            searched.records += digest.total.records
            searched.spans += len(digest.spans)
            yield digest


def needles(*texts: str | None) -> tuple[bytes, ...]:
    """What to pass as `wanted` for lines that contain one of these texts, however a JSON writer spelled them."""
    found: dict[bytes, None] = {}
    for text in texts:
        for ascii_only in (False, True):
            spelled = json.dumps(text or "", ensure_ascii=ascii_only)[1:-1]
            found[spelled.encode("utf-8", "surrogatepass").lower()] = None
    found.pop(b"", None)
    return tuple(found)


def naming(*ids: str | None, prefix: bool = False) -> Wanted:
    """What to pass as `wanted` for the records and spans of these calls and traces; the index knows where they are.

    Args:
        ids: whole call ids and trace ids, compared without case.
        prefix: they may also be the beginnings of ids.
    """
    from otel_logging.search.index import Ids

    found = needles(*ids)
    # What contains another one need not be looked for: a CallSid contains its trace id.
    made = Wanted(one for one in found if not any(other != one and other in one for other in found))
    texts = tuple(text for text in ids if text)
    made.ids = Ids(texts, prefix) if texts else None
    return made
