"""`otel_logging/search/line_facts.py`: what only some texts do to it. That it reads as `json` is held in `property`."""

from __future__ import annotations

import json

import pytest

from otel_logging.search.line_facts import LineFacts

LONG = 1_000_000  # characters


def _line(value: str) -> bytes:
    record = {
        "timeUnixNano": "1764000000000000000",
        "severityNumber": 9,
        "severityText": "INFO",
        "body": {"stringValue": "said"},
        "attributes": [
            {"key": "call_sid", "value": {"stringValue": "CA1"}},
            {"key": "caller.said", "value": {"stringValue": value}},
        ],
        "traceId": "a" * 32,
        "spanId": "b" * 16,
    }
    scope = {"scope": {"name": "server"}, "logRecords": [record]}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "voice"}}]}
    line = {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def test_an_ordinary_line_is_read():
    """A line as our writers make it needs no JSON."""
    found = LineFacts().of(_line("hello"))
    assert found is not None


@pytest.mark.parametrize("text", ["]", "}", "R", "]}", "],", "{", "]}}", "},{", "]}]}]}"])
def test_no_text_takes_more_time_than_its_length(text):
    """A caller who says a million brackets holds up nobody: with a time that grows with the square, this takes hours."""
    whole = text * (LONG // len(text))
    facts = LineFacts()
    read = facts.of(_line(whole) + _line("hello"))
    assert read is None or len(read.times) == 2
