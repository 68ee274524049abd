"""Any history of calls: the books balance, what is given back is in order and whole, and no call sees another's.

A move is a `rule`; what it does in detail, and what must hold afterwards, is `recorder_world`'s business.
"""

from __future__ import annotations

import logging
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from recorder_world import BROKEN, RECOVERED, ROOMY, RULES, SHAPES, TIGHT, World

import otel_logging
from otel_logging import testing
from otel_logging.boot.configure import configured
from otel_logging.calls.call import open_call

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING]
SEVERE = [logging.ERROR, logging.CRITICAL]
some_shape = st.sampled_from(sorted(SHAPES))
has_calls = precondition(lambda self: self.world.calls)
can_fork = precondition(lambda self: self.world.calls and hasattr(os, "fork"))


class Machine(RuleBasedStateMachine):
    """Calls that begin before or with their names, log from any thread and child, fail, nest and end, in any order."""

    recorder = TIGHT
    most_bytes = 16 * 1024

    def __init__(self):
        super().__init__()
        self.world = World(self.recorder)

    def _some_call(self, data):
        return data.draw(st.sampled_from(self.world.calls))

    # -- calls ----------------------------------------------------------------------------------------------------

    @rule(named=st.booleans())
    def begin(self, named):
        sid = self.world.new_sid()
        self.world.calls.append((open_call(sid if named else None, origin="websocket"), sid))

    @has_calls
    @rule(data=st.data())
    def name(self, data):
        call, sid = self._some_call(data)
        call.name(sid)

    @has_calls
    @rule(data=st.data(), reason=st.sampled_from(["stop", "closed", "closed_without_stop", "cancelled"]))
    def end(self, data, reason):
        number = data.draw(st.integers(0, len(self.world.calls) - 1))
        call, sid = self.world.calls.pop(number)
        call.name(sid)
        if reason in {"closed_without_stop", "cancelled"}:
            self.world.failed(sid)
        call.end(reason)

    @rule()
    def exception(self):
        sid = self.world.new_sid()
        try:
            with otel_logging.call(sid):
                self.world.line((None, sid), logging.DEBUG)
                self.world.line((None, sid), logging.INFO)
                self.world.failed(sid)
                raise LookupError
        except LookupError:
            pass

    # -- lines ----------------------------------------------------------------------------------------------------

    @has_calls
    @rule(
        data=st.data(), level=st.sampled_from(LEVELS), number=st.integers(1, 60), thread=st.booleans(), shape=some_shape
    )
    def log_some(self, data, level, number, thread, shape):
        call = self._some_call(data)

        def work():
            with call[0].activate():
                for _ in range(number):
                    self.world.line(call, level, shape)

        if thread:
            self.world.in_threads([work])
        else:
            work()

    @has_calls
    @rule(data=st.data(), number=st.integers(1, 100))
    def log_the_same(self, data, number):
        call = self._some_call(data)
        with call[0].activate():
            for _ in range(number):
                self.world.constant(call)

    @has_calls
    @rule(data=st.data(), level=st.sampled_from(SEVERE))
    def fail(self, data, level):
        call = self._some_call(data)
        with call[0].activate():
            self.world.line(call, level, "trouble")
        self.world.failed(call[1])

    @precondition(lambda self: len(self.world.calls) > 1)
    @rule(data=st.data())
    def nested(self, data):
        outer, inner = self._some_call(data), self._some_call(data)
        with outer[0].activate():
            self.world.line(outer, logging.DEBUG)
            with inner[0].activate():
                self.world.line(inner, logging.DEBUG)
            self.world.line(outer, logging.DEBUG)

    @precondition(lambda self: len(self.world.calls) > 1)
    @rule(data=st.data(), number=st.integers(1, 40), fails=st.booleans())
    def all_at_once(self, data, number, fails):
        """Threads of several calls, or of one, log at the same time; the first may fail in the midst of it."""
        calls = [self._some_call(data) for _ in range(4)]
        shapes = [data.draw(some_shape) for _ in calls]

        def work(call, shape, severe):
            with call[0].activate():
                for _ in range(number):
                    self.world.line(call, logging.INFO, shape)
                if severe:
                    self.world.line(call, logging.ERROR, "trouble")
                for _ in range(number):
                    self.world.line(call, logging.DEBUG, shape)

        self.world.in_threads(
            [
                lambda call=call, shape=shape, severe=fails and not position: work(call, shape, severe)
                for position, (call, shape) in enumerate(zip(calls, shapes, strict=True))
            ]
        )

    # -- what comes from outside ----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 15, 70]))
    def wait(self, seconds):
        self.world.clock.advance(seconds)
        self.world.forgotten = self.world.forgotten or seconds > 60

    @rule(rules=st.sampled_from(sorted(RULES)))
    def reload(self, rules):
        self.world.reload(rules)

    @rule(text=st.sampled_from(BROKEN))
    def reload_broken(self, text):
        self.world.break_rules(text)

    @has_calls
    @rule(data=st.data(), everything=st.booleans(), level=st.sampled_from(LEVELS[:2]))
    def debug_on(self, data, everything, level):
        self.world.debug(None if everything else self._some_call(data)[1], level)

    @rule()
    def debug_off(self):
        self.world.debug_off()

    @can_fork
    @rule(data=st.data(), reason=st.sampled_from(["stop", "cancelled"]))
    def fork(self, data, reason):
        """A child goes on with a call, has one of its own, fails in both: it gives back what it made itself."""
        world = self.world
        call = self._some_call(data)
        mine = world.new_sid()

        def child():
            inherited = set(world.lines)
            world.debug_off()
            with call[0].activate():
                world.line(call, logging.INFO)
                world.line(call, logging.ERROR, "trouble")
            call[0].name(call[1])
            call[0].end(reason)
            with otel_logging.call(mine):
                world.line((None, mine), logging.DEBUG)
                world.line((None, mine), logging.CRITICAL, "trouble")
            world.sink.flush()
            records = world.sink.records
            testing.assert_balanced()
            assert otel_logging.stats()["recovered"] == sum(RECOVERED in one.attributes for one in records)
            assert not inherited & {record.body for record in records}, "the parent's records came out of the child"
            made = {line.text for line in world.lines.values() if line.text not in inherited}
            missing = made - {record.body for record in records}
            held_back = otel_logging.stats()["dropped"].get("storm_guard", 0)
            assert len(missing) <= held_back, f"the child's records are missing: {missing}"

        world.in_child(child)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def memory_is_within_its_budget(self):
        assert configured().pipeline.recorder.stats()["remembered_bytes"] <= self.most_bytes

    def teardown(self):
        try:
            for call, sid in self.world.calls:
                call.name(sid)
            self.world.check()
        finally:
            self.world.close()


class RoomyMachine(Machine):
    """The same with room for everything: then nothing that a failure owes may be missing."""

    recorder = ROOMY
    most_bytes = 8 * 1024 * 1024


_SETTINGS = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestMachine = Machine.TestCase
TestMachine.settings = _SETTINGS
TestRoomyMachine = RoomyMachine.TestCase
TestRoomyMachine.settings = _SETTINGS
