"""Rate limits with memory, as an application meets them: what is held back is told once, fairly, within bounds."""

from __future__ import annotations

import logging
import threading

import otel_logging
from otel_logging.policy.limit import MAX_KEYS
from otel_logging.testing import FakeClock, assert_balanced, capture

log = logging.getLogger("app")
SUPPRESSED = "otel_logging.suppressed"
REASON = "rate_limited:ticks"


def sid(number):
    return f"CA{number:032x}"


def at_once(works):
    """Each in a thread of its own, all at the same time."""
    start = threading.Barrier(len(works))

    def run(work):
        start.wait(30)
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def told(sink):
    """How many were held back as lines and summaries tell it."""
    return sum(one.attributes.get(SUPPRESSED, 0) for one in [*sink.records, *sink.summaries])


class TestThreads:
    def test_everything_held_back_is_told_once(self, rules):
        """Threads of several calls at once, over several windows: lines and summaries tell of each held back line."""
        clock = FakeClock()
        with capture(clock=clock, policies=rules(("ticks", "tick", "2/10s")), recorder="off") as sink:
            open_calls = [otel_logging.call(sid(number)).__enter__() for number in range(4)]

            def work(call):
                with call.activate():
                    for number in range(200):
                        log.info(f"tick {number}")

            for _ in range(3):
                at_once([lambda call=call: work(call) for call in open_calls * 2])
                clock.advance(10)
            for call in open_calls:
                call.end("stop")
            sink.flush()
            stats = otel_logging.stats()
            # A limit is not waited for: two threads of one call may let one more pass than is allowed.
            assert 4 * 3 * 2 <= len(sink.bodies) <= 4 * 3 * 4
            assert len(sink.bodies) + stats["dropped"][REASON] == 3 * 8 * 200
            assert told(sink) == stats["dropped"][REASON]
        assert_balanced()

    def test_outside_of_calls(self, rules):
        """The same where there is no call: the next line tells, and the rest is told at the end."""
        clock = FakeClock()
        with capture(clock=clock, policies=rules(("ticks", "tick", "1/m"))) as sink:
            for _ in range(3):
                at_once([lambda: [log.info(f"tick {number}") for number in range(100)]] * 4)
                clock.advance(60)
        dropped = 3 * 400 - len(sink.bodies)
        assert 3 <= len(sink.bodies) <= 3 * 4
        assert told(sink) == dropped


class TestFairness:
    def test_a_loud_call_takes_nothing_from_others(self, rules):
        """However much one call logs, each other call has its own rate."""
        with capture(clock=FakeClock(), policies=rules(("ticks", "tick", "3/m"))) as sink:
            with otel_logging.call(sid(0)):
                for number in range(1000):
                    log.info(f"tick {number}")
            for number in range(1, 20):
                with otel_logging.call(sid(number)):
                    for tick in range(5):
                        log.info(f"tick {tick}")
            assert [len(sink.of_call(sid(number))) for number in range(20)] == [3] * 20

    def test_a_call_has_one_rate_in_all_its_threads(self, rules):
        """Threads and handles of one call share its window."""
        with capture(clock=FakeClock(), policies=rules(("ticks", "tick", "5/m"))) as sink:
            with otel_logging.call(sid(1)) as call:

                def work():
                    with call.activate():
                        for number in range(50):
                            log.info(f"tick {number}")

                at_once([work] * 4)
            assert 5 <= len(sink.bodies) <= 8


class TestBounds:
    def test_more_calls_than_windows(self, rules):
        """With more calls than windows the oldest window goes, which is counted; no line is lost over it."""
        calls = MAX_KEYS + 50
        with capture(clock=FakeClock(), policies=rules(("ticks", "tick", "1/m")), recorder="off") as sink:
            for number in range(calls):
                with otel_logging.call(sid(number)):
                    log.info("tick")
                    log.info("tick")
            stats = otel_logging.stats()
            assert len(sink.bodies) == calls
            assert stats["evicted"]["rate_windows"] == 50
            assert stats["dropped"][REASON] == calls
            assert told(sink) == calls
        assert_balanced()
