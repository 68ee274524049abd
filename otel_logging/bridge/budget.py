"""How many bytes may be given back within a minute: an outage must not multiply the bill.

Nothing in here knows what the bytes are.
"""

from __future__ import annotations

import threading
from collections import deque


class Minute:
    """Bytes that were given back within the last minute, counted by the second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sum = 0
        self._seconds: deque[list[int]] = deque()
        self._lock = threading.RLock()

    def take(self, size: int, now: float) -> bool:
        """Charge `size` bytes; False, and nothing is charged, where they are too many."""
        with self._lock:
            seconds = self._seconds
            while seconds and seconds[0][0] <= now - 60:
                self._sum -= seconds.popleft()[1]
            if self._sum + size > self._most:
                return False
            self._sum += size
            if seconds and seconds[-1][0] == int(now):
                seconds[-1][1] += size
            else:
                seconds.append([int(now), size])
            return True
