from __future__ import annotations

import threading

import pytest

from otel_logging import trouble
from otel_logging.bridge.ledger import ledger
from otel_logging.calls import timer, waiting
from otel_logging.calls.waiting import WaitingRoom


class Owner:
    call_sid = None


def records(seen, *names):
    return [lambda _call, name=name: seen.append(name) for name in names]


class TestWaitingRoom:
    def test_delivers_in_order_at_release(self, time):
        """Held records come out once, in the order in which they were made, with their owner."""
        owner, seen = Owner(), []
        room = WaitingRoom(owner, is_open=True)
        for number in range(5):
            assert room.hold(lambda call, number=number: seen.append((call, number)), 10)
        assert waiting.held() == 5
        room.release()
        room.release()
        assert seen == [(owner, number) for number in range(5)]
        assert waiting.held() == 0
        assert not room.open
        assert not room.hold(lambda _: None, 1)

    def test_wait_is_over_after_two_seconds(self, time):
        """Two seconds after the first held record all are delivered, and none waits any more."""
        seen = []
        room = WaitingRoom(Owner(), is_open=True)
        time.advance(60)
        first, second = records(seen, "first", "second")
        room.hold(first, 1)
        time.advance(1.5)
        room.hold(second, 1)
        time.advance(0.4)
        assert seen == []
        time.advance(0.2)
        assert seen == ["first", "second"]
        assert not room.open

    def test_wait_is_over_after_64_kib(self, time):
        """The record that would exceed 64 KiB is not kept; those before it are delivered first."""
        seen = []
        room = WaitingRoom(Owner(), is_open=True)
        first, second = records(seen, "first", "second")
        assert room.hold(first, 40 * 1024)
        assert not room.hold(second, 25 * 1024)
        assert seen == ["first"]
        assert not room.open

    def test_exactly_64_kib_fit(self, time):
        """The budget is 64 KiB, not a byte less."""
        room = WaitingRoom(Owner(), is_open=True)
        assert room.hold(lambda _: None, 64 * 1024)
        assert not room.hold(lambda _: None, 1)

    def test_record_made_by_delivering_is_not_held(self, time):
        """What a delivery logs itself goes straight out, so that delivering ends."""
        room = WaitingRoom(Owner(), is_open=True)
        held = []
        room.hold(lambda _: held.append(room.hold(lambda _: None, 1)), 1)
        room.release()
        assert held == [False]

    def test_other_threads_do_not_overtake_while_delivering(self, time):
        """A record made by another thread during the delivery comes after those that were held."""
        seen, entered, go_on = [], threading.Event(), threading.Event()
        room = WaitingRoom(Owner(), is_open=True)

        def slow(_call):
            entered.set()
            assert go_on.wait(10)
            seen.append("slow")

        room.hold(slow, 1)
        room.hold(*records(seen, "second"), 1)
        thread = threading.Thread(target=room.release)
        thread.start()
        assert entered.wait(10)
        assert room.hold(*records(seen, "third"), 1)
        go_on.set()
        thread.join(10)
        assert seen == ["slow", "second", "third"]

    def test_failing_delivery_loses_only_its_record(self, time, capsys):
        """A delivery that raises is counted as dropped; the others arrive."""
        seen = []
        room = WaitingRoom(Owner(), is_open=True)
        room.hold(lambda _: 1 / 0, 1)
        room.hold(*records(seen, "second"), 1)
        room.release()
        assert seen == ["second"]
        assert ledger.snapshot()["dropped"] == {"held_delivery_failed": 1}
        assert trouble.counts() == {"held_delivery_failed": 1}
        assert capsys.readouterr().err.count("\n") == 1

    def test_ctrl_c_in_mid_delivery_loses_nothing_else(self, time):
        """An interrupt passes through; the rest is delivered by the timer at once."""
        seen = []
        room = WaitingRoom(Owner(), is_open=True)

        def interrupt(_call):
            raise KeyboardInterrupt

        room.hold(interrupt, 1)
        room.hold(*records(seen, "second"), 1)
        with pytest.raises(KeyboardInterrupt):
            room.release()
        time.advance(0)
        assert seen == ["second"]

    def test_delivered_at_once_when_no_timer_can_start(self, monkeypatch):
        """At the interpreter's end nothing waits for a timer that will never come."""
        monkeypatch.setattr(timer, "schedule", lambda *_: None)
        seen = []
        room = WaitingRoom(Owner(), is_open=True)
        assert room.hold(*records(seen, "only"), 1)
        assert seen == ["only"]

    def test_real_timer_ends_the_wait(self, monkeypatch):
        """With the real thread, too, the wait ends by itself."""
        monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.02)
        done = threading.Event()
        room = WaitingRoom(Owner(), is_open=True)
        room.hold(lambda _: done.set(), 1)
        assert done.wait(10)

    def test_nobody_holds_the_call_any_more(self, time):
        """Records of a call that was garbage-collected are delivered all the same."""
        seen = []
        WaitingRoom(Owner(), is_open=True).hold(*records(seen, "only"), 1)
        time.advance(2)
        assert seen == ["only"]


class TestReleaseAll:
    def test_every_room_is_emptied(self, time):
        """A flush delivers what waits in every call."""
        seen = []
        for name in ("a", "b"):
            WaitingRoom(Owner(), is_open=True).hold(*records(seen, name), 1)
        waiting.release_all()
        assert sorted(seen) == ["a", "b"]
        assert waiting.held() == 0

    def test_waits_for_a_delivery_under_way(self, time):
        """A flush returns when another thread has finished delivering."""
        seen, entered, go_on = [], threading.Event(), threading.Event()
        room = WaitingRoom(Owner(), is_open=True)

        def slow(_call):
            entered.set()
            assert go_on.wait(10)
            seen.append("slow")

        room.hold(slow, 1)
        drainer = threading.Thread(target=room.release)
        drainer.start()
        assert entered.wait(10)
        flusher = threading.Thread(target=waiting.release_all)
        flusher.start()
        go_on.set()
        flusher.join(10)
        drainer.join(10)
        assert seen == ["slow"]
