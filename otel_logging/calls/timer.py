"""One lazily started daemon thread that runs small things later: the end of a wait, a look at idle calls.

The thread exists only while something is scheduled, is started anew in a forked child, and never raises. What runs
on it must be short. Nothing in here knows what a call is.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING

from otel_logging import trouble

if TYPE_CHECKING:
    from collections.abc import Callable

_IDLE_SECONDS = 5.0  # the thread stays this long after its last task, so that a quiet service does not start many


class Scheduled:
    """Something that will run later, unless cancelled before."""

    __slots__ = ("_timer", "run")

    def __init__(self, timer: Timer, run: Callable[[], object]) -> None:
        self._timer = timer
        self.run: Callable[[], object] | None = run

    def cancel(self) -> None:
        """Do not run it. Does nothing if it ran already."""
        if self.run is not None:
            self.run = None
            self._timer.forget_one()


class Timer:
    """A heap of things to run, and the thread that runs them in the order of their times."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._order = itertools.count()  # ties run in the order in which they were scheduled
        self._reset()

    def _reset(self) -> None:
        # Re-entrant, as a signal handler or a finalizer may schedule or cancel within any line of ours.
        self._wake = threading.Condition(threading.RLock())
        self._heap: list[tuple[float, int, Scheduled]] = []
        self._thread: threading.Thread | None = None
        self._cancelled = 0

    def schedule(self, delay: float, run: Callable[[], object]) -> Scheduled | None:
        """Run `run` in `delay` seconds on the timer's thread.

        Returns None, and schedules nothing, when no thread can be started any more (the interpreter is ending).
        """
        entry = Scheduled(self, run)
        with self._wake:
            item = (self._clock() + delay, next(self._order), entry)
            heapq.heappush(self._heap, item)
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="otel-logging-timer", daemon=True)
                self._thread = thread
                try:
                    thread.start()
                except Exception:
                    # No thread, no timer: the caller does at once what it wanted to do later.
                    self._thread = None
                    self._heap = [other for other in self._heap if other is not item]
                    heapq.heapify(self._heap)
                    return None
            elif self._heap[0] is item:
                self._wake.notify()
        return entry

    def forget_one(self) -> None:
        """One entry was cancelled: clear the heap of such entries when they are the greater part of it."""
        with self._wake:
            self._cancelled += 1
            if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
                self._heap = [item for item in self._heap if item[2].run is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def pending(self) -> int:
        """How many entries are waiting to run."""
        with self._wake:
            return sum(item[2].run is not None for item in self._heap)

    def after_fork_in_child(self) -> None:
        """The thread did not come along, and what was scheduled is the parent's to run."""
        self._reset()

    def _serve(self) -> None:
        me = threading.current_thread()
        while (entry := self._next(me)) is not None:
            run, entry.run = entry.run, None
            if run is None:
                continue
            try:
                run()
            except Exception as error:
                trouble.report("timer_failed", f"a timed task failed: {trouble.sentence(error)}")
            del run, entry  # a thread that sleeps must not keep a call alive

    def _next(self, me: threading.Thread) -> Scheduled | None:
        """Wait for the next due entry; None when the thread is to end."""
        with self._wake:
            while self._thread is me:
                while self._heap and self._heap[0][2].run is None:
                    heapq.heappop(self._heap)
                    self._cancelled = max(0, self._cancelled - 1)
                if not self._heap:
                    if not self._wake.wait(_IDLE_SECONDS) and not self._heap:
                        self._thread = None
                    continue
                left = self._heap[0][0] - self._clock()
                if left <= 0:
                    return heapq.heappop(self._heap)[2]
                self._wake.wait(left)
            return None


_timer = Timer()


def schedule(delay: float, run: Callable[[], object]) -> Scheduled | None:
    """Run `run` in `delay` seconds on the process's timer thread; None if that is no longer possible."""
    return _timer.schedule(delay, run)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_timer.after_fork_in_child)
