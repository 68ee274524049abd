"""Debug rules: what they let through, for whom, until when; and `isEnabledFor` meanwhile."""

from __future__ import annotations

import functools
import logging
import time

import pytest

import otel_logging
from otel_logging.boot import applog
from otel_logging.boot.configure import configured
from otel_logging.bridge.overrides import Overrides, Rule, enabled_without
from otel_logging.calls import call as calls
from otel_logging.testing import assert_balanced, capture

A, B = "CA" + "a1" * 16, "CA" + "b2" * 16
NATIVE = logging.Logger.isEnabledFor
LATER = 2e10  # seconds since 1970: not in this test's life


def rule(name="r", **what):
    return Rule(**{"id": name, "expires": LATER, **what})


@pytest.fixture
def overrides():
    """A set of its own, which is out of force afterwards."""
    made = Overrides(is_quiet=applog.is_quiet)
    yield made
    made.replace(())
    assert logging.Logger.isEnabledFor is NATIVE


@pytest.fixture
def captured():
    """A captured process with rules: `(sink, overrides)`."""
    with capture(recorder="off") as sink:
        made = Overrides(is_quiet=applog.is_quiet)
        configured().pipeline.overrides = made
        yield sink, made
        made.replace(())


def within(call_sid, **attributes):
    return calls.open_call(call_sid, origin="test", **attributes)


class TestRules:
    @pytest.mark.parametrize("pasted", [A, A.removeprefix("CA"), f"00-{'a1' * 16}-{'1' * 16}-01"])
    def test_a_call_by_whatever_is_pasted(self, overrides, pasted):
        """A rule for a call finds it by its id, its trace id or a traceparent, and no other call."""
        overrides.replace([rule(call=pasted)])
        assert overrides.trigger_for(within(A), "app", 10) == "debug:r"
        assert overrides.trigger_for(within(B), "app", 10) is None
        assert overrides.trigger_for(None, "app", 10) is None

    def test_a_call_without_a_name(self, overrides):
        """A call that is not named yet is no call's."""
        overrides.replace([rule(call=A), rule("w", where=(("k", "v"),))])
        assert overrides.trigger_for(within(None, k="v"), "app", 10) is None

    def test_everything(self, overrides):
        """`--all` is every call, and what is outside of any."""
        overrides.replace([rule(everything=True)])
        assert overrides.trigger_for(None, "app", 10) == overrides.trigger_for(within(B), "app", 10) == "debug:r"

    def test_level(self, overrides):
        """A rule lets nothing through below its level."""
        overrides.replace([rule(everything=True, level=20)])
        assert [overrides.trigger_for(None, "app", level) for level in (10, 19, 20)] == [None, None, "debug:r"]

    @pytest.mark.parametrize(
        ("name", "expected"), [("app", True), ("app.crm", True), ("apparatus", False), ("root", False)]
    )
    def test_logger_prefix(self, overrides, name, expected):
        """`--logger` means that logger and those below it."""
        overrides.replace([rule(everything=True, loggers=("app",))])
        assert (overrides.trigger_for(None, name, 10) is not None) is expected

    def test_libraries_only_when_named(self, overrides):
        """Quiet libraries are let through by a rule that names them, and by no other."""
        overrides.replace([rule(everything=True)])
        assert overrides.trigger_for(None, "websockets.client", 10) is None
        overrides.replace([rule(everything=True, loggers=("websockets",))])
        assert overrides.trigger_for(None, "websockets.client", 10) == "debug:r"

    def test_expiry_is_exact(self):
        """A rule ends at its time, also before anybody has tidied up; then the set is inactive."""
        now = [100.0]
        made = Overrides(clock=lambda: now[0])
        made.replace([rule(everything=True, expires=160.0), rule("old", everything=True, expires=100.0)])
        assert [one.id for one in made.rules] == ["r"]
        assert made.trigger_for(None, "app", 10) == "debug:r"
        now[0] = 160.0
        assert made.trigger_for(None, "app", 10) is None
        assert made.active
        assert made.tidy() is made.active is False
        assert logging.Logger.isEnabledFor is NATIVE


