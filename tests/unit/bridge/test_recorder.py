"""The flight recorder within a set-up process: what it remembers, when it gives it back, and what it never mixes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import os
import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_logging
from otel_logging import testing
from otel_logging.boot.configure import configured
from otel_logging.calls.call import open_call
from otel_logging.cli import recall

A, B = "CA" + "a" * 32, "CA" + "b" * 32
RECOVERED, TRIGGER = "otel_logging.recovered", "otel_logging.trigger"
log = logging.getLogger("server.media")


def frame(number):
    log.info(f"[AUDIO_DELTA] response_id=resp_1, bytes={number}")


def frames_of(number, start=0):
    return [f"[AUDIO_DELTA] response_id=resp_1, bytes={one}" for one in range(start, start + number)]


def recovered(sink, call_sid=None):
    sink.flush()
    found = [record for record in sink.records if record.attributes.get(RECOVERED)]
    return [record for record in found if call_sid is None or record.call_sid == call_sid]


def recorder():
    return configured().pipeline.recorder


@pytest.fixture
def sink():
    with testing.capture() as made:
        yield made
        made.flush()
        testing.assert_balanced()


class TestPromise:
    """2,000 frames and one ERROR: what issue and design promise."""

    def test_an_error_gives_the_frames_back(self, sink):
        """An ERROR exports the remembered frames with their own times, ids, level and order; the console one line."""
        with otel_logging.call(A, business_id=7):
            for number in range(2000):
                frame(number)
            log.error("model lost")
        found = recovered(sink)
        assert [record.body for record in found] == frames_of(2000)
        times = [record.timestamp for record in found]
        error = next(record for record in sink.records if record.body == "model lost")
        assert times == sorted(times)
        assert times[-1] <= error.timestamp
        assert len(set(times)) > 1000
        assert {record.trace_id for record in found} == {"a" * 32} == {error.trace_id}
        assert {record.span_id for record in found} == {error.span_id}
        assert {(record.level, record.logger, record.call_sid) for record in found} == {("INFO", "server.media", A)}
        assert {record.attributes[TRIGGER] for record in found} == {"error"}
        assert {record.attributes["business_id"] for record in found} == {7}
        assert sink.console.count("\n") == 1
        assert otel_logging.stats()["recovered"] == 2000

    def test_without_an_error_nothing_is_exported_and_recall_brings_it(self, tmp_path, capsys):
        """A call that ended well exports no frame; `recall` brings all of them into the store, once."""
        with testing.capture(store=tmp_path) as sink:
            with otel_logging.call(A, business_id=7):
                for number in range(2000):
                    frame(number)
            assert recovered(sink) == []
        for expected in (2000, 0):
            assert recall.main(["--store", str(tmp_path), "--json", A]) == 0
            assert json.loads(capsys.readouterr().out)["recalled"] == expected
        from otel_logging.search import local

        found = list(local.scan(tmp_path))
        assert [record.body for record in found] == frames_of(2000)
        assert all(record.recovered and record.attributes[TRIGGER] == "recall" for record in found)
        assert {(record.call_sid, record.trace_id) for record in found} == {(A, "a" * 32)}


class TestWhatIsRemembered:
    """Entries: below the level too, flattened, cut, never changed afterwards."""

    def test_below_level(self, sink):
        """A message below LOG_LEVEL is remembered, rendered, and created only when it is given back."""
        with otel_logging.call(A):
            log.debug("size=%d", 3)
            assert otel_logging.stats()["created"] == 0
            log.critical("gone")
        assert [(record.body, record.level) for record in recovered(sink)] == [("size=3", "DEBUG")]

    def test_quiet_libraries_are_not(self, sink):
        """What a quiet library says below its level is not remembered: it may hold tokens."""
        with otel_logging.call(A):
            logging.getLogger("websockets.client").debug("Authorization: Bearer x")
            log.error("x")
        assert recovered(sink) == []

    def test_outside_a_call_nothing_is(self, sink):
        """Without a call there is nothing to give back."""
        log.debug("nobody's")
        log.error("x")
        assert recovered(sink) == []

    def test_mutable_arguments_stay_as_they_were(self, sink):
        """What an argument or an extra becomes after the line changes nothing."""
        parts = ["a"]
        with otel_logging.call(A):
            log.debug("parts=%s", parts, extra={"parts": parts, "n": 1})
            parts.append("b")
            log.error("x")
        (record,) = recovered(sink)
        assert (record.body, record.attributes["parts"], record.attributes["n"]) == ("parts=['a']", "['a']", 1)

    def test_entries_hold_scalars_only(self, sink):
        """The garbage collector has nothing to look at in what is remembered."""
        with otel_logging.call(A) as call:
            for number in range(200):
                log.debug("frame %d", number, extra={"n": object()})
            ring = call.memory.ring
            ring.roll()
            for _ in range(5):  # tuples within tuples are left alone from the inside out
                gc.collect()
            for chunk in ring._chunks:
                assert not any(map(gc.is_tracked, chunk))
                assert not any(map(gc.is_tracked, chunk.sites))

    def test_odd_extras_and_exceptions(self, sink):
        """An extra whose repr fails, reserved names and an exception are remembered as text."""

        class Bad:
            def __repr__(self):
                raise ValueError

        with otel_logging.call(A):
            try:
                raise KeyError("k")
            except KeyError:
                log.debug("odd", extra={"bad": Bad(), "status": "busy"}, exc_info=True)
            log.error("x")
        (record,) = recovered(sink)
        assert "no text" in record.attributes["bad"]
        assert record.attributes["extra.status"] == "busy"
        assert record.attributes["exception.type"] == "KeyError"

    def test_long_texts_are_cut(self, sink):
        """A text of a megabyte does not wash everything else out."""
        with otel_logging.call(A):
            log.debug("first")
            log.debug("x" * 1_000_000)
            log.error("x")
        first, long = recovered(sink)
        assert first.body == "first"
        assert len(long.body) < 9000

    def test_the_span_of_the_moment(self, sink):
        """A record remembered within a span keeps that span's trace, one outside of it the call's."""
        span = NonRecordingSpan(SpanContext(0x77, 0x88, is_remote=False, trace_flags=TraceFlags(1)))
        with otel_logging.call(A):
            token = otel_context.attach(trace.set_span_in_context(span))
            log.debug("inside")
            otel_context.detach(token)
            log.debug("outside")
            log.error("x")
        assert [record.trace_id for record in recovered(sink)] == [f"{0x77:032x}", "a" * 32]


class TestTriggers:
    """What gives a call back."""

    @pytest.mark.parametrize(("level", "word"), [(logging.ERROR, "error"), (logging.CRITICAL, "critical")])
    def test_levels(self, sink, level, word):
        """ERROR triggers, and CRITICAL is worse than ERROR."""
        with otel_logging.call(A):
            log.debug("d")
            log.log(level, "x")
        assert [record.attributes[TRIGGER] for record in recovered(sink)] == [word]

    def test_a_warning_does_not(self, sink):
        """A WARNING is no trigger by default."""
        with otel_logging.call(A):
            log.debug("d")
            log.warning("x")
        assert recovered(sink) == []

    def test_third_party_loggers_trigger(self, sink):
        """An ERROR of a library triggers like any other."""
        with otel_logging.call(A):
            log.debug("d")
            logging.getLogger("asyncio").error("Task exception was never retrieved")
        assert len(recovered(sink)) == 1

    def test_an_exception_that_leaves_the_call(self, sink):
        """An exception that leaves the block triggers, without any line."""
        with pytest.raises(KeyError), otel_logging.call(A):
            log.debug("d")
            raise KeyError
        assert [record.attributes[TRIGGER] for record in recovered(sink)] == ["exception"]

    def test_cancelled(self, sink):
        """A cancelled handler triggers."""

        async def main():
            async def handler():
                async with otel_logging.call(A):
                    log.debug("d")
                    await asyncio.Event().wait()

            task = asyncio.ensure_future(handler())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert [record.attributes[TRIGGER] for record in recovered(sink)] == ["cancelled"]

    @pytest.mark.parametrize(("reason", "number"), [("closed_without_stop", 1), ("stop", 0), ("completed", 0)])
    def test_streams(self, sink, reason, number):
        """A stream that closes without `stop` triggers, one that stops does not."""
        call = open_call(A, origin="websocket")
        with call.activate():
            log.debug("d")
        call.end(reason)
        assert len(recovered(sink)) == number

    def test_the_process_ends_in_mid_call(self, sink):
        """A process that ends gives open calls back, but not those that nobody holds open."""
        from otel_logging.boot import configure

        open_one, left = open_call(A, origin="websocket"), open_call(B, origin="webhook")
        for call in (open_one, left):
            with call.activate():
                log.debug("d")
        left.leave("answered")
        configure.close()
        assert [(record.call_sid, record.attributes[TRIGGER]) for record in recovered(sink)] == [(A, "process_end")]

    def test_from_another_process(self, sink):
        """`trigger_call` gives back what is remembered here, and tells nobody again; a local trigger is told."""
        told = []
        stop = recorder().on_trigger(lambda call_sid, reason: told.append((call_sid, reason)))
        with otel_logging.call(A):
            log.debug("d")
            assert recorder().trigger_call(A, "control")
            assert not recorder().trigger_call(B, "control")
        assert [record.attributes[TRIGGER] for record in recovered(sink)] == ["control"]
        assert told == []
        with otel_logging.call(B):
            log.error("x")
        sink.flush()
        stop()
        assert told == [(B, "error")]

    def test_a_late_error_after_the_end(self, sink):
        """Within the linger after a call's end an error in this process still finds its ring."""
        with otel_logging.call(A) as call:
            log.debug("d")
        with call.activate():
            log.error("late")
        assert [record.body for record in recovered(sink)] == ["d"]


