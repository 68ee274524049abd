"""The books: what is counted in any thread is found again, and the sums agree."""

from __future__ import annotations

import threading

import pytest

from otel_logging import trouble
from otel_logging.bridge.ledger import Ledger


@pytest.fixture
def books():
    """Books of the test's own."""
    return Ledger()


class TestCounting:
    def test_empty(self, books):
        """New books are at zero."""
        assert books.snapshot() == {
            "created": 0, "exported": 0, "held": 0, "dropped": {}, "recovered": 0, "evicted": {}, "incidents": {}
        }  # fmt: skip

    def test_counts(self, books):
        """Each kind is counted, drops by their reason, in the order of the reasons."""
        books.created()
        books.created(9)
        books.exported(4)
        books.dropped("z")
        books.dropped("policy:a", 5)
        found = books.snapshot()
        assert (found["created"], found["exported"]) == (10, 4)
        assert list(found["dropped"].items()) == [("policy:a", 5), ("z", 1)]

    def test_reasons_named_like_the_kinds(self, books):
        """A reason that is called `created` is no creation."""
        books.dropped("created")
        books.dropped("exported")
        found = books.snapshot()
        assert (found["created"], found["exported"], sum(found["dropped"].values())) == (0, 0, 2)

    def test_refused(self, books):
        """Made and dropped at once counts as both."""
        books.refused("policy:a")
        books.refused("policy:a")
        found = books.snapshot()
        assert (found["created"], found["dropped"]) == (2, {"policy:a": 2})

    def test_given_back(self, books):
        """A record that is recovered leaves its reason, and the count of recovered ones is no part of the balance."""
        books.refused("policy:a")
        books.dropped("policy:a", -1)
        books.exported()
        books.recovered()
        found = books.snapshot()
        assert (found["created"], found["exported"], found["dropped"], found["recovered"]) == (1, 1, {}, 1)

    def test_evictions(self, books):
        """What bounded tables had to give up is counted by table."""
        books.evicted("guards")
        books.evicted("limits", 3)
        assert books.snapshot()["evicted"] == {"guards": 1, "limits": 3}

    def test_threads(self, books):
        """What many threads count at once adds up, also after they have ended."""
        start = threading.Barrier(8)

        def work():
            start.wait()
            for _ in range(2000):
                books.created()
                books.exported()
            books.dropped("end")

        for _ in range(2):
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert books.snapshot() == {
            "created": 32_000,
            "exported": 32_000,
            "held": 0,
            "dropped": {"end": 16},
            "recovered": 0,
            "evicted": {},
            "incidents": {},
        }

    def test_ended_threads_are_settled(self, books):
        """A service that starts a thread per call does not keep a cell for each for ever."""
        for _ in range(50):
            thread = threading.Thread(target=books.created)
            thread.start()
            thread.join()
        assert len(books._cells) <= 2
        assert books.snapshot()["created"] == 50


class TestGauges:
    def test_held_is_what_the_gauges_say(self, books):
        """What holds records is asked when the books are read."""
        queue = [1, 2]
        books.gauge("queue", lambda: len(queue))
        books.gauge("waiting", lambda: 1)
        assert books.snapshot()["held"] == 3
        queue.clear()
        assert books.snapshot()["held"] == 1
        books.remove_gauge("waiting")
        books.remove_gauge("waiting")
        assert books.snapshot()["held"] == 0

    def test_a_gauge_is_replaced_by_name(self, books):
        """A second gauge of the same name takes the first one's place."""
        books.gauge("queue", lambda: 1)
        books.gauge("queue", lambda: 5)
        assert books.snapshot()["held"] == 5

    def test_a_gauge_that_fails_does_not_fail_the_reader(self, books):
        """`stats()` is part of an application's health page: it never raises."""
        books.gauge("queue", lambda: 1 // 0)
        books.gauge("waiting", lambda: 2)
        assert books.snapshot()["held"] == 2


class TestReset:
    def test_starts_again(self, books):
        """After a reset the thread that counted before counts from zero."""
        books.created(5)
        books.reset()
        assert books.snapshot()["created"] == 0
        books.created()
        assert books.snapshot()["created"] == 1

    def test_incidents_come_from_trouble(self, books):
        """Incidents that are no records stand beside the books."""
        trouble.count("call_id_rejected")
        assert books.snapshot()["incidents"] == {"call_id_rejected": 1}
