"""What applications' own tests use: everything comes to memory, and everything is as before afterwards."""

from __future__ import annotations

import logging
import re
import signal
from pathlib import Path

import pytest

import otel_logging
from otel_logging.boot import configure
from otel_logging.calls.call import open_call
from otel_logging.testing import FakeClock, assert_balanced, capture

LOG = logging.getLogger("testing.test")
SID = "CA0123456789abcdef0123456789abcdef"


class TestCapture:
    def test_a_record_in_plain_values(self):
        """A record has its body, level, logger, call, ids, event, time and attributes."""
        with capture(policies=[]) as sink, otel_logging.call(SID):
            LOG.critical("m %d", 1, extra={"a": 1, "event.name": "e"})
            (record,) = sink.records
        assert (record.body, record.level, record.logger, record.event_name) == ("m 1", "CRITICAL", "testing.test", "e")
        assert (record.call_sid, record.trace_id) == (SID, SID[2:])
        assert re.fullmatch(r"[0-9a-f]{16}", record.span_id)
        assert record.attributes["a"] == 1
        assert record.timestamp > 1_600_000_000_000_000_000

    def test_outside_a_call(self):
        """Without a call there is no call_sid and no trace."""
        with capture(policies=[]) as sink:
            LOG.info("m")
            (record,) = sink.records
        assert (record.call_sid, record.trace_id, record.span_id) == (None, None, None)

    def test_readable_afterwards(self):
        """What was captured stays readable after the block."""
        with capture(policies=[]) as sink, otel_logging.call(SID):
            LOG.info("m")
        assert sink.bodies == ["m"]
        assert [one.body for one in sink.of_call(SID)] == ["m"]
        assert sink.of_call("CA2") == []
        assert "m" in sink.console
        assert [span.name for span in sink.spans] == ["call"]

    def test_waiting_records_show_after_their_name(self):
        """A record that waits for its call's name is not there yet; `flush` gives it up."""
        with capture(policies=[]) as sink:
            call = open_call(origin="websocket")
            with call.activate():
                LOG.info("early")
            assert sink.bodies == []
            call.name(SID, "test")
            assert [record.call_sid for record in sink.records] == [SID]
            with open_call(origin="websocket").activate():
                LOG.info("never named")
            sink.flush()
            assert sink.bodies == ["early", "never named"]

    def test_clear(self):
        """`clear` forgets records, spans and console."""
        with capture(policies=[]) as sink:
            with otel_logging.call(SID):
                LOG.info("m")
            sink.clear()
            assert (sink.records, sink.spans, sink.console) == ([], [], "")
            LOG.info("n")
            assert sink.bodies == ["n"]

    def test_the_environment_is_not_read(self, monkeypatch):
        """A developer's own settings do not change what a test means."""
        monkeypatch.setenv("LOG_LEVEL", "CRITICAL")
        monkeypatch.setenv("OTEL_LOGGING", "off")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        with capture(policies=[]) as sink:
            LOG.info("m")
            assert sink.bodies == ["m"]

    def test_settings_are_keywords(self):
        """Settings count as they do for `configure()`; `none` exports nothing, `enabled=False` is the kill switch."""
        with capture(log_level="ERROR", log_json=True, policies=[]) as sink:
            LOG.info("i")
            LOG.error("e")
            assert sink.bodies == ["e"]
            assert sink.console.startswith("{")
        with capture(logs_exporter="none", policies=[]) as sink:
            LOG.info("i")
            assert (sink.records, sink.console != "") == ([], True)
        with capture(enabled=False) as sink:
            LOG.warning("w")
            assert (sink.records, sink.console) == ([], "")

    def test_mistakes_are_loud(self):
        """In a test a wrong name or value is an exception."""
        with pytest.raises(TypeError), capture(log_levle="INFO"):
            pass
        with pytest.raises(ValueError, match="LOG_LEVEL='LOUD' is not valid"), capture(log_level="LOUD"):
            pass
        assert configure.configured() is None

    def test_the_applications_own_configure_does_nothing(self):
        """Code under test that calls `configure()` does not take the sink away."""
        with capture(policies=[]) as sink:
            otel_logging.configure(log_level="CRITICAL")
            LOG.info("m")
            assert sink.bodies == ["m"]

    def test_every_capture_begins_at_zero(self):
        """Books, calls and limits of an earlier test do not reach the next one."""
        for _ in range(2):
            with capture(policies=[]) as sink, otel_logging.call(SID):
                assert otel_logging.stats()["created"] == 0
                assert otel_logging.once_per_call("k")
                assert otel_logging.every("k", 60)
                LOG.info("m")
                assert len(sink.records) == 1

    def test_what_was_configured_before_is_so_again(self, capsys):
        """A process that was set up is set up again after the block."""
        otel_logging.configure(log_level="ERROR")
        with capture(policies=[]) as sink:
            LOG.info("m")
            assert sink.bodies == ["m"]
        assert configure.configured().settings.level_name == "ERROR"
        LOG.info("no")
        LOG.error("yes")
        assert [line[-3:] for line in capsys.readouterr().out.splitlines()][-1] == "yes"

    def test_an_exception_takes_everything_down(self):
        """A failing test leaves nothing behind."""
        before = dict(vars(logging.Logger))
        with pytest.raises(RuntimeError), capture(policies=[]):
            raise RuntimeError
        assert dict(vars(logging.Logger)) == before
        assert configure.configured() is None


