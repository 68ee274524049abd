"""Keeps the store in order while it is served: sealing and retention, in a thread of its own, off the event loop.

Where only the Collector writes, no writer of ours does it. Only a store that is being written to is touched: one that
somebody put aside to look at is shown as it is, however old and large.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from otel_logging.search.files import LOGS, TRACES
from otel_logging.search.keeping import Kept, keep
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    from pathlib import Path

FIRST_SECONDS: Final = 10.0
EVERY_SECONDS: Final = 60.0


class Upkeep:
    """Puts a store in order now and then, from `start` to `stop`.

    Args:
        store: the store's folder.
        first: seconds before the first time.
        every: seconds between two times.
    """

    def __init__(self, store: Path, *, first: float = FIRST_SECONDS, every: float = EVERY_SECONDS) -> None:
        self._store = store
        self._first, self._every = first, every
        self._sizes: dict[str, int] | None = self._look()  # None once something was written
        self._stopping = threading.Event()
        self._told = ""

    def start(self) -> None:
        """Begin. A daemon: the process never waits for it to end."""
        threading.Thread(target=self._run, name="otel-logging-upkeep", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    def once(self) -> Kept | None:
        """Put the store in order if something has written to it since the beginning; None if it was left alone.

        Raises:
            OSError: it is not to be used by us: another user's, or read-only.
        """
        if self._sizes is not None:
            if not any(size > self._sizes.get(name, 0) for name, size in self._look().items()):
                return None
            self._sizes = None  # somebody writes here
        return keep(self._store, pause=time.sleep)

    def _run(self) -> None:
        wait = self._first
        while not self._stopping.wait(wait):
            wait = self._every
            try:
                self.once()
            except Exception as error:  # a store that cannot be kept in order can be shown all the same
                self._tell(f"the store is shown, but not kept in order here: {error}")

    def _tell(self, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            sys.stderr.write(f"otel-logging: {harmless(sentence)}\n")
            sys.stderr.flush()

    def _look(self) -> dict[str, int]:
        """The files as written and their sizes. What grows or is new has a writer."""
        found: dict[str, int] = {}
        for kind in (LOGS, TRACES):
            try:
                with os.scandir(self._store / kind) as entries:
                    for entry in entries:
                        if entry.name.endswith(".jsonl") and entry.is_file(follow_symlinks=False):
                            found[f"{kind}/{entry.name}"] = entry.stat(follow_symlinks=False).st_size
            except OSError:  # noqa: PERF203 (two folders)
                continue  # not there yet
        return found
