"""Fills the index: reads lines that it does not know yet, in parts of about 64 KiB.

Readers do this on their way, as much as is quick, and only the one who gets the lock; nobody waits for it. A part is
never touched again. The last lines of a file become a part when there are enough of them or nothing has been added for
a while; until then every reader reads them itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from typing import TYPE_CHECKING, Final

from otel_logging.private_files import open_folder
from otel_logging.search import frames
from otel_logging.search import index as index_module
from otel_logging.search.files import TRACES, Source, StoreFile, opened
from otel_logging.search.index import (
    NAME,
    Damaged,
    Index,
    Known,
    Unusable,
    key_of_call,
    mark_of,
    matches,
    same_beginning,
    sealed_identity,
)
from otel_logging.search.line_facts import LineFacts
from otel_logging.search.plans import LONGEST
from otel_logging.search.stretch import Stretch, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

LOCK: Final = "index.lock"
_SECTION: Final = 8 * 1024 * 1024  # bytes of lines read at once
_STRETCH: Final = 64 * 1024 * 1024  # bytes of lines in one transaction
_MARK: Final = 1024


class Busy(Exception):  # noqa: N818 (nothing is wrong)
    """Somebody else is indexing, or nobody can here."""


@contextlib.contextmanager
def locked(store: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the index's lock.

    Raises:
        Busy: somebody else holds it, or the platform has none.
        OSError: the store cannot be written.
    """
    try:
        import fcntl
    except ImportError:
        raise Busy from None
    with open_folder(store, make=False, for_owner=True) as folder:
        descriptor = folder.open(LOCK, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy from None
        yield
    finally:
        os.close(descriptor)


def catch_up(store: str | os.PathLike[str], files: Sequence[StoreFile], most: int) -> None:
    """Index what is not known yet of these files, up to `most` bytes of lines. Never waits for others, never raises."""
    try:
        with locked(store):
            try:
                _catch_up(store, files, most)
            except Damaged:
                remove(store)
                _catch_up(store, files, most)
    except (Busy, Unusable, OSError):
        pass  # without an index, or with less of one, the answer is the same


def remove(store: str | os.PathLike[str]) -> None:
    """Remove the index. Others who have it open keep what they have. Raises OSError."""
    with open_folder(store, make=False, for_owner=True) as folder:
        for name in (NAME, NAME + "-wal", NAME + "-shm"):
            folder.remove(name)


def _catch_up(store: str | os.PathLike[str], files: Sequence[StoreFile], most: int) -> None:
    index = Index(store, write=True)
    try:
        by_inode = {known.inode: known for known in index.files().values()}
        facts = LineFacts()
        for file in files:
            try:
                with opened(file) as (stream, form), _without_collector():
                    most -= _File(index, stream, form, by_inode, facts).catch_up(most)
            except (OSError, LookupError):
                continue  # the scan says why
            if most <= 0:
                return  # a file that was renamed may not have been met yet
        _forget_what_is_gone(index, files)
    finally:
        index.close()


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here has cycles; to look for them again and again costs more than the rest."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _forget_what_is_gone(index: Index, files: Sequence[StoreFile]) -> None:
    if not files:
        return
    folder = files[0].name.partition("/")[0] + "/"
    here = {file.name for file in files}
    gone = [known for known in index.files().values() if known.name.startswith(folder) and known.name not in here]
    for known in gone:
        _forget(index, known)
    if gone:
        index.rows("BEGIN IMMEDIATE")
        # Keys of parts that are gone cost only room; they go when they are many.
        ((parts,),) = index.rows("SELECT count(*) FROM part")
        ((newest,),) = index.rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'part'")
        if newest > 4 * parts + 1000:
            index.rows("DELETE FROM loc WHERE part NOT IN (SELECT id FROM part)")
            index.rows("DELETE FROM name WHERE key NOT IN (SELECT key FROM loc)")
        index.rows("COMMIT")
        index.forget_files()


def _forget(index: Index, known: Known) -> None:
    index.rows("BEGIN IMMEDIATE")
    for table in ("part", "frame", "digest"):
        index.rows(f"DELETE FROM {table} WHERE file = ?", (known.id,))  # noqa: S608 (three constants)
    index.rows("DELETE FROM file WHERE id = ?", (known.id,))
    index.rows("COMMIT")
    index.forget_files()


class _File:
    """One open file, and what is known of it."""

    def __init__(
        self, index: Index, stream: BinaryIO, file: StoreFile, by_inode: dict[int, Known], facts: LineFacts
    ) -> None:
        self._index = index
        self._stream = stream
        self._file = file
        self._about = os.fstat(stream.fileno())
        self._source = Source(stream, file.sealed)
        self._whole = self._about.st_size  # bytes as written, as far as it is known
        self._facts = facts
        self._known = self._find(by_inode)

    def _find(self, by_inode: dict[int, Known]) -> Known | None:
        """The row of this file: under its name, or, for one that was renamed by rotation, under its old one."""
        index, file = self._index, self._file
        known = index.files().get(file.name)
        if known is not None and matches(known, file, self._stream):
            if file.sealed:
                self._use(index.frames(known.id))
            return known
        if file.sealed:
            found = self._frames()
            self._use(found)
            if known is not None and self._whole >= known.indexed and same_beginning(known, self._source):
                self._note_frames(known, found)
                return known
        elif known is None:
            old = by_inode.get(self._about.st_ino)
            if old is not None and matches(old, file, self._stream) and same_beginning(old, self._source):
                index.rows("UPDATE file SET name = ? WHERE id = ?", (os.fsencode(file.name), old.id))
                index.forget_files()
                return index.files().get(file.name)
        if known is not None:
            _forget(index, known)
        return None

    def _frames(self) -> list[frames.Frame]:
        self._stream.seek(0)
        return [frame for frame, _ in frames.walk(self._stream, self._file.sealed)]

    def _use(self, found: list[frames.Frame]) -> None:
        self._source = Source(self._stream, self._file.sealed, found)
        self._whole = found[-1].end if found else 0

    def _note_frames(self, known: Known, found: list[frames.Frame]) -> None:
        index = self._index
        index.rows("BEGIN IMMEDIATE")
        index.rows("DELETE FROM frame WHERE file = ?", (known.id,))
        index.many("INSERT INTO frame VALUES(?, ?, ?, ?, ?)", [(known.id, *frame) for frame in found])
        index.rows("UPDATE file SET sealed = ? WHERE id = ?", (sealed_identity(self._about), known.id))
        index.rows("COMMIT")
        index.forget_files()

    def catch_up(self, most: int) -> int:
        """Index up to about `most` bytes; returns how many."""
        at = begin = self._known.indexed if self._known else 0
        quiet = bool(self._file.sealed) or time.time() - self._about.st_mtime > index_module.QUIET_SECONDS
        if self._whole - at < (1 if quiet else index_module.PART):
            return 0
        size, stretch = _SECTION, Stretch(self._file.name.startswith(TRACES), self._facts, at)
        while at - begin < most:
            data = self._source.read(at, min(at + size, self._whole))
            last = at + len(data) >= self._whole
            if not stretch.add(parts_of(data, rest=last and quiet)):
                if last or size >= LONGEST:
                    break
                size *= 4  # a line longer than what was read
                continue
            at, size = stretch.end, _SECTION
            if at - stretch.start >= _STRETCH:
                self._write(stretch)
                stretch = Stretch(stretch.spans, self._facts, at)
        if stretch.parts:
            self._write(stretch)
        return at - begin

    def _write(self, stretch: Stretch) -> None:
        """Note what stands in a stretch, in one transaction."""
        index = self._index
        digest, names = stretch.digest()
        named = sorted((call.lower().encode("utf-8", "surrogatepass"), key_of_call(call)) for call in names)
        index.rows("BEGIN IMMEDIATE")
        if self._known is None:
            self._known = self._new_row()
        known = self._known
        ((before,),) = index.rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'part'")
        rows, locs = stretch.rows(known.id, before + 1)
        index.many("INSERT INTO part VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        index.many("INSERT INTO loc VALUES(?, ?)", locs)
        index.many("INSERT OR IGNORE INTO name VALUES(?, ?)", named)
        index.rows("INSERT INTO digest VALUES(?, ?, ?)", (known.id, stretch.start, digest.dump()))
        lines = known.lines + sum([part.lines for part in stretch.parts])
        index.rows("UPDATE file SET indexed = ?, lines = ? WHERE id = ?", (stretch.end, lines, known.id))
        index.rows("COMMIT")
        index.forget_files()
        self._known = known._replace(indexed=stretch.end, lines=lines)

    def _new_row(self) -> Known:
        index, file, about = self._index, self._file, self._about
        start = self._source.read(0, _MARK)
        marked = min(len(start), max(start.rfind(b"\n") + 1, 1) if len(start) < _MARK else _MARK)
        mark = mark_of(start[:marked])
        sealed = sealed_identity(about) if file.sealed else ""
        index.rows(
            "INSERT INTO file(name, inode, sealed, mark, marked, indexed, lines) VALUES(?, ?, ?, ?, ?, 0, 0)",
            (os.fsencode(file.name), about.st_ino, sealed, mark, marked),
        )
        ((number,),) = index.rows("SELECT last_insert_rowid()")
        if file.sealed:
            found = [(number, *frame) for frame in self._source.known]
            index.many("INSERT INTO frame VALUES(?, ?, ?, ?, ?)", found)
        return Known(number, file.name, about.st_ino, sealed, mark, marked, 0, 0)
