"""How the benchmarks measure: two variants by turns in one process, in CPU time of the thread.

A ratio is the median of those of single turns, in which both variants follow one another within milliseconds: a machine
that changes its speed changes it for both. The untouched standard library is a second copy of `logging`, as the first
one is patched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

TURNS = 40
Work = "Callable[[Any], int]"
"""Does something many times with a log method, and tells how many nanoseconds that took."""


def untouched() -> logging.Logger:
    """A logger of an untouched `logging`, at WARNING, so that INFO and DEBUG are disabled."""
    spec = importlib.util.find_spec("logging")
    if spec is None or spec.loader is None:
        raise RuntimeError("no logging")
    copy: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    logger: logging.Logger = copy.Logger("plain", copy.WARNING)
    return logger


def ratio(work: Callable[[Any], int], plain: Any, ours: Any, bare: Callable[[], int], turns: int = TURNS) -> float:
    """How many times as long `work` takes with `ours` as with `plain`, the bare loop taken off both."""
    work(plain), work(ours)  # the first turn fills caches
    found = []
    for _ in range(turns):
        one, other, loop = work(plain), work(ours), bare()
        found.append((other - loop) / (one - loop))
    return statistics.median(found)


clock = time.thread_time_ns


@contextlib.contextmanager
def configured(**settings: Any) -> Iterator[None]:
    """otel-logging set up with a local store of its own and no console."""
    import otel_logging

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        otel_logging.configure(logs_exporter="local", store=store, log_console="off", log_level="INFO", **settings)
        try:
            yield
        finally:
            otel_logging.shutdown(2.0)
