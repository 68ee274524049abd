"""The index of a local store, `<store>/index.db`: where in which file a call or trace occurs.

SQLite in write-ahead mode. It only saves reading: whoever has it gets the answer that reading everything would give,
and it can be deleted at any time. Files are indexed in parts of about 64 KiB of whole lines; for each part stands which
calls and traces occur in it, its earliest and latest time and its worst level. This module opens and asks; `indexing`
fills it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from functools import lru_cache
from itertools import chain, starmap

from otel_logging.ids import trace_id_for
from otel_logging.plain import Row, field, plain
from otel_logging.private_files import open_folder
from otel_logging.search.files import Source, is_own
from otel_logging.search.frames import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO, Final

    from otel_logging.search.files import StoreFile

NAME: Final = "index.db"
SCHEMA: Final = 1
"""Goes up whenever tables, or what is read out of lines, change: an index of another number is made anew."""

PART: Final = 64 * 1024
"""Bytes of whole lines that are one part."""

QUIET_SECONDS: Final = 10.0
"""A file that has not been written to for so long gets its last lines indexed, few as they are."""

BIGGEST: Final = 2**63 - 1  # SQLite's integers
_HALF: Final = 2**63
_WAIT_SECONDS: Final = 0.2
_HEX: Final = frozenset("0123456789abcdef")

_TABLES: Final = f"""
CREATE TABLE file(
    id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, inode INTEGER NOT NULL, sealed TEXT NOT NULL,
    mark BLOB NOT NULL, marked INTEGER NOT NULL, indexed INTEGER NOT NULL, lines INTEGER NOT NULL);
CREATE TABLE part(
    id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, worst INTEGER NOT NULL, broken INTEGER NOT NULL,
    odd INTEGER NOT NULL);
CREATE INDEX part_file ON part(file, start);
CREATE INDEX part_odd ON part(file) WHERE odd;
CREATE TABLE loc(key INTEGER NOT NULL, part INTEGER NOT NULL, PRIMARY KEY(key, part)) WITHOUT ROWID;
CREATE TABLE name(lower BLOB NOT NULL, key INTEGER NOT NULL, PRIMARY KEY(lower, key)) WITHOUT ROWID;
CREATE TABLE frame(
    file INTEGER NOT NULL, start INTEGER NOT NULL, finish INTEGER NOT NULL, place INTEGER NOT NULL,
    size INTEGER NOT NULL, PRIMARY KEY(file, start)) WITHOUT ROWID;
CREATE TABLE digest(
    file INTEGER NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(file, start)) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
"""


class Unusable(Exception):  # noqa: N818 (the answer does not depend on it)
    """The index cannot be used now: locked by another program, a full disk, a file system that is read-only."""


class Damaged(Unusable):
    """The index is not SQLite's, of another schema, or damaged. Whoever holds the lock makes a new one."""


_NOT_ITS_FAULT: Final = ("locked", "busy", "full", "readonly", "interrupted", "unable to open")


def _verdict(error: Exception) -> Unusable:
    text = str(error)
    return (Unusable if any(word in text for word in _NOT_ITS_FAULT) else Damaged)(text)


@lru_cache(2**17)
def key_of_trace(trace_id: str) -> int:
    """The key of a trace id of 32 hex digits: its first 8 bytes."""
    return int(trace_id[:16], 16) - _HALF


@lru_cache(2**17)
def key_of_call(call_sid: str) -> int:
    """The key of a call: that of its own trace, so that both are found together."""
    return (trace_id_for(call_sid.encode("utf-8", "replace").decode()) >> 64) - _HALF


