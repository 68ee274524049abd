"""The record at the end of each call."""

from __future__ import annotations

import logging

import otel_logging
from otel_logging.bridge import summary, suppressed
from otel_logging.bridge.memory import CallMemory
from otel_logging.testing import FakeClock, assert_balanced, capture

SID = "CA" + "7" * 32

log = logging.getLogger("summed")


def work():
    """A call with three lines that stay and twelve that do not."""
    for number in range(10):
        log.info(f"frame {number}")
    for number in range(3):
        log.info(f"beat {number}")
    log.info("said hello")
    log.warning("slow")


class TestCalls:
    def test_what_became_of_its_records(self, rules):
        """Made, kept, dropped by reason, suppressed; under the call's id and trace, with an event name."""
        with capture(policies=rules(("gone", "frame", "none"), ("slow", "beat", "1/3s"))) as sink:
            with otel_logging.call(SID):
                work()
            (told,) = sink.summaries
            assert (told.call_sid, told.trace_id, told.logger) == (SID, SID[2:], "otel_logging.calls")
            assert told.event_name == "otel_logging.call.summary"
            about = {key: value for key, value in told.attributes.items() if key.startswith("otel_logging.")}
            assert about == {
                "otel_logging.made": 15,
                "otel_logging.kept": 3,
                "otel_logging.dropped": 12,
                "otel_logging.dropped_by": {"policy:gone": 10, "rate_limited:slow": 2},
                "otel_logging.recovered": 0,
                "otel_logging.suppressed": 2,
                "otel_logging.end_reason": "block",
            }
            assert told.body.startswith("Call summary: 15 records made, 3 kept, 12 dropped (policy:gone 10, ")
            assert len(sink.records) == 3
        assert_balanced()

    def test_never_on_the_console(self, rules):
        """The console shows the call's lines and no summary; the books count it."""
        with capture(policies=rules(("gone", "frame", "none"))) as sink:
            with otel_logging.call(SID):
                log.info("said hello")
            assert "Call summary" not in sink.console
            sink.flush()
            assert otel_logging.stats()["exported"] == 2

    def test_no_records_no_summary(self):
        """A call that logged nothing has nothing to tell."""
        with capture() as sink:
            with otel_logging.call(SID):
                pass
            assert sink.summaries == []

    def test_a_call_that_opens_again(self):
        """The second summary tells what came since the first."""
        with capture() as sink:
            for number in (3, 2):
                with otel_logging.call(SID):
                    for one in range(number):
                        log.info(f"{one} things said")
            assert [told.attributes["otel_logging.made"] for told in sink.summaries] == [3, 2]

    def test_handles_that_turn_out_to_be_one_call(self):
        """What a websocket counted before its call had a name is in the sum."""
        from otel_logging.calls.call import open_call

        with capture() as sink:
            with otel_logging.call(SID):
                log.info("webhook")
                stream = open_call(origin="websocket")
                with stream.activate():
                    log.info("connected")
                    stream.name(SID)
                    log.info("started")
            stream.end("stop")
            assert sum(told.attributes["otel_logging.made"] for told in sink.summaries) == 3

    def test_with_shutdown(self):
        """Calls that are open when the process is shut down are told of before the last flush."""
        with capture() as sink:
            call = otel_logging.call(SID)
            call.__enter__()
            log.info("in mid-call")
            otel_logging.shutdown()
            assert [told.attributes["otel_logging.end_reason"] for told in sink.summaries] == ["shutdown"]


class TestOutsideOfCalls:
    def test_a_run_that_is_over(self, rules):
        """What no line tells is told when the run has not grown from one look to the next, and only once."""
        later = []
        clock = FakeClock()
        with capture(clock=clock, policies=rules(("slow", "beat", "1/3s"))) as sink:
            from otel_logging.boot import configure

            told = summary.Summaries(configure.configured().pipeline, lambda _, run: later.append(run) or True)
            log.info("beat")
            assert later == []
            log.info("beat")
            log.info("beat")
            assert len(later) == 1
            later.pop()()
            assert sink.summaries == []
            later.pop()()
            (record,) = sink.summaries
            assert record.event_name == "otel_logging.suppressed.summary"
            assert record.attributes["otel_logging.suppressed"] == 2
            assert later == []
            clock.advance(5)
            log.info("beat")
            assert "otel_logging.suppressed" not in sink.records[-1].attributes
            told.uninstall()

    def test_at_the_end(self, rules):
        """The end of the process waits for no second look."""
        with capture(policies=rules(("slow", "beat", "1/3s"))) as sink:
            log.info("beat")
            log.info("beat")
            otel_logging.shutdown()
            assert [record.attributes["otel_logging.suppressed"] for record in sink.summaries] == [1]


def test_settled_pages_have_nothing_to_tell():
    """A forked child leaves to its parent what the parent counted."""
    memory = CallMemory()
    memory.counts.update({"kept": 3, "rate_limited:slow": 4})
    summary.settle(memory)
    assert suppressed.untold(memory) == {}
    memory.counts["rate_limited:slow"] += 1
    assert suppressed.untold(memory) == {"rate_limited:slow": 1}
