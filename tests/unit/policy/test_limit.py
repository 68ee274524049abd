"""Rate windows and sampling."""

from __future__ import annotations

from otel_logging.policy.limit import RateLimit, in_sample
from otel_logging.policy.view import ABSENT


def passes(limit, key, now):
    allowed = limit.allows(key, now)
    if allowed:
        limit.take(key, now)
    return allowed


class TestRateLimit:
    def test_n_records_in_a_window(self):
        """A window lets its number pass, and the next window the same again."""
        limit = RateLimit(2, 5)
        assert [passes(limit, None, now) for now in (0, 1, 2, 4.9, 5, 6, 7)] == [
            True,
            True,
            False,
            False,
            True,
            True,
            False,
        ]

    def test_asking_takes_nothing(self):
        """A record that another policy drops is not charged."""
        limit = RateLimit(1, 5)
        assert [limit.allows("a", 0) for _ in range(3)] == [True, True, True]

    def test_keys_have_windows_of_their_own(self):
        """One busy call leaves the others their share."""
        limit = RateLimit(1, 5)
        assert [passes(limit, key, 0) for key in ("a", "a", "b", "a", "c")] == [True, False, True, False, True]

    def test_keys_are_bounded_and_evictions_counted(self):
        """However many calls there are, the table stays small; giving up an open window is counted."""
        limit = RateLimit(1, 5, max_keys=10)
        assert all(passes(limit, f"CA{number}", 0) for number in range(25))
        assert (len(limit), limit.evicted) == (10, 15)

    def test_closed_windows_go_without_being_counted(self):
        """A window that had ended anyway is no loss."""
        limit = RateLimit(1, 5, max_keys=10)
        assert all(passes(limit, f"CA{number}", number * 10) for number in range(25))
        assert (len(limit), limit.evicted) == (10, 0)

    def test_the_window_opened_longest_ago_goes_first(self):
        """A call that has just opened a new window keeps it."""
        limit = RateLimit(1, 5, max_keys=2)
        assert passes(limit, "old", 0)
        assert passes(limit, "other", 1)
        assert passes(limit, "old", 6)
        assert passes(limit, "third", 6)
        assert not passes(limit, "old", 6)


class TestInSample:
    def test_none_and_all(self):
        """0 % keeps nothing and 100 % everything, whatever the value."""
        values = ["a", b"\0" * 16, b"\xff" * 16, 7, ABSENT, None, "ש"]
        assert not any(in_sample(value, 0) for value in values)
        assert all(in_sample(value, 100) for value in values)

    def test_a_trace_id_is_its_own_randomness(self):
        """The last 56 bits decide, as in OTel's consistent probability sampling."""
        low, high = bytes(9) + b"\x3f" + bytes(6), bytes(9) + b"\xc0" + bytes(6)
        assert [in_sample(low, 75), in_sample(high, 25), in_sample(high, 24.9)] == [False, True, False]

    def test_a_larger_share_contains_the_smaller(self):
        """What 10 % keep, 50 % keep too."""
        kept = {percent: {n for n in range(2000) if in_sample(f"req-{n}", percent)} for percent in (10, 50, 90)}
        assert kept[10] < kept[50] < kept[90]

    def test_the_share_is_met(self):
        """Hashed keys spread evenly."""
        assert 900 < sum(in_sample(f"CA{n:032x}", 20) for n in range(5000)) < 1100
