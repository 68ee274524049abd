"""Shapes: texts of one shape are judged alike, and what cannot be read for sure has no shapes."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.load import load
from otel_logging.policy.shapes import DIGITS, table_of

VOICE = PolicySet(load(["voice"]).policies)
TABLE = table_of(VOICE.policies)


def policies(tmp_path, *matchers):
    document = {
        "policies": [
            {"id": f"p{number}", "name": "p", "log": {"match": [matcher], "keep": "none"}}
            for number, matcher in enumerate(matchers)
        ]
    }
    path = Path(tmp_path) / "rules.yaml"
    path.write_text(yaml.safe_dump(document))
    loaded = load([str(path)])
    assert not loaded.errors
    return PolicySet(loaded.policies).policies


def alike(table):
    """The groups of digits that the table makes one."""
    groups = {}
    for digit in DIGITS:
        groups.setdefault(chr(table[ord(digit)]), set()).add(digit)
    return sorted("".join(sorted(group)) for group in groups.values())


class TestTable:
    @pytest.mark.parametrize(
        ("pattern", "groups"),
        [
            ("frame", ["0123456789"]),
            (r"bytes=\d+", ["0123456789"]),
            ("x{2,30}", ["0123456789"]),
            ("[0-9a-f]+", ["0123456789"]),
            (r"[\x00-@]", ["0123456789"]),
            (r"\pL\p{Greek}", ["0123456789"]),
            ("[^[:digit:]]", ["0123456789"]),
            ("(?P<n1>a)", ["0123456789"]),
            ("Found 0 ", ["0", "123456789"]),
            ("[1-9] errors", ["0", "123456789"]),
            ("[23]xx", ["01456789", "23"]),
            (r"\x30", ["0", "123456789"]),
            (r"\x{31}", ["023456789", "1"]),
            ("[+-4]", ["01234", "56789"]),
            ("[]0]", ["0", "123456789"]),
            ("{0", ["0", "123456789"]),
        ],
    )
    def test_digits_that_a_pattern_tells_apart(self, tmp_path, pattern, groups):
        """Each literal digit and each class splits the digits; counts, whole classes and names of groups do not."""
        assert alike(table_of(policies(tmp_path, {"log_field": "body", "regex": pattern}))) == groups

    @pytest.mark.parametrize("kind", ["exact", "starts_with", "ends_with", "contains"])
    def test_digits_of_plain_texts(self, tmp_path, kind):
        """A digit in a text to be found stands for itself."""
        assert alike(table_of(policies(tmp_path, {"log_field": "body", kind: "tick 3"}))) == ["012456789", "3"]

    @pytest.mark.parametrize(
        "matcher",
        [
            {"log_field": "body", "regex": r"\Q0-9\E"},
            {"log_field": "body", "regex": r"\060"},
            {"log_field": "body", "regex": "a0123456789"},
            {"log_attribute": "kind", "exact": "frame"},
        ],
    )
    def test_no_shapes(self, tmp_path, matcher):
        """What is not plain to read, reads another field or needs each digit has no shapes."""
        assert table_of(policies(tmp_path, matcher)) is None


class TestVoice:
    def test_has_shapes(self):
        """The bundled set lets most digits be alike: it is what every frame line is looked up by."""
        assert TABLE is not None
        assert len(set(TABLE[48:58])) <= 4

    @settings(max_examples=400)
    @given(st.integers(), st.data())
    def test_texts_of_one_shape_match_alike(self, seed, data):
        """Other digits within a shape never change which policies match."""
        lines = (Path(__file__).parent / "guide_lines.yaml").read_text(encoding="utf-8")
        line = data.draw(st.sampled_from([text for text in lines.splitlines() if re.search(r"\d", text)])).strip(
            " -'\""
        )
        chance = random.Random(seed)
        same = {digit: [other for other in DIGITS if TABLE[ord(other)] == TABLE[ord(digit)]] for digit in DIGITS}
        other = re.sub("[0-9]", lambda found: chance.choice(same[found[0]]), line)
        assert other.encode().translate(TABLE) == line.encode().translate(TABLE)
        assert VOICE.match_text(other, 9) == VOICE.match_text(line, 9)
