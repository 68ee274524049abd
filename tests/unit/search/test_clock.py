"""Times in and out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.search import clock

AT = 1_705_865_426_123_456_789  # 2024-01-21T19:30:26.123456789Z


@pytest.fixture
def jerusalem(monkeypatch):
    """Local time two hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Jerusalem")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestOut:
    def test_rfc3339_has_all_nanoseconds(self):
        """A time keeps its nanoseconds and is UTC."""
        assert clock.rfc3339(AT) == "2024-01-21T19:30:26.123456789Z"

    def test_rfc3339_survives_nonsense(self):
        """A time out of range is shown at the edge of the range, not as an error."""
        assert clock.rfc3339(-1) == "1970-01-01T00:00:00.000000000Z"
        assert clock.rfc3339(10**30).startswith("2554-")

    def test_local_time(self, jerusalem):
        """People read local time."""
        assert clock.local(AT) == "2024-01-21 21:30:26.123"

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "+00:00.000"), (192.481, "+03:12.481"), (3792.4819, "+1:03:12.481"), (-5, "+00:00.000")],
    )
    def test_relative(self, seconds, text):
        """A relative time is minutes, seconds, milliseconds, and hours only when there are any."""
        assert clock.relative(round(seconds * 1e9)) == text

    @pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4s"), (12.5, "12.5s"), (192, "3m12s"), (3780, "1h03m")])
    def test_duration(self, seconds, text):
        """A length of time is short and has its unit."""
        assert clock.duration(round(seconds * 1e9)) == text


class TestStamp:
    @pytest.mark.parametrize(
        "text",
        ["2024-01-21T19:30:26.123456789Z", "2024-01-21 21:30:26.123456789+02:00", "2024-01-21T14:30:26,123456789-0500"],
    )
    def test_zones(self, text):
        """Any zone gives the same moment, to the nanosecond."""
        assert clock.parse_stamp(text) == AT

    def test_no_zone_is_local(self, jerusalem):
        """A time without a zone is local time."""
        assert clock.parse_stamp("2024-01-21T21:30:26.123456789") == AT

    def test_leap_second(self):
        """A leap second is the next second, not an error."""
        assert clock.parse_stamp("2016-12-31T23:59:60Z") == clock.parse_stamp("2017-01-01T00:00:00Z")

    @pytest.mark.parametrize(
        "text", ["", "now", "2024-13-01", "2024-01-21T25:00", "2024-01-21T19:30:61Z", "2024-01-21T19:30Z+"]
    )
    def test_no_stamp(self, text):
        """What is no time is None."""
        assert clock.parse_stamp(text) is None

    @given(st.integers(0, 2**63))
    def test_round_trip(self, nanos):
        """What is written is read back exactly."""
        assert clock.parse_stamp(clock.rfc3339(nanos)) == nanos


class TestMoment:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90s", 90), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("7d", 604_800), ("1W", 604_800)],
    )
    def test_ago(self, text, seconds):
        """A length of time means that long ago."""
        assert clock.parse_moment(text, AT) == AT - seconds * clock.NANOS

    def test_long_ago_ends_in_1970(self):
        """No length of time leads before the beginning of time."""
        assert clock.parse_moment("99999999999w", AT) == 0

    @pytest.mark.parametrize("digits", [10, 13, 16, 19])
    def test_unix_time(self, digits):
        """A Unix time is understood in seconds, milliseconds, microseconds and nanoseconds."""
        assert clock.parse_moment(str(AT)[:digits], AT) == int(str(AT)[:digits].ljust(19, "0"))

    def test_time_of_day(self, jerusalem):
        """A time of day is today's, or yesterday's if today's is still to come."""
        assert clock.parse_moment("21:30:26", AT) == AT - 123_456_789
        assert clock.parse_moment("21:31", AT) == clock.parse_stamp("2024-01-20T21:31")

    def test_date_and_now(self, jerusalem):
        """A date is its local midnight, and now is now."""
        assert clock.parse_moment("2024-01-21", AT) == clock.parse_stamp("2024-01-20T22:00:00Z")
        assert clock.parse_moment(" now ", AT) == AT

    @pytest.mark.parametrize("text", ["", "yesterday-ish", "25:00", "12345", "2h30", "-5m"])
    def test_nonsense(self, text):
        """What is no time is refused with a sentence that says what would be one."""
        with pytest.raises(ValueError, match=r"is no time; valid: 2h"):
            clock.parse_moment(text, AT)
