"""The memory of one call: what was dropped or below its level, oldest first, within a budget of records and bytes.

Entries hold scalars and tuples of them only: the garbage collector ignores such, and nothing in them changes after the
fact. Appending is the hot path and takes no lock, as `list.append` is atomic; every few entries are rolled into a chunk
under the ring's lock, and only then counted. When anything is remembered or given back is decided in `recorder`.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from operator import itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import get_current_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.memory import CallMemory

Entry = tuple[int, int, str, str, "tuple[int, int]", "str | None", "tuple[Any, ...]"]
"""Time in ns, level, logger's name, text, trace and span id, why it was dropped (None: below its level), extras.

Extras are pairs of name and value. While an entry is kept, the whole numbers of a `%` template may stand in their
place: they are filled in when it is read.
"""

CHUNK: Final = 128  # entries that are rolled together
PER_RECORD: Final = 50  # bytes of content counted for a record beside its text and extras: times, ids, level
OVERHEAD: Final = 260  # bytes of memory that an entry takes beside its text: the tuple, its numbers, string headers
NO_IDS: Final = (0, 0)


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
    """Entries in the order of their making, with what they count for and the memory they take, in bytes."""

    entries: tuple[Entry, ...]
    content: int
    memory: int


class Ring:
    """What one call remembers. All methods may be called from any thread, and from a signal handler within another."""

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_lock",
        "_merged",
        "_most_bytes",
        "_most_records",
        "_rolling",
        "_total",
        "asked",
        "chunk",
        "content",
        "context",
        "evicted",
        "extras",
        "ids",
        "memory",
        "pending",
        "records",
        "replays",
        "summed_up"
    )  # fmt: skip

    def __init__(self, memory: CallMemory, total: Total, most_records: int, most_bytes: int) -> None:
        self.memory = weakref.ref(memory)
        self.pending: list[Entry] = []
        self.chunk = max(1, min(CHUNK, most_bytes // 4096, most_records // 8))
        self.context: Any = None  # OTel's, of the last entry
        self.ids = NO_IDS  # of that context; read and written with it, with no call in between
        self.extras = False  # whether any entry has some, or numbers
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
        return self.records + len(self.pending)

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
            self.records -= len(oldest.entries)
            freed += oldest.memory
            if not chunks and (last := self._fitting(oldest)) is not None:
                self._append(last)
                gone += len(oldest.entries) - len(last.entries)
                freed -= last.memory
                break
            gone += len(oldest.entries)
        if gone:
            self.evicted += gone
            self._total.count_evicted(gone)
        return self._total.add(more - freed)

    def _take_pending(self, ring: Ring) -> int:
        """Roll what was added to a ring into a chunk of this one; returns the bytes of memory that it takes."""
        pending = ring.pending
        if pending:
            # Another thread may append between these two lines: behind what is taken.
            entries = tuple(pending)
            del pending[: len(entries)]
            made = _chunk(entries, extras=ring.extras)
            self._append(made)
            return made.memory
        return 0

    def _append(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self.content += chunk.content
        self.records += len(chunk.entries)

    def _fitting(self, chunk: Chunk) -> Chunk | None:
        """The newest entries of a chunk that is too large by itself; None if not even the last one fits."""
        kept: list[Entry] = []
        room = self._most_bytes
        for entry in reversed(chunk.entries):
            room -= _content(entry)
            if room < 0 or len(kept) >= self._most_records:
                break
            kept.append(entry)
        return _chunk(tuple(reversed(kept))) if kept else None

    def oldest(self) -> int | None:
        """The time of the oldest counted entry."""
        with self._lock:
            return self._chunks[0].entries[0][0] if self._chunks else None

    def give_up_oldest(self) -> None:
        """Forget the oldest chunk: the process needs the room."""
        with self._lock:
            if self._chunks:
                chunk = self._chunks.popleft()
                self.content -= chunk.content
                self.records -= len(chunk.entries)
                self.evicted += len(chunk.entries)
                self._total.count_evicted(len(chunk.entries))
                self._total.add(-chunk.memory)

    def weight(self) -> int:
        """The bytes of memory that the counted entries take."""
        with self._lock:
            return sum(chunk.memory for chunk in self._chunks)

    def copy(self) -> list[Entry]:
        """All entries in the order of their times."""
        with self._lock:
            self.roll()
            entries = [_filled(entry) for chunk in self._chunks for entry in chunk.entries]
        entries.sort(key=_time)  # threads and merged handles; as good as sorted otherwise
        return entries

    def look(self, context: Any) -> tuple[int, int]:
        """The ids of an OTel context that the ring has not just seen. It is let go of when the call ends."""
        try:
            span = get_current_span(context).get_span_context()
            ids = (span.trace_id, span.span_id) if span.is_valid else NO_IDS
        except Exception:
            ids = NO_IDS  # a span that is not OTel's own
        self.context, self.ids = context, ids
        return ids

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
                made = _chunk(tuple(entries))
                self._append(made)
                self._total.add(made.memory)
            self._merged.append(other)
            # The oldest goes first when there is no room.
            self._chunks = deque(sorted(self._chunks, key=lambda chunk: chunk.entries[0][0]))
            self.replays = max(self.replays, other.replays)
            self.asked, other.asked = self.asked or other.asked, None
        self.roll()

    def forget(self) -> None:
        """Drop everything, also references to the application's spans."""
        self.take()
        self.context, self.ids = None, NO_IDS
        self._merged.clear()


_time: Final = itemgetter(0)
_extras: Final = itemgetter(6)


def _filled(entry: Entry) -> Entry:
    """An entry with its numbers in its text."""
    numbers = entry[6]
    if numbers and type(numbers[0]) is int:
        return (*entry[:3], entry[3] % numbers, *entry[4:6], ())
    return entry


def _extras_size(extras: tuple[Any, ...]) -> int:
    if type(extras[0]) is int:
        return 8 * len(extras)
    return sum(len(key) + (len(value) if isinstance(value, str) else 8) for key, value in extras)


def _content(entry: Entry) -> int:
    return len(entry[3]) + PER_RECORD + (_extras_size(entry[6]) if entry[6] else 0)


def _chunk(entries: tuple[Entry, ...], *, extras: bool = True) -> Chunk:
    """Count entries. All texts at once, which costs half of one by one; one emoji makes four bytes of all of them."""
    text = "".join([entry[3] for entry in entries])
    content = len(text)
    memory = content if text.isascii() else getsizeof(text)
    if extras:
        numbers = 0
        for some in filter(None, map(_extras, entries)):
            if type(some[0]) is int:
                numbers += len(some)
            else:
                more = _extras_size(some)
                content += more
                memory += more + 150 * len(some)
        content += 8 * numbers
        memory += 72 * numbers
    return Chunk(entries, content + PER_RECORD * len(entries), memory + OVERHEAD * len(entries))
