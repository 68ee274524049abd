"""Any history of calls: the books balance, what is given back is in order and whole, and no call sees another's."""

from __future__ import annotations

import logging
import threading

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import otel_logging
from otel_logging import testing
from otel_logging.boot.configure import configured
from otel_logging.calls.call import open_call

RECOVERED = "otel_logging.recovered"
LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
log = logging.getLogger("server.machine")


class Machine(RuleBasedStateMachine):
    """Calls that begin before or with their names, log from any thread, fail, nest and end, in any order."""

    def __init__(self):
        super().__init__()
        self.clock = testing.FakeClock()
        self.capture = testing.capture(clock=self.clock, recorder="call=4KiB,process=16KiB", log_console="off")
        self.sink = self.capture.__enter__()
        self.calls = []  # handles, with what each is to be named
        self.number = 0
        self.texts = {}  # what was logged: the call it was logged in
        self.nameless = set()  # what was logged before its call had a name: it waits for one, but not for ever
        self.sids = []

    def _line(self, call, level):
        self.number += 1
        text = f"[AUDIO_DELTA] response_id=resp_1, bytes={self.number}"
        self.texts[text] = call[1]
        if call[0] is not None and call[0].call_sid is None:
            self.nameless.add(text)
        log.log(level, text)

    def _new_sid(self):
        # One ring for each call: rings that turn out to be one call's are given back one after the other.
        self.sids.append(f"CA{len(self.sids) + 1:032x}")
        return self.sids[-1]

    @rule(named=st.booleans())
    def begin(self, named):
        sid = self._new_sid()
        self.calls.append((open_call(sid if named else None, origin="websocket"), sid))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def name(self, data):
        call, sid = data.draw(st.sampled_from(self.calls))
        call.name(sid)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), level=st.sampled_from(LEVELS[:3]), number=st.integers(1, 60), thread=st.booleans())
    def log_some(self, data, level, number, thread):
        call = data.draw(st.sampled_from(self.calls))

        def work():
            with call[0].activate():
                for _ in range(number):
                    self._line(call, level)

        if thread:
            worker = threading.Thread(target=work)
            worker.start()
            worker.join()
        else:
            work()

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), level=st.sampled_from(LEVELS[3:]))
    def fail(self, data, level):
        call = data.draw(st.sampled_from(self.calls))
        with call[0].activate():
            self._line(call, level)

    @precondition(lambda self: len(self.calls) > 1)
    @rule(data=st.data())
    def nested(self, data):
        outer, inner = (data.draw(st.sampled_from(self.calls)) for _ in range(2))
        with outer[0].activate():
            self._line(outer, logging.DEBUG)
            with inner[0].activate():
                self._line(inner, logging.DEBUG)
            self._line(outer, logging.DEBUG)

    @rule()
    def exception(self):
        sid = self._new_sid()
        try:
            with otel_logging.call(sid):
                self._line((None, sid), logging.DEBUG)
                raise LookupError
        except LookupError:
            pass

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), reason=st.sampled_from(["stop", "closed", "closed_without_stop", "cancelled"]))
    def end(self, data, reason):
        number = data.draw(st.integers(0, len(self.calls) - 1))
        call, sid = self.calls.pop(number)
        call.name(sid)
        call.end(reason)

    @rule(seconds=st.sampled_from([1, 15, 70]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def reload(self):
        configured().pipeline.policies = configured().pipeline.policies

    @invariant()
    def memory_is_within_its_budget(self):
        assert configured().pipeline.recorder.stats()["remembered_bytes"] <= 16 * 1024

    def teardown(self):
        try:
            for call, sid in self.calls:
                call.name(sid)
            self.sink.flush()
            records = self.sink.records
            testing.assert_balanced()
            found = [record for record in records if record.attributes.get(RECOVERED)]
            assert otel_logging.stats()["recovered"] == len(found)
            for record in records:
                if record.body in self.texts and not (record.call_sid is None and record.body in self.nameless):
                    assert record.call_sid == self.texts[record.body]
                    assert record.trace_id == record.call_sid[2:]
            assert len({record.body for record in found}) == len(found), "given back twice"
            for sid in self.sids:
                mine = [record for record in found if record.call_sid == sid]
                numbers = [int(record.body.rpartition("=")[2]) for record in mine]
                assert [record.timestamp for record in mine] == sorted(record.timestamp for record in mine)
                assert numbers == sorted(numbers)
        finally:
            self.capture.__exit__(None, None, None)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
