"""The promises of otel_logging.export.text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.export.text import ascii_json, neutralise, neutralise_json, plain, safe_repr

ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=60)
DANGEROUS = [
    chr(c) for c in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDFFF)
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT | st.integers(), inner, max_size=4),
    max_leaves=20,
)


class TestNeutralise:
    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("a\nb", r"a\nb"),
            ("a\r\n[x] INFO", r"a\r\n[x] INFO"),
            ("\x1b[31mred", r"\x1b[31mred"),
            ("\x9b31m", r"\x9b31m"),
            ("a\tb\0", r"a\tb\x00"),
            ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
            ("\u202egnp.exe\u202c", r"\u202egnp.exe\u202c"),
            ("\u2066x\u2069", r"\u2066x\u2069"),
            ("\udc80", r"\udc80"),
        ],
    )
    def test_escapes(self, given, shown):
        """Whatever could forge a line, drive a terminal or reorder text is shown as an escape."""
        assert neutralise(given) == shown

    @pytest.mark.parametrize(
        "text", ["יש לי זמינות ב-10:00", "📞 [HANGUP] ☎️ 👩‍👧", "C:\\new\\table", "مرحبا\u200f!", "ok"]
    )
    def test_leaves_ordinary_text(self, text):
        """Hebrew, Arabic, emoji and backslashes are left as they are."""
        assert neutralise(text) == text

    @given(ANY_TEXT)
    def test_always_one_encodable_line(self, text):
        """The result is one line, encodes as UTF-8 and holds no dangerous character, whatever came in."""
        shown = neutralise(text)
        assert len(shown.splitlines()) <= 1
        shown.encode()
        assert not any(char in shown for char in DANGEROUS)

    @given(ANY_TEXT)
    def test_idempotent(self, text):
        """Doing it twice changes nothing more."""
        assert neutralise(neutralise(text)) == neutralise(text)


class TestNeutraliseJson:
    @given(VALUES)
    def test_reads_the_same(self, value):
        """A parser reads what was written, but for lone surrogates, which become text; no dangerous character is raw."""
        encoded = json.dumps(plain(value), ensure_ascii=False)
        safe = neutralise_json(encoded)
        assert not any(char in safe for char in DANGEROUS)
        assert len(safe.splitlines()) == 1
        if not any(0xD800 <= ord(char) <= 0xDFFF for char in encoded):
            assert json.loads(safe) == json.loads(encoded)
        else:
            json.loads(safe)
            safe.encode()

    def test_surrogate_becomes_text(self):
        """A lone surrogate becomes readable text, because strict parsers refuse an escaped one."""
        assert json.loads(neutralise_json('"a\udc80b"')) == "a\\udc80b"

    @given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60))
    def test_ascii_reads_the_same(self, text):
        """The ASCII form is ASCII and means the same, characters beyond the basic plane included."""
        encoded = ascii_json(json.dumps(text, ensure_ascii=False))
        assert encoded.isascii()
        assert json.loads(encoded) == text


class BadRepr:
    def __repr__(self):
        raise RuntimeError("no")


class TestPlain:
    @given(VALUES)
    def test_is_json(self, value):
        """The result is JSON without NaN, whatever the value."""
        json.dumps(plain(value), allow_nan=False)

    def test_not_finite(self):
        """NaN and infinities become text."""
        assert plain([float("nan"), float("inf"), -float("inf"), 1.5]) == ["NaN", "Infinity", "-Infinity", 1.5]

    def test_cycles_depth_and_size(self):
        """Cycles, depth and width are cut off with a marker."""
        cycle = [1]
        cycle.append(cycle)
        assert plain(cycle) == [1, "<cycle>"]
        deep = []
        for _ in range(500):
            deep = [deep]
        assert "<cut off: too deep>" in json.dumps(plain(deep))
        bomb = [1]
        for _ in range(15):
            bomb = [bomb] * 10
        assert len(json.dumps(plain(bomb))) < 1_000_000

    def test_hostile_objects(self):
        """An object whose repr fails, a lying class and a giant number cost nothing but themselves."""

        class Lying(dict):
            def items(self):
                raise KeyError("gone")

        result = plain({"bad": BadRepr(), "lying": Lying(a=1), "big": 10**5000, 5: "five", "long": "x" * 9})
        assert "repr() failed" in result["bad"]
        assert result["lying"] == "{'a': 1}"
        assert "int" in result["big"]
        assert result["5"] == "five"

    def test_repr_is_bounded(self):
        """A repr is cut at its limit."""
        assert len(safe_repr(["x" * 10_000], 100)) == 100