class TestAfterTheTrigger:
    """The window, and budgets."""

    def test_the_call_is_let_through_for_some_seconds(self):
        """What would be dropped passes for 10 s after a trigger, marked, not on the console; then no longer."""
        clock = testing.FakeClock()
        with testing.capture(clock=clock) as sink:
            with otel_logging.call(A):
                log.error("x")
                frame(1)
                log.debug("d")
                clock.advance(11)
                frame(2)
            sink.flush()
            passed = [record.body for record in sink.records if record.attributes.get(TRIGGER) == "error"]
            assert passed == [*frames_of(1, 1), "d"]
            assert "AUDIO" not in sink.console
            testing.assert_balanced()

    def test_replays_of_one_call_are_limited(self):
        """The fourth replay of a call says so in one line a minute, and exports nothing else."""
        clock = testing.FakeClock()
        with testing.capture(clock=clock) as sink:
            with otel_logging.call(A):
                for _ in range(6):
                    log.debug("d")
                    log.error("x")
                    clock.advance(11)
            assert len(recovered(sink)) == 3
            lines = [record.body for record in sink.records if record.logger == "otel_logging.recorder"]
            assert len(lines) == 1
            assert "given back 3 times" in lines[0]
            testing.assert_balanced()

    def test_an_outage_does_not_multiply_the_bill(self, tmp_path):
        """200 calls that fail at once stay within the bytes of a minute; the rest is in the store."""
        with testing.capture(store=tmp_path) as sink:
            for number in range(200):
                with otel_logging.call(f"call-{number}"):
                    for one in range(300):
                        frame(one)
                    log.error(f"died {number}")
            assert otel_logging.force_flush(120.0)  # the store is written to behind the scenes
            found = recovered(sink)
            exported = sum(len(record.body) + 350 for record in sink.records)
            assert 0 < len(found) < 200 * 300
            assert exported < 8 * 1024 * 1024 * 1.1
            assert sum(record.body.startswith("died") for record in sink.records) == 200
            testing.assert_balanced()
        from otel_logging.search import local

        stored = [record for record in local.scan(tmp_path) if record.recovered]
        assert len(stored) + len(found) == 200 * 300

    def test_memory_stays_within_the_budget(self):
        """Bytes per process and per call hold, evictions are counted, the newest stays."""
        with testing.capture(recorder="call=8KiB,process=64KiB") as sink:
            calls = [open_call(f"call-{number}", origin="websocket") for number in range(40)]
            for number in range(100):
                for call in calls:
                    with call.activate():
                        frame(number)
            figures = recorder().stats()
            assert figures["remembered_bytes"] <= 64 * 1024
            assert figures["evicted"] > 0
            with calls[0].activate():
                log.error("x")
            assert recovered(sink)[-1].body == frames_of(1, 99)[0]

    def test_off(self):
        """OTEL_LOGGING_RECORDER=off remembers nothing."""
        with testing.capture(recorder="off") as sink:
            assert recorder() is None
            with otel_logging.call(A):
                frame(1)
                log.error("x")
            assert recovered(sink) == []


