"""The memory of one call: what was dropped or below its level, oldest first, within a budget of records and bytes.

Entries hold scalars and tuples of them only: the garbage collector ignores such, and nothing in them changes after the
fact. Adding one is the hot path: its fields go flat behind those of the last one, which takes no lock, as extending a
list is atomic, and makes no object that the collector would have to look at. Every few entries are rolled into a chunk
under the ring's lock, and only then counted. Until then an entry holds OTel's context in place of its ids, as asking a
span for them takes longer than all the rest. When anything is remembered or given back is decided in `recorder`.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import get_current_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_logging.bridge.memory import CallMemory

Entry = tuple[int, int, str, str, "tuple[int, int]", "str | None", "tuple[tuple[str, Any], ...]"]
"""Time in ns, level, logger's name, text, trace and span id, why it was dropped (None: below its level), extras.

While it is kept, the whole numbers of a `%` template may stand in place of the extras: they are filled in when it is
read.
"""

CHUNK: Final = 64  # entries that are rolled together
FIELDS: Final = 7  # of an entry
PER_RECORD: Final = 50  # bytes of content counted for a record beside its text and extras: times, ids, level
OVERHEAD: Final = 180  # bytes of memory that an entry takes beside its text: its fields, numbers, string header
NO_IDS: Final = (0, 0)
_NUMBER: Final = 8  # bytes of content that a number of a template counts for
_TEXT: Final = 3
_IDS: Final = 4
_EXTRAS: Final = 6


class Total:
    """The bytes of memory that all rings of this process take."""

    def __init__(self, most: int, tell: Callable[[int], None] | None = None) -> None:
        self.most = most
        self.bytes = 0
        self._tell = tell
        self.evicted = 0  # entries given up for want of room
        self._lock = threading.RLock()

    def add(self, size: int) -> bool:
        """Count `size` more bytes (or less); whether there are too many now."""
        with self._lock:
            self.bytes += size
            return self.bytes > self.most

    def count_evicted(self, entries: int) -> None:
        """Entries were given up."""
        with self._lock:
            self.evicted += entries
        if self._tell is not None:
            self._tell(entries)


class Chunk(NamedTuple):
    """Entries in the order of their making, flat, with what they count for and the memory they take, in bytes."""

    flat: tuple[Any, ...]
    records: int
    content: int
    memory: int


class Ring:
    """What one call remembers. All methods may be called from any thread, and from a signal handler within another.

    Attributes:
        pending: fields of entries that are not rolled yet, each entry added by one `+=`.
        room: fields in `pending` from which on it is to be rolled.
    """

    __slots__ = (
        "__weakref__", "_chunks", "_lock", "_merged", "_most_bytes", "_most_records", "_rolling", "_total", "asked",
        "content", "evicted", "memory", "pending", "records", "replays", "room", "summed_up"
    )  # fmt: skip

    def __init__(self, memory: CallMemory, total: Total, most_records: int, most_bytes: int) -> None:
        self.memory = weakref.ref(memory)
        self.pending: list[Any] = []
        self.room = FIELDS * max(1, min(CHUNK, most_bytes // 4096, most_records // 8))
        self.content = 0  # bytes of what is rolled
        self.records = 0  # entries that are rolled
        self.evicted = 0
        self.replays = 0  # how often the call was given back
        self.asked: str | None = None  # triggered while the call had no name: to be given back when it has one
        self.summed_up = -1.0  # when it was last said that a replay was over its budget
        self._chunks: deque[Chunk] = deque()
        self._merged: list[Ring] = []  # rings of handles that turned out to be this call
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._total = total
        self._lock = threading.RLock()
        self._rolling = False

    def __len__(self) -> int:
        return self.records + len(self.pending) // FIELDS

    def roll(self) -> bool:
        """Count what was appended, and give up what is too much; whether the process remembers too much now."""
        with self._lock:
            if self._rolling:
                return False  # a signal handler within another roll of this thread
            self._rolling = True
            try:
                return self._roll()
            finally:
                self._rolling = False

    def _roll(self) -> bool:
        more = self._take_pending(self)
        for other in self._merged:
            more += self._take_pending(other)
        freed = gone = 0
        chunks = self._chunks
        while chunks and (self.content > self._most_bytes or self.records > self._most_records):
            oldest = chunks.popleft()
            self.content -= oldest.content
            self.records -= oldest.records
            freed += oldest.memory
            if not chunks and (last := self._fitting(oldest)) is not None:
                self._append(last)
                gone += oldest.records - last.records
                freed -= last.memory
                break
            gone += oldest.records
        if gone:
            self.evicted += gone
            self._total.count_evicted(gone)
        return self._total.add(more - freed)

    def _take_pending(self, ring: Ring) -> int:
        """Roll what was added to a ring into a chunk of this one; returns the bytes of memory that it takes."""
        pending = ring.pending
        number = len(pending)
        if number:
            # Another thread may append between these two lines: behind what is taken.
            flat = pending[:number]
            del pending[:number]
            flat[_IDS::FIELDS] = _all_ids(flat[_IDS::FIELDS])
            made = _chunk(flat)
            self._append(made)
            return made.memory
        return 0

    def _append(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self.content += chunk.content
        self.records += chunk.records

    def _fitting(self, chunk: Chunk) -> Chunk | None:
        """The newest entries of a chunk that is too large by itself; None if not even the last one fits."""
        number = 0
        room = self._most_bytes
        for entry in reversed(list(entries_of(chunk.flat))):
            room -= len(entry[_TEXT]) + PER_RECORD + _extras_size(entry[_EXTRAS])
            if room < 0 or number >= self._most_records:
                break
            number += 1
        return _chunk(chunk.flat[-number * FIELDS :]) if number else None

    def oldest(self) -> int | None:
        """The time of the oldest counted entry."""
        with self._lock:
            return self._chunks[0].flat[0] if self._chunks else None

    def give_up_oldest(self) -> None:
        """Forget the oldest chunk: the process needs the room."""
        with self._lock:
            if self._chunks:
                chunk = self._chunks.popleft()
                self.content -= chunk.content
                self.records -= chunk.records
                self.evicted += chunk.records
                self._total.count_evicted(chunk.records)
                self._total.add(-chunk.memory)

    def weight(self) -> int:
        """The bytes of memory that the counted entries take."""
        with self._lock:
            return sum(chunk.memory for chunk in self._chunks)

    def copy(self) -> list[Entry]:
        """All entries in the order of their times."""
        with self._lock:
            self.roll()
            entries = [entry for chunk in self._chunks for entry in entries_of(chunk.flat)]
        entries.sort(key=lambda entry: entry[0])  # threads and merged handles; as good as sorted otherwise
        return entries

    def take(self) -> list[Entry]:
        """All entries in the order of their times; the ring is empty afterwards."""
        with self._lock:
            entries = self.copy()
            self._total.add(-sum(chunk.memory for chunk in self._chunks))
            self._chunks.clear()
            self.content = self.records = 0
            return entries

    def merge(self, other: Ring) -> None:
        """Take over what another handle of the same call has remembered, and what it may still append."""
        entries = other.take()
        with self._lock:
            if entries:
                made = _chunk([field for entry in entries for field in entry])
                self._append(made)
                self._total.add(made.memory)
            self._merged.append(other)
            # The oldest goes first when there is no room.
            self._chunks = deque(sorted(self._chunks, key=lambda chunk: chunk.flat[0]))
            self.replays = max(self.replays, other.replays)
            self.asked, other.asked = self.asked or other.asked, None
        self.roll()

    def forget(self) -> None:
        """Drop everything."""
        self.take()
        self._merged.clear()


def entries_of(flat: Sequence[Any]) -> Iterator[Entry]:
    """The entries whose fields stand in `flat`."""
    for time, level, name, text, ids, reason, extras in zip(*([iter(flat)] * FIELDS), strict=True):
        if extras and type(extras[0]) is int:
            yield time, level, name, text % extras, ids, reason, ()
        else:
            yield time, level, name, text, ids, reason, extras


def _all_ids(contexts: list[Any]) -> list[tuple[int, int]]:
    """For each entry its ids. Nearly always all were made within the same span, or within none."""
    try:
        if contexts == [contexts[0]] * len(contexts):  # compares identities; others only where these differ
            return [_ids(contexts[0])] * len(contexts)
    except Exception:
        pass  # something foreign in a context cannot be compared
    known: dict[int, tuple[int, int]] = {}
    found = []
    for context in contexts:
        ids = known.get(id(context))
        if ids is None:
            ids = known[id(context)] = _ids(context)
        found.append(ids)
    return found


def _ids(context: Any) -> tuple[int, int]:
    """Trace and span id of the span that is active in an OTel context."""
    try:
        span = get_current_span(context).get_span_context()
        return (span.trace_id, span.span_id) if span.is_valid else NO_IDS
    except Exception:
        return NO_IDS  # a span that is not OTel's own


def _extras_size(extras: tuple[tuple[str, Any], ...]) -> int:
    return sum(len(key) + (len(value) if isinstance(value, str) else 8) for key, value in extras)


def _chunk(flat: Sequence[Any]) -> Chunk:
    """Count entries. All texts at once, which costs half of one by one; one emoji makes four bytes of all of them."""
    texts = flat[_TEXT::FIELDS]
    number = len(texts)
    text = "".join(texts)
    content = len(text)
    memory = content if text.isascii() else getsizeof(text)
    extras = flat[_EXTRAS::FIELDS]
    if extras.count(()) < number:
        for some in filter(None, extras):
            if type(some[0]) is int:
                content += _NUMBER * len(some)
                memory += (_NUMBER + 32) * len(some)
            else:
                more = _extras_size(some)
                content += more
                memory += more + 150 * len(some)
    return Chunk(tuple(flat), number, content + PER_RECORD * number, memory + OVERHEAD * number)
