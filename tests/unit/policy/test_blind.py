"""Whether digits matter: what is said to hold for all digits holds for all digits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logging.policy.blind import ALIKE, Blindness, _bounds
from otel_logging.policy.compiler import pattern_of
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.load import load
from otel_logging.policy.parse import policy
from otel_logging.policy.patterns import PatternSet
from otel_logging.policy.shapes import Unreadable

VOICE = PolicySet(load(["voice"]).policies)
WORDS = [
    "audio",
    "delta",
    "[AUDIO_DELTA]",
    "GET /health",
    "HTTP/1.1",
    "found",
    "stale sessions",
    "error",
    "rms=",
    "VAD",
    " ",
    "=",
    "ms",
    "bytes=",
]
CONDITIONS = st.one_of(
    st.just({"log_field": "LOG_FIELD_BODY", "exists": True}),
    st.builds(
        lambda pattern, negate: {"log_field": "LOG_FIELD_BODY", "regex": pattern, "negate": negate},
        st.sampled_from(["frame", "frame [0-9]+", "frame 1", "x[23]", "200", r"\d+ms", "[^5]$"]),
        st.booleans(),
    ),
)


def policies(*matchers):
    found = [
        policy({"id": f"p{number}", "name": "p", "log": {"match": list(group), "keep": "none"}}, number)
        for number, group in enumerate(matchers)
    ]
    assert not any(one.errors for one in found)
    return PolicySet(found)


def body(pattern, **more):
    return {"log_field": "LOG_FIELD_BODY", "regex": pattern, **more}


def other_digits(text, draw):
    return "".join(draw.choice("0123456789") if one.isdigit() else one for one in text)


class TestSameForAllDigits:
    @pytest.mark.parametrize(
        ("matchers", "text", "same"),
        [
            ([[body("frame")]], "frame 12", True),
            ([[body("frame [0-9]+")]], "frame 12", True),
            ([[body("frame 1")]], "frame 12", False),
            ([[body("frame 1")]], "line 12", True),
            ([[body("frame [23]x")]], "frame 4x", False),
            ([[body("frame [^5]")]], "frame 4", False),
            ([[body("frame"), body("200", negate=True)]], "frame 12", True),
            ([[body("frame"), body("200", negate=True)]], "frame 120", False),
            ([[body("frame"), body("200", negate=True)]], "line 120", True),
            ([[body("frame")], [body("x1")]], "frame x2", False),
            ([[body("line", negate=True), body("200", negate=True)]], "frame 120", False),
            ([[body("line", negate=True), body("200", negate=True)]], "frame 12", True),
            ([[{"log_field": "LOG_FIELD_BODY", "starts_with": "frame 1"}]], "frame 2", False),
            ([[{"log_field": "LOG_FIELD_BODY", "exact": "frame 1"}]], "frame 22", True),
            ([[{"log_field": "LOG_FIELD_BODY", "exists": True}, body("f")]], "f 1", True),
        ],
    )
    def test_is_read_off_the_patterns(self, matchers, text, same):
        """A text is taken for all of its kind only where no policy's answer hangs on a digit."""
        assert Blindness(policies(*matchers).policies).same_for_all_digits(text) is same

    @pytest.mark.parametrize(
        "matcher",
        [
            {"log_attribute": "kind", "exact": "frame"},
            {"log_field": "LOG_FIELD_SEVERITY_TEXT", "exact": "INFO"},
            body(r"\Qframe\E"),
        ],
    )
    def test_what_is_not_understood_has_no_answer(self, matcher):
        """Policies that read more than the body, and patterns that are not understood, are looked at each time."""
        with pytest.raises(Unreadable):
            Blindness(policies([matcher]).policies)

    @settings(max_examples=300, deadline=None)
    @given(
        parts=st.lists(st.one_of(st.sampled_from(WORDS), st.integers(0, 99_999).map(str)), min_size=1, max_size=8),
        seed=st.integers(0, 2**32),
    )
    def test_holds_for_the_bundled_policies(self, parts, seed):
        """For any text: where digits are said not to matter, other digits are matched by the same policies."""
        text, draw = "".join(parts), random.Random(seed)
        if not TestSameForAllDigits.voice.same_for_all_digits(text):
            return
        matched = [one.id for one in VOICE.match_text(text, 9)]
        for _ in range(5):
            assert [one.id for one in VOICE.match_text(other_digits(text, draw), 9)] == matched

    voice = Blindness(policy for policy in VOICE.policies if policy.keep.kind != "all")

    @settings(max_examples=300, deadline=None)
    @given(
        matchers=st.lists(st.lists(CONDITIONS, min_size=1, max_size=3), max_size=6),
        parts=st.lists(st.sampled_from(["frame", " ", "1", "200", "x2", "ms", "5"]), max_size=6),
    )
    def test_asking_those_concerned_is_asking_all(self, matchers, parts):
        """The answer is the one that a walk through all policies gives, each of them looked at by itself."""
        found, text = list(policies(*matchers).policies), "".join(parts)
        assert Blindness(found).same_for_all_digits(text) is all(settled(one, text) for one in found)


def settled(one, text):
    """Whether a policy surely fails, or surely holds, for all digits: by the two bounds of each of its conditions."""
    bounds = []
    for matcher in one.match:
        if matcher.kind != "exists":
            never, ever = (bool(PatternSet([bound]).search(text)) for bound in _bounds(pattern_of(matcher)))
            bounds.append((not ever, not never) if matcher.negate else (never, ever))
    return all(surely for surely, _ in bounds) or any(not possibly for _, possibly in bounds)


def test_texts_that_differ_in_digits_are_one_shape():
    """Digits are alike, and their number is not."""
    assert b"a 12 b".translate(ALIKE) == b"a 98 b".translate(ALIKE) != b"a 123 b".translate(ALIKE)
