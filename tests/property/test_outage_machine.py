"""Any history of outages, ends and kills: the books balance, and all that was kept arrives, once, in order, marked.

A move is a `rule`; what it does in detail, and what must hold afterwards, is the business of `outage_world`. More than
the few histories of the default run: OTEL_LOGGING_OUTAGE_EXAMPLES=500 pytest tests/property/test_outage_machine.py
"""

from __future__ import annotations

import logging
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from outage_endpoint import DEADLY, MODES
from outage_world import OutageWorld
from recorder_world import ROOMY, SHAPES

from otel_logging.calls.call import open_call

EXAMPLES = int(os.environ.get("OTEL_LOGGING_OUTAGE_EXAMPLES", "0")) or 15
LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING]
some_shape = st.sampled_from([*sorted(SHAPES), "marked", "huge"])
has_calls = precondition(lambda self: self.world.calls)
can_fork = precondition(lambda self: self.world.calls and hasattr(os, "fork"))


class OutageMachine(RuleBasedStateMachine):
    """Calls log and fail while the endpoint comes and goes, and so do the processes."""

    spool = "on-failure"

    def __init__(self):
        super().__init__()
        self.world = OutageWorld(ROOMY, self.spool)

    def _some_call(self, data):
        return data.draw(st.sampled_from(self.world.calls))

    # -- calls and lines ------------------------------------------------------------------------------------------

    @initialize()
    def first_call(self):
        self.begin(named=True)

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
    @rule(data=st.data(), reason=st.sampled_from(["stop", "cancelled"]))
    def end(self, data, reason):
        call, sid = self.world.calls.pop(data.draw(st.integers(0, len(self.world.calls) - 1)))
        call.name(sid)
        if reason == "cancelled":
            self.world.failed(sid)
        call.end(reason)

    @has_calls
    @rule(data=st.data(), shape=some_shape, level=st.sampled_from(LEVELS), number=st.integers(1, 40))
    def interleaved(self, data, shape, level, number):
        """Two calls, or one, log in turns."""
        calls = [self._some_call(data), self._some_call(data)]
        for turn in range(number):
            call = calls[turn % 2]
            with call[0].activate():
                self.world.line(call, level, shape)

    @has_calls
    @rule(data=st.data(), number=st.integers(1, 100))
    def frames(self, data, number):
        call = self._some_call(data)
        with call[0].activate():
            for _ in range(number):
                self.world.line(call, logging.INFO, "f-string")

    @has_calls
    @rule(data=st.data(), level=st.sampled_from([logging.ERROR, logging.CRITICAL]))
    def fail(self, data, level):
        call = self._some_call(data)
        with call[0].activate():
            self.world.line(call, level, "trouble")
        self.world.failed(call[1])

    # -- what comes from outside ----------------------------------------------------------------------------------

    @has_calls
    @rule(
        data=st.data(),
        mode=st.sampled_from(MODES[1:]),
        shape=some_shape,
        number=st.integers(1, 40),
        flushes=st.booleans(),
    )
    def outage(self, data, mode, shape, number, flushes):
        """The endpoint fails in one way or another, and a call goes on."""
        self.world.endpoint.becomes(mode)
        call = self._some_call(data)
        for turn in range(number):
            with call[0].activate():
                self.world.line(call, logging.WARNING, shape if turn % 4 else "trouble")
        if flushes:
            self.world.flush()

    @rule()
    def recovery(self):
        self.world.endpoint.becomes("up")

    @rule()
    def flush(self):
        self.world.flush()

    @rule(seconds=st.sampled_from([1, 15, 70]))
    def wait(self, seconds):
        self.world.clock.advance(seconds)
        self.world.forgotten = self.world.forgotten or seconds > 60

    @rule(parting=st.booleans(), again=st.booleans())
    def restart(self, parting, again):
        """The process is set up again, or ends and another one of the same destination comes."""
        self.world.take_down(parting=parting, again=again)
        self.world.set_up(again=again)
        self.begin(named=True)

    @can_fork
    @rule(
        data=st.data(),
        first=st.sampled_from(MODES),
        then=st.sampled_from([*MODES, *DEADLY]),
        numbers=st.tuples(st.integers(0, 20), st.integers(0, 40)),
        flushes=st.booleans(),
        killed=st.booleans(),
    )
    def child(self, data, first, then, numbers, flushes, killed):
        """A forked child logs in a call of its own and in its parent's, fails, and ends well or in the midst of it."""
        world = self.world
        call, mine, shape = self._some_call(data), world.new_sid(), data.draw(some_shape)
        killed = killed or then not in MODES

        def work():
            world.endpoint.becomes(first)
            for _ in range(numbers[0]):
                with call[0].activate():
                    world.line(call, logging.WARNING, "speech")
            if flushes:
                world.flush()
            world.endpoint.becomes(then)
            own = open_call(mine, origin="websocket")
            for turn in range(numbers[1]):
                with own.activate():
                    world.line((own, mine), LEVELS[turn % 3], shape)
                with call[0].activate():
                    world.line(call, logging.WARNING, "trouble")
            with own.activate():
                world.line((own, mine), logging.ERROR, "trouble")
            if then not in MODES:
                world.flush()

        world.child(work, killed=killed)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def books_balance(self):
        self.world.balance()

    def teardown(self):
        try:
            self.world.end()
        finally:
            self.world.close()


class WriteAheadMachine(OutageMachine):
    """The same where every record is on disk before the application goes on: then a kill costs nothing."""

    spool = "always"


_SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestOutages = OutageMachine.TestCase
TestOutages.settings = _SETTINGS
TestWriteAhead = WriteAheadMachine.TestCase
TestWriteAhead.settings = _SETTINGS
