"""How the lines of a store are read: which parts of which files, in which order, each line parsed once.

With an index, only parts that may hold what is wanted are read, and what is not indexed yet; without one, everything.
The same lines come out, and the same is noted about them. Records and spans do not belong here.
"""

from __future__ import annotations

import gc
import json
import os
from contextlib import contextmanager
from contextvars import ContextVar

from otel_logging.places import plain_path
from otel_logging.search.files import LOGS, TRACES, StoreFile, listed, opened
from otel_logging.search.plans import Plan, source_of, wanted_lines
from otel_logging.search.slices import Slicer
from otel_logging.search.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, BinaryIO, Final

    from otel_logging.search.digest import Digest
    from otel_logging.search.index import Ids, Index, Part
    from otel_logging.search.local import Searched
    from otel_logging.search.record import Record
    from otel_logging.search.ripgrep import Hits

WORTH_AN_INDEX: Final = 1024 * 1024
"""Bytes of a store; below this, reading everything is as quick."""

AT_ONCE: Final = 64 * 1024 * 1024
"""Bytes of lines that one reader adds to the index before it answers; what remains is read plainly."""

_MOST_HELD: Final = 20_000  # parsed lines kept for the next scan
_REMEMBERED: Final = 64 * 1024 * 1024  # bytes of lines that one reading keeps parsed


_ODD: Final = Window(worst=99)  # no part but those that are always read


