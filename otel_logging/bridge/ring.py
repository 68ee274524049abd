"""The memory of one call: what was dropped or below its level, oldest first, within a budget of records and bytes.

Entries hold scalars and tuples of them only: the garbage collector ignores such, and nothing in them changes after the
fact. Appending is the hot path and takes no lock, as extending a list by a tuple is atomic; every few entries are
rolled into a chunk under the ring's lock, and only then counted. When anything is remembered or given back is decided
in `recorder`.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from operator import itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import get_current_span

from otel_logging.bridge.place import NO_IDS, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.place import Site, Why


class Entry(NamedTuple):
    """What is remembered of one message, as it is read.

    Attributes:
        time: when it was logged, in nanoseconds since 1970.
        text: the message.
        name: its logger's name.
        ids: trace and span id of that moment.
        why: its level, and why it was dropped.
        extras: pairs of name and value.
    """

    time: int
    text: str
    name: str
    ids: tuple[int, int]
    why: Why
    extras: tuple[tuple[str, Any], ...]


WIDTH: Final = 3
"""Fields of an entry in `Ring.pending`, where they follow one another: its time, its text, its site. Where the site has
a template, the text is the number to be filled in, or a tuple of several."""

CHUNK: Final = 256  # entries that are rolled together
PER_RECORD: Final = 50  # bytes of content counted for a record beside its text and extras: times, ids, level
OVERHEAD: Final = 70  # bytes of memory that an entry takes beside its text: its time, three references, its share
_TEXT: Final = 57  # bytes that a text which stands by itself takes beside its characters
_NUMBER: Final = 40  # bytes that a number takes


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
    """The fields of entries in the order of their making, how many entries, and their content and memory in bytes."""

    fields: tuple[Any, ...]
    number: int
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
        "below",
        "content",
        "context",
        "evicted",
        "full",
        "ids",
        "memory",
        "pending",
        "records",
        "replays",
        "rich",
        "summed_up"
    )  # fmt: skip

    def __init__(self, memory: CallMemory, total: Total, most_records: int, most_bytes: int) -> None:
        self.memory = weakref.ref(memory)
        self.pending: list[Any] = []
        self.full = WIDTH * max(1, min(CHUNK, most_bytes // 1024, most_records // 8))  # fields that are rolled together
        self.below = Place()  # of lines below their level
        self.context: Any = None  # OTel's, of the last entry
        self.ids = NO_IDS  # of that context; read and written with it, with no call in between
        self.content = 0  # bytes of what is rolled
        self.records = 0  # entries that are rolled
        self.evicted = 0
        self.replays = 0  # how often the call was given back
        self.asked: str | None = None  # triggered while the call had no name: to be given back when it has one
        self.rich = False  # whether any entry has extras; set before it is appended
        self.summed_up = -1.0  # when it was last said that a replay was over its budget
        self._chunks: deque[Chunk] = deque()
        self._merged: list[Ring] = []  # rings of handles that turned out to be this call
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._total = total
        self._lock = threading.RLock()
        self._rolling = False

    def __len__(self) -> int:
        return self.records + len(self.pending) // WIDTH

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
        while chunks and (
            self.content - chunks[0].content >= self._most_bytes
            or self.records - chunks[0].number >= self._most_records
        ):
            # Whole chunks only: to cut one costs more than all else. The last of what is too much goes in `_trim`.
            oldest = chunks.popleft()
            self.content -= oldest.content
            self.records -= oldest.number
            freed += oldest.memory
            gone += oldest.number
        if gone:
            self.evicted += gone
            self._total.count_evicted(gone)
        return self._total.add(more - freed)

    def _take_pending(self, ring: Ring) -> int:
        """Roll what was added to a ring into a chunk of this one; returns the bytes of memory that it takes."""
        pending = ring.pending
        if pending:
            # Another thread may append between these two lines: behind what is taken.
            fields = tuple(pending)
            del pending[: len(fields)]
            made = _chunk(fields, rich=ring.rich)
            self._append(made)
            return made.memory
        return 0

    def _append(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self.content += chunk.content
        self.records += chunk.number

    def _trim(self) -> None:
        """Give up what is over the budget to the entry; never more than a part of the oldest chunk."""
        if self._rolling:
            return  # a signal handler within a roll of this thread
        gone = 0
        before = self.weight()
        while self._chunks and (self.content > self._most_bytes or self.records > self._most_records):
            oldest = self._too_much(self._chunks.popleft())
            self.content -= oldest.content
            self.records -= oldest.number
            gone += oldest.number
        if gone:
            self.evicted += gone
            self._total.count_evicted(gone)
            self._total.add(self.weight() - before)

    def _too_much(self, chunk: Chunk) -> Chunk:
        """What has to go of the oldest chunk; what need not go is put back."""
        bytes_over = max(self.content - self._most_bytes, 0)
        number = max(self.records - self._most_records, -(-bytes_over * chunk.number // chunk.content))
        if number >= chunk.number:
            return chunk
        gone = _chunk(chunk.fields[: WIDTH * number], rich=True)
        rest = chunk.fields[WIDTH * number :]
        left = Chunk(rest, chunk.number - number, chunk.content - gone.content, chunk.memory - gone.memory)
        self._chunks.appendleft(left)
        return gone

    def ages(self) -> list[int]:
        """The times of the oldest entries of what `give_up_oldest` gives up when it is called again and again."""
        with self._lock:
            return [chunk.fields[0] for chunk in self._chunks]

    def give_up_oldest(self) -> None:
        """Forget the oldest chunk: the process needs the room."""
        with self._lock:
            if self._chunks:
                chunk = self._chunks.popleft()
                self.content -= chunk.content
                self.records -= chunk.number
                self.evicted += chunk.number
                self._total.count_evicted(chunk.number)
                self._total.add(-chunk.memory)

    def weight(self) -> int:
        """The bytes of memory that the counted entries take."""
        with self._lock:
            return sum([chunk.memory for chunk in self._chunks])

    def copy(self) -> list[Entry]:
        """All entries in the order of their times."""
        with self._lock:
            self.roll()
            self._trim()
            entries = [entry for chunk in self._chunks for entry in _entries(chunk)]
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
                made = _chunk(_fields(entries), rich=True)
                self._append(made)
                self._total.add(made.memory)
            self._merged.append(other)
            # The oldest goes first when there is no room.
            self._chunks = deque(sorted(self._chunks, key=_oldest))
            self.replays = max(self.replays, other.replays)
            self.asked, other.asked = self.asked or other.asked, None
        self.roll()

    def forget(self) -> None:
        """Drop everything, also references to the application's spans."""
        self.take()
        self.let_go()
        self._merged.clear()

    def let_go(self) -> None:
        """Hold no reference to the application's spans any more."""
        self.context, self.ids = None, NO_IDS
        self.below.context = None

    def site(self, place: Place, logger: Any, context: Any, why: Why, template: str | None) -> Site:
        """The site of a line that `place` does not have; it has it afterwards.

        Called for a line of another logger, or within another OTel context, than the last one at that place.
        """
        ids = self.ids if context is self.context else self.look(context)
        place.context = None  # while the other two are not from one moment
        made = place.site = (logger.name, ids, why, template, ())
        place.logger = logger
        place.context = context
        return made