class TestNextCalls:
    WHERE = (("business_id", "456"), ("vip", "true"))

    def test_the_next_n_calls_that_have_it(self, overrides):
        """Calls that began after the rule and have every attribute, up to N; these stay, others do not come in."""
        told = []
        overrides.on_claim = lambda *claim: told.append(claim)
        before = within("before", business_id=456, vip=True)
        overrides.replace([rule(where=self.WHERE, calls=2, created=time.time())])
        named = [
            before, within("one", business_id=456, vip=True), within("half", business_id=456), within("object", business_id=object(), vip=True),
            within("two", business_id="456", vip="true"), within("three", business_id=456, vip=True),
        ]  # fmt: skip
        for _ in range(2):
            found = [call.call_sid for call in named if overrides.trigger_for(call, "app", 10)]
            assert found == ["one", "two"]
        assert told == [("r", "one"), ("r", "two")]

    def test_an_attribute_that_comes_later(self, overrides):
        """A call that learns the attribute while it runs is let through from then on."""
        overrides.replace([rule(where=(("k", "v"),), created=time.time())])
        call = within("late")
        assert overrides.trigger_for(call, "app", 10) is None
        call.bind(k="v")
        assert overrides.trigger_for(call, "app", 10) == "debug:r"

    def test_processes_agree(self, overrides):
        """What another process claimed first counts: it is let through here too, and our own too many is not."""
        overrides.replace([rule(where=(("k", "v"),), calls=1, created=time.time())])
        ours, theirs = within("ours", k="v"), within("theirs")
        assert overrides.trigger_for(ours, "app", 10)
        overrides.agree({"r": ["theirs", "ours"], "unknown": ["x"]})
        assert overrides.trigger_for(theirs, "app", 10)
        assert overrides.trigger_for(ours, "app", 10) is None

    def test_claims_outlive_an_edit(self, overrides):
        """Other rules coming and going do not give a rule its calls again."""
        one = rule(where=(("k", "v"),), created=time.time())
        overrides.replace([one])
        assert overrides.trigger_for(within("first", k="v"), "app", 10)
        overrides.replace([one, rule("other", call=A)])
        assert overrides.trigger_for(within("second", k="v"), "app", 10) is None


class TestIsEnabledFor:
    def test_truthful_while_a_rule_is_in_force(self, captured):
        """It is True for what a rule lets through, in that call only, and as before when the rule is gone."""
        _, overrides = captured
        log = logging.getLogger("overrides.test")
        assert logging.Logger.isEnabledFor is NATIVE
        for _ in range(2):  # the library caches its answers
            assert not log.isEnabledFor(10)
            overrides.replace([rule(call=A)])
            with otel_logging.call(A):
                assert log.isEnabledFor(10)
                assert not enabled_without(log, 10)
                assert not logging.getLogger("websockets").isEnabledFor(10)
            assert not log.isEnabledFor(10)
            overrides.replace(())
            with otel_logging.call(A):
                assert not log.isEnabledFor(10)
        assert logging.Logger.isEnabledFor is NATIVE

    def test_a_disabled_logger_stays_disabled(self, captured):
        """A logger that the application switched off is off."""
        _, overrides = captured
        log = logging.getLogger("overrides.disabled")
        log.disabled = True
        overrides.replace([rule(everything=True)])
        assert not log.isEnabledFor(50)

    def test_a_patch_on_top_stays(self, overrides, monkeypatch):
        """Where somebody has patched on top of ours, ours stays underneath, works again later and does nothing else."""
        overrides.replace([rule(everything=True)])
        ours = logging.Logger.isEnabledFor
        monkeypatch.setattr(logging.Logger, "isEnabledFor", functools.partialmethod(ours))
        theirs = logging.Logger.__dict__["isEnabledFor"]
        overrides.replace(())
        log = logging.getLogger("overrides.patched")
        log.setLevel(logging.INFO)
        assert logging.Logger.__dict__["isEnabledFor"] is theirs
        assert not log.isEnabledFor(10)
        overrides.replace([rule(everything=True)])
        assert logging.Logger.__dict__["isEnabledFor"] is theirs
        assert log.isEnabledFor(10)
        monkeypatch.undo()


