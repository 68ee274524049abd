"""Records that other bridges and hand-made calls emit are valid OTLP after us, and say what was repaired."""

from __future__ import annotations

import math

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otel_logging.bridge.mend import mend
from otel_logging.bridge.sampling import SamplingLogRecordProcessor


class Broken:
    def __str__(self):
        raise RuntimeError("no text")


@pytest.fixture
def emit():
    """Emits a record through a provider with our processor; gives it as OTLP has it, with its two neighbours."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SamplingLogRecordProcessor(SimpleLogRecordProcessor(exporter), []))

    def send(**fields):
        logger = provider.get_logger("other.bridge")
        record = LogRecord(body="the body", attributes={"a": 1})
        for key, value in fields.items():
            setattr(record, key, value)
        for one in (LogRecord(body="before"), record, LogRecord(body="after")):
            logger.emit(one)
        message = encode_logs(exporter.get_finished_logs())
        message = type(message).FromString(message.SerializeToString())
        before, found, after = message.resource_logs[0].scope_logs[0].log_records
        assert [before.body.string_value, after.body.string_value] == ["before", "after"]
        return found

    return send


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a\ud800", "a\\ud800"), (Broken(), "[otel-logging: Broken has no text: RuntimeError]"), (2**70, str(2**70)), ({1}, "{1}"),
        (ValueError("x"), "x"), (10**5000, "[otel-logging: an integer of 16610 bits]"),
    ],
    ids=range(6),
)  # fmt: skip
def test_bodies(emit, body, expected):
    """A body of any type arrives, as text where OTLP has no form for it."""
    assert emit(body=body).body.string_value == expected


def test_structured_bodies(emit):
    """A structure stays one, its odd parts repaired."""
    found = emit(body={"a": [1, Broken()], "\ud800": math.nan})
    assert [pair.key for pair in found.body.kvlist_value.values] == ["a", "\\ud800"]


@pytest.mark.parametrize(
    ("fields", "repaired"),
    [
        ({"timestamp": -5}, ["timestamp"]), ({"timestamp": "now", "trace_id": 2**128}, ["timestamp", "trace_id"]),
        ({"span_id": -1}, ["span_id"]), ({"trace_flags": 2**40}, ["trace_flags"]), ({"severity_number": "HIGH"}, ["severity"]),
        ({"trace_id": None, "span_id": None, "trace_flags": None, "observed_timestamp": None}, None), ({"severity_number": 9}, None),
    ],
)  # fmt: skip
def test_numbers(emit, fields, repaired):
    """A number that cannot be is replaced, and named."""
    found = emit(**fields)
    told = {pair.key: [item.string_value for item in pair.value.array_value.values] for pair in found.attributes}
    assert told.get("otel_logging.repaired") == repaired
    assert found.observed_time_unix_nano


def test_names(emit):
    """Names are text of a bounded length."""
    found = emit(event_name=5, severity_text="\ud800")
    assert (found.event_name, found.severity_text) == ("5", "\\ud800")
    assert len(emit_name := clean(event_name="x" * 5000).event_name) < 1100, emit_name


def clean(**fields):
    record = LogRecord(body="b")
    for key, value in fields.items():
        setattr(record, key, value)
    mend(record)
    return record


def test_attributes(emit):
    """Values that OTLP cannot hold are repaired in place, others stay the objects that they were."""
    found = emit(attributes={"s": "\ud800", "n": 2**70, "ok": "fine", "l": ["\ud800"]})
    told = {pair.key: pair.value for pair in found.attributes}
    assert (told["s"].string_value, told["n"].string_value, told["ok"].string_value) == ("\\ud800", str(2**70), "fine")
    assert told["l"].array_value.values[0].string_value == "\\ud800"
    given = {"a": 1, "b": "text"}
    assert clean(attributes=given, severity_number=SeverityNumber.INFO).attributes is given
