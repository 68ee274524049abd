"""The one record shape and its flat form."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from otel_logging.search.record import Record, absorb, flat, from_flat, hex_id, is_flat, level_of, stamp_of

AT = 1_705_865_426_123_456_789
TRACE = "3f" * 16


class TestLevel:
    @pytest.mark.parametrize(
        ("number", "level"),
        [
            (1, "DEBUG"),
            (5, "DEBUG"),
            (8, "DEBUG"),
            (9, "INFO"),
            (12, "INFO"),
            (13, "WARNING"),
            (17, "ERROR"),
            (20, "ERROR"),
            (21, "CRITICAL"),
            (24, "CRITICAL"),
        ],
    )
    def test_by_number(self, number, level):
        """Every OTel severity has Python's name for it."""
        assert level_of(number) == level

    @pytest.mark.parametrize(
        ("text", "level"),
        [("warn", "WARNING"), ("Fatal", "CRITICAL"), ("TRACE", "DEBUG"), ("", "INFO"), ("odd", "INFO")],
    )
    def test_by_text(self, text, level):
        """Where the number is missing the text decides, and INFO where that says nothing."""
        assert level_of(0, text) == level


class TestFlat:
    def test_fixed_keys_come_first_in_order(self):
        """The fixed keys stand first and in this order, extras follow as they are."""
        record = Record(
            time=AT, severity=9, body="hi", service="media", logger="l", call_sid="CA1", trace_id=TRACE, span_id="ab" * 8,
            attributes={"code.line.number": 7, "latency_ms": 812},
        )  # fmt: skip
        line = flat(record, since=AT - 1_500_000_000)
        assert list(line) == [
            "timestamp", "level", "service", "logger", "message", "call_sid", "trace_id", "span_id", "relative",
            "code.line.number", "latency_ms",
        ]  # fmt: skip
        assert line["timestamp"] == "2024-01-21T19:30:26.123456789Z"
        assert line["relative"] == 1.5

    def test_a_foreign_attribute_cannot_pass_for_the_record(self):
        """An attribute called like a fixed key is kept beside it, not over it."""
        line = flat(Record(body="true", attributes={"message": "forged", "level": "x"}))
        assert (line["message"], line["attributes.message"]) == ("true", "forged")
        assert (line["level"], line["attributes.level"]) == ("INFO", "x")

    def test_relative_is_null_outside_a_call(self):
        """Without a call's beginning there is no relative time."""
        assert flat(Record())["relative"] is None

    def test_recovered_and_exception(self):
        """Recovered records and exceptions are recognised, whatever type an attribute has."""
        assert Record(attributes={"otel_logging.recovered": True}).recovered
        assert not Record(attributes={"otel_logging.recovered": ["odd"]}).recovered
        assert not Record(attributes={"otel_logging.recovered": 1}).recovered  # a summary's count
        assert (
            Record(attributes={"exception.type": "ValueError", "exception.message": "no"}).exception == "ValueError: no"
        )
        assert (
            Record(attributes={"exception.type": "E", "exception.stacktrace": "Traceback\n"}).exception == "Traceback"
        )


class TestConsoleLine:
    LINE: ClassVar = {
        "timestamp": "2024-01-21T19:30:26.123Z", "level": "WARNING", "module": "media_ws_ai", "message": "שלום",
        "logger": "server.media_ws_ai", "call_sid": "CA1", "trace_id": TRACE.upper(), "span_id": "0" * 16, "service": "media",
        "latency_ms": 3, "exception": "Traceback",
    }  # fmt: skip

    def test_ours(self):
        """A JSON console line gives the same shape as OTLP."""
        record = from_flat(self.LINE, "f")
        assert (record.body, record.level, record.service, record.logger, record.call_sid) == (
            "שלום", "WARNING", "media", "server.media_ws_ai", "CA1",
        )  # fmt: skip
        assert (record.trace_id, record.span_id, record.source) == (TRACE, None, "f")
        assert record.time == AT // 10**6 * 10**6
        assert record.attributes == {"module": "media_ws_ai", "latency_ms": 3, "exception.stacktrace": "Traceback"}

    def test_flat_of_flat(self):
        """Our own flat output is understood again."""
        record = from_flat(self.LINE)
        again = from_flat(json.loads(json.dumps(flat(record, since=0))))
        assert flat(again) == flat(record)

    def test_other_tools(self):
        """The usual names of other tools' JSON logs are understood."""
        record = from_flat({"time": 1705865426.5, "severity": "err", "msg": {"a": 1}, "service.name": "node"})
        assert (record.time, record.level, record.body, record.service) == (
            1_705_865_426_500_000_000,
            "ERROR",
            '{"a":1}',
            "node",
        )

    def test_absorb(self):
        """A console line wrapped whole into a record's body fills in what its envelope leaves out, and no more."""
        record = Record(time=5, severity=17, service="envelope", attributes={"log.file.name": "x"})
        absorb(record, self.LINE)
        assert (record.body, record.level, record.service, record.call_sid) == ("שלום", "ERROR", "envelope", "CA1")
        assert record.attributes["log.file.name"] == "x"

    @pytest.mark.parametrize("value", [None, "x", [], {"message": "m"}, {"timestamp": "t"}])
    def test_is_flat(self, value):
        """Only a mapping that says when and what is taken for a console line."""
        assert not is_flat(value)
        assert is_flat({"ts": 1, "event": "e"})


@pytest.mark.parametrize(
    "value", [None, 7, "", "0" * 32, "x" * 32, "3f" * 15, "３" * 32, "+" + "3" * 31, " " * 32, "3_" * 16]
)
def test_no_trace_id(value):
    """Only 32 hex digits that are not all zero are a trace id."""
    assert hex_id(value, 32) is None
    assert hex_id("3F" * 16, 32) == TRACE


@pytest.mark.parametrize(
    ("value", "nanos"),
    [
        (1705865426, 1705865426 * 10**9),
        (1705865426123, 1705865426123 * 10**6),
        (AT, AT),
        ("x", 0),
        (None, 0),
        (-1, 0),
        (float("nan"), 0),
        (10**40, 0),
    ],
)
def test_stamps(value, nanos):
    """Unix times of any usual unit are understood, nonsense is no time."""
    assert stamp_of(value) == nanos
