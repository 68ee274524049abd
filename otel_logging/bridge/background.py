"""One lazily started daemon thread for what must not happen where the application logs: replays, the attic.

Jobs run one after the other; `later` runs one after a while, or at the next flush. Bounded in time where somebody
waits, started anew in a forked child. What the jobs do is their owners' business.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from otel_logging import trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    Job = Callable[[], object]

_IDLE_SECONDS: Final = 10.0  # the thread ends after this long without work


class Background:
    """A queue of jobs and the thread that runs them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()  # its put() is safe in signal handlers
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._start_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self.hurry = False
        """Somebody waits: jobs that pause for the sake of others need not."""

    def submit(self, job: Job) -> None:
        """Run `job` soon."""
        self._jobs.put(job)
        self._start()

    def later(self, seconds: float, job: Job) -> None:
        """Run `job` in `seconds`, or at the next flush if that is sooner."""
        self._later.append((self._clock() + seconds, next(self._numbers), job))
        self.submit(_nothing)  # the thread looks at the time it may sleep

    def flush(self, seconds: float) -> bool:
        """Run everything that was given before, also what was to come later; False if that takes too long."""
        if self._jobs.empty() and not self._later and self._thread is None:
            return True
        if threading.current_thread() is self._thread:
            return False
        done = threading.Event()
        self.hurry = True
        try:
            for entry in list(self._later):
                self._move(entry)
            self._jobs.put(done.set)
            if self._start():
                return done.wait(max(seconds, 0))
            self._drain()
            return True
        finally:
            self.hurry = False

    def _move(self, entry: tuple[float, int, Job]) -> None:
        try:
            self._later.remove(entry)
        except ValueError:
            return  # another thread was faster
        self._jobs.put(entry[2])

    def _start(self) -> bool:
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        with self._start_lock:
            thread = self._thread
            if thread is not None and thread.is_alive():
                return True
            self._thread = thread = threading.Thread(target=self._work, name="otel-logging-recorder", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending: a flush runs what is left
                self._thread = None
                return False
        return True

    def _work(self) -> None:
        while True:
            now = self._clock()
            for entry in [one for one in list(self._later) if one[0] <= now]:
                self._move(entry)
            wait = min([_IDLE_SECONDS, *(max(entry[0] - now, 0.01) for entry in list(self._later))])
            try:
                job = self._jobs.get(timeout=wait)
            except Empty:
                if not self._later and wait >= _IDLE_SECONDS and self._retire():
                    return
                continue
            self._run(job)

    def _retire(self) -> bool:
        with self._start_lock:
            mine, self._thread = self._thread, None  # first: whoever puts a job now starts another thread
            if self._jobs.empty() and not self._later:
                return True
            self._thread = mine
            return False

    def _drain(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            self._run(job)

    def _run(self, job: Job) -> None:
        try:
            job()
        except Exception as error:
            trouble.report("recorder", f"a task of the flight recorder failed: {trouble.sentence(error)}")

    def after_fork_in_child(self) -> None:
        """The thread did not come along, and what was to be done is the parent's to do."""
        self._begin()


def _nothing() -> None:
    pass


_all: weakref.WeakSet[Background] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for one in list(_all):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
