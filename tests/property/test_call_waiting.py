from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_logging.calls import registry, timer, waiting
from otel_logging.calls.call import end_all, open_call, release_waiting

SID = "CA" + "ab" * 16

operation = st.one_of(
    st.tuples(st.just("record"), st.sampled_from([1, 100, 20_000, 40_000, 70_000])),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 1.0, 2.0])),
    st.tuples(st.sampled_from(["name", "wrong", "end", "leave", "flush", "end_all", "activate"]), st.none()),
)


class Clock:
    """The timer as the calls see it, run by hand."""

    def __init__(self):
        self.now, self.tasks = 0.0, []

    def schedule(self, delay, run):
        entry = timer.Scheduled(self, run)
        self.tasks.append((self.now + delay, entry))
        return entry

    def forget_one(self):
        pass

    def advance(self, seconds):
        self.now += seconds
        for task in sorted(self.tasks, key=lambda one: one[0]):
            if task[0] <= self.now and task in self.tasks:
                self.tasks.remove(task)
                run, task[1].run = task[1].run, None
                if run is not None:
                    run()


@given(steps=st.lists(operation, max_size=30))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_interleaving_delivers_each_record_once_and_in_order(steps, monkeypatch):
    """Whatever happens to a call, no record is lost, doubled or overtaken, and what follows the name has it."""
    clock = Clock()
    monkeypatch.setattr(timer, "schedule", clock.schedule)
    monkeypatch.setattr(registry, "clock", lambda: clock.now)
    registry.reset()
    call = open_call(origin="test")
    made, arrived, named_at = 0, [], None

    for kind, value in steps:
        if kind == "record":
            number = made
            made += 1

            def deliver(known, number=number):
                return arrived.append((number, known.call_sid))

            if not call.hold(deliver, value):
                deliver(call)
        elif kind == "advance":
            clock.advance(value)
        elif kind == "name":
            assert call.name(SID)
            named_at = made if named_at is None else named_at
        elif kind == "wrong":
            assert not call.name("no call id\x00")
        elif kind == "end":
            call.end()
        elif kind == "leave":
            call.leave()
        elif kind == "flush":
            release_waiting()
        elif kind == "end_all":
            end_all("test")
        else:
            with call.activate():
                pass
        assert len(arrived) + waiting.held() == made
    clock.advance(10)
    assert [number for number, _ in arrived] == list(range(made))
    assert waiting.held() == 0
    for number, call_sid in arrived:
        if named_at is not None and number >= named_at:
            assert call_sid == SID
    registry.reset()


@pytest.mark.parametrize("finish", ["name", "end", "flush"])
def test_threads_lose_and_double_nothing(finish):
    """Four threads log while a fifth names or ends the call: each record arrives once, each thread's in order."""
    for _ in range(20):
        call = open_call(origin="test")
        arrived, start = [], threading.Barrier(5)

        def log(thread, call=call, arrived=arrived, start=start):
            start.wait(10)
            for number in range(50):

                def deliver(_known, number=number):
                    return arrived.append((thread, number))

                if not call.hold(deliver, 10):
                    deliver(call)

        def decide(call=call, start=start):
            start.wait(10)
            if finish == "name":
                call.name(SID)
            elif finish == "end":
                call.end()
            else:
                release_waiting()

        threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
        threads.append(threading.Thread(target=decide))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        call.end()
        for thread in range(4):
            assert [number for who, number in arrived if who == thread] == list(range(50))
        registry.reset()
