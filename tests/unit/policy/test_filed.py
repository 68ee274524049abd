"""What is filed by what it needs is found by what was found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel_logging.policy.filed import Filed

NUMBERS = st.frozensets(st.integers(0, 6), max_size=4)


class TestFiled:
    @given(needs=st.lists(NUMBERS, max_size=12), found=NUMBERS)
    def test_nothing_that_may_be_concerned_is_left_out(self, needs, found):
        """Whatever has all that it needs is named, each thing once, in order."""
        places = list(Filed(needs).concerned(found))
        assert places == sorted(set(places))
        assert {place for place, some in enumerate(needs) if some <= found} <= set(places)

    @given(needs=st.lists(NUMBERS, max_size=12), found=NUMBERS)
    def test_nothing_is_named_of_which_nothing_was_found(self, needs, found):
        """What needs something, of which nothing was found, need not be asked."""
        places = Filed(needs).concerned(found)
        assert all(not needs[place] or needs[place] & found for place in places)

    def test_what_all_share_leads_to_none(self):
        """A pattern that each of many things needs does not lead to all of them, where each needs one more."""
        filed = Filed([(0, number) for number in range(1, 100)])
        assert filed.concerned({0}) == []
        assert filed.concerned({0, 7}) == [6]

    def test_asking_changes_nothing(self):
        """The answer to one question is no part of the next."""
        filed = Filed([(), (1,), ()])
        assert [list(filed.concerned(found)) for found in ([1], [], [1])] == [[0, 1, 2], [0, 2], [0, 1, 2]]
