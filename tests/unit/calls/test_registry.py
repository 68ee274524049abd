from __future__ import annotations

from otel_logging import trouble
from otel_logging.calls import registry
from otel_logging.calls.call import end_all, find, open_call

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class TestLinger:
    def test_ended_call_is_found_for_a_minute(self, time):
        """Late records of a call still find it 60 seconds after its end, and not later."""
        open_call(TWILIO, origin="a").end("stop")
        time.advance(60)
        assert find(TWILIO).end_reason == "stop"
        time.advance(0.5)
        assert find(TWILIO) is None

    def test_forgotten_after_the_linger(self, time):
        """The registry does not grow with the calls of a day."""
        open_call(TWILIO, origin="a").end("stop")
        time.advance(70)
        assert registry.snapshot() == []
        assert time.tasks == []

    def test_reopened_after_the_linger_is_a_new_state(self, time):
        """The same id a minute later begins afresh."""
        first = open_call(TWILIO, origin="a", old=1)
        first.end("stop")
        time.advance(61)
        second = open_call(TWILIO, origin="b")
        assert not second.ended
        assert second.attributes == {}
        assert first.ended

    def test_hung_up_call_is_not_opened_again(self, time):
        """A worker that takes up a call just after hang-up is attributed to it, but the call stays over."""
        open_call(TWILIO, origin="a", tenant="x").end("completed")
        late = open_call(TWILIO, origin="job")
        assert late.ended
        assert late.call_sid == TWILIO
        assert late.attributes == {"tenant": "x"}

    def test_other_ends_may_be_followed_by_more(self, time):
        """A second job for the same call opens it again."""
        open_call(TWILIO, origin="job").leave("block", grace=0)
        again = open_call(TWILIO, origin="job")
        assert not again.ended
        assert again.end_reason is None

    def test_unknown_call_is_not_found(self):
        """`find` makes nothing up."""
        assert find(TWILIO) is None


class TestIdle:
    def test_idle_call_is_ended(self, time):
        """A call whose end was missed ends after two hours without a sign of life."""
        call = open_call(TWILIO, origin="a")
        time.advance(7190)
        assert not call.ended
        time.advance(20)
        assert call.end_reason == "idle"
        assert find(TWILIO) is None

    def test_reading_is_a_sign_of_life(self, time):
        """A call that records are made in is not idle."""
        call = open_call(TWILIO, origin="a")
        for _ in range(6):
            time.advance(3600)
            _ = call.attributes
        assert not call.ended


class TestBound:
    def test_ended_calls_go_first(self, time, monkeypatch):
        """Above the bound those are forgotten first that are over."""
        monkeypatch.setattr(registry, "MAX_CALLS", 10)
        kept = open_call("kept", origin="a")
        open_call("over", origin="a").end("stop")
        for number in range(9):
            open_call(f"call{number}", origin="a")
        assert find("over") is None
        assert not kept.ended
        assert trouble.counts() == {}

    def test_oldest_open_call_is_ended_and_said(self, time, monkeypatch, capsys):
        """Open calls above the bound are ended, oldest first, with a line."""
        monkeypatch.setattr(registry, "MAX_CALLS", 3)
        calls = []
        for number in range(4):
            calls.append(open_call(f"call{number}", origin="a"))
            time.advance(10)
        assert [call.end_reason for call in calls] == ["evicted", None, None, None]
        assert "more than 3 calls" in capsys.readouterr().err


class TestSweep:
    def test_nothing_is_scheduled_without_calls(self, time):
        """A process without calls has no timer running."""
        assert time.tasks == []
        open_call(origin="a").end()
        assert time.tasks == []

    def test_one_sweep_for_all(self, time):
        """However many calls, there is one timed task."""
        for number in range(50):
            open_call(f"call{number}", origin="a")
        assert len(time.tasks) == 1


def test_end_all(time):
    """The process's end ends every call and delivers what waits."""
    seen = []
    named, unnamed = open_call(TWILIO, origin="a"), open_call(origin="b")
    hung_up = open_call(OTHER, origin="c")
    hung_up.end("stop")
    unnamed.hold(lambda known: seen.append(known.call_sid), 1)
    end_all("process_end")
    assert named.end_reason == "process_end"
    assert hung_up.end_reason == "stop"
    assert seen == [None]
