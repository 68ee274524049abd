"""The short way: never for a message that might pass, and as quiet about itself as the standard library."""

from __future__ import annotations

import logging
import os
import threading
import warnings

import pytest

import otel_logging
from otel_logging.boot.configure import configured
from otel_logging.bridge import methods
from otel_logging.bridge.overrides import Overrides, Rule
from otel_logging.policy.engine import PolicySet
from otel_logging.testing import FakeClock, assert_balanced, capture

SID = "CA" + "5" * 32
CONSTANT = "frame of a constant text"


@pytest.fixture
def log():
    logger = logging.getLogger("methods.test")
    yield logger
    logger.setLevel(logging.NOTSET)
    logger.disabled, logger.propagate = False, True


@pytest.fixture
def frames(rules):
    return [rules(("p", "frame", "none"))]


def short(monkeypatch):
    """From here on the long way is a failure."""

    def never(*_args):
        raise AssertionError("the long way was taken")

    for name in ("_passes", "_below"):
        monkeypatch.setitem(methods._names, name, never)


def lines(log, number):
    """One line of each kind."""
    log.info(CONSTANT)
    log.info("frame %d", number)
    log.info("frame %d of %d", number, number)
    log.info("frame %s", f"n{number}")
    log.info(f"frame number {number}")


def names_of(logger):
    return {name for name in vars(logger) if name.startswith("_otel_logging")}


class TestTheShortWay:
    @pytest.mark.parametrize("recorder", ["on", "off"])
    def test_every_kind_of_line_takes_it(self, frames, log, monkeypatch, recorder):
        """After the first of its kind, each is dropped at first sight, counted and remembered with its text."""
        with capture(policies=frames, recorder=recorder, log_console="off") as sink, otel_logging.call(SID) as call:
            lines(log, 11)
            lines(log, 12)
            with monkeypatch.context() as patch:
                short(patch)
                for number in range(13, 90):
                    lines(log, number)
            assert otel_logging.stats()["dropped"] == {"policy:p": 5 * 79}
            assert call.memory.counts == {"policy:p": 5 * 79}
            assert otel_logging.stats()["policies"]["p"]["hits"] == 5 * 79
            log.error("now")
            sink.flush()
            texts = [record.body for record in sink.records if record.attributes.get("otel_logging.recovered")]
            expected = [
                text
                for n in range(11, 90)
                for text in (CONSTANT, f"frame {n}", f"frame {n} of {n}", f"frame n{n}", f"frame number {n}")
            ]
            assert texts == (expected if recorder == "on" else [])
        assert_balanced()

    def test_outside_of_calls(self, frames, log, monkeypatch):
        """Lines that belong to no call are counted too."""
        with capture(policies=frames, log_console="off"):
            lines(log, 11)
            with monkeypatch.context() as patch:
                short(patch)
                for number in range(12, 20):
                    lines(log, number)
            assert otel_logging.stats()["dropped"] == {"policy:p": 45}

    def test_below_its_level(self, log, monkeypatch):
        """A DEBUG line is remembered at first sight within a call, and costs nothing outside."""
        with capture(log_console="off") as sink:
            with otel_logging.call(SID):
                log.debug("state 1")
                with monkeypatch.context() as patch:
                    short(patch)
                    for number in range(2, 10):
                        log.debug(f"state {number}")
                log.error("now")
            with monkeypatch.context() as patch:
                short(patch)
                log.debug("outside")
            sink.flush()
            recovered = [record.body for record in sink.records if record.attributes.get("otel_logging.recovered")]
            assert recovered == [f"state {number}" for number in range(1, 10)]

    def test_a_rate_limit_opens_again(self, rules, log, monkeypatch):
        """While its window is closed lines are dropped at first sight; then one passes, and tells of them."""
        clock = FakeClock()
        with (
            capture(policies=[rules(("p", "tick", "1/3s"))], clock=clock, log_console="off") as sink,
            otel_logging.call(SID),
        ):
            log.info("tick 1")
            log.info("tick 2")
            with monkeypatch.context() as patch:
                short(patch)
                for number in range(3, 9):
                    log.info(f"tick {number}")
            clock.advance(3)
            log.info("tick 9")
            passed = [record for record in sink.records if record.body.startswith("tick")]
            assert [record.body for record in passed] == ["tick 1", "tick 9"]
            assert passed[1].attributes["otel_logging.suppressed"] == 7
        assert_balanced()


