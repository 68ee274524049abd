"""What becomes of lines that are dropped at first sight, and how often: the counts of the gate's short way.

A fate is an outcome that needs no further thought: dropped for this reason, by this policy, at the cost of those that
matched too. Each call has a tally for each fate, and the short way does nothing but add one to it. Whoever reads the
books, a call's counts or the policies' hits calls `settle` first, which carries the tallies over. No decision is taken
in here.

Hot path: a tally is counted without a lock.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.place import Why

_MAX_FATES: Final = 4096  # distinct outcomes of all policies that were ever in force; what comes then goes the long way
_MANY_GONE: Final = 256  # ended calls whose tallies nobody has asked for


class Fate:
    """One outcome, of lines of level INFO.

    `index` is where its tally stands in a page; `rated` says that it holds only until a window ends.
    """

    __slots__ = ("hits", "index", "missed", "rated", "reason", "why")

    single: Final = True  # as of `known.Template`: a constant text is one thing

    def __init__(self, index: int, reason: str, hits: tuple[str, ...], missed: tuple[str, ...], *, rated: bool) -> None:
        self.index = index
        self.reason = reason
        self.hits = hits
        self.missed = missed
        self.rated = rated
        self.why: Why = (logging.INFO, reason)


class Tally(Place):
    """How often one fate befell lines of one call, and how much of that is in the books.

    Attributes:
        n: how often. Added to without a lock: with the GIL nothing comes between reading and writing a slot, as long
            as there is no call in between.
        settled: how much of that is in the books.
        until: for fates that hold for a while, when that ends, by the policies' clock.
    """

    __slots__ = ("fate", "n", "settled", "until")

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate
        self.n = 0
        self.settled = 0
        self.until = 0.0


Page = list[Tally]
"""The tallies of one call, by the index of their fate."""


class _Key(NamedTuple):
    reason: str
    hits: tuple[str, ...]
    missed: tuple[str, ...]


_lock = threading.RLock()  # around everything below; a finalizer never waits for it
_fates: Final[dict[_Key, Fate]] = {}
_live: Final[dict[weakref.ref[CallMemory], Page]] = {}
_gone: Final[deque[weakref.ref[CallMemory]]] = deque()  # their calls are forgotten; appended to by finalizers

credit: Callable[[Fate, int], None] | None = None
"""Tells the policies in force of hits and misses; set by whoever puts policies in force."""


def fate_of(reason: str, hits: tuple[str, ...], missed: tuple[str, ...], *, rated: bool) -> Fate | None:
    """The fate of lines that the policies `hits` drop for `reason`, always the same one; None if there are too many."""
    key = _Key(reason, hits, missed)
    with _lock:
        found = _fates.get(key)
        if found is None and len(_fates) < _MAX_FATES:
            found = _fates[key] = Fate(len(_fates), reason, hits, missed, rated=rated)
        return found


def page_of(memory: CallMemory) -> Page:
    """The tallies of a call, one for each fate that is known by now. What is added later is found in the same page."""
    with _lock:
        page: Page | None = memory.tallies
        if page is None:
            page = memory.tallies = []
            _live[weakref.ref(memory, _gone.append)] = page
            if len(_gone) > _MANY_GONE:
                _settle_gone()
        if len(page) < len(_fates):
            page.extend(Tally(fate) for fate in list(_fates.values())[len(page) :])
        return page


def disarm_all() -> None:
    """Nothing goes the short way until the long way has been gone again."""
    with _lock:
        for reference in list(_live):
            memory = reference()
            if memory is not None:
                memory.shut()


def let_go(memory: CallMemory) -> None:
    """Hold no reference to the application's spans any more: the call has ended."""
    lines = (*memory.constants.values(), *memory.templates.values(), *memory.shapes.values())
    for place in (*(memory.tallies or ()), *lines):
        place.context = None


def settle(memory: CallMemory) -> None:
    """Carry a call's tallies over into its counts, the books and the policies' hits."""
    if memory.tallies is not None:
        _settle(memory.tallies, memory)


def settle_all() -> None:
    """Carry all tallies over: before anybody reads the books."""
    with _lock:
        for reference, page in list(_live.items()):
            _settle(page, reference())
        _settle_gone()


def _settle_gone() -> None:
    while _gone:
        page = _live.pop(_gone.popleft(), None)
        if page is not None:
            _settle(page, None)


def _settle(page: Page, memory: CallMemory | None) -> None:
    with _lock:
        for tally in page:
            more = tally.n - tally.settled
            if not more:
                continue
            tally.settled += more
            fate = tally.fate
            ledger.refused(fate.reason, more)
            if memory is not None:
                memory.counts[fate.reason] = memory.counts.get(fate.reason, 0) + more
            if credit is not None:
                credit(fate, more)


ledger.before_reading(settle_all)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()  # a thread that did not come along may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
