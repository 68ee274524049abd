"""What is known of messages: found again by shape, range and constant, and never for a message that may differ."""

from __future__ import annotations

import sys

import pytest

from otel_logging.bridge import fates, known
from otel_logging.bridge.known import Known
from otel_logging.policy.blind import ALIKE
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.parse import policy

CONSTANT = "a constant of the module, frame"


def rules(*policies):
    found = [
        policy({"id": name, "name": name, "log": {"match": [{"log_field": "LOG_FIELD_BODY", "regex": text}], "keep": keep}}, 0)
        for name, text, keep in policies
    ]  # fmt: skip
    assert not any(one.errors for one in found)
    return PolicySet(found)


def learned(policies, msg, *args):
    """What is known after one message was dropped."""
    made = Known(policies)
    text = msg % args if args else msg
    matched = policies.match_text(text, 9)
    assert matched
    return made, made.learn(msg, args, text, matched, sys._getframe())


class TestShapes:
    def test_other_digits_have_the_same_fate(self):
        """What was dropped is known for all digits in its places."""
        made, _ = learned(rules(("p", "frame", "none")), "frame 12")
        assert made.shapes[b"frame 98".translate(ALIKE)].reason == "policy:p"

    def test_where_digits_matter_there_is_none(self):
        """A text whose digits have a part in what matches it is looked at each time."""
        made, _ = learned(rules(("p", "frame 1", "none")), "frame 12")
        assert made.shapes[b"frame 12".translate(ALIKE)] is None

    @pytest.mark.parametrize("keep", ["50%", "all"])
    def test_a_draw_is_no_fate(self, keep):
        """Sampling is drawn anew for each record."""
        made, _ = learned(rules(("p", "frame", keep), ("q", "f", "10%")), "frame 12")
        assert made.shapes == {}

    def test_a_rate_is_a_fate_for_a_while(self):
        """A rate limit that stands alone is one, and says so; beside another policy it is none."""
        made, _ = learned(rules(("p", "frame", "1/s")), "frame 12")
        assert made.shapes[b"frame 00"].rated
        made, _ = learned(rules(("p", "frame", "1/s"), ("q", "f", "2/s")), "frame 12")
        assert made.shapes == {}

    def test_long_texts_and_lone_surrogates_are_not_kept(self):
        """They go the long way."""
        policies = rules(("p", "frame", "none"))
        for text in ("frame" + "x" * known.LONGEST, "frame \udc80"):
            assert learned(policies, text)[0].shapes == {}

    def test_policies_that_read_more_than_the_body(self):
        """Nothing is known at first sight then."""
        one = policy(
            {"id": "p", "name": "p", "log": {"match": [{"log_attribute": "kind", "exact": "x"}], "keep": "none"}}, 0
        )
        assert Known(PolicySet([one])).blind is None


class TestConstants:
    def test_a_text_of_the_code_is_one(self):
        """Of the function, and of its module."""
        policies = rules(("p", "frame", "none"))
        assert learned(policies, CONSTANT)[1].reason == "policy:p"
        assert self.in_here(policies, "a constant of the function, frame").reason == "policy:p"

    def in_here(self, policies, text):
        return learned(policies, text)[1]

    def test_a_text_that_was_made_is_none(self):
        """An f-string is another one each time."""
        assert learned(rules(("p", "frame", "none")), f"frame {len(sys.argv)}")[1] is None


