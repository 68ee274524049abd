"""The memory of one call: what was dropped or below its level, oldest first, within a budget of records and bytes.

Entries hold scalars and tuples of them only: the garbage collector ignores such, and nothing in them changes after the
fact. Appending is the hot path and takes no lock, as extending a list by a tuple is atomic; every few entries are
rolled into a chunk under the ring's lock, and only then counted. What a chunk is made of is `chunk`'s business; when
anything is remembered or given back is decided in `recorder`.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from otel_logging.bridge import chunk
from otel_logging.bridge.chunk import WIDTH
from otel_logging.bridge.place import NO_IDS, Place

if TYPE_CHECKING:
    from otel_logging.bridge.chunk import Chunk, Entry
    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.place import Site, Why
    from otel_logging.bridge.room import Room

CHUNK: Final = 256  # entries that are rolled together
_SLACK: Final = 16 * WIDTH  # fields for which there is room when it is time to roll


class Ring:
    """What one call remembers. All methods may be called from any thread, and from a signal handler within another."""

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_idle",
        "_lock",
        "_merged",
        "_most_bytes",
        "_most_records",
        "_placed",
        "_rolling",
        "_room",
        "_sites",
        "_taking",
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

    def __init__(
        self, memory: CallMemory, room: Room, most_records: int, most_bytes: int, together: int = CHUNK
    ) -> None:
        self.memory = weakref.ref(memory)
        together = WIDTH * max(1, min(together, CHUNK, most_bytes // 1024, most_records // 8))
        # A list that is emptied gives its memory back, and asks for it anew bit by bit. One that is only half emptied
        # does not: so what is pending stands behind as many fields that are nothing.
        self._idle = together + _SLACK
        self.full = self._idle + together  # as long as this, `pending` is to be rolled
        self.pending: list[Any] = [None] * (self.full + _SLACK)
        del self.pending[self._idle :]
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
        self._room = room
        self._lock = threading.RLock()
        self._rolling = False
        self._taking = False
        self._sites: list[Site] = []  # of what is pending, by their numbers
        self._placed: list[Place] = []  # that know their numbers
        room.enter(self)

    def __len__(self) -> int:
        return self.records + (len(self.pending) - self._idle) // WIDTH

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
        self.evicted += gone
        return self._room.add(more - freed, gone)

    def _take_pending(self, ring: Ring) -> int:
        """Roll what was added to a ring into a chunk of this one; returns the bytes of memory that it takes."""
        with ring._lock:
            ring._taking = True
            try:
                # First, so that nobody appends a number of these sites behind the end.
                ring._unplace()
                sites, ring._sites = ring._sites, []
                pending, idle = ring.pending, ring._idle
                end = len(pending)
                times = tuple(pending[idle:end:WIDTH])
                texts = tuple(pending[idle + 1 : end : WIDTH])
                codes = pending[idle + 2 : end : WIDTH]
                del pending[idle:end]
            finally:
                ring._taking = False
        if not times:
            return 0
        made = chunk.make(times, texts, chunk.coded(codes, sites), tuple(sites), rich=ring.rich)
        self._append(made)
        return made.memory

    def _unplace(self) -> None:
        placed, self._placed = self._placed, []  # a signal handler may place more meanwhile
        for place in placed:
            place.context = None

    def _append(self, made: Chunk) -> None:
        self._chunks.append(made)
        self.content += made.content
        self.records += made.number

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
            self._room.add(self.weight() - before, gone)

    def _too_much(self, oldest: Chunk) -> Chunk:
        """What has to go of the oldest chunk; what need not go is put back."""
        bytes_over = max(self.content - self._most_bytes, 0)
        number = max(self.records - self._most_records, -(-bytes_over * oldest.number // oldest.content))
        if number >= oldest.number:
            return oldest
        gone, left = chunk.cut(oldest, number)
        self._chunks.appendleft(left)
        return gone

    def ages(self) -> list[float]:
        """When the chunks began, in seconds since 1970, oldest first."""
        with self._lock:
            return [one.began for one in self._chunks]

    def give_up(self, age: float) -> None:
        """Forget the oldest chunk, if it began by then: the process needs the room."""
        with self._lock:
            if self._chunks and self._chunks[0].began <= age:
                oldest = self._chunks.popleft()
                self.content -= oldest.content
                self.records -= oldest.number
                self.evicted += oldest.number
                self._room.add(-oldest.memory, oldest.number)

    def weight(self) -> int:
        """The bytes of memory that the counted entries take."""
        with self._lock:
            return sum([one.memory for one in self._chunks])

    def copy(self) -> list[Entry]:
        """All entries in the order of their times."""
        with self._lock:
            self.roll()
            self._trim()
            chunks = list(self._chunks)
        return _entries(chunks)

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
            self.roll()
            self._trim()
            chunks = self._take_chunks()
        return _entries(chunks)

    def _take_chunks(self) -> list[Chunk]:
        """All that is rolled; the ring has nothing of it afterwards."""
        with self._lock:
            chunks = list(self._chunks)
            self._room.add(-sum(one.memory for one in chunks))
            self._chunks.clear()
            self.content = self.records = 0
            return chunks

    def merge(self, other: Ring) -> None:
        """Take over what another handle of the same call has remembered, and what it may still append."""
        with other._lock:
            other.roll()
            chunks = other._take_chunks()
        with self._lock:
            for one in chunks:
                self._append(one)
            self._room.add(sum(one.memory for one in chunks))
            self._merged.append(other)
            # The oldest goes first when there is no room.
            self._chunks = deque(sorted(self._chunks, key=_began))
            self.replays = max(self.replays, other.replays)
            self.asked, other.asked = self.asked or other.asked, None
        self.roll()

    def forget(self) -> None:
        """Drop everything, also references to the application's spans."""
        with self._lock:
            self.roll()
            self._take_chunks()
        self.let_go()
        self._merged.clear()

    def let_go(self) -> None:
        """Hold no reference to the application's spans any more."""
        self.context, self.ids = None, NO_IDS
        self.below.context = None
        with self._lock:
            self._unplace()

    def put(
        self, place: Place, logger: Any, context: Any, why: Why, template: str | None, now: float, text: Any
    ) -> bool:
        """Append a line of which `place` does not know the number of its site; it does afterwards.

        That is a line of another logger, or within another OTel context, than the last one at that place, or the first
        one since a roll. Returns whether it is time to roll.
        """
        with self._lock:
            ids = self.ids if context is self.context else self.look(context)
            site: Site = (logger.name, ids, why, template, ())
            if self._taking:  # a signal handler within that: which sites these will be with is not known
                self.pending += (now, text, site)
                return False
            place.context = None  # while the others are not from one moment
            place.logger, place.pending, place.full, place.code = logger, self.pending, self.full, len(self._sites)
            self._sites.append(site)
            self._placed.append(place)
            self.pending += (now, text, place.code)
            place.context = context
            return len(self.pending) >= self.full


def _entries(chunks: list[Chunk]) -> list[Entry]:
    entries = [entry for one in chunks for entry in chunk.entries(one)]
    entries.sort(key=_time)  # threads and merged handles; as good as sorted otherwise
    return entries


_time: Final = itemgetter(0)
_began: Final = attrgetter("began")
