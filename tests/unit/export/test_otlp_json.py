"""The promises of otel_logging.export.otlp_json, checked against the official protobuf encoder."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import pytest
from export_kit import RESOURCE, SCOPE, sdk_record
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_logging import trouble
from otel_logging.export.entry import entry_of
from otel_logging.export.otlp_json import any_value, encode_logs, encode_spans, line

_IDS = ("traceId", "spanId", "parentSpanId")


def with_base64_ids(value):
    """OTLP/JSON writes ids in hex where protobuf's own JSON has base64: the one difference, turned back."""
    if isinstance(value, list):
        return [with_base64_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(item)).decode() if key in _IDS else with_base64_ids(item)
            for key, item in value.items()
        }
    return value


def parsed(data, kind):
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    return json_format.ParseDict(with_base64_ids(json.loads(data)), kind())


def readable(*args, **fields):
    return entry_of(sdk_record(*args, **fields)).record


TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=20)
KEYS = st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)
INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
SCALARS = st.none() | st.booleans() | INT64 | st.floats(allow_nan=False) | TEXT | st.binary(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
UINT64 = st.integers(min_value=0, max_value=2**64 - 1)
RECORDS = st.builds(
    readable,
    VALUES,
    timestamp=st.none() | UINT64,
    observed_timestamp=UINT64,
    trace_id=st.integers(min_value=0, max_value=2**128 - 1),
    span_id=UINT64,
    trace_flags=st.integers(min_value=0, max_value=255).map(TraceFlags),
    severity_number=st.none() | st.sampled_from(SeverityNumber),
    severity_text=st.none() | TEXT,
    attributes=st.none() | st.dictionaries(KEYS, VALUES, max_size=5),
    event_name=st.none() | TEXT,
    resource=st.sampled_from([RESOURCE, Resource({"a": 1, "b": ["x"]}, "https://schema/1"), Resource({})]),
    scope=st.sampled_from(
        [SCOPE, None, InstrumentationScope("s", "1.2", "https://schema/2", {"k": "v"}), InstrumentationScope("")]
    ),
)


class TestLogs:
    @given(st.lists(RECORDS, min_size=1, max_size=6))
    def test_same_as_the_official_encoder(self, batch):
        """Read back as protobuf, our line says exactly what the official encoder says, for any batch."""
        assert parsed(line(encode_logs(batch)), ExportLogsServiceRequest) == official_logs(batch)

    def test_spelling(self):
        """The line is compact and spelt as OTLP/JSON: hex ids, 64-bit integers as strings, enums as numbers."""
        record = readable(
            "שלום",
            trace_id=0xAB,
            span_id=0xCD,
            trace_flags=TraceFlags(1),
            attributes={"call_sid": "CA1", "n": 2**62, "b": b"\xff", "nan": float("nan"), "inf": -float("inf")},
            event_name="call.start",
        )
        text = line(encode_logs([record])).decode()
        assert '"key":"call_sid","value":{"stringValue":"CA1"}' in text
        assert '"body":{"stringValue":"שלום"}' in text
        request = json.loads(text)
        (encoded,) = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        assert encoded["traceId"] == "000000000000000000000000000000ab"
        assert encoded["spanId"] == "00000000000000cd"
        assert encoded["timeUnixNano"] == "1700000000000000000"
        assert encoded["severityNumber"] == 9
        assert encoded["eventName"] == "call.start"
        values = {pair["key"]: pair["value"] for pair in encoded["attributes"]}
        assert values["n"] == {"intValue": str(2**62)}
        assert values["b"] == {"bytesValue": "/w=="}
        assert values["nan"] == {"doubleValue": "NaN"}
        assert values["inf"] == {"doubleValue": "-Infinity"}

    def test_dropped_attributes(self):
        """The number of attributes that limits took away is told."""
        record = readable(attributes={"a": 1})
        record.log_record.attributes.dropped = 3
        assert parsed(line(encode_logs([record])), ExportLogsServiceRequest) == official_logs([record])

    @pytest.mark.parametrize("text", ["\udc80", "a\ud800b", "x\udfff\udfff"])
    def test_surrogates_become_text(self, text):
        """A lone surrogate becomes its name as text, as strict parsers refuse the line otherwise; others are not harmed."""
        batch = [readable("ok"), readable(text, attributes={text: text}, severity_text=text)]
        data = line(encode_logs(batch))
        data.decode("utf-8")
        first, second = json.loads(data)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        shown = text.encode("utf-8", "backslashreplace").decode()
        assert first["body"] == {"stringValue": "ok"}
        assert second["body"] == {"stringValue": shown}
        assert second["attributes"] == [{"key": shown, "value": {"stringValue": shown}}]
        assert second["severityText"] == shown

    @pytest.mark.parametrize("timestamp", [-1, -(10**18), 2**64, 2**70])
    def test_impossible_times(self, timestamp):
        """A time that OTLP cannot hold is left out; the record stays, with the time it was observed."""
        (encoded,) = encode_logs([readable("x", timestamp=timestamp)])["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        assert "timeUnixNano" not in encoded
        assert encoded["observedTimeUnixNano"] == "1700000000000000001"

    def test_a_record_that_resists(self):
        """A record with a broken field is written with a marker, and the others whole."""
        broken = readable("broken")
        broken.log_record.trace_id = "not a number"
        (first, second) = encode_logs([broken, readable("ok")])["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        assert "could not be written" in first["body"]["stringValue"]
        assert second["body"] == {"stringValue": "ok"}
        assert trouble.counts() == {"otlp_json": 1}


class Opaque:
    def __str__(self):
        raise RuntimeError("no")


class TestAnyValue:
    def test_what_otlp_has_no_form_for(self):
        """Sets, objects and integers beyond 64 bits become strings; nothing raises."""
        assert any_value({1}) == {"stringValue": "{1}"}
        assert any_value(2**63) == {"stringValue": str(2**63)}
        assert any_value(-(2**63)) == {"intValue": str(-(2**63))}
        assert "str() failed" in any_value(Opaque())["stringValue"]
        assert any_value(10**5000)["stringValue"]  # since Python 3.11 its digits are not to be had

    def test_bools_are_not_integers(self):
        """True is a bool, also inside lists."""
        assert any_value([True, 1]) == {"arrayValue": {"values": [{"boolValue": True}, {"intValue": "1"}]}}

    def test_cycles_and_bombs(self):
        """Cycles and lists of the same list end with a marker, in bounded size."""
        cycle = {}
        cycle["again"] = [cycle, cycle]
        bomb = [1]
        for _ in range(30):
            bomb = [bomb] * 10
        for value in (cycle, bomb):
            data = line({"v": any_value(value)})
            assert b"cut off" in data
            assert len(data) < 3_000_000

    @given(
        st.recursive(
            st.none() | st.floats() | st.text(alphabet=st.characters(codec=None, exclude_categories=())), st.lists
        )
    )
    def test_any_value_is_a_line(self, value):
        """Any value makes one line of strict JSON."""
        data = line({"v": any_value(value)})
        assert data.count(b"\n") == 1
        json.loads(data, parse_constant=pytest.fail)


CONTEXTS = st.builds(
    SpanContext,
    trace_id=st.integers(min_value=1, max_value=2**128 - 1),
    span_id=st.integers(min_value=1, max_value=2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    trace_state=st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "2")])]),
)
ATTRIBUTES = st.none() | st.dictionaries(KEYS, TEXT | INT64 | st.booleans() | st.lists(TEXT, max_size=3), max_size=4)
SPANS = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.sampled_from([RESOURCE, Resource({"a": 1}, "https://schema/1")]),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXT, attributes=ATTRIBUTES, timestamp=UINT64), max_size=2),
    links=st.lists(st.builds(Link, CONTEXTS, attributes=ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK), Status(StatusCode.ERROR, "it broke")]),
    start_time=UINT64,
    end_time=UINT64,
    instrumentation_scope=st.sampled_from([SCOPE, InstrumentationScope("s", "1", "https://schema/2", {"k": 1})]),
)


class TestSpans:
    @given(st.lists(SPANS, min_size=1, max_size=4))
    def test_same_as_the_official_encoder(self, batch):
        """Read back as protobuf, our line says exactly what the official encoder says."""
        assert parsed(line(encode_spans(batch)), ExportTraceServiceRequest) == official_spans(batch)

    def test_a_span_that_resists(self):
        """A broken span is written with a marker, and the others whole."""
        broken = SimpleNamespace(resource=RESOURCE, instrumentation_scope=SCOPE)
        (encoded,) = encode_spans([broken])["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert "could not be written" in encoded["name"]
