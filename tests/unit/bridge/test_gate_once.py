"""The gate takes the verdict once per record, whichever way the record comes."""

from __future__ import annotations

import logging

import pytest
from gated import Keeps

import otel_logging
from otel_logging.bridge.this_thread import thread
from otel_logging.testing import FakeClock, assert_balanced, capture


class TestOnce:
    """The verdict is taken once per record, whichever way it comes."""

    @pytest.fixture
    def limited(self, rules):
        """A policy that lets two ticks pass in a second."""
        with capture(policies=[rules(("ticks", "tick", "2/s"))], clock=FakeClock()) as sink:
            yield sink

    def passed(self, sink):
        """How many of the test's own arrived, after the books were checked."""
        assert_balanced()
        return sum(record.logger.startswith(("gate.", "tenant.")) for record in sink.records)

    def test_gate(self, limited):
        """Logged in the usual way: two of five."""
        for _ in range(5):
            logging.getLogger("gate.test").info("tick")
        assert self.passed(limited) == 2
        assert otel_logging.stats()["created"] == 5

    def test_rewritten_by_a_filter(self, limited):
        """A filter that rewrites the message, as those that mask secrets do, does not have it judged again."""

        class Masks(logging.Filter):
            def filter(self, record):
                record.msg, record.args = f"{record.getMessage()} masked", ()
                return True

        logger = logging.getLogger("gate.masked")
        logger.addFilter(Masks())
        for _ in range(5):
            logger.info("tick %d", 1)
        assert self.passed(limited) == 2
        assert limited.bodies == ["tick 1 masked"] * 2

    def test_renamed_by_a_factory(self, limited):
        """A record factory that gives records another name does not have them judged again."""
        factory = logging.getLogRecordFactory()

        def renaming(name, *args, **kwargs):
            return factory(f"tenant.{name}", *args, **kwargs)

        logging.setLogRecordFactory(renaming)
        try:
            for _ in range(5):
                logging.getLogger("gate.test").info("tick")
        finally:
            logging.setLogRecordFactory(factory)
        assert self.passed(limited) == 2

    def test_handled_directly(self, limited):
        """`Logger.handle` of a record made by hand gets its verdict too."""
        logger = logging.getLogger("gate.test")
        for _ in range(5):
            logger.handle(
                logging.makeLogRecord({"name": "gate.test", "msg": "tick", "levelno": 20, "levelname": "INFO"})
            )
        assert self.passed(limited) == 2

    def test_logged_directly(self, limited):
        """`Logger._log`, which some libraries call, gets its verdict too."""
        for _ in range(5):
            logging.getLogger("gate.test")._log(20, "tick", ())
        assert self.passed(limited) == 2

    def test_handled_again(self, limited):
        """A record that a listener or a second logger handles again is not another record."""
        handler = Keeps()
        logger = logging.getLogger("gate.again")
        logger.addHandler(handler)
        logger.info("tick")
        for _ in range(5):
            logging.getLogger("gate.test").handle(handler.seen[0])
        assert self.passed(limited) == 1
        assert otel_logging.stats()["created"] == 1

    def test_nested(self, limited):
        """A line logged while another is being made is judged by itself."""

        class Logs(logging.Filter):
            def filter(self, record):
                if record.msg == "outer":
                    logging.getLogger("gate.inner")._log(20, "tick", ())
                return True

        logger = logging.getLogger("gate.nested")
        logger.addFilter(Logs())
        for _ in range(5):
            logger.info("outer")
        assert self.passed(limited) == 7
        assert limited.bodies.count("tick") == 2

    def test_a_filter_that_refuses_leaves_nothing_behind(self, limited):
        """A line that a filter stops is no record, and the next one is judged for itself."""
        logger = logging.getLogger("gate.refused")
        logger.addFilter(lambda _record: False)
        for _ in range(5):
            logger.info("tick")
        assert thread.passed is None
        for _ in range(5):
            logging.getLogger("gate.test").handle(
                logging.makeLogRecord({"name": "gate.refused", "msg": "other tick", "levelno": 20})
            )
        assert self.passed(limited) <= 2

    def test_per_call(self, limited):
        """A limit counts for each call by itself."""
        for sid in ("CA1", "CA2"):
            with otel_logging.call(sid):
                for _ in range(5):
                    logging.getLogger("gate.test").info("tick")
        assert self.passed(limited) == 4
        assert [record.body for record in limited.of_call("CA1")][:2] == ["tick"] * 2
