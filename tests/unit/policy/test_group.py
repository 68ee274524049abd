"""Many policies looked for at once: the same answer as one by one, at the same cost as few."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.policy.blind import Blindness
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.parse import policy
from otel_logging.policy.view import LogView

BODIES = st.fixed_dictionaries(
    {"log_field": st.just("body"), "contains": st.sampled_from(["frame", "f", "state", "a", "call"])},
    optional={"negate": st.booleans()},
)
OTHERS = st.sampled_from(
    [
        {"log_field": "body", "exists": True},
        {"log_field": "severity_text", "exact": "INFO"},
        {"log_field": "scope_name", "starts_with": "server"},
    ]
)
RULES = st.tuples(st.lists(st.one_of(BODIES, OTHERS), min_size=1, max_size=3), st.booleans())
WORDS = st.lists(st.sampled_from(["frame", "state", "call", "x"]), max_size=4)


def rules(wanted):
    """Policies of these conditions; whether each is a frame policy."""
    found = [
        policy(
            {
                "id": f"p{number:05}",
                "name": "p",
                "log": {"match": match, "keep": "none"},
                "labels": {"otel-logging.class": "frame"} if frame else {},
            },
            number,
        )
        for number, (match, frame) in enumerate(wanted)
    ]
    assert not any(one.errors for one in found), found[0].errors
    return found


def many(count):
    """So many policies that each name something else, with what all of them require and some forbid."""
    return rules(
        (
            [
                {"log_field": "body", "starts_with": "[STATE"},
                {"log_field": "body", "contains": f"part {number:05}", "negate": number % 3 == 0},
                {"log_field": "body", "contains": f"of {number:05}"},
            ],
            False,
        )
        for number in range(count)
    )


class TestMatch:
    @given(wanted=st.lists(RULES, max_size=8), words=WORDS, number=st.sampled_from([9, 17]))
    def test_is_what_each_policy_alone_says(self, wanted, words, number):
        """Policies that are looked for together match as each would alone, in the same order."""
        made = rules(wanted)
        text, level = " ".join(words), {9: "INFO", 17: "ERROR"}[number]
        view = LogView(text, number, level, scope_name="server.media")
        alone = [one.id for one in made if PolicySet([one]).match(view)]
        together = PolicySet(made)
        for _ in range(2):  # worked out, and known
            assert [one.id for one in together.match_text(text, number, level, "server.media")] == alone


class TestGrowth:
    @pytest.mark.parametrize("text", ["nothing of it", "[STATE] part 00001 is of 00007", "[STATE] of 00002"])
    def test_a_new_text_asks_only_whom_it_may_concern(self, text):
        """A text that was not seen before takes the same steps with 500 policies as with 10."""
        assert steps(10, text) == steps(500, text)

    def test_a_scope_asks_only_whom_it_may_concern(self):
        """Whether a scope is dropped whole takes the same steps beside 500 policies about texts as beside 10."""
        assert calls_of(lambda: PolicySet(many(10)), asks_early) == calls_of(lambda: PolicySet(many(500)), asks_early)


def asks_early(policies):
    assert not policies.drops_all(scope_name="server.media", severity_number=9, event_name="x")


def steps(count, text):
    """How many calls of functions it takes to match a text and to see whether its digits matter."""

    def ask(made):
        policies, blindness = made
        policies.match_text(text, 9)
        blindness.same_for_all_digits(text)

    found = many(count)
    return calls_of(lambda: (PolicySet(found), Blindness(found)), ask)


def calls_of(make, ask):
    """How many functions are called when what was made is asked."""
    made, calls = make(), 0

    def count_it(_frame, event, _arg):
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count_it)
    try:
        ask(made)
    finally:
        sys.setprofile(None)
    return calls
