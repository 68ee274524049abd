"""The wire encoder says of every record what the official encoder says of it."""

from __future__ import annotations

import enum
import logging
from types import MappingProxyType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags

from otel_logging.export import wire


class _Text(str):
    __slots__ = ()


class _Number(int):
    pass


class _Colour(enum.IntEnum):
    RED = 3


TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(codec=None), max_size=5),  # lone surrogates among them
    st.sampled_from(["", "a" * 95, "é" * 96, "x" * 127, "x" * 128, "x" * 191, _Text("sub")]),
)
NUMBERS = st.one_of(
    st.integers(-(1 << 65), 1 << 65),
    st.sampled_from([0, 1, 127, 128, 16_383, 16_384, -1, (1 << 63) - 1, 1 << 63, -(1 << 63), _Number(7), _Colour.RED]),
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(), TEXTS, st.binary(max_size=9), st.just(object()))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(TEXTS, st.integers(0, 9)), inner, max_size=4),
        st.dictionaries(TEXTS, inner, max_size=2).map(MappingProxyType),
        st.builds(range, st.integers(0, 3)),
    ),
    max_leaves=12,
)
KEYS = st.one_of(TEXTS, st.sampled_from(["call_sid", "logger.name", "code.line.number", "code.file.path", "status"]))
PAIRS = st.dictionaries(KEYS, VALUES, max_size=6)
ATTRIBUTES = st.one_of(
    st.none(),
    PAIRS,
    st.builds(
        lambda pairs, most: BoundedAttributes(most, pairs, immutable=False, extended_attributes=True),
        st.dictionaries(st.text(max_size=9), st.one_of(st.text(max_size=9), st.integers(0, 9)), max_size=5),
        st.sampled_from([None, 2]),
    ),
)
TIMES = st.one_of(st.none(), st.integers(0, (1 << 64) + 1), st.just(-1), st.just(1_700_000_000_000_000_000))
RECORDS = st.builds(
    dict,
    timestamp=TIMES,
    observed_timestamp=TIMES,
    severity_number=st.one_of(st.none(), st.sampled_from(list(SeverityNumber))),
    severity_text=st.one_of(st.none(), TEXTS),
    body=VALUES,
    attributes=ATTRIBUTES,
    event_name=st.one_of(st.none(), TEXTS),
)
# What services really log: nothing here makes the wire encoder ask the official one.
GOOD_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["", "a" * 95, "é" * 96, "x" * 128]))
GOOD_VALUES = st.recursive(
    st.one_of(
        GOOD_TEXTS, st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(), st.none(), st.binary(max_size=9)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(GOOD_TEXTS, inner, max_size=4),
    ),
    max_leaves=9,
)
GOOD_KEYS = st.one_of(GOOD_TEXTS, st.sampled_from(["call_sid", "logger.name", "code.line.number", "code.file.path"]))
ORDINARY = st.builds(
    dict,
    timestamp=st.integers(1, (1 << 64) - 1),
    observed_timestamp=st.integers(1, (1 << 64) - 1),
    severity_number=st.one_of(st.none(), st.sampled_from(list(SeverityNumber))),
    severity_text=st.sampled_from([None, "", "INFO", "WARN"]),
    body=GOOD_VALUES,
    attributes=st.one_of(
        st.dictionaries(GOOD_KEYS, GOOD_VALUES, max_size=6),
        st.builds(
            lambda pairs, most: BoundedAttributes(most, pairs, immutable=False, extended_attributes=True),
            st.dictionaries(st.text(min_size=1, max_size=9), GOOD_VALUES, max_size=5),
            st.sampled_from([None, 2]),
        ),
    ),
    event_name=st.one_of(st.none(), GOOD_TEXTS),
)
GOOD_IDS = st.tuples(
    st.sampled_from([0, 1, (1 << 128) - 1]), st.sampled_from([0, 5, (1 << 64) - 1]), st.integers(0, 255)
)
IDS = st.tuples(
    st.sampled_from([0, 1, (1 << 128) - 1, 1 << 128]), st.sampled_from([0, 5, (1 << 64) - 1]), st.integers(0, 300)
)


def _resources():
    return [
        Resource({"service.name": "a", "n": 1}, "https://example.org/1"),
        Resource({"service.name": "a", "n": 1}, "https://example.org/1"),  # equal to the first, not the same
        Resource({"service.name": "b"}),
    ]


def _scopes():
    return [
        InstrumentationScope("one"),
        InstrumentationScope("one"),
        InstrumentationScope("two", "1.0", "https://example.org/2", {"k": "v"}),
        None,
    ]


def _readable(fields, ids, resource, scope):
    attributes = fields["attributes"]
    record = LogRecord(**{**fields, "attributes": None})
    record.attributes = attributes
    record.trace_id, record.span_id, flags = ids
    record.trace_flags = TraceFlags(flags)
    return ReadableLogRecord(
        log_record=record, resource=resource, instrumentation_scope=scope, limits=LogRecordLimits(max_attributes=9)
    )


def _official(batch):
    try:
        return encode_logs(batch)
    except Exception as error:
        return type(error)


