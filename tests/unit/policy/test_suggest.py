"""Proposed rules: the loudest shapes of calls, patterns that find their lines and no others, honest figures."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.policy import patterns
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.parse import policies_in
from otel_logging.policy.parse import policy as parsed
from otel_logging.policy.suggest import Shapes, shape_of, yaml_text
from otel_logging.policy.view import LogView

INFO, WARN = 9, 13
LINES = {
    "cache": [f'[CACHE] hit user:{n} "k{n}" in {n / 7:.2f} ms' for n in range(120)],
    "step": [f"📊 step {n} of 25: it's שלום (50%)" for n in range(25)],
}


def counted(lines=LINES, calls=("CA1", "CA2"), severity=INFO):
    """The lines, once in each call."""
    shapes = Shapes()
    for call in calls:
        for texts in lines.values():
            for text in texts:
                shapes.add(text, severity, None, call)
    return shapes


class TestShapes:
    def test_numbers_ids_and_quotes_vary(self):
        """Lines that differ in numbers, ids and what is quoted are one shape; others are not."""
        assert len({shape_of(text)[0] for text in LINES["cache"]}) == 1
        one, other = (shape_of(f"call {sid} ended") for sid in ("CA" + "0a" * 16, "CA" + "ff" * 16))
        assert one == other
        assert one[1] == "call … ended"
        assert shape_of("call ended") != one

    @given(st.text(max_size=300))
    def test_a_pattern_finds_its_own_line(self, text):
        """Whatever the text, its pattern is valid and finds it."""
        pattern, _ = shape_of(text)
        patterns.check(pattern)
        assert patterns.PatternSet([pattern]).search(text)


class TestSuggestions:
    def test_the_loudest_first(self):
        """Shapes with enough lines a call are proposed, most lines first, with calls and the share of all lines."""
        found = counted().suggestions(least=20, top=10)
        assert [(one.lines, one.calls, round(one.share, 3)) for one in found] == [(240, 2, 0.828), (50, 2, 0.172)]
        assert [one.policy["id"] for one in found] == ["cache-hit-user-in-ms", "step-of-it-s-שלום"]
        assert len(counted().suggestions(least=30, top=10)) == 1
        assert len(counted().suggestions(least=1, top=1)) == 1

    def test_from_warn_on_nothing_is_proposed(self):
        """A line of WARN or above is counted among all, and never proposed."""
        shapes = counted(severity=WARN)
        assert shapes.suggestions(least=1, top=10) == []
        assert shapes.lines == 290

    def test_outside_of_calls(self):
        """Where there are calls, what belongs to none is not proposed; where there is none, the whole is one call."""
        shapes = counted({"cache": LINES["cache"]})
        for n in range(500):
            shapes.add(f"poll {n}", INFO, None, None)
        assert [one.policy["id"] for one in shapes.suggestions(least=20, top=10)] == ["cache-hit-user-in-ms"]
        assert len(counted(calls=(None,)).suggestions(least=20, top=10)) == 2

    def test_a_line_without_words_is_not_proposed(self):
        """A pattern of numbers alone would mean everything."""
        assert counted({"n": [f"{n}: {n}" for n in range(99)]}).suggestions(least=1, top=10) == []

    def test_what_two_rules_mean_counts_once(self):
        """A shape that an earlier rule finds as well is not counted, or proposed, again."""
        longer = {"a": [f"tick {n}" for n in range(50)], "b": [f"tick {n} late by {n}" for n in range(40)]}
        found = counted(longer).suggestions(least=20, top=10)
        assert [one.lines for one in found] == [180]

    @pytest.mark.parametrize("odd", ["", "\x00\x1b[31m", "\u202e", "'quoted' \"twice\"", "a\nb: - {c}"])
    def test_the_file_does_what_it_says(self, odd):
        """The YAML, whatever stands in a line, is valid and drops as many lines as its figures say; WARN stays."""
        lines = {**LINES, "odd": [f"odd{odd} line {n}" for n in range(30)]}
        shapes = counted(lines)
        found = shapes.suggestions(least=20, top=10)
        document = yaml.safe_load(yaml_text(found, shapes.lines))
        assert document["policies"] == [one.policy for one in found]
        policies = [parsed(raw, position) for position, raw in enumerate(policies_in(document))]
        assert [one.errors for one in policies] == [()] * len(found)
        engine = PolicySet(policies)
        texts = [text for texts in lines.values() for text in texts]
        assert sum(not engine.evaluate(LogView(text, INFO)).keep for text in texts) * 2 == sum(
            one.lines for one in found
        )
        assert all(engine.evaluate(LogView(text, WARN)).keep for text in texts)
