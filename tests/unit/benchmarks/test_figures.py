"""The statistics of the benchmarks: what a figure is must not depend on how many values happen to be there."""

from __future__ import annotations

import pytest

from benchmarks.figures import beyond, paired, percentile


class TestPercentile:
    def test_is_a_value_that_was_measured(self):
        """Of a hundred values the 99th percentile is the second largest, and the largest is the 100th."""
        values = list(range(100, 0, -1))
        assert percentile(values, 0.99) == 99
        assert percentile(values, 1.0) == 100
        assert percentile(values, 0.5) == 50
        assert percentile(values, 0.0) == 1

    def test_of_one_value(self):
        """One value is all percentiles of itself."""
        assert percentile([7.5], 0.99) == 7.5

    @pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
    def test_of_nothing(self, values, share):
        """A percentile of no values, or beyond all of them, is an error and no figure."""
        with pytest.raises(ValueError, match="percentile"):
            percentile(values, share)


class TestPaired:
    def test_compares_neighbours(self):
        """A turn in which the machine is ten times slower for both does not move the ratio."""
        assert paired([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0

    def test_one_lame_turn_does_not_decide(self):
        """One turn that only one of them lost is outvoted."""
        assert paired([2.0, 90.0, 2.0], [1.0, 1.0, 1.0]) == 2.0

    def test_wants_as_many_of_both(self):
        """Turns that are missing on one side are an error."""
        with pytest.raises(ValueError, match="shorter"):
            paired([1.0, 2.0], [1.0])


class TestBeyond:
    def test_what_nothing_costs_is_taken_off_both(self):
        """(ours - none) of (theirs - none)."""
        assert beyond(4.0, 8.0, 2.0) == pytest.approx(1 / 3)

    def test_ours_below_none_is_nothing(self):
        """Ours cannot add less than nothing: a lucky run is no negative figure."""
        assert beyond(1.0, 8.0, 2.0) == 0.0

    def test_theirs_adds_nothing(self):
        """Where theirs adds nothing there is no figure, not a huge one and not a zero."""
        assert beyond(4.0, 2.0, 2.0) is None