class TestRestore:
    def test_what_the_block_did_to_logging(self):
        """Levels, handlers, filters and switches are as before, of old loggers and of new ones."""
        handler = logging.NullHandler()
        LOG.addHandler(handler)
        LOG.setLevel(logging.ERROR)
        before = (list(logging.root.handlers), logging.root.level, logging.root.manager.disable)
        try:
            with capture(policies=[]):
                LOG.handlers.clear()
                LOG.setLevel("DEBUG")
                LOG.propagate = False
                LOG.disabled = True
                LOG.addFilter(lambda _record: False)
                logging.basicConfig(force=True, level="WARNING")
                logging.disable(logging.CRITICAL)
                fresh = logging.getLogger("testing.fresh")
                fresh.addHandler(logging.NullHandler())
                fresh.setLevel("ERROR")
            assert (LOG.handlers, LOG.level, LOG.propagate, LOG.disabled, LOG.filters) == (
                [handler],
                logging.ERROR,
                True,
                False,
                [],
            )
            assert (list(logging.root.handlers), logging.root.level, logging.root.manager.disable) == before
            assert (fresh.handlers, fresh.level) == ([], logging.NOTSET)
        finally:
            LOG.handlers.clear()
            LOG.setLevel(logging.NOTSET)

    def test_signals_are_left_alone(self):
        """The end of a test run is not ours."""
        before = signal.getsignal(signal.SIGTERM)
        with capture(policies=[]):
            assert signal.getsignal(signal.SIGTERM) is before


class TestFakeClock:
    def test_only_the_test_turns_it(self):
        """The clock stands still until it is told to go on."""
        clock = FakeClock(5.0)
        assert (clock(), clock()) == (5.0, 5.0)
        clock.advance(2.5)
        assert clock() == 7.5

    def test_limits_follow_it(self, tmp_path):
        """Rate limits of policies and `every()` follow the clock."""
        rules = tmp_path / "rules.json"
        rules.write_text(
            '{"policies": [{"id": "p", "name": "p", "log": {"match": [{"log_field": "body", "exact": "tick"}], "keep": "1/s"}}]}'
        )
        clock = FakeClock()
        with capture(policies=[rules], clock=clock) as sink:
            for _ in range(3):
                for _ in range(3):
                    LOG.info("tick")
                    if otel_logging.every("k", 1):
                        LOG.info("tock")
                clock.advance(1.1)
            assert sink.bodies == ["tick", "tock"] * 3
            assert_balanced()


class TestAssertBalanced:
    def test_says_what_is_wrong(self):
        """The difference and the books are named."""
        stats = {"created": 5, "exported": 2, "held": 1, "dropped": {"a": 1}}
        with pytest.raises(
            AssertionError, match=r"records 1 unaccounted for: created 5, exported 2, held 1, dropped 1 \{'a': 1\}"
        ):
            assert_balanced(stats)
        with pytest.raises(AssertionError, match="2 accounted for twice"):
            assert_balanced({**stats, "exported": 5})

    def test_balanced(self):
        """Balanced books pass."""
        assert_balanced({"created": 4, "exported": 2, "held": 1, "dropped": {"a": 1}})
        assert_balanced()


def test_the_documented_example():
    """The example in the documentation runs."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "testing.md", "exec"), {})
