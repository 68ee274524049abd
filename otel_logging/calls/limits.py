"""Hand-written limits: "should this line be logged now?", per call inside one, per process outside.

A refusal stands for a record that was not made, so it is counted as created and dropped. Limits that rule files set
are the policies' business, not this module's.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from otel_logging import trouble
from otel_logging.bridge import scope, suppressed
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.suppressed import Held

if TYPE_CHECKING:
    from collections.abc import Hashable

MAX_KEYS_PER_CALL = 1_000  # the key used longest ago is forgotten first: its next line is logged
MAX_KEYS_PER_PROCESS = 4_096

clock = time.monotonic

# Re-entrant, as a signal handler may log within any line of ours. Sections are a few dictionary operations.
_lock = threading.RLock()
_process: OrderedDict[Any, Any] = OrderedDict()


def every(key: Hashable, seconds: float) -> bool:
    """True at most once in `seconds` for `key`.

    Counted per call inside one. A wrong argument is reported once and gives True: rather a line too many.
    """
    try:
        pause = float(seconds)
        if pause != pause or pause < 0:  # noqa: PLR0124 (only NaN differs from itself)
            return _wrong("every", f"seconds={seconds!r}; valid: a number of seconds, 0 or more")
        store, most = _store()
        at = ("every", key)
        with _lock:
            now = clock()
            held = store.get(at)
            if held is None:
                _remember(store, at, Held(now), most)
                return True
            store.move_to_end(at)
            if now - held.state >= pause:
                held.state = now
                return _granted("every", held)
            held.refused += 1
    except Exception as error:
        return _wrong("every", trouble.sentence(error))
    return _refused("every")


def every_n(key: Hashable, n: int) -> bool:
    """True for the first of every `n` uses of `key`. Per call inside one; a wrong argument gives True."""
    try:
        if isinstance(n, bool) or int(n) != n or n < 1:
            return _wrong("every_n", f"n={n!r}; valid: a whole number above 0")
        store, most = _store()
        at = ("every_n", key)
        with _lock:
            held = store.get(at)
            if held is None:
                _remember(store, at, Held(1), most)
                return True
            store.move_to_end(at)
            held.state += 1
            if (held.state - 1) % n == 0:
                return _granted("every_n", held)
            held.refused += 1
    except Exception as error:
        return _wrong("every_n", trouble.sentence(error))
    return _refused("every_n")


def once_per_call(key: Hashable) -> bool:
    """True the first time `key` is used in the call in force; outside of calls, once per process."""
    try:
        store, most = _store()
        at = ("once", key)
        with _lock:
            if at not in store:
                _remember(store, at, Held(True), most)
                return True
            store.move_to_end(at)
    except Exception as error:
        return _wrong("once_per_call", trouble.sentence(error))
    return _refused("once_per_call")


def reset() -> None:
    """Forget what was counted outside of calls: for tests."""
    with _lock:
        _process.clear()


def _store() -> tuple[OrderedDict[Any, Any], int]:
    store = getattr(scope.current.get(), "limits", None)  # our own Call has it; None and foreign scopes have not
    return (_process, MAX_KEYS_PER_PROCESS) if store is None else (store, MAX_KEYS_PER_CALL)


def _remember(store: OrderedDict[Any, Any], at: tuple[str, Hashable], held: Held, most: int) -> None:
    store[at] = held
    while len(store) > most:
        store.popitem(last=False)
        ledger.evicted("limits")


def _granted(kind: str, held: Held) -> bool:
    """Yes after some noes: the line that is logged now tells how many."""
    if held.refused:
        line = sys._getframe(2).f_code  # noqa: SLF001 (documented; the line to be logged follows in this function)
        suppressed.offer(held, f"limited:{kind}", scope.current.get(), line)
    return True


def _refused(kind: str) -> bool:
    # The key is the application's and may be anything: it is no part of the reason, which has to stay countable.
    suppressed.count(scope.current.get(), f"limited:{kind}")
    ledger.refused(f"limited:{kind}")
    return False


def _wrong(function: str, what: str) -> bool:
    trouble.report("limits_wrong_argument", f"{function}() was called with {what}; the line is logged")
    return True


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()  # a thread that did not come along may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
