"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.search.text import cells, harmless, harmless_lines, json_line, pad, wrap

HOSTILE = "\x1b[2J\x00\x07\x7f\x9b31m\u2028\u2029\u202e\u2066\ud800\r"


class TestHarmless:
    def test_readable_text_stays(self):
        """Hebrew, Arabic, emoji with joiners, combining marks and direction marks are untouched."""
        for text in ("שלום עולם", "مرحبا", "📞 [HANGUP] 👩‍💻", "e\u0301", "a\u200fb\u200e", "plain ~ text"):
            assert harmless(text) == text

    def test_controls_become_visible(self):
        """Control characters, bidi overrides, separators and surrogates appear as escapes."""
        assert harmless("a\x1b[31mb\nc\x9b\u202e\ud800") == "a\\x1b[31mb\\nc\\u009b\\u202e\\ud800"

    @given(st.text())
    def test_nothing_unsafe_remains(self, text):
        """No text leaves a control, surrogate, separator or bidi control behind."""
        shown = harmless(text + HOSTILE)
        assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
        assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

    def test_lines_stay_lines(self):
        """Line breaks of a traceback stay, whatever their kind, and each line is harmless."""
        assert harmless_lines("a\r\n\tb\x1b\nc") == ["a", "    b\\x1b", "c"]


class TestJsonLine:
    @given(st.dictionaries(st.text(), st.text(st.characters()) | st.integers() | st.booleans()))
    def test_round_trip_on_one_line(self, value):
        """Whatever the values, it is one harmless line and reads back equal."""
        value["hostile"] = HOSTILE
        line = json_line(value)
        assert json.loads(line) == value
        assert line.splitlines() == [line]
        assert harmless(line) == line
        line.encode()

    def test_readable(self):
        """Hebrew and emoji are kept readable, or escaped where the output cannot carry them."""
        assert json_line({"m": "שלום 📞"}) == '{"m":"שלום 📞"}'
        assert json_line({"m": "שלום\x7f"}, ascii_only=True).isascii()


class TestColumns:
    @pytest.mark.parametrize(
        ("text", "width"), [("abc", 3), ("שלום", 4), ("📞", 2), ("e\u0301", 1), ("a\u200d", 1), ("日本", 4)]
    )
    def test_cells(self, text, width):
        """Wide characters take two columns, combining and format characters none."""
        assert cells(text) == width
        assert pad(text, 6) == text + " " * (6 - width)

    def test_wrap_breaks_at_blanks(self):
        """A line is broken at a blank, and only that blank is lost."""
        assert list(wrap("the quick brown fox", 10)) == ["the quick", "brown fox"]

    def test_wrap_breaks_long_words(self):
        """A word longer than the line is broken where the line ends."""
        assert list(wrap("a" * 25, 10)) == ["a" * 10, "a" * 10, "a" * 5]

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers(2, 40))
    def test_wrap_loses_nothing(self, text, width):
        """Every character but blanks is still there in order, and no piece is too wide."""
        pieces = list(wrap(text, width))
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
        assert all(cells(piece) <= width for piece in pieces)

    def test_wrap_of_a_huge_line(self):
        """A line of a megabyte is wrapped in one pass."""
        assert sum(1 for _ in wrap("word " * 200_000, 100)) == 10_000
