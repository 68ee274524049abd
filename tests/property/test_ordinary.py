"""The short way of a kept record says of every record what the long way says, or nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_records import odd_record
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import otel_logging
from otel_logging.bridge import direct, ordinary, scope, translate
from otel_logging.bridge.ledger import Ledger
from otel_logging.bridge.pipeline import Pipeline
from otel_logging.bridge.sampling import SamplingLogRecordProcessor, read_policies
from otel_logging.export import wire
from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.entry import SIZE

POLICIES = {privacy: read_policies(None, privacy=privacy) for privacy in ("off", "secrets", "strict")}
SECRET = "password=hunter2 and Authorization: Bearer abcdefghijklmnop"


class _Odd:
    def __str__(self):
        return "odd"


class _Loud:
    def __str__(self):
        raise RuntimeError("no text")


class _Text(str):
    __slots__ = ()


TEXTS = st.one_of(
    st.text(st.characters(codec=None), max_size=12), st.sampled_from(["שלום", SECRET, "call +972501234567", "\ud800"])
)
ARGUMENTS = st.one_of(TEXTS, st.integers(), st.floats(), st.none(), st.just(_Odd()), st.just(_Loud()))
VALUES = st.one_of(
    ARGUMENTS,
    st.booleans(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.just(_Text("t")),
)
KEYS = st.one_of(
    st.text(min_size=1, max_size=6),
    st.sampled_from(
        ["turn", "call_sid", "status", "service", "event.name", "logger.name", "code.line.number", "token", "asctime"]
    ),
)
MESSAGES = st.one_of(
    st.tuples(TEXTS, st.just(())),
    st.tuples(
        st.sampled_from(["turn %d of %s", "%s", "no place", "%(a)s"]), st.lists(ARGUMENTS, max_size=2).map(tuple)
    ),
    st.tuples(st.one_of(st.integers(), st.just(_Odd()), st.just(_Text("t"))), st.just(())),
)
SIDS = st.sampled_from([None, "CA" + "1" * 32, "room-7"])


def _long(pipeline, record, call):
    short, ordinary.log_record = ordinary.log_record, lambda *_: None
    try:
        return pipeline.translate(record, call)
    finally:
        ordinary.log_record = short


def _said(made):
    """All that a record says, but for when we saw it."""
    given = dict(made.__dict__)
    of = {key: given.pop(key) for key in ("observed_timestamp", SIZE, translate.TRANSFORMED) if key in given}
    assert not of.get(translate.TRANSFORMED, False)
    given["attributes"] = [(key, type(value), repr(value)) for key, value in given["attributes"].items()]
    return {key: repr(value) for key, value in given.items()}


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["server.media", "שיחה", "caller +972501234567"]),
    st.sampled_from([10, 20, 25, 30, 50, 150]),
    MESSAGES,
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.sampled_from([None] * 6 + ["exception", "stack", "exc_text", "path", "time", "level", "fields"]),
    SIDS,
    st.booleans(),
    st.sampled_from(sorted(POLICIES)),
    st.sampled_from([None, 128, 4]),
)
def test_the_short_way_says_what_the_long_way_says_or_nothing(
    name, level, message, extras, odd, sid, in_span, privacy, most
):
    """Promise 3 and privacy: a record does not lose its call, nor keep a secret, by being an ordinary one."""
    policies = POLICIES[privacy]
    pipeline = Pipeline(policies=policies, books=Ledger())
    pipeline.most_attributes = most
    span = TracerProvider().get_tracer("t").start_as_current_span("s") if in_span else None
    if span is not None:
        span.__enter__()
    try:
        with otel_logging.call(sid) if sid else otel_logging.call("CA" + "2" * 32, lane="x"):
            call = scope.current.get()
            short = ordinary.log_record(odd_record(name, level, message, extras, odd), call, policies, most)
            if short is not None:
                again = odd_record(name, level, message, extras, odd)
                again.created = short.timestamp / 1e9
                expected = _said(_long(pipeline, again, call))
                found = _said(short)
                del expected["timestamp"], found["timestamp"]  # a float's last digit
                assert found == expected
    finally:
        if span is not None:
            span.__exit__(None, None, None)


@pytest.mark.parametrize("extras", [{}, {"turn": 3, "ms": 1.5, "voice": "alloy", "barge_in": False, "none": None}])
@pytest.mark.parametrize("sid", [None, "CA" + "1" * 32])
def test_what_services_log_goes_the_short_way(extras, sid):
    """A short way that nothing takes would be no use: ordinary records take it, with extras and in calls."""
    record = odd_record("server.media", 20, ("turn %d of %s", (3, "the call")), extras, None)
    with otel_logging.call(sid) if sid else contextlib.nullcontext():
        made = ordinary.log_record(record, scope.current.get(), POLICIES["secrets"], 128)
    assert made is not None
    assert made.attributes.get("call_sid") == sid


@pytest.mark.parametrize("odd", ["exception", "stack", "exc_text", "time", "level", "fields"])
def test_what_is_not_ordinary_goes_the_long_way(odd):
    """Whatever is special about a record is decided in one place only."""
    record = odd_record("server.media", 20, ("turn", ()), {}, odd)
    assert ordinary.log_record(record, None, POLICIES["secrets"], 128) is None


def test_a_secret_is_not_ordinary():
    """Privacy: a record in which a policy may have something to change goes where it is changed."""
    for extras in ({}, {"note": SECRET}, {"password": "hunter2"}):
        text = "hello" if extras else SECRET
        assert (
            ordinary.log_record(odd_record("a", 20, (text, ()), extras, None), None, POLICIES["secrets"], 128) is None
        )


class _Seen(LogRecordProcessor):
    def __init__(self):
        self.records = []

    def on_emit(self, log_record):
        self.records.append(log_record)

    def shutdown(self):
        """Nothing to do."""

    def force_flush(self, timeout_millis=30000):
        return True


class _Kept:
    """An exporter that keeps the batches it gets."""

    def __init__(self):
        self.batches = []

    def export(self, batch):
        self.batches.append(list(batch))
        return LogRecordExportResult.SUCCESS

    def shutdown(self):
        """Nothing to do."""


def _pipeline(*, foreign, straight, limits=None):
    books, kept, seen = Ledger(), _Kept(), _Seen()
    provider = LoggerProvider(
        resource=Resource({"service.name": "s"}), shutdown_on_exit=False, log_record_limits=limits
    )
    queue = BatchingProcessor(kept, books)
    provider.add_log_record_processor(SamplingLogRecordProcessor(queue, POLICIES["secrets"]))
    pipeline = Pipeline(policies=POLICIES["secrets"], books=books, provider=provider)
    if straight:
        pipeline.direct = direct.Direct(provider, [queue])
    if foreign:
        provider.add_log_record_processor(seen)
    return pipeline, queue, kept, seen


def _bytes_by(**how):
    pipeline, queue, kept, seen = _pipeline(**how)
    record = odd_record("server.media", 20, ("turn %d", (3,)), {"turn": 3, "voice": "alloy"}, None)
    pipeline.handle(record, judged=True)
    assert queue.close()
    assert pipeline.books.snapshot()["exported"] == 1
    ((readable,),) = kept.batches
    readable.log_record.observed_timestamp = 7
    readable.log_record.timestamp = 8
    return wire.encode([readable]), seen, readable


def test_past_the_sdk_a_record_is_the_same():
    """Promise 5: what arrives does not depend on whether the SDK made the last steps, or we did."""
    straight, _, _ = _bytes_by(foreign=False, straight=True)
    by_sdk, _, readable = _bytes_by(foreign=False, straight=False)
    assert straight == by_sdk
    assert readable.dropped_attributes == 0


def test_a_processor_that_somebody_adds_sees_every_record_as_the_sdk_makes_it():
    """Promise 5: the way past the SDK ends where somebody else is behind the provider."""
    encoded, seen, _ = _bytes_by(foreign=True, straight=True)
    (written,) = seen.records
    assert type(written) is ReadWriteLogRecord
    sdk = ReadWriteLogRecord(
        translate.LogRecord(attributes=dict(written.log_record.attributes)),
        written.resource,
        written.instrumentation_scope,
        written.limits,
    )
    assert written.log_record.attributes == sdk.log_record.attributes
    assert vars(written).keys() == vars(sdk).keys()
    assert vars(written.log_record.attributes).keys() == vars(sdk.log_record.attributes).keys()
    written.log_record.attributes["added"] = object  # the SDK's cleaning is still in force
    assert isinstance(written.log_record.attributes["added"], str) or "added" not in written.log_record.attributes
    assert encoded == _bytes_by(foreign=False, straight=True)[0]


@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")
def test_limits_of_the_provider_hold_on_the_short_way():
    """OTel's limits: a record with more attributes, or a limit on their length, is the SDK's business."""
    for limits in (LogRecordLimits(max_log_record_attributes=2), LogRecordLimits(max_log_record_attribute_length=3)):
        pipeline, queue, kept, _ = _pipeline(foreign=False, straight=True, limits=limits)
        pipeline.most_attributes = None
        pipeline.handle(odd_record("a", 20, ("turn", ()), {"voice": "alloy"}, None), judged=True)
        assert queue.close()
        ((readable,),) = kept.batches
        attributes = readable.log_record.attributes
        assert len(attributes) <= 2 or max(len(value) for value in attributes.values() if isinstance(value, str)) <= 3
