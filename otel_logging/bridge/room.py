"""The room that the rings of this process have together, and which of them gives up what when it is too small.

The oldest goes, of whichever call, and only as much as must: whoever logs pays for it, and is not to wait for long.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.ring import Ring


class Room:
    """The bytes of memory that all rings of this process take.

    Args:
        most: how many they may take.
        tell: is told how many entries were given up.
    """

    def __init__(self, most: int, tell: Callable[[int], None] | None = None) -> None:
        self.most = most
        self.bytes = 0
        self.evicted = 0  # entries given up for want of room
        self._tell = tell
        self._lock = threading.RLock()
        self._rings: weakref.WeakSet[Ring] = weakref.WeakSet()
        self._rings_lock = threading.RLock()
        self._making = threading.RLock()
        # Ages of chunks and their rings, oldest first. What is rolled later is younger than all of them.
        self._oldest: deque[tuple[float, weakref.ref[Ring]]] = deque()

    @property
    def number(self) -> int:
        """How many rings there are."""
        return len(self._rings)

    def enter(self, ring: Ring) -> None:
        """There is another ring."""
        with self._rings_lock:
            self._rings.add(ring)

    def rings(self) -> list[Ring]:
        """All rings."""
        with self._rings_lock:
            return list(self._rings)

    def rings_after_fork(self) -> list[Ring]:
        """All rings, in a child: a thread that did not come along may have held the lock."""
        return list(self._rings)

    def add(self, size: int, evicted: int = 0) -> bool:
        """Count `size` more bytes (or less), and entries that were given up; whether there are too many bytes now."""
        with self._lock:
            self.bytes += size
            self.evicted += evicted
            much = self.bytes > self.most
        if evicted and self._tell is not None:
            self._tell(evicted)
        return much

    def make(self) -> None:
        """Have the oldest chunks given up until there is room."""
        if not self._making.acquire(blocking=False):
            return  # another thread is at it
        try:
            while self.bytes > self.most and (self._oldest or self._look()):
                age, reference = self._oldest.popleft()
                ring = reference()
                if ring is None:
                    self._weigh(self.rings())
                else:
                    ring.give_up(age)
        finally:
            self._making.release()

    def _look(self) -> bool:
        """Find out which chunks are the oldest ones; whether there are any."""
        rings = self.rings()
        self._weigh(rings)
        ages = sorted([(age, number) for number, ring in enumerate(rings) for age in ring.ages()])
        references = [weakref.ref(ring) for ring in rings]
        self._oldest.extend([(age, references[number]) for age, number in ages])
        return bool(ages)

    def _weigh(self, rings: list[Ring]) -> None:
        """Count anew: rings of calls that nobody holds any more go without a word."""
        self.add(sum([ring.weight() for ring in rings]) - self.bytes)