class Reading:
    """What several scans of one question share: the files and the index as they were, and the lines already parsed.

    Args:
        store: the store's folder.
        shared: more than one scan is to come.
    """

    def __init__(self, store: str | os.PathLike[str], *, shared: bool = False) -> None:
        self.store = plain_path(store)
        self._files: dict[str, tuple[list[StoreFile], list[tuple[str, str]], bool]] = {}
        self._index: Index | None = None
        self._asked = False
        self._latest: dict[str, tuple[frozenset[int], tuple[bytes, ...], list[tuple[str, Any]], Searched]] = {}
        self._slicer = Slicer()
        self._lines: dict[tuple[str, int, int], list[Any]] = {}
        self._room = _REMEMBERED
        self.made: dict[int, tuple[Any, Record]] | None = {} if shared else None
        """Records that were made once, for `otlp.records`; None where there is only one scan."""

    def close(self) -> None:
        """Let go of the index."""
        self._without_index()
        self.made = None
        self._lines.clear()
        self._latest.clear()

    def files(self, folder: str, notes: Searched | None = None) -> list[StoreFile]:
        """The files of a folder as they were when it was first asked; what could not be listed is noted."""
        if folder not in self._files:
            said = _Said()
            self._files[folder] = listed(self.store, folder, said), said.problems, said.missed
        files, problems, missed = self._files[folder]
        if notes is not None:
            for path, why in problems:
                notes.problem(path, why)
            notes.missed = notes.missed or missed
        return files

    def payloads(
        self, folder: str, wanted: Sequence[bytes], ids: Ids | None, window: Window, notes: Searched
    ) -> Iterator[tuple[str, Any]]:
        """The parsed lines that may hold what is wanted, each with the name of its file.

        Of a line of which only some records are wanted there is a list of these instead.
        """
        if ids is None or self.made is None:
            yield from self._payloads(folder, wanted, ids, window, notes)
            return
        # A question about a call scans twice, and mostly for the same.
        keys, needles, found, said = self._latest.get(folder, (frozenset(), (), [], notes))
        if needles != tuple(wanted) or not ids.keys() <= keys:
            found, said = [], type(notes)()
            for each in self._payloads(folder, wanted, ids, window, said):
                found.append(each)
                yield each
            self._latest[folder] = ids.keys(), tuple(wanted), found[:_MOST_HELD], said
            if len(found) > _MOST_HELD:
                del self._latest[folder]
        else:
            yield from found
        notes.add(said)

    def _payloads(
        self, folder: str, wanted: Sequence[bytes], ids: Ids | None, window: Window, notes: Searched
    ) -> Iterator[tuple[str, Any]]:
        notes.store = self.store
        places: dict[int, list[Part]] = {}
        if ids is not None:
            places = self._places(ids)
        elif window or wanted:
            self._open_index(fill=0)
        hits = {} if ids is not None or window or not wanted else self._hits(self.files(folder), wanted)
        slicer = self._slicer if wanted and folder == LOGS else None
        for file in self.files(folder, notes):
            with _noting(file, notes), opened(file) as (stream, form):
                notes.files += 1
                mine = hits.get(form.path) if hits else None
                odd = mine is not None and mine.same(stream)
                plan = self._plan(
                    stream, form, places if ids is not None else None, _ODD if odd else window, every=slicer is not None
                )
                source = source_of(stream, form, plan)
                found: Iterator[tuple[int, Any]]
                if odd and mine is not None and plan is not None:
                    found = mine.among(wanted_lines(source, plan, wanted, notes), source, plan, slicer, file.name)
                else:
                    found = wanted_lines(source, plan, wanted, notes, slicer, file.name)
                for start, line in found:
                    if type(line) is list:
                        payload: Any = line
                    else:
                        payload = self._parsed(file.name, start, line) if ids else parse(line)
                    if payload is None:
                        notes.broken += 1
                        notes.missed = True
                    else:
                        yield file.name, payload

    def digests(self, folder: str, notes: Searched) -> Iterator[Digest]:
        """What the lines amount to, stretch by stretch: out of the index what it knows, the rest made here."""
        from otel_logging.search.digest import Digest

        notes.store = self.store
        self._open_index(fill=2**62)
        for file in self.files(folder, notes):
            with _noting(file, notes), opened(file) as (stream, form):
                notes.files += 1
                plan, found, broken = self._known_digests(stream, form)
                yield from found
                if plan is not None:
                    notes.broken += broken
                    notes.missed = notes.missed or broken > 0
                digest = Digest()
                add = digest.add_spans if folder == TRACES else digest.add_records
                for _, line in wanted_lines(source_of(stream, form, plan), plan, (), notes):
                    payload = parse(line)
                    if payload is None:
                        notes.broken += 1
                        notes.missed = True
                    else:
                        add(payload)
                yield digest

    def _known_digests(self, stream: BinaryIO, form: StoreFile) -> tuple[Plan | None, list[Digest], int]:
        from otel_logging.search.digest import Digest

        plan = self._plan(stream, form, {}, Window())
        if plan is not None and self._index is not None:
            from otel_logging.search.index import Unusable

            try:
                found = [Digest.load(data) for data in self._index.digests(plan.known.id)]
                broken = self._index.broken(plan.known.id)
            except (Unusable, ValueError):
                found, broken = [], 0
            if found or not plan.known.indexed:
                return plan, found, broken
            self._without_index()  # a file that is known amounts to something
        return None, [], 0

    def _hits(self, files: list[StoreFile], wanted: Sequence[bytes]) -> dict[str, Hits]:
        """Where ripgrep finds what is wanted, in the files that are indexed; empty where it is not there."""
        if self._index is None:
            return {}
        from otel_logging.search import ripgrep
        from otel_logging.search.index import Unusable

        try:
            known = self._index.files()
        except Unusable:
            return {}
        return ripgrep.hits([file.path for file in files if not file.sealed and file.name in known], wanted)

    def _parsed(self, file: str, start: int, line: bytes) -> Any:
        """The line parsed, or None if it is broken; parsed once in a reading."""
        key = (file, start, len(line))
        held = self._lines.get(key)
        if held is None:
            held = [parse(line)]
            self._room -= len(line)
            if self._room > 0:
                self._lines[key] = held
        return held[0]

    # The index

    def _open_index(self, fill: int) -> None:
        """Open the index once, after up to `fill` bytes of lines were added to it, if that pays."""
        if self._asked:
            return
        self._asked = True
        folders = [self.files(folder) for folder in (LOGS, TRACES)]
        self._reopen()
        if fill and self._behind(folders):
            from otel_logging.search import indexing

            self._without_index()
            for files in folders:
                indexing.catch_up(self.store, files, fill)
            self._reopen()

    def _reopen(self) -> None:
        from otel_logging.search import index

        try:
            self._index = index.Index(self.store)
            self._index.snapshot()
        except (index.Unusable, OSError):
            self._without_index()

    def _behind(self, folders: list[list[StoreFile]]) -> bool:
        """Whether there is something to add to the index, and it pays."""
        from otel_logging.search import index

        if self._index is None:
            return _large(file for files in folders for file in files)
        try:
            return any(index.behind(self._index, file) for files in folders for file in files)
        except index.Unusable:
            return True

    def _without_index(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = None

    def _places(self, ids: Ids) -> dict[int, list[Part]]:
        from otel_logging.search.index import Unusable

        self._open_index(fill=AT_ONCE)
        try:
            return {} if self._index is None else self._index.places(ids)
        except Unusable:
            self._without_index()
            return {}

    def _plan(
        self,
        stream: BinaryIO,
        form: StoreFile,
        places: dict[int, list[Part]] | None,
        window: Window,
        *,
        every: bool = False,
    ) -> Plan | None:
        """What to read of a file by the index; None: all of it.

        `places` of the ids looked for, if it is ids; `every`: all parts are wanted, to know which are JSON.
        """
        if self._index is None or (places is None and not window and not every):
            return None
        from otel_logging.search.index import Unusable, matches

        try:
            known = self._index.files().get(form.name)
            if known is None or not matches(known, form, stream):
                return None
            found = self._index.frames(known.id) if form.sealed else []
            if places is not None:
                return Plan(known, places.get(known.id, []), found)
            return Plan(known, self._index.parts(known.id, window.since, window.until, window.worst), found)
        except Unusable:
            self._without_index()
            return None


class _Said:
    """Problems of a listing, to be told to each who asks."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.missed = False

    def problem(self, path: str, why: str) -> None:
        self.problems.append((path, why))


_current: ContextVar[Reading | None] = ContextVar("reading", default=None)  # each thread has its own


@contextmanager
def one_reading(store: str | os.PathLike[str]) -> Iterator[Reading]:
    """Scans of this thread inside the block see the store's files and index as they were at its beginning."""
    before = _current.get()
    reading = Reading(store, shared=True)
    _current.set(reading)
    collecting = gc.isenabled()
    gc.disable()  # thousands of records are made, none of them garbage: collecting would be a fifth of the time
    try:
        yield reading
    finally:
        if collecting:
            gc.enable()
        _current.set(before)
        reading.close()


@contextmanager
def reading_of(store: str | os.PathLike[str]) -> Iterator[Reading]:
    """The reading that is under way, or one for this scan alone."""
    shared = _current.get()
    if shared is not None and shared.store == plain_path(store):
        yield shared
        return
    reading = Reading(store)
    try:
        yield reading
    finally:
        reading.close()


def _large(files: Iterable[StoreFile]) -> bool:
    room = WORTH_AN_INDEX
    for file in files:
        try:
            size = os.stat(file.path, follow_symlinks=False).st_size
        except OSError:
            continue
        room -= size * 8 if file.sealed else size
        if room <= 0:
            return True
    return room <= 0


@contextmanager
def _noting(file: StoreFile, notes: Searched) -> Iterator[None]:
    """What keeps a file from being read is noted; one that retention has removed meanwhile is none of the store's."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.problem(file.name, error.strerror or type(error).__name__)
        notes.missed = True
    except LookupError as error:
        notes.problem(file.name, str(error))
        notes.missed = True


def parse(line: bytes) -> dict[str, Any] | None:
    """The line as an object of a kind we know, or None if it is broken. Bytes that are no UTF-8 are replaced."""
    try:
        try:
            payload = json.loads(line)
        except UnicodeDecodeError:
            payload = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
