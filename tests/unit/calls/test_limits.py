from __future__ import annotations

import threading

import pytest

from otel_logging import trouble
from otel_logging.bridge.ledger import ledger
from otel_logging.calls import limits
from otel_logging.calls.call import call, open_call
from otel_logging.calls.limits import every, every_n, once_per_call

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class TestEvery:
    def test_once_in_its_seconds(self, time):
        """True now, and again when the seconds have gone by, per key."""
        assert every("watchdog", 3)
        assert not every("watchdog", 3)
        assert every("other", 3)
        time.advance(2.9)
        assert not every("watchdog", 3)
        time.advance(0.1)
        assert every("watchdog", 3)

    def test_per_call(self, time):
        """Each call has its own clock; outside of calls the process has one."""
        assert every("tick", 3)
        with call(TWILIO):
            assert every("tick", 3)
            assert not every("tick", 3)
            with call(OTHER):
                assert every("tick", 3)
        assert not every("tick", 3)

    def test_zero_seconds_is_always(self, time):
        """No pause, no limit."""
        assert every("a", 0)
        assert every("a", 0)


class TestEveryN:
    def test_first_of_every_n(self):
        """The first of each n is logged."""
        assert [every_n("frame", 3) for _ in range(7)] == [True, False, False, True, False, False, True]

    def test_one_is_always(self):
        """One in one is all of them."""
        assert all(every_n("a", 1) for _ in range(5))

    def test_per_call(self):
        """Calls count apart."""
        for sid in (TWILIO, OTHER):
            with call(sid):
                assert [every_n("frame", 2) for _ in range(3)] == [True, False, True]


class TestOncePerCall:
    def test_once(self):
        """Once in each call, once per process outside."""
        assert once_per_call("greeting")
        assert not once_per_call("greeting")
        with call(TWILIO):
            assert once_per_call("greeting")
            assert not once_per_call("greeting")

    def test_before_and_after_the_name(self):
        """What was said before the call had its name is not said again after it, nor by its other handle."""
        stream = open_call(origin="websocket")
        with stream.activate():
            assert once_per_call("greeting")
            stream.name(TWILIO)
            assert not once_per_call("greeting")
        with call(TWILIO):
            assert not once_per_call("greeting")

    def test_kinds_do_not_share_keys(self):
        """The same key in two functions is two limits."""
        assert every("key", 60)
        assert every_n("key", 2)
        assert once_per_call("key")


class TestBooks:
    def test_refusals_balance(self):
        """A refused line counts as created and dropped, with the kind of limit and not the key as the reason."""
        for number in range(4):
            every("a", 60)
            every_n("b", 4)
            once_per_call("c")
            once_per_call(("user", number))
        books = ledger.snapshot()
        assert books["created"] == 9
        assert books["dropped"] == {"limited:every": 3, "limited:every_n": 3, "limited:once_per_call": 3}


class TestWrongArguments:
    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            (every, ("a", -1)),
            (every, ("a", float("nan"))),
            (every, ("a", "soon")),
            (every, ("a", None)),
            (every, ([], 1)),
            (every_n, ("a", 0)),
            (every_n, ("a", -2)),
            (every_n, ("a", 1.5)),
            (every_n, ("a", "x")),
            (every_n, ("a", True)),
            (every_n, ({}, 2)),
            (once_per_call, ([],)),
        ],
    )
    def test_are_said_once_and_log_the_line(self, function, arguments, capsys):
        """A mistake in a limit never raises and never silences the line."""
        assert function(*arguments)
        assert function(*arguments)
        assert trouble.counts() == {"limits_wrong_argument": 2}
        assert capsys.readouterr().err.count("\n") == 1


class TestBounds:
    def test_keys_of_a_process_are_bounded(self):
        """Keys made of user ids do not eat the memory; the one used longest ago is forgotten."""
        for number in range(limits.MAX_KEYS_PER_PROCESS + 10):
            once_per_call(number)
        assert len(limits._process) == limits.MAX_KEYS_PER_PROCESS
        assert once_per_call(0)

    def test_keys_of_a_call_are_bounded(self):
        """So it is within a call."""
        with call(TWILIO) as opened:
            for number in range(limits.MAX_KEYS_PER_CALL + 10):
                every(number, 60)
            assert len(opened.limits) == limits.MAX_KEYS_PER_CALL


def test_threads_share_a_limit():
    """Eight threads that ask at once get one yes."""
    start, answers = threading.Barrier(8), []

    def ask():
        start.wait(10)
        answers.extend(once_per_call("x") for _ in range(100))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers.count(True) == 1
