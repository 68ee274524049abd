"""OTLP in JSON, as different writers spell it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.search import otlp

TRACE = "3f" * 16
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["resourceLogs", "resource", "attributes", "scopeLogs", "logRecords", "body", "key", "value", "values", "links", "status", "code",
                         "resourceSpans", "scopeSpans", "spans", "stringValue", "intValue", "kvlistValue", "arrayValue", "traceId", "timeUnixNano"]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


def one(raw, **group):
    payload = {"resourceLogs": [{"scopeLogs": [{"logRecords": [raw]}], **group}]}
    (record,) = otlp.records(payload, "f")
    return record


class TestRecords:
    def test_camel_and_snake_case_give_the_same(self):
        """The Collector's camelCase and protobuf's snake_case are the same record."""
        camel = {"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]}, "scopeLogs": [{"scope": {"name": "l"}, "logRecords": [
            {"timeUnixNano": "5", "observedTimeUnixNano": "6", "severityNumber": 13, "severityText": "WARN", "body": {"stringValue": "b"}, "traceId": TRACE, "spanId": "ab" * 8, "eventName": "e",
             "attributes": [{"key": "call_sid", "value": {"stringValue": "CA1"}}, {"key": "n", "value": {"intValue": "7"}}]}]}]}]}  # fmt: skip
        snake = {"resource_logs": [{"resource": {"attributes": [{"key": "service.name", "value": {"string_value": "s"}}]}, "scope_logs": [{"scope": {"name": "l"}, "log_records": [
            {"time_unix_nano": 5, "observed_time_unix_nano": 6, "severity_number": "SEVERITY_NUMBER_WARN", "severity_text": "WARN", "body": {"string_value": "b"}, "trace_id": TRACE, "span_id": "ab" * 8, "event_name": "e",
             "attributes": [{"key": "call_sid", "value": {"string_value": "CA1"}}, {"key": "n", "value": {"int_value": 7}}]}]}]}]}  # fmt: skip
        (first,), (second,) = otlp.records(camel), otlp.records(snake)
        assert first == second
        assert (first.time, first.observed, first.level, first.service, first.logger) == (5, 6, "WARNING", "s", "l")
        assert (first.call_sid, first.trace_id, first.attributes, first.event_name) == ("CA1", TRACE, {"n": 7}, "e")

    def test_logger_name_attribute_wins_over_the_scope(self):
        """The logger is the attribute `logger.name` where there is one."""
        assert one({"attributes": [{"key": "logger.name", "value": {"stringValue": "app"}}]}).logger == "app"

    def test_observed_time_stands_in(self):
        """A record without a time has the time at which it was observed."""
        assert one({"observedTimeUnixNano": "9"}).time == 9

    @pytest.mark.parametrize(
        ("value", "plain", "text"),
        [
            ({"stringValue": "x"}, "x", "x"),
            ({"intValue": "-9223372036854775808"}, -(2**63), "-9223372036854775808"),
            ({"doubleValue": 1.5}, 1.5, "1.5"),
            ({"doubleValue": "NaN"}, "NaN", "NaN"),
            ({"doubleValue": float("inf")}, "inf", "inf"),
            ({"boolValue": False}, False, "false"),
            ({"bytesValue": "AAE="}, "AAE=", "AAE="),
            ({"arrayValue": {"values": [{"stringValue": "ש"}, {}]}}, ["ש", None], '["ש",null]'),
            ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}, {"a": 1}, '{"a":1}'),
            ({}, None, ""),
        ],
    )
    def test_values(self, value, plain, text):
        """Every kind of AnyValue becomes a plain value, and as a body readable text."""
        assert otlp.value_of(value) == plain
        assert one({"body": value}).body == text

    @pytest.mark.parametrize("body", [{"stringValue": '{"timestamp":"2024-01-21T19:30:26Z","level":"ERROR","message":"m","call_sid":"CA1"}'},
        {"kvlistValue": {"values": [{"key": k, "value": {"stringValue": v}} for k, v in {"timestamp": "2024-01-21T19:30:26Z", "level": "ERROR", "message": "m", "call_sid": "CA1"}.items()]}}])  # fmt: skip
    def test_console_line_in_the_body(self, body):
        """A JSON console line that a Collector wrapped, parsed or not, is opened up."""
        record = one({"timeUnixNano": "5", "body": body})
        assert (record.body, record.level, record.call_sid, record.time) == (
            "m",
            "ERROR",
            "CA1",
            1_705_865_426_000_000_000,
        )

    def test_json_that_is_no_console_line_stays_a_body(self):
        """JSON that an application logged as its message stays as it is."""
        assert one({"body": {"stringValue": '{"slots": 3}'}}).body == '{"slots": 3}'
        assert one({"body": {"stringValue": "{broken}"}}).body == "{broken}"

    def test_bare_console_line(self):
        """A store may also hold JSON console lines."""
        (record,) = otlp.records({"timestamp": "2024-01-21T19:30:26Z", "message": "m", "call_sid": "CA1"}, "f")
        assert (record.body, record.call_sid, record.source) == ("m", "CA1", "f")

    @pytest.mark.parametrize(
        ("value", "level"),
        [
            ("SEVERITY_NUMBER_WARN2", "WARNING"),
            ("17", "ERROR"),
            ("SEVERITY_NUMBER_FATAL", "CRITICAL"),
            (99, "CRITICAL"),
            ("odd", "INFO"),
            (None, "INFO"),
        ],
    )
    def test_severity_spellings(self, value, level):
        """Severity may be a number, a number as text, or protobuf's name."""
        assert one({"severityNumber": value}).level == level

    @given(ANYTHING)
    def test_any_shape_is_survived(self, value):
        """Whatever JSON a line holds, reading it never raises and what comes out can be shown."""
        for payload in (
            value,
            {"resourceLogs": [{"scopeLogs": [{"logRecords": [value, {"body": value, "attributes": value}]}]}]},
            {"resourceSpans": value},
        ):
            for record in otlp.records(payload):
                assert isinstance(record.body, str)
                assert record.level
                assert record.exception is not None
            for span in otlp.spans(payload):
                json.dumps(span.flat(), default=str)


class TestSpans:
    def test_a_span(self):
        """A span keeps its ids, times, status, links and attributes."""
        raw = {"traceId": TRACE, "spanId": "ab" * 8, "parentSpanId": "", "name": "call", "startTimeUnixNano": "1000000000", "endTimeUnixNano": "3500000000",
               "status": {"code": 2, "message": "why"}, "links": [{"traceId": "b" * 32}, {}], "attributes": [{"key": "call_sid", "value": {"stringValue": "CA1"}}]}  # fmt: skip
        (span,) = otlp.spans({"resourceSpans": [{"scopeSpans": [{"spans": [raw]}]}]})
        assert (span.trace_id, span.parent_id, span.name, span.failed, span.status) == (
            TRACE,
            None,
            "call",
            True,
            "why",
        )
        assert (span.call_sid, span.links, span.flat()["seconds"]) == ("CA1", ("b" * 32,), 2.5)
