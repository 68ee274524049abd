"""Any Python value is made safe to export, and nothing raises."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, UserDict, deque
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import NamedTuple
from uuid import UUID

import pytest

from otel_logging.bridge import values
from otel_logging.bridge.values import clean_key, clean_text, clean_value, safe_str


class Broken:
    """An object that answers nothing."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Exits:
    """An object whose text ends the process."""

    def __str__(self):
        raise SystemExit(3)


class Cruel:
    """An object whose text raises what is no Exception."""

    def __str__(self):
        raise GeneratorExit


class Colour(enum.IntEnum):
    RED = 3


class Mood(str, enum.Enum):
    GOOD = "good"


class Shouting(str):
    """A str whose own text is another."""

    __slots__ = ()

    def __str__(self):
        return "SHOUTED"


class NoIteration(Mapping):
    """A mapping that fails when read."""

    def __getitem__(self, key):
        raise KeyError(key)

    def __iter__(self):
        raise RuntimeError("not now")

    def __len__(self):
        return 3


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class TestCleanText:
    @pytest.mark.parametrize("text", ["", "plain", "שלום 📞", "a\nb\x00\x1b", "\U0010ffff"])
    def test_text_that_can_be_encoded_stays(self, text):
        """Any text that has a UTF-8 form is kept as it is."""
        assert clean_text(text) == text

    @pytest.mark.parametrize(
        ("text", "expected"), [("a\ud800b", "a\\ud800b"), ("caf\udce9", "caf\\udce9"), ("é\udfff", "é\\udfff")]
    )
    def test_lone_surrogates_become_visible(self, text, expected):
        """A lone surrogate, as in a file name through os.fsdecode, becomes an escape that people can read."""
        assert clean_text(text) == expected

    def test_overlong_text_ends_in_a_marker(self):
        """A text beyond 1 Mi characters is cut, and says by how much."""
        text = clean_text("x" * (values.MAX_TEXT + 5))
        assert text.startswith("x" * 100)
        assert text.endswith("… [otel-logging: 5 characters cut]")
        assert len(text) < values.MAX_TEXT + 100
        assert clean_text("x" * values.MAX_TEXT) == "x" * values.MAX_TEXT


class TestSafeStr:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [(5, "5"), (None, "None"), ("a", "a"), (Mood.GOOD, str(Mood.GOOD)), (Shouting("quiet"), "SHOUTED")],
    )
    def test_is_str(self, value, expected):
        """What has a text gives it."""
        text = safe_str(value)
        assert text == expected
        assert type(text) is str

    def test_a_failing_str_is_a_marker(self):
        """An object whose str() fails gives its type and the error."""
        assert safe_str(Broken()) == "[otel-logging: Broken has no text: RuntimeError]"
        assert safe_str(Cruel()) == "[otel-logging: Cruel has no text: GeneratorExit]"

    def test_the_wish_to_exit_is_respected(self):
        """SystemExit and KeyboardInterrupt are the application's and go through."""
        with pytest.raises(SystemExit):
            safe_str(Exits())


