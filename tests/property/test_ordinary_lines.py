"""The short way of a console line says of every record what the long way says, or nothing, with and without msgspec."""

from __future__ import annotations

import contextlib
import json
import logging

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_logging.export import json_text
from otel_logging.export.lines import Texts, human_line, json_line
from otel_logging.export.ordinary_lines import HumanLines, JsonLines

ENCODERS = {"msgspec": json_text.fastest(), "json": json_text.plain()}


class _Text(str):
    __slots__ = ()


class _Number(int):
    pass


LETTERS = st.characters(codec=None, exclude_categories=())
TEXTS = st.one_of(
    st.text(LETTERS, max_size=12),
    st.sampled_from(["hello", "שלום 🔥", "a\nb", 'say "no" \\', "\x7f", "\u2028", "\u202e", "\ud800", "👩‍👩‍👧", ""]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e16, 9999999999999998.0, -1e16, 1e-4, 9.999e-05, -1e-4, 5e-324, 1.5, 2**64, -(2**63)]),
    st.just(10**5000),
)
VALUES = st.one_of(
    TEXTS,
    NUMBERS,
    st.booleans(),
    st.none(),
    st.binary(max_size=3),
    st.lists(NUMBERS, max_size=2),
    st.dictionaries(TEXTS, NUMBERS, max_size=2),
    st.sampled_from([_Text("t"), _Number(3), {1}, object, 1j]),
)
KEYS = st.one_of(
    st.sampled_from(["business_id", "turn", "status", "level", "call_sid", "extra.level", "ключ"]),
    TEXTS,
    st.sampled_from([7, 7.0, True, None, _Text("turn"), (1,)]),
)
NAMES = st.one_of(
    st.sampled_from(["INFO", "media_ws_ai", "server.media_ws_ai"]), TEXTS, st.just("n" * 2000), st.just(5)
)
TIMES = st.one_of(
    st.sampled_from([1705865426.123, 1705865426.9999, 0, -1, -0.5, float("nan"), 1e300, None, "soon"]),
    st.floats(0, 4e9),
)
SIDS = st.one_of(st.none(), st.sampled_from(["CA123", ""]), TEXTS)
IDS = st.one_of(st.none(), st.integers(0, 2**128 - 1), st.sampled_from(["", "ab" * 16]), TEXTS)
MORE = st.one_of(st.just(""), st.just("Traceback (most recent call last):\n  é"), TEXTS)

# One of each for all examples: what they have learned from one record must not show in another.
JSON = {name: JsonLines("calls", encode) for name, encode in ENCODERS.items()}
HUMAN = HumanLines()


def _record(created, level, module, name):
    return logging.makeLogRecord(
        {"levelno": 20, "created": created, "levelname": level, "module": module, "name": name, "msg": "unused"}
    )


@settings(max_examples=300, deadline=None)
@given(TIMES, NAMES, NAMES, NAMES, TEXTS, MORE, MORE, SIDS, IDS, IDS, st.dictionaries(KEYS, VALUES, max_size=4))
@example(-1, "INFO", "m", "n", "x", "", "", None, None, None, {})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"a": 0.0, "b": -0.0, "c": True, "d": None})
@example(1.0, "INFO", "m", "n", "x", "", "", "CA1", None, None, {"level": 1})
@example(1.0, "INFO", "m", "n", "x", "", "", "CA1", None, None, {"status": 1})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"call_sid": "CA2"})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {7: 1, 7.5: 2, None: 3})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {True: 1})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"n": 1e16, "m": 1})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"n": 9.999e-05})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"n": -1e16})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"n": float("nan")})
@example(1.0, "INFO", "m", "n", "x", "", "", None, None, None, {"n": b"x"})
def test_json_lines_agree(created, level, module, name, message, exception, stack, sid, trace, span, extras):
    """Where the short way gives a line, it is byte for byte the long way's, whoever encodes it."""
    record, texts = _record(created, level, module, name), Texts(message, exception, stack)
    slow = json_line(
        record, service="calls", call_sid=sid, trace_id=trace, span_id=span, attributes=extras, texts=texts
    )
    for lines in JSON.values():
        with contextlib.suppress(Exception):  # what it cannot take may raise; the console then asks the long way
            short = lines.line(record, sid, trace, span, extras, texts)
            if short not in {None, slow}:
                pytest.fail(f"short {short!r}\nlong  {slow!r}")  # no Exception, so it is not swallowed here


@settings(max_examples=300, deadline=None)
@given(TIMES, NAMES, NAMES, TEXTS, MORE)
@example(-1, "INFO", "m", "x", "")
def test_human_lines_agree(created, level, module, message, exception):
    """The same for lines that people read."""
    record, texts = _record(created, level, module, "n"), Texts(message, exception)
    short = None
    with contextlib.suppress(Exception):
        short = HUMAN.line(record, texts)
    if short is not None:
        assert short == human_line(record, texts)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), NUMBERS), max_size=4))
def test_encoders_agree(text, fields):
    """On what they are given, msgspec and the standard library write the same bytes."""
    with contextlib.suppress(UnicodeError):  # a lone surrogate, which the one refuses
        assert ENCODERS["msgspec"](text) == ENCODERS["json"](text)
    admitted = {
        key: value
        for key, value in fields.items()
        if not isinstance(value, float) or not value or json_text.LOW <= abs(value) < json_text.HIGH
    }
    with contextlib.suppress(UnicodeError, ValueError):  # the latter: more digits than Python prints
        assert ENCODERS["msgspec"](admitted) == ENCODERS["json"](admitted)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_ordinary_records_go_the_short_way(encoder):
    """The records of real services are made the short way: in any language, in a call, with scalars, failing or not."""
    lines = JsonLines("calls", ENCODERS[encoder])
    record = _record(1705865426.123, "ERROR", "media_ws_ai", "server.media_ws_ai")
    extras = {"business_id": 7, "duration_ms": 1.5, "ratio": 0.0, "balance": -3.25, "ok": True, "to": None}
    for message in ("Call started", "שיחה התחילה 🔥", 'said "no"\nand left'):
        for given_extras in (None, {}, extras):
            for texts in (Texts(message), Texts(message, "Traceback:\n  boom", "Stack:\n  here")):
                line = lines.line(record, "CA1", 0xABC, 0xD, given_extras, texts)
                assert json.loads(line)["message"] == message
    assert HumanLines().line(record, Texts("שיחה התחילה 🔥")) is not None


def test_msgspec_is_used():
    """Where msgspec is installed it is what encodes: it refuses what the standard library lets pass."""
    with pytest.raises(UnicodeError):
        ENCODERS["msgspec"]("\ud800")
    assert ENCODERS["json"]("\ud800") == '"\ud800"'
    assert msgspec.__version__