_time: Final = itemgetter(0)
_made: Final[Any] = tuple.__new__  # a named tuple in a third of the time


def _oldest(chunk: Chunk) -> int:
    """The time of its first entry."""
    time: int = chunk.fields[0]
    return time


def _chunk(fields: tuple[Any, ...], *, rich: bool) -> Chunk:
    """Count entries, some of which have extras if they are `rich`.

    All texts at once, which costs half of one by one.
    """
    texts = fields[1::WIDTH]
    count = len(texts)
    try:
        text = "".join(texts)
    except TypeError:  # numbers among them
        content, memory = _weigh(texts)
    else:
        content = len(text)
        memory = _TEXT * count + (content if text.isascii() else _wide(texts, text))
    if rich:
        sites = fields[2::WIDTH]
        if sites.count(sites[0]) == count and not sites[0][4]:
            sites = ()
        for site in sites:
            if site[4]:
                more = _extras_size(site[4])
                content += more
                memory += more + 150 * len(site[4])
    made: Chunk = _made(Chunk, (fields, count, content + PER_RECORD * count, memory + OVERHEAD * count))
    return made


def _wide(texts: tuple[Any, ...], text: str) -> int:
    """Bytes that characters take where not all are ASCII: in each text all take what the widest needs.

    An estimate: texts of ASCII and others as long on average, and the widest of all in each of the others.
    """
    plain = sum(map(str.isascii, texts))
    return (getsizeof(text) * (len(texts) - plain) + len(text) * plain) // len(texts)


def _weigh(texts: tuple[Any, ...]) -> tuple[int, int]:
    """Content and memory of texts some of which are numbers that are to be filled in."""
    kinds = set(map(type, texts))
    text = "".join([one for one in texts if type(one) is str]) if str in kinds else ""
    alone = sum(type(one) is str for one in texts) if text else 0
    numbers = len(texts) - alone
    if tuple in kinds:
        numbers += sum(len(one) - 1 for one in texts if type(one) is tuple)
    memory = (len(text) if text.isascii() else getsizeof(text)) + _TEXT * alone
    return len(text) + 8 * numbers, memory + _NUMBER * numbers


def _entries(chunk: Chunk) -> list[Entry]:
    """The entries of a chunk, with numbers in their texts."""
    fields = chunk.fields
    return [
        Entry(time, text if template is None else template % text, name, ids, why, extras)
        for time, text, (name, ids, why, template, extras) in zip(
            fields[0::WIDTH], fields[1::WIDTH], fields[2::WIDTH], strict=True
        )
    ]


def _fields(entries: list[Entry]) -> tuple[Any, ...]:
    """Entries as they stand in `Ring.pending`."""
    return tuple(
        field
        for time, text, name, ids, why, extras in entries
        for field in (time, text, (name, ids, why, None, extras))
    )


def _extras_size(extras: tuple[Any, ...]) -> int:
    return sum(len(key) + (len(value) if isinstance(value, str) else 8) for key, value in extras)
