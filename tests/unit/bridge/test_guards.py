"""The repeat guard and the storm guard, as an application meets them."""

from __future__ import annotations

import logging
import sys
import threading

import pytest

import otel_logging
from otel_logging.bridge import guards
from otel_logging.testing import FakeClock, assert_balanced, capture

SID = "CA" + "7" * 32
OTHER = "CA" + "8" * 32

log = logging.getLogger("unseen.app")


@pytest.fixture
def clock():
    """Time that only the test turns."""
    return FakeClock()


def at_rate(clock, seconds, per_second, *lines):
    """Call each of `lines` so many times a second, with the number of the round."""
    for number in range(int(seconds * per_second)):
        clock.advance(1 / per_second)
        for line in lines:
            line(number)


class TestRepeatGuard:
    def test_an_application_never_seen(self, clock):
        """Two minutes of a call, three frame lines with tags of its own, and what matters all the same."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            log.info("☎️ hello, a call")
            for turn in range(12):
                at_rate(
                    clock, 6, 50,
                    lambda n: log.info(f"«ÖUT» blip {n} of {n * 160} bytes"),
                    lambda n: log.info("pacer tick %d late=%.1f", n, n / 7),
                    lambda n: log.info(f"~~ vad={n % 2} energy={n * 3}"),
                )  # fmt: skip
                log.info(f"said: turn {turn}")
                clock.advance(4)
            frames = [body for body in sink.bodies if not body.startswith(("said", "☎️"))]
            assert len(sink.bodies) <= 40
            assert len(frames) <= 26
            assert sum(body.startswith("said") for body in sink.bodies) == 12
        assert_balanced()

    def test_the_first_lines_and_then_the_count(self, clock):
        """Five lines of a burst; what comes after a pause says how many were held back."""
        with capture(clock=clock) as sink, otel_logging.call(SID):

            def frame(n):
                log.info(f"blip {n}")

            at_rate(clock, 2, 50, frame)
            assert sink.bodies == [f"blip {n}" for n in range(5)]
            clock.advance(30)
            frame(100)
            assert sink.records[-1].attributes["otel_logging.suppressed"] == 95
            assert otel_logging.stats()["dropped"] == {"repeat_guard": 95}

    def test_prints(self, clock, monkeypatch):
        """Printed lines are known by the place of the print call."""
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)
        with capture(clock=clock, log_capture_print=True) as sink, otel_logging.call(SID):
            for number in range(100):
                clock.advance(0.02)
                print(f"blip {number} out")
                print(f"zork {number}")
            assert 8 <= len(sink.bodies) <= 12

    @pytest.mark.parametrize("pause", [0.17, 1, 10])
    def test_slow_lines_are_left_alone(self, clock, pause):
        """A place that does not reach frame rate logs every line, for as long as it likes."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 200 * pause, 1 / pause, lambda n: log.info(f"heart beat {n}"))
            assert len(sink.bodies) >= 199
            assert otel_logging.stats()["dropped"] == {}

    def test_ten_in_a_second(self, clock):
        """Ten lines in a second are no frames."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 1, 10, lambda n: log.info(f"line {n}"))
            assert len(sink.bodies) == 10

    def test_a_list_is_no_frame(self, clock):
        """Twenty lines printed at once from one place, with nothing between them, all stay."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            for number in range(20):
                clock.advance(0.0001)
                log.info(f"tool no {number}")
            clock.advance(20)
            for number in range(20):
                log.info(f"tool no {number}")
            assert len(sink.bodies) == 40

    def test_a_loop_that_never_ends_is(self, clock):
        """A place that goes on after that is not listing anything."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            for number in range(1000):
                log.info(f"blip {number}")
            assert len(sink.bodies) == guards.BURST + guards.LISTING

    def test_a_log_function_of_ones_own(self, clock):
        """Lines that begin with other words are other lines, also where one helper logs them all."""

        def helper(text):
            log.info(text)

        with capture(clock=clock) as sink, otel_logging.call(SID):
            for number in range(300):
                clock.advance(0.02)
                helper(f"[QX] blip number {number}")
                if number % 50 == 0:
                    helper(f"[CALLER] said something nice {number}")
            assert sum("[CALLER]" in body for body in sink.bodies) == 6
            assert sum("[QX]" in body for body in sink.bodies) == 5

    def test_stacklevel(self, clock):
        """A helper that says on whose behalf it logs is looked through."""

        def helper(text):
            log.info(text, stacklevel=2)

        with capture(clock=clock) as sink, otel_logging.call(SID):
            for number in range(40):
                clock.advance(0.02)
                helper(f"blip {number}")
                if number % 10 == 0:
                    helper(f"blip {number}, from another place")
            assert sum("another" in body for body in sink.bodies) == 4

    def test_adapters(self, clock):
        """So are the adapters of the standard library."""
        adapter = logging.LoggerAdapter(log, {})
        with capture(clock=clock) as sink, otel_logging.call(SID):
            for number in range(40):
                clock.advance(0.02)
                adapter.info("blip %d", number)
                if number % 10 == 0:
                    adapter.info("blip %d, from another place", number)
            assert sum("another" in body for body in sink.bodies) == 4
            assert len(sink.bodies) == 9

    def test_calls_are_apart(self, clock):
        """What one call repeats is new in the next."""
        with capture(clock=clock) as sink:
            for sid in (SID, OTHER):
                with otel_logging.call(sid):
                    at_rate(clock, 1, 50, lambda n: log.info(f"blip {n}"))
            assert len(sink.of_call(SID)) == len(sink.of_call(OTHER)) == 5

    def test_not_outside_of_calls(self, clock):
        """What belongs to no call is no frame of one."""
        with capture(clock=clock) as sink:
            at_rate(clock, 1, 50, lambda n: log.info(f"blip {n}"))
            assert len(sink.bodies) == 50

    @pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, 35])
    def test_not_from_warning_on(self, clock, level):
        """Warnings and errors are none of its business."""
        with capture(clock=clock), otel_logging.call(SID):
            at_rate(clock, 1, 50, lambda n: log.log(level, "again"))
            assert "repeat_guard" not in otel_logging.stats()["dropped"]

    def test_not_at_debug(self, clock):
        """At LOG_LEVEL=DEBUG everything is wanted."""
        with capture(clock=clock, log_level="DEBUG") as sink, otel_logging.call(SID):
            at_rate(clock, 1, 50, lambda n: log.info(f"blip {n}"))
            assert len(sink.bodies) == 50

    def test_not_what_a_rule_keeps(self, clock, rules):
        """A line that a policy names is the policy's."""
        with capture(clock=clock, policies=rules(("mine", "blip", "all"))) as sink, otel_logging.call(SID):
            at_rate(clock, 1, 50, lambda n: log.info(f"blip {n}"))
            assert len(sink.bodies) == 50

    def test_frames_that_become_slow(self, clock):
        """A place that has calmed down is left alone again."""
        with capture(clock=clock) as sink, otel_logging.call(SID):

            def line(n):
                log.info(f"line {n}")

            at_rate(clock, 2, 50, line)
            at_rate(clock, 20, 1, line)
            sink.clear()
            at_rate(clock, 20, 1, line)
            assert len(sink.bodies) == 20

    def test_words_that_vary(self, clock):
        """A frame line whose first words are never the same is still found out."""
        words = ["".join(chr(97 + (n // 26**place) % 26) for place in range(3)) for n in range(2000)]
        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 40, 50, lambda n: log.info(f"{words[n]} went by"))
            assert len(sink.bodies) < 40

    def test_bounds(self, clock, monkeypatch):
        """However many places log, the table stays small, and what it gave up is counted."""
        monkeypatch.setattr(guards, "MAX_PLACES", 4)
        places = [eval(f"lambda: log.info('x{n}')", {"log": log}) for n in range(10)]
        with capture(clock=clock), otel_logging.call(SID) as call:
            for place in places:
                place()
            assert len(call.memory.guards["repeat_guard"].places) == 4
            assert otel_logging.stats()["evicted"] == {"guards": 6}

    def test_threads(self):
        """Threads of one call that log frames at once disturb nobody, and the books balance."""
        with capture() as sink, otel_logging.call(SID) as call:

            def work():
                with call.activate():
                    for number in range(500):
                        log.info(f"blip {number}")

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(sink.bodies) < 100
        assert_balanced()


class Dead:
    """A socket that is gone."""

    def send(self, what):
        """Fails."""
        raise BrokenPipeError(what)


class TestStormGuard:
    def test_a_dead_socket(self, clock):
        """Fifty tracebacks a second are five, and one in ten seconds with its count."""
        with capture(clock=clock) as sink, otel_logging.call(SID):

            def send(n):
                try:
                    Dead().send(f"blip {n}")
                except BrokenPipeError:
                    log.exception(f"could not send frame {n}")

            at_rate(clock, 30, 50, send)
            assert len(sink.records) == 7
            assert all("BrokenPipeError" in record.attributes["exception.stacktrace"] for record in sink.records)
            counts = [record.attributes.get("otel_logging.suppressed") for record in sink.records]
            assert counts[:5] == [None] * 5
            assert counts[5] == pytest.approx(500, abs=2)
            stats = otel_logging.stats()
            assert stats["dropped"]["storm_guard"] == 1500 - 7
        assert_balanced()

    def test_arguments_and_plain_errors(self, clock):
        """With arguments in place of f-strings, and without an exception, it is the same storm."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 5, 50, lambda n: log.error("socket %d gone", n))
            assert len(sink.bodies) == 5

    def test_distinct_errors_stay(self, clock):
        """Another type, another place, another text: each is an error of its own."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            for _ in range(20):
                clock.advance(0.01)
                for error in (ValueError("a"), KeyError("a"), ValueError("b")):
                    log.error("failed", exc_info=error)
                for status in (404, 503):
                    log.error("HTTP %d from the model", status)
                log.error("failed", exc_info=ValueError("a"))
                log.critical("disk full on %s", "alpha")
            assert len(sink.bodies) == 7 * guards.STORM_WHOLE
            assert {record.attributes.get("exception.type") for record in sink.records} == {
                None, "ValueError", "KeyError"
            }  # fmt: skip

    def test_texts_that_never_repeat(self, clock):
        """A storm whose text is always another is bounded too."""
        names = ["".join(chr(97 + (n // 26**place) % 26) for place in range(3)) for n in range(2000)]
        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 9, 50, lambda n: log.error(f"no such thing: {names[n]}"))
            assert len(sink.bodies) == guards.MAX_ERRORS + guards.STORM_WHOLE

    def test_warnings_with_a_traceback(self, clock):
        """A warning is left alone unless it carries a traceback each time."""
        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 1, 50, lambda n: log.warning("slow %d", n))
            assert len(sink.bodies) == 50
            at_rate(clock, 1, 50, lambda n: log.warning("slow %d", n, exc_info=TimeoutError()))
            assert len(sink.bodies) == 55

    def test_not_outside_of_calls(self, clock):
        """Without a call there is nobody whose storm it is."""
        with capture(clock=clock) as sink:
            at_rate(clock, 1, 50, lambda n: log.error("gone"))
            assert len(sink.bodies) == 50

    def test_an_exception_without_text(self, clock):
        """An exception that cannot be printed is kept."""

        class Mute(Exception):
            def __str__(self):
                raise RuntimeError

        with capture(clock=clock) as sink, otel_logging.call(SID):
            at_rate(clock, 1, 10, lambda n: log.error("gone", exc_info=Mute()))
            assert len(sink.bodies) == 10
