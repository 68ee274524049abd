"""`search/events.py`: one record shape, whatever put an event into a log service."""

from __future__ import annotations

import json

import pytest

from otel_logging.search.events import record_of

SID, TRACE, SPAN = "CA" + "a1" * 16, "a1" * 16, "b2" * 8
TIME = 1_705_865_426_123_000_000
RESOURCE = {"service.name": "media"}
EXTRAS = {"call_sid": SID, "logger.name": "server.media", "latency_ms": 812}
PUT = {
    "body": "it broke", "severity_number": 17, "severity_text": "ERROR", "trace_id": TRACE, "span_id": SPAN,
    "attributes": EXTRAS, "scope": {"name": "server.media"}, "resource": RESOURCE,
}  # fmt: skip
OTLP = {
    "resource": {"attributes": RESOURCE}, "scope": {"name": "server.media"}, "timeUnixNano": TIME,
    "observedTimeUnixNano": TIME, "severityNumber": 17, "severityText": "ERROR", "body": "it broke",
    "attributes": EXTRAS, "traceId": TRACE, "spanId": SPAN,
}  # fmt: skip
CONSOLE = {
    "timestamp": "2024-01-21T19:30:26.123Z", "level": "ERROR", "module": "media", "message": "it broke",
    "logger": "server.media", "call_sid": SID, "trace_id": TRACE, "span_id": SPAN, "service": "media", "latency_ms": 812,
}  # fmt: skip
LINE_IN_BODY = {"body": json.dumps(CONSOLE), "resource": RESOURCE, "attributes": {"log.file.name": "a.log"}}


@pytest.mark.parametrize(
    "event",
    [
        PUT,
        OTLP,
        CONSOLE,
        LINE_IN_BODY,
        {**OTLP, "body": {"stringValue": "it broke"}, "timeUnixNano": str(TIME)},
        {**OTLP, "attributes": [{"key": key, "value": {"stringValue": str(value)}} for key, value in EXTRAS.items()]},
    ],
    ids=["awscloudwatchlogs", "otlp", "console", "console in a body", "any values", "pairs"],
)
def test_one_shape(event):
    """The Collector's exporter, CloudWatch's OTLP endpoint and a JSON console line give the same record."""
    record = record_of(json.dumps(event), time=TIME)
    assert (record.body, record.level, record.service, record.logger) == ("it broke", "ERROR", "media", "server.media")
    assert (record.call_sid, record.trace_id, record.span_id) == (SID, TRACE, SPAN)
    assert record.time == TIME
    assert str(record.attributes["latency_ms"]) == "812"
    assert "call_sid" not in record.attributes


@pytest.mark.parametrize("text", ["plain text", "{not json", '{"a":', '["a"]', "{}", '{"weird":1}', ""])
def test_anything_else_is_text(text):
    """An event that is no record of ours is shown as it is, at its own time."""
    record = record_of(text, time=5, source="group/stream")
    assert (record.body, record.time, record.level, record.source) == (text, 5, "INFO", "group/stream")


def test_an_event_cannot_break_it():
    """Values of the wrong type are passed over."""
    record = record_of(json.dumps({"body": None, "attributes": 7, "resource": [], "scope": "x", "severityNumber": "?"}))
    assert (record.body, record.attributes, record.severity) == ("", {}, 0)
