"""Several back ends asked at the same time, each in a thread of its own, and heard one after the other.

What an answer is made of comes in the order in which the back ends were named, however fast each of them is; so the
whole is the same every time. The threads are daemons: nobody waits for a back end that does not answer once the reader
has given up. What is asked, and what becomes of the answers, is decided in `source`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from otel_logging.search.source import Asked, Late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Item = TypeVar("_Item")

PATIENCE: Final = 960.0
"""Seconds that all back ends together may take for one question: a little more than a Logs Insights query may."""
_LOOK: Final = 0.1  # seconds between two looks at how far a back end is


class Asking(Generic[_Item]):
    """One question to one back end, being answered from now on.

    Args:
        name: the back end's name.
        read: asks it; called in a thread with the counts that belong to this question only.
        until: when patience ends, on the monotonic clock.
    """

    def __init__(self, name: str, read: Callable[[Asked], Iterator[_Item]], until: float) -> None:
        self._read = read
        self._until = until
        self._found: list[_Item] = []
        self._asked = Asked()
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._enough = threading.Event()
        threading.Thread(target=self._run, name=f"otel-logging-ask-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            for item in self._read(self._asked):
                if self._enough.is_set():
                    return
                self._found.append(item)
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def heard(self, searched: Asked) -> Iterator[_Item]:
        """Wait for the answer, and give it; what was looked at is added to `searched`, also while this waits.

        Raises:
            Late: it had not answered in time; what it had found comes before.
            BackEndError: it failed; the same.
        """
        counted = 0
        while not self._done.wait(min(_LOOK, max(self._until - time.monotonic(), 0.0))):
            searched.records += self._asked.records - counted
            counted = self._asked.records
            if time.monotonic() >= self._until:
                break
        late = not self._done.is_set()
        self.stop()
        searched.records -= counted
        searched.merge(self._asked)
        yield from list(self._found)
        if late:
            raise Late
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Let it be: the thread ends with the next thing that it finds."""
        self._enough.set()
