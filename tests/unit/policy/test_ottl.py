"""Conditions in OTTL: literals that arrive as they were, and what is said for each kind of matcher."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.policy import ottl
from otel_logging.policy.model import Field
from otel_logging.policy.parse import policy

READABLE = "(IsString(log.body) or log.body >= 0x00)"


def terms(*matchers, frame=False):
    """What is said for matchers, as one condition."""
    parsed = policy({"id": "p", "log": {"match": list(matchers)}}, 0)
    assert parsed.errors == ()
    return ottl.both(ottl.matching(parsed.match, frame=frame))


class TestLiterals:
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_texts_survive(self, value):
        """A literal is read back as the text that it was made from, and holds nothing that an editor would change."""
        literal = ottl.text(value)
        assert literal.isprintable()
        assert literal[0] == literal[-1] == '"'
        escape = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([\\\"]))|[^\\\"]")
        found = list(escape.finditer(literal[1:-1]))
        assert "".join(one[0] for one in found) == literal[1:-1]
        plain = (one[4] or (chr(int(one[1] or one[2] or one[3], 16)) if one[0][0] == "\\" else one[0]) for one in found)
        assert "".join(plain) == value

    @pytest.mark.parametrize(
        ("value", "literal"),
        [(5, "5"), (-5, "-5"), (7.0, "7.0"), (-0.5, "-0.5"), (1e22, "1.0e+22"), (2.5e-7, "2.5e-07"), (-(1 << 63), "(-9223372036854775807 - 1)")],
    )  # fmt: skip
    def test_numbers(self, value, literal):
        """Numbers are written as OTTL's grammar has them: a double has a point, the smallest integer is a difference."""
        assert ottl.number(value, "here") == literal

    def test_what_has_no_literal_is_refused(self):
        """Infinity, and what Go's regular expressions do not know, are refused with the place and what is valid."""
        with pytest.raises(ottl.Inexpressible, match=r"^here: OTTL has no infinite numbers; valid.*a finite number$"):
            ottl.number(float("inf"), "here")
        with pytest.raises(ottl.Inexpressible, match=r"^here: \\C, .*; valid"):
            ottl.regex(r"a\\\Cb", "here")
        assert ottl.regex(r"a\\Cb", "here") == r'"a\\\\Cb"'


class TestConditions:
    def test_text_of_the_body(self):
        """Text conditions ask first whether the body is text, once, and see bytes as hex."""
        said = terms({"log_field": "body", "starts_with": "[A]"}, {"log_field": "body", "regex": "x$", "negate": True})
        assert said == f'{READABLE} and HasPrefix(String(log.body), "[A]") and not (IsMatch(log.body, "x$"))'

    def test_nested_attributes(self):
        """Each step of a path is asked for before it is taken, negated or not."""
        said = terms({"log_attribute": ["a", "b"], "exact": "v", "negate": True})
        assert said == 'not (IsMap(log.attributes["a"]) and log.attributes["a"]["b"] == "v")'

    def test_frame_policies(self):
        """A frame policy leaves out WARN and above by the number, and by the text where there is no number."""
        said = terms({"log_field": "body", "exact": "x"}, frame=True)
        assert said.startswith("log.severity_number < 13 and (log.severity_number != 0 or not ContainsValue(")
        assert said.endswith('ToUpperCase(log.severity_text))) and log.body == "x"')

    def test_what_can_never_hold(self):
        """A condition on a type that the field never has is false, and true where it is negated."""
        assert terms({"log_field": "severity_text", "gt": 5}) == "false"
        assert terms({"log_field": "trace_id", "exact": "none"}, {"log_field": "body", "exists": True}) == "false"
        assert terms({"log_field": "severity_number", "regex": "9", "negate": True}) == "true"

    def test_empty_fields_are_none(self):
        """What would be found in an empty text is not found in an empty field."""
        assert (
            terms({"log_field": "event_name", "regex": "^$"})
            == 'log.event_name != "" and IsMatch(log.event_name, "^$")'
        )
        assert terms({"log_field": "event_name", "regex": "x"}) == 'IsMatch(log.event_name, "x")'

    def test_empty_bytes_are_refused(self):
        """OTTL has no empty bytes: an `equals` with them is refused by its place."""
        with pytest.raises(ottl.Inexpressible, match=r"log: match\[0\]: OTTL has no empty bytes"):
            terms({"log_attribute": "a", "equals": {"hex_value": ""}})

    def test_presence(self):
        """An attribute is there when its key is; a field of the record when it is not empty."""
        assert ottl.present(Field("attribute", ("a",))) == ['ContainsValue(Keys(log.attributes), "a")']
        assert ottl.present(Field("severity_number")) == ["log.severity_number != 0"]
        assert ottl.present(Field("span_id")) == ['log.span_id.string != "0000000000000000"']
