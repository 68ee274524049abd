"""What was held back is told by the next line, and nothing is told twice."""

from __future__ import annotations

import logging

import otel_logging
from otel_logging.bridge import suppressed
from otel_logging.testing import FakeClock, capture

SID = "CA" + "7" * 32
OTHER = "CA" + "8" * 32

log = logging.getLogger("suppressed")


def counts(records):
    """What each record tells of."""
    return [record.attributes.get("otel_logging.suppressed") for record in records]


class TestPolicies:
    def test_the_next_one_tells(self, rules):
        """A line that passes a rate limit says how many did not since the last one; each call counts for itself."""
        clock = FakeClock()
        with capture(clock=clock, policies=rules(("slow", "beat", "1/3s"))) as sink:
            for sid in (SID, OTHER):
                with otel_logging.call(sid):
                    for number in range(10):
                        log.info(f"beat {number}")
                        clock.advance(1)
            assert counts(sink.of_call(SID)) == counts(sink.of_call(OTHER)) == [None, 2, 2, 2]
            assert counts(sink.summaries) == [0, 0]

    def test_outside_of_calls(self, rules):
        """What belongs to no call is told too."""
        clock = FakeClock()
        with capture(clock=clock, policies=rules(("slow", "beat", "1/3s"))) as sink:
            for number in range(7):
                log.info(f"beat {number}")
                clock.advance(1)
            assert counts(sink.records) == [None, 2, 2]

    def test_records_that_the_gate_has_not_seen(self, rules):
        """A record made by hand is told of, and tells, like any other."""
        clock = FakeClock()
        with capture(clock=clock, policies=rules(("slow", "beat", "1/3s"))) as sink, otel_logging.call(SID):
            for _ in range(4):
                log.handle(log.makeRecord(log.name, 20, "x.py", 1, "beat", (), None))
                clock.advance(1)
            assert counts(sink.records) == [None, 2]

    def test_records_of_other_bridges(self, rules):
        """So is a record that another bridge makes, through a processor of its own."""
        from opentelemetry._logs import LogRecord
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

        exporter, provider = InMemoryLogRecordExporter(), LoggerProvider(shutdown_on_exit=False)
        inner = SimpleLogRecordProcessor(exporter)
        processor = otel_logging.SamplingLogRecordProcessor(inner, policies=rules(("slow", "beat", "1/3s")))
        now = processor.policies.clock = FakeClock()
        provider.add_log_record_processor(processor)
        with capture(), otel_logging.call(SID):
            for _ in range(5):
                provider.get_logger("other").emit(LogRecord(body="beat"))
                now.advance(1)
        told = [one.log_record.attributes.get("otel_logging.suppressed") for one in exporter.get_finished_logs()]
        assert told == [None, 2]


class TestHandWrittenLimits:
    def test_every(self):
        """The line that `every` lets through says how often it has said no."""
        clock = FakeClock()
        with capture(clock=clock) as sink, otel_logging.call(SID):
            for _ in range(7):
                if otel_logging.every("beat", 3):
                    log.info("beat")
                log.info("another line")
                clock.advance(1)
            assert counts(r for r in sink.records if r.body == "beat") == [None, 2, 2]
            assert set(counts(r for r in sink.records if r.body != "beat")) == {None}

    def test_every_n(self):
        """So does the one that `every_n` lets through."""
        with capture() as sink, otel_logging.call(SID):
            for _ in range(7):
                if otel_logging.every_n("beat", 3):
                    log.info("beat")
            assert counts(sink.records) == [None, 2, 2]

    def test_a_yes_without_a_line(self):
        """Where no line follows, the next one that does tells of all."""

        def ask():
            return otel_logging.every_n("beat", 3)

        with capture() as sink, otel_logging.call(SID):
            for _ in range(4):
                ask()
            log.info("not it")
            for _ in range(3):
                if otel_logging.every_n("beat", 3):
                    log.info("beat")
            assert counts(sink.records) == [None, 4]

    def test_evictions_are_counted(self, monkeypatch):
        """A key that had to make room is counted."""
        from otel_logging.calls import limits

        monkeypatch.setattr(limits, "MAX_KEYS_PER_CALL", 10)
        with capture(), otel_logging.call(SID):
            for number in range(15):
                otel_logging.once_per_call(number)
            assert otel_logging.stats()["evicted"] == {"limits": 5}


def test_what_nobody_told(rules):
    """Untold is what limits and guards dropped since the last line that told."""
    with capture(policies=rules(("slow", "beat", "1/3s"), ("gone", "frame", "none"))), otel_logging.call(SID) as call:
        for _ in range(5):
            log.info("beat")
            log.info("frame")
        assert suppressed.untold(call.memory) == {"rate_limited:slow": 4}


def test_a_line_that_never_comes_is_not_waited_for_without_end():
    """Where a helper logs for who asked, lines do not go the long way for ever, and the count is told all the same."""

    def says(text):
        log.info(text)

    with capture(policies=[]) as sink:
        with otel_logging.call(SID):
            for _ in range(3):
                if otel_logging.every_n("k", 2):
                    says("now")
        assert suppressed.this_thread.offered is not None
        for number in range(100):
            says(f"line {number}")
        assert suppressed.this_thread.offered is None
        assert sum(filter(None, counts(sink.records))) == 0
        assert counts(sink.summaries) == [1]