class TestRecords:
    def test_below_level_in_the_named_call(self, captured):
        """DEBUG records of the call are exported with the trigger, whatever its loggers' levels; not on the console."""
        sink, overrides = captured
        log = logging.getLogger("overrides.test")
        log.setLevel(logging.ERROR)
        overrides.replace([rule(call=A)])
        for sid in (A, B):
            with otel_logging.call(sid):
                log.debug("detail of %s", sid)
                log.warning("warning of %s", sid)
                log.error("error of %s", sid)
        found = [
            (record.body, record.attributes.get("otel_logging.trigger"))
            for record in sink.records
            if record.logger == log.name
        ]
        assert found == [
            (f"detail of {A}", "debug:r"), (f"warning of {A}", "debug:r"), (f"error of {A}", None), (f"error of {B}", None),
        ]  # fmt: skip
        assert "detail" not in sink.console
        assert "warning" not in sink.console
        assert sink.console.count("error of") == 2
        assert_balanced()

    def test_what_policies_drop(self, rules):
        """A rule overrides policies too, for its call; others' records are dropped and counted as ever."""
        with capture(policies=rules(("frames", "frame", "none"))) as sink:
            overrides = configured().pipeline.overrides = Overrides()
            overrides.replace([rule(call=A)])
            for sid in (A, B):
                with otel_logging.call(sid):
                    logging.getLogger("overrides.test").info("frame 1")
            assert [(r.body, r.call_sid) for r in sink.records if r.body == "frame 1"] == [("frame 1", A)]
            assert otel_logging.stats()["dropped"] == {"policy:frames": 1}
            assert_balanced()
            overrides.replace(())

    def test_records_that_the_gate_has_not_seen(self, captured):
        """A logger class's own method that asks isEnabledFor and calls `_log` is let through, with the trigger."""
        sink, overrides = captured

        class Chatty(logging.Logger):
            def trace(self, msg):
                if self.isEnabledFor(10):
                    self._log(10, msg, ())

        log = Chatty("overrides.chatty")
        log.parent = logging.root
        overrides.replace([rule(call=A)])
        with otel_logging.call(A):
            log.trace("kept")
        log.trace("left out")
        found = [record for record in sink.records if record.logger == log.name]
        assert [(r.body, r.attributes["otel_logging.trigger"]) for r in found] == [("kept", "debug:r")]
        assert "kept" not in sink.console

    def test_a_filter_that_refuses(self, captured):
        """A record that a filter of the logger refuses leaves no trigger behind for the next one."""
        sink, overrides = captured
        log = logging.getLogger("overrides.filtered")
        log.addFilter(lambda record: record.levelno > 10)
        overrides.replace([rule(call=A)])
        with otel_logging.call(A):
            log.debug("refused")
            log.info("plain")
        (found,) = [record for record in sink.records if record.logger == log.name]
        assert (found.body, found.attributes.get("otel_logging.trigger")) == ("plain", None)
        assert "plain" in sink.console

    def test_the_console_shows_them_at_debug(self, rules):
        """At LOG_LEVEL=DEBUG the console shows what a rule lets through."""
        with capture(log_level="DEBUG", policies=rules(("noise", "noise", "none"))) as sink:
            overrides = configured().pipeline.overrides = Overrides()
            overrides.replace([rule(call=A)])
            with otel_logging.call(A):
                logging.getLogger("overrides.test").debug("noise of the call")
            assert "noise of the call" in sink.console
            overrides.replace(())
