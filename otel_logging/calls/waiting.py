"""The room in which records made before their call has a name wait for it, 2 seconds or 64 KiB at most.

Every held record is delivered exactly once and in order: when the call is named, when the wait is over, or when the
call ends. Delivery runs outside the lock. What a record is, and what delivering means, is the bridge's business.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from otel_logging import trouble
from otel_logging.bridge.ledger import ledger
from otel_logging.calls import state, timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.scope import CallScope

WAIT_SECONDS = 2.0  # from the first held record of a call
WAIT_BYTES = 64 * 1024  # per call, in total
_HANDOVER_SECONDS = 1.0  # how long a flush waits for another thread that is delivering already

# Rooms that may hold records. Strong references: a call that nobody holds any more must not take its records along.
_occupied: dict[int, WaitingRoom] = {}


class WaitingRoom:
    """The waiting records of one call. `open` is True while further records are to wait."""

    __slots__ = ("_bytes", "_drainer", "_entry", "_held", "_owner", "open")

    def __init__(self, owner: CallScope, *, is_open: bool) -> None:
        self.open = is_open
        self._owner = owner
        self._held: deque[Callable[[CallScope], None]] = deque()
        self._bytes = 0
        self._drainer: int | None = None  # the thread that is delivering at the moment
        self._entry: timer.Scheduled | None = None

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, deliver: Callable[[CallScope], None], size: int) -> bool:
        """Keep one record; False, keeping nothing, when the wait is over or its bytes are spent."""
        if not self.open:
            return False
        with state.lock:
            # What delivering itself logs must not wait for the delivery that made it.
            if not self.open or self._drainer == threading.get_ident():
                return False
            fits = self._bytes + size <= WAIT_BYTES
            if fits:
                self._held.append(deliver)
                self._bytes += size
                _occupied[id(self)] = self
            elif self._drainer is not None:
                return False
            arm = fits and self._entry is None and self._drainer is None
        if not fits:
            self.release()  # those held go first, then the caller's own
            return False
        if arm:
            self._arm(WAIT_SECONDS)
        return True

    def _arm(self, delay: float) -> None:
        entry = timer.schedule(delay, self.release)
        if entry is None:
            self.release()
            return
        with state.lock:
            if self.open and self._entry is None and self._drainer is None:
                self._entry = entry
                return
        entry.cancel()

    def release(self) -> None:
        """Deliver what is held, in order, and let no further record wait.

        Records made by other threads meanwhile still join the queue, so that none of them overtakes a held one.
        """
        with state.lock:
            if not self.open or self._drainer is not None:
                return
            self._drainer = threading.get_ident()
            entry, self._entry = self._entry, None
        done = False
        try:
            if entry is not None:
                entry.cancel()
            while True:
                with state.lock:
                    if not self._held:
                        self.open = False
                        done = True
                        return
                    deliver = self._held.popleft()
                try:
                    deliver(self._owner)
                except Exception as error:
                    ledger.dropped("held_delivery_failed")
                    trouble.report(
                        "held_delivery_failed", f"a record that waited for its call was lost: {type(error).__name__}"
                    )
        finally:
            with state.lock:
                self._drainer = None
                if done:
                    _occupied.pop(id(self), None)
            if not done:  # Ctrl-C in mid-delivery: the timer delivers the rest
                self._arm(0)

    def forget(self) -> None:
        """In a forked child: the records held are the parent's to deliver."""
        self._held.clear()
        self._bytes = 0
        self._drainer = None
        self._entry = None

    @property
    def delivering_elsewhere(self) -> bool:
        """True while another thread is delivering."""
        return self._drainer not in (None, threading.get_ident())


def release_all() -> None:
    """Deliver every held record of every call now. Waits, at most a second, for deliveries under way elsewhere."""
    rooms = _rooms()
    for room in rooms:
        room.release()
    deadline = time.monotonic() + _HANDOVER_SECONDS
    while any(room.delivering_elsewhere for room in rooms) and time.monotonic() < deadline:
        time.sleep(0.002)


def held() -> int:
    """How many records wait at the moment."""
    return sum(len(room) for room in _rooms())


def _rooms() -> list[WaitingRoom]:
    with state.lock:
        return list(_occupied.values())


def _after_fork_in_child() -> None:
    for room in list(_occupied.values()):
        room.forget()
    _occupied.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