@plain(frozen=True)
class Ids:
    """Call ids and trace ids to look for, each of which may also be the beginning of one if `prefix` is true."""

    texts: tuple[str, ...]
    prefix: bool = False
    _keys: frozenset[int] = field(init=False)
    _known: dict[str, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # What may be a trace id is looked for as one, a CallSid in lower case as the one that it spells: no hashes are
        # needed then, and a call that really has such a name is found by its name.
        keys = {
            key_of_trace(text) if len(text) == 32 and set(text.lower()) <= _HEX
            else key_of_call("CA" + text[2:] if text.startswith("ca") else text)
            for text in self.texts
        }  # fmt: skip
        object.__setattr__(self, "_keys", frozenset(keys))

    def fits(self, call_sid: str | None, trace_id: str | None) -> bool:
        """Whether a record or span with these ids may be meant. Says yes too often rather than too rarely."""
        for kind, text in (("c", call_sid), ("t", trace_id)):
            if text:
                known = self._known.get(kind + text)
                if known is None:
                    known = self._known[kind + text] = self._fits(kind, text)
                if known:
                    return True
        return False

    def _fits(self, kind: str, text: str) -> bool:
        lowered = text.lower()
        if any(
            lowered.startswith((wanted.lower(), "ca" + wanted.lower())) if self.prefix else lowered == wanted.lower()
            for wanted in self.texts
        ):
            return True
        return (key_of_call(text) if kind == "c" else key_of_trace(text)) in self._keys

    def keys(self) -> frozenset[int]:
        """The keys of the texts, taken as whole ids."""
        return self._keys

    def beginnings(self) -> list[bytes]:
        """What the lower-case names of calls begin with, if these are the beginnings of calls' ids."""
        lowered = [text.lower() for text in self.texts]
        calls = [*lowered, *("ca" + text for text in lowered if set(text) <= _HEX)] if self.prefix else lowered
        return [text.encode("utf-8", "surrogatepass") for text in calls]

    def ranges(self) -> list[tuple[int, int]]:
        """First and last key of the traces that begin with the texts."""
        lowered = [text.lower()[:16] for text in self.texts] if self.prefix else []
        return [
            (int(text.ljust(16, "0"), 16) - _HALF, int(text.ljust(16, "f"), 16) - _HALF)
            for text in lowered
            if text and set(text) <= _HEX
        ]


class Part(Row):
    """Whole lines of a file from `start` up to `end`. `odd`: not each of them is known to be a JSON object."""

    start: int
    end: int
    odd: bool


class Known(Row):
    """What the index knows of one file. `indexed` is how far, in bytes as written; `lines` how many lines that are."""

    id: int
    name: str
    inode: int
    sealed: str  # size, time and inode of the sealed form whose frames are known
    mark: bytes  # a hash of the first `marked` bytes
    marked: int
    indexed: int
    lines: int


class Index:
    """An open index. Every method raises Unusable where SQLite does not like what it finds.

    Raises:
        Unusable: it is not to be used.
        FileNotFoundError: there is none.
        OSError: it cannot be opened, or is not private.
    """

    def __init__(self, store: str | os.PathLike[str], *, write: bool = False) -> None:
        with open_folder(store, make=False, for_owner=True) as folder:
            flags = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
            os.close(folder.open(NAME, flags))
        path = os.path.abspath(os.path.join(store, NAME))
        self._files: dict[str, Known] | None = None
        try:
            self.db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            if not write:
                self.db.execute("PRAGMA query_only = 1")
            if write and self.db.execute("PRAGMA user_version").fetchone() == (0,):
                self.db.execute("PRAGMA journal_mode = WAL")
                self.db.executescript(f"BEGIN;{_TABLES}COMMIT;")
            self.db.execute("PRAGMA cell_size_check = 1")
            self.db.execute("PRAGMA synchronous = NORMAL")
            version = self.db.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise _verdict(error) from None
        if version != (SCHEMA,):
            self.close()
            raise Damaged("it is of another version")
        if not _whole(path):
            self.close()
            raise Damaged("it has been cut")

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "db"):
            with contextlib.suppress(sqlite3.Error):
                self.db.close()

    def snapshot(self) -> None:
        """From now on, see the index as it is now, whatever others do to it."""
        self.rows("BEGIN")
        self.rows("SELECT count(*) FROM file")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[int, ...]]:
        """All rows of a question."""
        try:
            return self.db.execute(sql, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise _verdict(error) from None

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Do the same for each of `values`."""
        try:
            self.db.executemany(sql, values)
        except sqlite3.Error as error:
            raise _verdict(error) from None

    def files(self) -> dict[str, Known]:
        """What is known of each file, by its name."""
        if self._files is None:
            found = self.rows("SELECT id, name, inode, sealed, mark, marked, indexed, lines FROM file")
            self._files = {}
            for row in found:
                _check(row, (int, bytes, int, str, bytes, int, int, int))
                known = Known(row[0], os.fsdecode(row[1]), *row[2:])  # type: ignore[arg-type]
                self._files[known.name] = known
        return self._files

    def forget_files(self) -> None:
        """Ask again who is known: something was changed."""
        self._files = None

    def frames(self, file: int) -> list[Frame]:
        """The frames of a sealed file, in order."""
        rows = self.rows("SELECT start, finish, place, size FROM frame WHERE file = ? ORDER BY start", (file,))
        if not {*map(type, chain.from_iterable(rows))} <= {int}:  # there are hundreds of them, each of one shape
            raise Damaged("a row is not as it was written")
        return list(starmap(Frame, rows))

    def places(self, ids: Ids) -> dict[int, list[Part]]:
        """For each file the parts that may hold what is looked for, in order."""
        keys = set(ids.keys())
        for begin in ids.beginnings():
            end = begin + b"\xff" if ids.prefix else begin
            keys.update(row[0] for row in self.rows("SELECT key FROM name WHERE lower BETWEEN ? AND ?", (begin, end)))
        found: set[tuple[int, ...]] = set()
        columns = (
            "SELECT part.file, part.start, part.size, part.odd FROM loc JOIN part ON part.id = loc.part WHERE loc.key"
        )
        for key in keys:
            found.update(self.rows(f"{columns} = ?", (key,)))
        for first, last in ids.ranges():
            found.update(self.rows(f"{columns} BETWEEN ? AND ?", (first, last)))
        # Lines that could not be parsed may hold anything.
        found.update(self.rows("SELECT file, start, size, odd FROM part WHERE odd"))
        return _by_file(found)

    def parts(self, file: int, since: int | None, until: int | None, worst: int) -> list[Part]:
        """The parts of a file that may hold a record of that time and at least that level, in order."""
        earliest = min(max(since or 0, 0), BIGGEST)
        before = BIGGEST if until is None else min(max(until, 0), BIGGEST)
        rows = self.rows(
            "SELECT start, size, odd FROM part WHERE file = ? AND (odd OR last >= ? AND first <= ? AND worst >= ?) "
            "ORDER BY start",
            (file, earliest, before, worst),
        )
        for row in rows:
            _check(row, (int, int, int))
        return [Part(start, start + size, odd != 0) for start, size, odd in rows]

    def broken(self, file: int) -> int:
        """How many of a file's indexed lines could not be parsed."""
        rows = self.rows("SELECT coalesce(sum(broken), 0) FROM part WHERE file = ? AND broken", (file,))
        _check(rows[0], (int,))
        return rows[0][0]

    def digests(self, file: int) -> list[bytes]:
        """What `digest` noted of a file's lines, in order."""
        rows = self.rows("SELECT data FROM digest WHERE file = ? ORDER BY start", (file,))
        for row in rows:
            _check(row, (bytes,))
        return [row[0] for row in rows]  # type: ignore[misc]


def _whole(path: str) -> bool:
    """Whether a database has all the pages that it says it has: SQLite reads the missing part of one as zeros.

    Page size and count: https://www.sqlite.org/fileformat2.html, 1.3. While somebody writes, this may be wrong for a
    moment, which costs the index and no answer.
    """
    with open(path, "rb") as file:
        head = file.read(100)
        size = os.fstat(file.fileno()).st_size
    if len(head) < 100:
        return not head
    page = int.from_bytes(head[16:18], "big")
    page = 65_536 if page == 1 else page
    return page > 0 and size % page == 0 and size >= page * int.from_bytes(head[28:32], "big")


def _by_file(found: Iterable[tuple[int, ...]]) -> dict[int, list[Part]]:
    places: dict[int, list[Part]] = {}
    for row in found:
        _check(row, (int, int, int, int))
    for file, start, size, odd in sorted(found):
        places.setdefault(file, []).append(Part(start, start + size, odd != 0))
    return places


def _check(row: tuple[object, ...], types: tuple[type, ...]) -> None:
    """SQLite's columns hold any type: what a damaged page gives must not end up as an error far from here."""
    if any(not isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
        raise Damaged("a row is not as it was written")


def sealed_identity(about: os.stat_result) -> str:
    """What tells one sealed file from another of the same name."""
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


def matches(known: Known, file: StoreFile, stream: BinaryIO) -> bool:
    """Whether what is known of a file is of this very file, still."""
    about = os.fstat(stream.fileno())
    if file.sealed:
        return known.sealed == sealed_identity(about)
    if known.inode != about.st_ino or about.st_size < known.indexed:
        return False
    return is_own(os.path.basename(file.path)) or same_beginning(known, Source(stream, ""))


def same_beginning(known: Known, source: Source) -> bool:
    """Whether the file begins as it did when it was first indexed."""
    return mark_of(source.read(0, known.marked)) == known.mark


def mark_of(data: bytes) -> bytes:
    """A hash of a file's beginning."""
    import hashlib  # only for files of other writers

    return hashlib.blake2b(data, digest_size=16).digest()


def behind(index: Index, file: StoreFile) -> bool:
    """Whether a file has lines to be indexed, or may have."""
    try:
        about = os.stat(file.path, follow_symlinks=False)
    except OSError:
        return False
    known = index.files().get(file.name)
    if file.sealed:
        return known is None or known.sealed != sealed_identity(about)
    size = about.st_size - (known.indexed if known is not None and known.inode == about.st_ino else 0)
    return size >= PART or (size > 0 and time.time() - about.st_mtime > QUIET_SECONDS)