class TestCallsNeverMix:
    """Tasks, threads, handles."""

    def test_one_calls_trigger_leaves_the_other_alone(self, sink):
        """Two calls in threads and tasks: only the failed one is given back, with its own records."""
        barrier = threading.Barrier(2)

        def work(call_sid, fails):
            with otel_logging.call(call_sid):
                barrier.wait()
                for number in range(500):
                    log.debug("%s %d", call_sid, number)
                barrier.wait()
                if fails:
                    log.error("x")

        threads = [
            threading.Thread(target=contextvars.Context().run, args=(work, *one)) for one in ((A, True), (B, False))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [record.body for record in recovered(sink)] == [f"{A} {number}" for number in range(500)]

    def test_many_threads_of_one_call(self, sink):
        """Threads that log into one call at once lose nothing, and each one's order stays."""
        with otel_logging.call(A) as call:

            def work(name):
                with call.activate():
                    for number in range(400):
                        log.debug("%s %d", name, number)

            threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            log.error("x")
        bodies = [record.body for record in recovered(sink)]
        for name in "abcd":
            assert [body for body in bodies if body.startswith(name)] == [f"{name} {number}" for number in range(400)]

    def test_before_the_name(self, sink):
        """What is remembered before the call has a name takes the name, also where another handle has it already."""
        first, second = open_call(origin="websocket"), open_call(origin="job")
        for number, call in enumerate((first, second, first, second)):
            with call.activate():
                log.debug("d%d", number)
        first.name(A)
        second.name(A)
        with second.activate():
            log.debug("d4")
        with first.activate():
            log.error("x")
        assert [(record.body, record.call_sid) for record in recovered(sink)] == [(f"d{n}", A) for n in range(5)]

    def test_an_error_before_the_name(self, sink):
        """A call that goes wrong before it has a name is given back when it has one."""
        call = open_call(origin="websocket")
        with call.activate():
            log.debug("d")
            log.error("x")
        call.name(A)
        assert [(record.body, record.call_sid, record.trace_id) for record in recovered(sink)] == [("d", A, "a" * 32)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_forked_child_forgets(self, sink):
        """A child gives back its own records only; the parent keeps its own."""
        with otel_logging.call(A):
            log.debug("parent's")
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    log.debug("child's")
                    log.error("x")
                    bodies = [record.body for record in recovered(sink)]
                    os.write(write, json.dumps(bodies).encode())
                finally:
                    os._exit(0)
            os.close(write)
            os.waitpid(pid, 0)
            assert json.loads(os.read(read, 10_000)) == ["child's"]
            os.close(read)
            log.error("y")
        assert [record.body for record in recovered(sink)] == ["parent's"]
