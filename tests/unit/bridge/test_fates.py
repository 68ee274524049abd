"""Tallies: what the gate's short way counts reaches the books, the call and the policies, once."""

from __future__ import annotations

import gc
import threading

import pytest

from otel_logging.bridge import fates
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.memory import CallMemory


@pytest.fixture
def fate():
    return fates.fate_of("policy:frames", ("frames",), ("others",), rated=False)


@pytest.fixture
def credited(monkeypatch):
    found = []
    monkeypatch.setattr(fates, "credit", lambda fate, n: found.append((fate.hits, fate.missed, n)))
    return found


class TestSettle:
    def test_each_count_is_carried_over_once(self, fate, credited):
        """Into the books, the call's counts and the policies' hits."""
        memory = CallMemory()
        tally = fates.page_of(memory)[fate.index]
        tally.n += 3
        fates.settle(memory)
        tally.n += 1
        fates.settle(memory)
        fates.settle(memory)
        assert memory.counts == {"policy:frames": 4}
        assert credited == [(("frames",), ("others",), 3), (("frames",), ("others",), 1)]
        assert (ledger.snapshot()["created"], ledger.snapshot()["dropped"]) == (4, {"policy:frames": 4})

    def test_reading_the_books_settles(self, fate):
        """Whoever reads them sees what was counted a moment ago."""
        memory = CallMemory()
        fates.page_of(memory)[fate.index].n += 2
        assert ledger.snapshot()["dropped"] == {"policy:frames": 2}

    def test_a_call_that_nobody_holds_any_more(self, fate):
        """Its counts are in the books although it is gone, and its page goes with it."""
        memory = CallMemory()
        fates.page_of(memory)[fate.index].n += 5
        before = len(fates._live)
        del memory
        gc.collect()
        assert ledger.snapshot()["dropped"] == {"policy:frames": 5}
        assert len(fates._live) < before

    def test_many_calls_do_not_pile_up(self, fate):
        """Pages of calls that are gone are settled without anybody's reading."""
        for _ in range(3 * fates._MANY_GONE):
            fates.page_of(CallMemory())[fate.index].n += 1
        assert len(fates._live) < 2 * fates._MANY_GONE
        assert ledger.snapshot()["dropped"] == {"policy:frames": 3 * fates._MANY_GONE}

    def test_threads_lose_none(self, fate):
        """Counting takes no lock, and eight threads that count at once are all counted."""
        memory = CallMemory()
        tally = fates.page_of(memory)[fate.index]

        def count():
            for _ in range(20_000):
                tally.n += 1

        workers = [threading.Thread(target=count) for _ in range(8)]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            fates.settle(memory)
        fates.settle(memory)
        assert memory.counts == {"policy:frames": 160_000}


class TestPages:
    def test_later_fates_are_in_the_same_page(self):
        """A page grows with the fates, and stays the list that it was."""
        memory = CallMemory()
        page = fates.page_of(memory)
        late = fates.fate_of("policy:later", ("later",), (), rated=False)
        assert fates.page_of(memory) is page
        assert page[late.index].fate is late

    def test_there_are_only_so_many_fates(self, monkeypatch):
        """Outcomes beyond that go the long way."""
        monkeypatch.setattr(fates, "_MAX_FATES", len(fates._fates))
        assert fates.fate_of("policy:one too many", ("one too many",), (), rated=False) is None

    def test_disarming_reaches_every_call(self):
        """Nothing goes the short way then."""
        memory = CallMemory()
        memory.page = fates.page_of(memory)
        memory.constants = {"text": None}
        fates.disarm_all()
        assert (memory.page, memory.constants, memory.templates) == (None, {}, {})