def _ours(batch):
    try:
        return ExportLogsServiceRequest.FromString(wire.encode(batch))
    except Exception as error:
        return type(error)


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    """What the official encoder logs of attributes that it cannot encode is not what is tested here."""
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.common._internal")
    logger.disabled = True
    yield
    logger.disabled = False


def _batch(parts):
    resources, scopes = _resources(), _scopes()
    return [_readable(fields, ids, resources[r], scopes[s]) for fields, ids, r, s in parts]


def _bytes(request):
    # NaN is unequal to itself: requests are compared as one encoder's bytes.
    return request.SerializeToString(deterministic=True)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ORDINARY, GOOD_IDS, st.integers(0, 2), st.integers(0, 3)), max_size=5))
@example([])
def test_what_services_log_is_encoded_here_and_decodes_to_what_the_official_encoder_says(parts):
    """Promise 5: standard parts. An endpoint cannot tell our bytes from the official ones."""
    batch = _batch(parts)
    for readable in batch:
        wire._record(readable)  # raises where it leaves the record to the official encoder
    assert _bytes(ExportLogsServiceRequest.FromString(wire.encode(batch))) == _bytes(encode_logs(batch))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(RECORDS, IDS, st.integers(0, 2), st.integers(0, 3)), max_size=3))
def test_any_batch_decodes_to_what_the_official_encoder_says_or_fails_as_it_does(parts):
    """Promise 5: also for what no service should log, one record's bytes and one record's errors are the official."""
    batch = _batch(parts)
    official, ours = _official(batch), _ours(batch)
    if isinstance(official, type):
        assert ours is official
    else:
        assert _bytes(ours) == _bytes(official)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 110, 127, 128, 191, 192, 255, 16_383, 16_384, 3_000_000])
def test_texts_of_any_length_are_encoded_alike(size):
    """Promise 5: lengths are varints, nested in lengths that are varints; none is off by one at any border."""
    for key in ("k", "k" * 60, "call_sid"):
        fields = {"body": "b" * size, "attributes": {key: "v" * size, "list": ["v" * size], "data": b"x" * size}}
        fields |= {
            "timestamp": 1,
            "observed_timestamp": 1,
            "severity_number": None,
            "severity_text": "I" * min(size, 200),
        }
        batch = [_readable(fields | {"event_name": "e" * size}, (0, 0, 0), _resources()[0], _scopes()[0])] * 2
        wire._record(batch[0])
        assert _bytes(ExportLogsServiceRequest.FromString(wire.encode(batch))) == _bytes(encode_logs(batch))


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, _Number(7), _Colour.RED, _Text("t"), range(2), "\ud800"])
def test_what_is_not_known_for_certain_is_left_to_the_official_encoder(value):
    """Promise 5: numbers out of range and subclasses are encoded, or refused, as the official encoder does it."""
    fields = {"body": "b", "attributes": {"k": value}, "timestamp": 1, "observed_timestamp": 1}
    fields |= {"severity_number": None, "severity_text": None, "event_name": None}
    batch = [_readable(fields, (0, 0, 0), _resources()[0], _scopes()[0])]
    with pytest.raises((wire._UnknownShapeError, UnicodeEncodeError)):
        wire._record(batch[0])
    assert _bytes(_ours(batch)) == _bytes(encode_logs(batch))


def test_a_record_that_cannot_be_encoded_is_the_official_encoders_business():
    """A foreign value falls back for the whole record, so that its error and its log line are the official ones."""
    ids = (1, 1, 1)
    fields = {"body": "b", "attributes": {"good": 1, "bad": object()}, "timestamp": 1, "observed_timestamp": 1}
    fields |= {"severity_number": SeverityNumber.INFO, "severity_text": "INFO", "event_name": None}
    batch = [_readable(fields, ids, _resources()[0], _scopes()[0])]
    with pytest.raises(wire._UnknownShapeError):
        wire._record(batch[0])
    (record,) = ExportLogsServiceRequest.FromString(wire.encode(batch)).resource_logs[0].scope_logs[0].log_records
    assert [pair.key for pair in record.attributes] == ["good"]


def test_what_is_remembered_is_bounded(monkeypatch):
    """Keys, pairs, Resources and scopes come from outside: what is kept of them does not grow without end."""
    for name in ("_MOST_KEYS", "_MOST_PAIRS", "_MOST_OWNERS"):
        monkeypatch.setattr(wire, name, 3)
    for number in range(20):
        fields = {"body": "b", "attributes": {f"k{number}": "v", f"n{number}": 1, "call_sid": f"CA{number}"}}
        fields |= {"timestamp": 1, "observed_timestamp": 1, "severity_number": None, "severity_text": None}
        resource, scope = Resource({"n": number}), InstrumentationScope(f"s{number}")
        batch = [_readable(fields | {"event_name": None}, (0, 0, 0), resource, scope)]
        assert ExportLogsServiceRequest.FromString(wire.encode(batch)) == encode_logs(batch)
    for kept in (wire.text_heads, wire.value_heads, wire._pairs, wire._resources, wire._scopes):
        assert 0 < len(kept) <= 4
    long = {"call_sid": "x" * 5_000}
    wire.encode([_readable(fields | {"event_name": None, "attributes": long}, (0, 0, 0), resource, scope)])
    assert all(len(found) < wire._SHORT for found in wire._pairs.values())
