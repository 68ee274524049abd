"""Keeps the store that this process writes to in order, now and then, in a thread of its own.

The thread lives only as long as there is something to do, compresses no faster than half a core, and is a daemon: a
process never waits for it to end. What it does is `search.keeping`'s.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from otel_logging import trouble

if TYPE_CHECKING:
    from pathlib import Path

FIRST_SECONDS: Final = 10.0  # a process that ends sooner leaves the work to others
EVERY_SECONDS: Final = 60.0

_due: dict[Path, float] = {}  # by store, on the monotonic clock
_pid = os.getpid()


def written(store: Path, *, now: bool = False) -> None:
    """Something was written to the store; costs two look-ups unless work is due. `now`: a file was closed."""
    global _pid
    moment = time.monotonic()
    if _pid != os.getpid():
        _pid = os.getpid()
        _due.clear()
    due = _due.get(store)
    if due is None:
        _due[store] = moment + FIRST_SECONDS
    elif now or moment >= due:
        _due[store] = moment + EVERY_SECONDS
        threading.Thread(target=_keep, args=(store,), name="otel-logging-store", daemon=True).start()


def _keep(store: Path) -> None:
    from otel_logging.search.keeping import keep

    try:
        keep(store, pause=time.sleep)
    except Exception as error:
        trouble.report(
            "store_keeping", f"the local store {store} could not be put in order ({trouble.sentence(error)})"
        )


def forget() -> None:
    """Begin anew: for tests."""
    _due.clear()
