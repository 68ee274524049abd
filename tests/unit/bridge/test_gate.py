"""The gate: drops before a record exists, by what the rendered body would get, in any number of threads."""

from __future__ import annotations

import logging
import threading

import pytest
from gated import Keeps

import otel_logging
from otel_logging.bridge import gate, known
from otel_logging.bridge.this_thread import thread
from otel_logging.policy.engine import PolicySet
from otel_logging.testing import FakeClock, assert_balanced, capture


class TestVerdict:
    def test_dropped_before_the_record_exists(self, rules, monkeypatch):
        """What a policy drops makes no LogRecord, is counted, and reaches no handler at all."""
        made = []
        factory = logging.getLogRecordFactory()
        logger = logging.getLogger("gate.test")
        logging.setLogRecordFactory(lambda *args, **kwargs: made.append(args) or factory(*args, **kwargs))
        handler = Keeps()
        logger.addHandler(handler)
        try:
            with capture(policies=[rules(("frames", "frame", "none"))]) as sink:
                logger.info("a frame")
                logger.info("a %s", "frame")
                logger.info("a line")
                assert sink.bodies == ["a line"]
                assert otel_logging.stats()["dropped"] == {"policy:frames": 2}
                assert_balanced()
        finally:
            logging.setLogRecordFactory(factory)
            logger.removeHandler(handler)
        assert len(made) == 1
        assert [one.getMessage() for one in handler.seen] == ["a line"]

    @pytest.mark.parametrize(
        ("msg", "args"),
        [("a %s", ("frame",)), ("%s", ("a frame",)), ("%(x)s", ({"x": "frame"},)), ("fra%s%d", ("me", 1)), (ValueError("frame"), ()), (["frame"], ()), ("%s", (b"frame",))],
        ids=str,
    )  # fmt: skip
    def test_on_the_rendered_body(self, rules, msg, args):
        """The verdict is the one that the rendered body gets, whatever the message and its arguments are."""
        with capture(policies=[rules(("frames", "frame", "none"))]) as sink:
            logging.getLogger("gate.test").info(msg, *args)
            logging.getLogger("gate.test").info("a %s", "line")
            assert sink.bodies == ["a line"]

    def test_the_same_template_with_other_arguments(self, rules):
        """A verdict on one rendering is never used for another rendering of the same template."""
        with capture(policies=[rules(("frames", "frame", "none"))]) as sink:
            for word in ("line", "frame", "line", "frame"):
                logging.getLogger("gate.test").info("a %s", word)
            assert sink.bodies == ["a line"] * 2

    @pytest.mark.parametrize(
        "matcher",
        [
            {"log_attribute": "kind", "exact": "frame"}, {"log_attribute": "logger.name", "exact": "gate.test"},
            {"log_attribute": "call_sid", "exact": "CA1"}, {"log_attribute": "who", "exact": "x"},
            {"resource_attribute": "service.name", "exact": "voice"}, {"log_field": "LOG_FIELD_SEVERITY_TEXT", "exact": "INFO"},
            {"log_field": "LOG_FIELD_TRACE_ID", "exists": True},
        ],
        ids=str,
    )  # fmt: skip
    def test_on_more_than_the_body(self, rules, matcher):
        """A rule may read what the OTel record will hold: extras, the call, the logger, the resource, the severity."""
        with (
            capture(policies=[rules(("p", matcher, "none"))], service_name="voice") as sink,
            otel_logging.call("CA1", who="x"),
        ):
            logging.getLogger("gate.test").info("m", extra={"kind": "frame"})
            assert sink.records == []
            assert otel_logging.stats()["dropped"] == {"policy:p": 1}

    def test_matches_are_cached_by_text_verdicts_never(self, rules):
        """The same line again and again is matched once, but each time decided anew."""
        with capture(policies=[rules(("p", "tick", "2/s"))], clock=FakeClock()) as sink:
            for _ in range(5):
                logging.getLogger("gate.test").info("tick")
            assert len(gate._known.matches) == 1
            assert len(sink.records) == 2
            assert otel_logging.stats()["dropped"] == {"rate_limited:p": 3}

    def test_the_cache_is_bounded(self, rules, monkeypatch):
        """Lines that never repeat do not fill the memory."""
        monkeypatch.setattr(known, "_MAX_MATCHES", 10)
        monkeypatch.setattr(known, "_MAX_SHAPES", 10)
        with capture(policies=[rules(("p", "frame", "none"))], log_console="off"):
            for number in range(100):
                logging.getLogger("gate.test").info("frame " + "x" * number)
            assert 0 < len(gate._known.matches) <= 10
            assert 0 < len(gate._known.shapes) <= 10

    def test_lines_that_differ_in_numbers_are_one(self, rules):
        """A frame line with a new number each time is matched once."""
        with capture(policies=[rules(("p", "frame", "none"))], log_console="off"):
            for number in range(100, 200):
                logging.getLogger("gate.test").info(f"🔊 frame {number}")
            assert len(gate._known.matches) == 1
            assert otel_logging.stats()["dropped"] == {"policy:p": 100}

    def test_policies_may_be_exchanged(self, rules):
        """New policies count from the next line on."""
        with capture(policies=[rules(("p", "frame", "none"))]) as sink:
            logging.getLogger("gate.test").info("frame")
            gate._pipeline.policies = PolicySet([])
            logging.getLogger("gate.test").info("frame")
            assert sink.bodies == ["frame"]

    def test_fails_open(self, rules, monkeypatch):
        """An engine that breaks costs no record."""
        with capture(policies=[rules(("p", "frame", "none"))]) as sink:
            monkeypatch.setattr(gate, "_judge", lambda *_: 1 // 0)
            logging.getLogger("gate.test").info("frame")
            assert sink.bodies == ["frame"]

    def test_debug_turns_frame_policies_off(self):
        """At LOG_LEVEL=DEBUG the bundled frame policies are off; at INFO they are on; WARNING they never touch."""
        line = "[AUDIO_DELTA] chunk 17"
        logger = logging.getLogger("gate.test")
        with capture() as sink:
            logger.info(line)
            logger.warning(line)
            assert [record.level for record in sink.records] == ["WARNING"]
        with capture(log_level="DEBUG") as sink:
            logger.info(line)
            assert [record.level for record in sink.records] == ["INFO"]


class TestThreads:
    def test_many_threads_at_once(self, rules):
        """Lines from many threads are each judged and counted once."""
        start = threading.Barrier(6)
        logger = logging.getLogger("gate.test")

        def work(number):
            start.wait()
            for line in range(200):
                logger.info(f"frame {line}" if line % 2 else f"line {number}.{line}")

        with capture(policies=[rules(("frames", "frame", "none"))], log_console="off") as sink:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            assert len(set(sink.bodies)) == len(sink.bodies) == 600
            assert otel_logging.stats()["dropped"] == {"policy:frames": 600}
            assert otel_logging.stats()["created"] == 1200
            assert_balanced()


class TestNestedLogging:
    """Objects that log while they are rendered."""

    def test_an_argument_that_logs(self):
        """What `__str__` logs is a record like any other, and the outer line arrives."""
        inner = logging.getLogger("gate.inner")

        class Chatty:
            def __str__(self):
                inner.info("rendering")
                return "chatty"

        with capture() as sink:
            logging.getLogger("gate.test").info("m %s", Chatty())
            assert sink.bodies.count("m chatty") == 1
            assert "rendering" in sink.bodies
            assert_balanced()

    @pytest.mark.parametrize("level", [20, 40])
    @pytest.mark.parametrize("way", ["argument", "extra", "message"])
    def test_an_object_that_logs_itself(self, level, way):
        """An object that logs itself while it is rendered ends soon, raises nothing, and the books balance."""
        logger = logging.getLogger("gate.test")
        rendered = 0

        def log(it):
            if way == "argument":
                logger.log(level, "m %s", it)
            elif way == "extra":
                logger.log(level, "m loop", extra={"it": it})
            else:
                logger.log(level, it)

        class Loop:
            def __str__(self):
                nonlocal rendered
                rendered += 1
                log(self)
                return "m loop" if way == "message" else "loop"

        with capture(log_console="off") as sink:
            log(Loop())
            logger.info("after")
            assert sink.bodies[-1] == "after"
            assert "m loop" in sink.bodies
            assert_balanced()
            assert otel_logging.stats()["dropped"]["recursion"] > 0
        assert rendered < 2000
        assert thread.depth == 0