class TestCleanValue:
    @pytest.mark.parametrize(
        "value", [None, True, False, 0, -5, 2**63 - 1, -(2**63), 1.5, math.inf, "text", b"bytes", ""]
    )
    def test_scalars_stay(self, value):
        """Scalars that OTel knows are kept with their type."""
        cleaned = clean_value(value)
        assert cleaned == value
        assert type(cleaned) is type(value)

    def test_nan_stays(self):
        """NaN is a float like any other."""
        assert math.isnan(clean_value(math.nan))

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (2**63, str(2**63)), (-(2**63) - 1, str(-(2**63) - 1)),
            (10**10_000, "[otel-logging: an integer of 33220 bits]"),
            (bytearray(b"x"), b"x"), (memoryview(b"x"), b"x"),
            ((1, "a"), [1, "a"]), ([], []), ({}, {}), (Point(1, 2), [1, 2]), (deque([1]), [1]),
            ({"a": {"b": [1, None]}}, {"a": {"b": [1, None]}}), (UserDict(a=1), {"a": 1}), (OrderedDict(a=1), {"a": 1}),
            ({5: 1, None: 2, "": 3}, {"5": 1, "None": 2, "_": 3}),
            ({1}, "{1}"), (frozenset(), "frozenset()"), (range(3), "range(0, 3)"),
            (Colour.RED, 3), (Mood.GOOD, "good"), (Shouting("quiet"), "quiet"),
            (Decimal("1.50"), "1.50"), (PurePosixPath("/a"), "/a"), (UUID(int=1), str(UUID(int=1))),
            (datetime(2024, 1, 2, tzinfo=timezone.utc), "2024-01-02 00:00:00+00:00"),
            (ValueError("bad"), "bad"), (int, "<class 'int'>"), ("a\ud800", "a\\ud800"), (["\ud800"], ["\\ud800"]),
            (Broken(), "[otel-logging: Broken has no text: RuntimeError]"),
            ([Broken()], ["[otel-logging: Broken has no text: RuntimeError]"]),
            (NoIteration(), "[otel-logging: NoIteration cannot be read: RuntimeError]"),
        ],
        ids=lambda value: type(value).__name__,
    )  # fmt: skip
    def test_everything_else_becomes_what_otel_can_hold(self, value, expected):
        """Numbers that do not fit, structures, subclasses, objects and broken ones have a stated form."""
        assert clean_value(value) == expected

    def test_cycles_end(self):
        """A list or mapping that contains itself ends in a marker."""
        loop = [1]
        loop.append(loop)
        assert clean_value(loop) == [1, "[otel-logging: cyclic]"]
        ring = {"a": 1}
        ring["self"] = {"deeper": ring}
        assert clean_value(ring) == {"a": 1, "self": {"deeper": "[otel-logging: cyclic]"}}

    def test_the_same_value_twice_is_no_cycle(self):
        """A value that merely occurs twice is kept both times."""
        shared = [1]
        assert clean_value([shared, shared]) == [[1], [1]]

    def test_depth_is_bounded(self):
        """Nesting ends at a stated depth, long before a protobuf reader's limit, also where Python's own would break."""
        deep: list = []
        for _ in range(5000):
            deep = [deep]
        cleaned, depth = clean_value(deep), 0
        while isinstance(cleaned, list):
            cleaned, depth = cleaned[0], depth + 1
        assert cleaned == "[otel-logging: nested too deeply]"
        assert depth == values.MAX_DEPTH

    def test_size_is_bounded(self):
        """A list or mapping ends after a stated number of members, and says how many are missing."""
        assert clean_value(list(range(1005)))[-1] == "[otel-logging: 5 more]"
        assert len(clean_value(list(range(1005)))) == values.MAX_ITEMS + 1
        cut = clean_value({str(number): number for number in range(1005)})
        assert cut["otel_logging.cut"] == 5
        assert len(cut) == values.MAX_ITEMS + 1

    def test_shared_structures_do_not_explode(self):
        """Lists that hold the same list again and again are small in memory and endless when written out: they are cut."""
        bomb: list = ["ha"]
        for _ in range(10):
            bomb = [bomb] * 1000
        cleaned, count = [clean_value(bomb)], 0
        while cleaned:
            value = cleaned.pop()
            count += 1
            if isinstance(value, list):
                cleaned.extend(value)
        assert count < 3 * values.MAX_NODES

    def test_huge_bytes_are_named_by_their_size(self):
        """A buffer beyond what a record can hold is replaced by its size."""
        assert clean_value(bytes(values.MAX_TEXT + 1)) == f"[otel-logging: {values.MAX_TEXT + 1} bytes]"
        assert clean_value(bytes(values.MAX_TEXT)) == bytes(values.MAX_TEXT)

    def test_what_is_kept_does_not_change_later(self):
        """A list or dict of the caller's is copied: what it does to it afterwards changes no record."""
        mine = {"a": [1]}
        cleaned = clean_value(mine)
        mine["a"].append(2)
        mine["b"] = 3
        assert cleaned == {"a": [1]}

    def test_the_wish_to_exit_is_respected(self):
        """SystemExit out of an extra's text goes through."""
        with pytest.raises(SystemExit):
            clean_value([Exits()])


class TestCleanKey:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [("a", "a"), ("", "_"), (None, "None"), (5, "5"), ("a\ud800", "a\\ud800"), (Shouting("a"), "SHOUTED")],
    )
    def test_a_key_is_text_and_never_empty(self, key, expected):
        """OTel drops attributes without a name: each gets one."""
        assert clean_key(key) == expected