class TestTemplates:
    def judged(self, policies, template, *args):
        made, _ = learned(policies, template, *args)
        return made, made.templates[template]

    def test_one_number(self):
        """A template with one number need not be rendered for numbers with no more digits."""
        _, made = self.judged(rules(("p", "frame", "none")), "frame %d", 123)
        assert (made.single, made.below, made.fate.reason) == (True, 1000, "policy:p")
        assert made.judge((7,)) == (made.fate, None)

    def test_the_range_grows(self):
        """A longer number is rendered once, then it is known too."""
        policies = rules(("p", "frame", "none"))
        tables, made = self.judged(policies, "frame %d", 12)
        assert made.judge((1234,)) == (None, "frame 1234")
        tables.learn("frame %d", (1234,), "frame 1234", policies.match_text("frame 1234", 9), sys._getframe())
        assert made.judge((4321,)) == (made.fate, None)
        tables.learn("a frame 55555", (), "frame 55555", policies.match_text("frame 55555", 9), sys._getframe())
        assert made.judge((12345,)) == (made.fate, "frame 12345")
        assert made.judge((54321,)) == (made.fate, None)

    def test_several_numbers(self):
        """Each within its range."""
        _, made = self.judged(rules(("p", "frame", "none")), "frame %d of %i", 12, 345)
        assert made.judge((99, 999)) == (made.fate, None)
        assert made.judge((-1, 999)) == (None, "frame -1 of 999")
        assert not made.single

    def test_numbers_that_may_matter(self):
        """A policy that asks for a number of three digits is asked each time."""
        policies = rules(("p", "frame", "none"), ("q", "[0-9]{3}", "none"))
        _, made = self.judged(policies, "frame %d", 12)
        assert made.judge((7,)) == (made.fate, None)
        assert made.judge((123,))[0] is not made.fate

    @pytest.mark.parametrize(
        ("template", "args"),
        [("frame %s", ("x",)), ("frame %x", (255,)), ("frame %.1f", (1.5,)), ("frame %d", (-5,)), ("frame %d", (True,)),
         ("frame %*d", (5, 3)), ("frame %s", (10**30,))],
    )  # fmt: skip
    def test_anything_else_is_rendered(self, template, args):
        """Text, other notations, other types: the rendered message is looked up."""
        made, known_as = self.judged(rules(("p", "frame", "none")), template, *args)
        assert not known_as.single
        assert known_as.judge(args) == (made.shapes[(template % args).encode().translate(ALIKE)], template % args)

    def test_objects_are_not_rendered_here(self):
        """Rendering them runs code of the application's, which the long way is prepared for."""
        _, made = self.judged(rules(("p", "frame", "none")), "frame %s", "x")
        assert made.judge((object(),)) == (None, None)


def test_tables_are_bounded(monkeypatch):
    """Messages that never repeat do not fill the memory."""
    monkeypatch.setattr(known, "_MAX_SHAPES", 5)
    monkeypatch.setattr(known, "_MAX_TEMPLATES", 5)
    policies = rules(("p", "frame", "none"))
    made = Known(policies)
    for number in range(50):
        text = "frame" + "x" * number
        made.learn(text, (), text, policies.match_text(text, 9), sys._getframe())
        made.learn(text + " %s", ("y",), text + " y", policies.match_text(text, 9), sys._getframe())
    assert 0 < len(made.shapes) <= 5
    assert 0 < len(made.templates) <= 5


def test_hits_go_to_the_policies():
    """What is counted elsewhere is credited to who dropped it, and to who had it otherwise."""
    policies = rules(("p", "frame", "none"), ("q", "f", "none"), ("r", "f", "all"))
    made, _ = learned(policies, "frame 1")
    made.credit(made.shapes[b"frame 0"], 3)
    assert {one.policy_id: (one.hits, one.misses) for one in policies.stats()} == {
        "p": (3, 0),
        "q": (3, 0),
        "r": (0, 3),
    }


def test_fates_are_the_same_after_a_reload():
    """Policies that were read again have the fates they had, so that tallies do not grow with each reload."""
    first, _ = learned(rules(("p", "frame", "none")), "frame 1")
    again, _ = learned(rules(("p", "frame", "none")), "frame 1")
    assert first.shapes[b"frame 0"] is again.shapes[b"frame 0"]
    assert isinstance(first.shapes[b"frame 0"], fates.Fate)