class TestWhatEndsIt:
    """Whatever may let a message through, or changes what is dropped, shuts the short way at once."""

    def dropped(self, log):
        for number in range(10, 14):
            lines(log, number)

    def test_other_policies(self, frames, log):
        """Policies that are exchanged count from the next line on."""
        with capture(policies=frames, log_console="off") as sink:
            self.dropped(log)
            configured().pipeline.policies = PolicySet([])
            lines(log, 15)
            assert len(sink.records) == 5

    def test_a_debug_rule(self, frames, log):
        """A rule for this call lets everything through, and its end drops it again."""
        with capture(policies=frames, log_console="off") as sink, otel_logging.call(SID):
            self.dropped(log)
            overrides = configured().pipeline.overrides = Overrides()
            overrides.replace([Rule(id="r", expires=1e12, call=SID)])
            lines(log, 15)
            log.debug("a debug line")
            assert len(sink.records) == 6
            overrides.replace([])
            lines(log, 16)
            log.debug("another")
            assert len(sink.records) == 6
            configured().pipeline.overrides = None

    @pytest.mark.parametrize("how", ["setLevel", "disable", "root", "disabled"])
    def test_a_level_that_changes(self, frames, log, how):
        """A logger that is not enabled any more makes no records, not even dropped ones."""
        with capture(policies=frames, log_console="off", recorder="off"):
            self.dropped(log)
            before = otel_logging.stats()["created"]
            if how == "setLevel":
                log.setLevel(logging.WARNING)
            elif how == "disable":
                logging.disable(logging.INFO)
            elif how == "disabled":
                log.disabled = True
            else:
                logging.getLogger("methods").setLevel(logging.WARNING)
            try:
                lines(log, 15)
                assert otel_logging.stats()["created"] == before
            finally:
                logging.disable(logging.NOTSET)
                logging.getLogger("methods").setLevel(logging.NOTSET)

    def test_an_open_window(self, frames, log):
        """After a trigger the call's lines pass for some seconds."""
        clock = FakeClock()
        with capture(policies=frames, clock=clock, log_console="off") as sink, otel_logging.call(SID):
            self.dropped(log)
            log.error("now")
            lines(log, 15)
            sink.flush()
            through = [one for one in sink.records if one.attributes.get("otel_logging.trigger") and not one.attributes.get("otel_logging.recovered")]  # fmt: skip
            assert len(through) == 5
            clock.advance(60)
            lines(log, 16)
            assert otel_logging.stats()["dropped"]["policy:p"] == 5
        assert_balanced()

    def test_messages_that_are_no_text(self, frames, log):
        """A string of an application's class may say something else when it is rendered."""

        class Name(str):  # noqa: SLOT000 (what an application might have)
            def __str__(self):
                return "another text"

        with capture(policies=frames, log_console="off") as sink:
            self.dropped(log)
            log.info(Name("frame number 10"))
            log.info(Name(CONSTANT))
            assert sink.bodies == ["another text"] * 2

    def test_arguments_that_do_not_fit(self, frames, log):
        """They are repaired on the long way, and not dropped."""
        with capture(policies=frames, log_console="off") as sink:
            self.dropped(log)
            log.propagate = False  # pytest's own handler raises for such lines
            log.info("frame %d", 1, 2)  # noqa: PLE1205
            log.info("frame %d", "x")
            assert len(sink.records) == 2

    def test_extras(self, frames, log):
        """A line with extras is remembered with them."""
        with capture(policies=frames, log_console="off") as sink, otel_logging.call(SID):
            self.dropped(log)
            log.info(CONSTANT, extra={"n": 1})
            log.error("now")
            sink.flush()
            assert [one.attributes["n"] for one in sink.records if "n" in one.attributes] == [1]


class TestLoggers:
    def test_nothing_is_left_behind(self, frames, log):
        """After the end no logger has an attribute of ours, and levels are nobody's business but the library's."""
        before = logging.Manager._clear_cache
        with capture(policies=frames, log_console="off"):
            lines(log, 10)
            log.debug("x")
            assert names_of(log)
        assert not names_of(log)
        assert logging.Manager._clear_cache is before

    def test_an_idea_of_its_own_of_what_is_enabled(self, frames):
        """A logger whose class answers `isEnabledFor` itself is asked each time."""

        class Moody(logging.Logger):
            mood = True

            def isEnabledFor(self, level):
                return self.mood and super().isEnabledFor(level)

        with capture(policies=frames, log_console="off", recorder="off"):
            moody = Moody("moody", logging.DEBUG)
            for number in range(10, 14):
                lines(moody, number)
            created = otel_logging.stats()["created"]
            assert created == 20
            Moody.mood = False
            lines(moody, 15)
            assert otel_logging.stats()["created"] == created

    def test_a_class_that_takes_no_attributes(self, frames):
        """It goes the long way."""

        class Closed(logging.Logger):
            def __setattr__(self, name, value):
                if name.startswith("_otel"):
                    raise AttributeError(name)
                super().__setattr__(name, value)

        with capture(policies=frames, log_console="off"):
            closed = Closed("closed", logging.INFO)
            for number in range(10, 14):
                lines(closed, number)
                closed.debug("x")
            assert otel_logging.stats()["dropped"] == {"policy:p": 20}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_fork_while_another_thread_looks_at_a_logger(self, frames):
        """The child does not wait for a thread that it has not got."""
        held, done = threading.Event(), threading.Event()

        def hold():
            with methods._lock:
                held.set()
                done.wait(30)

        with capture(policies=frames, log_console="off"):
            holder = threading.Thread(target=hold)
            holder.start()
            held.wait(30)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python's own word on forks with threads
                child = os.fork()
            if not child:
                free = methods._lock.acquire(blocking=False)
                os._exit(0 if free else 3)
            done.set()
            holder.join()
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
