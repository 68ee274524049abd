"""Any stdlib record becomes an OTel record that can be encoded, with its message and its attributes in it."""

from __future__ import annotations

import logging
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from otel_logging.bridge import translate
from otel_logging.bridge.values import clean_key, clean_text, clean_value

RESOURCE = Resource({})


class Broken:
    """An object without a text."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


# Lone surrogates included: file names through os.fsdecode have them.
text = st.text(st.characters(codec=None), max_size=30)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), text, st.binary(max_size=20), st.decimals(), st.datetimes(), st.uuids(),
    st.complex_numbers(), st.builds(Broken), st.builds(object), st.builds(ValueError, text),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.frozensets(st.integers(), max_size=3), st.dictionaries(st.one_of(text, st.integers(), st.none()), inner, max_size=4)
    ),
    max_leaves=20,
)  # fmt: skip
OWN = (
    "name",
    "msg",
    "args",
    "levelname",
    "levelno",
    "pathname",
    "lineno",
    "funcName",
    "exc_info",
    "exc_text",
    "stack_info",
    "created",
)
extras = st.dictionaries(
    st.one_of(text, st.sampled_from(["otel.event.name", "event.name", "call_sid", "status", ""])), values, max_size=6
)


def encoded(log_record):
    """The record as OTLP has it, written and read again."""
    readable = ReadableLogRecord(log_record=log_record, resource=RESOURCE, limits=LogRecordLimits(max_attributes=1000))
    message = encode_logs([readable])
    message = type(message).FromString(message.SerializeToString())
    return message.resource_logs[0].scope_logs[0].log_records[0]


def made(msg, args, fields):
    """A stdlib record with `fields` put onto it."""
    found = logging.LogRecord("app", 20, "/a.py", 1, "m", (), None, "f")
    found.msg, found.args = msg, args
    found.__dict__.update(fields)
    return found


class TestAnyRecord:
    @given(
        msg=values, args=st.one_of(st.none(), st.just(()), st.tuples(values), st.tuples(values, values)), extra=extras
    )
    @settings(deadline=None)
    def test_plain(self, msg, args, extra):
        """Bare: whatever message, arguments and extras are, all of them arrive."""
        source = made(msg, args, extra)
        found = encoded(translate.plain(source))
        names = {clean_key(key) for key in translate.extras_of(source)} - set(translate.EVENT_NAME_KEYS)
        assert {attribute.key for attribute in found.attributes} == names
        if msg.__class__ is str and not args:
            assert found.body.string_value == clean_text(msg)

    @given(fields=st.dictionaries(st.sampled_from(OWN), values), extra=extras, bound=extras)
    @settings(deadline=None)
    def test_enriched(self, fields, extra, bound):
        """Under `configure()`: whatever the record's own fields, extras and bound attributes are, it arrives."""
        source = made("m", (), {**extra, **fields})
        named, event_name = translate.named_extras(source, bound)
        log_record = translate.enriched(source, translate.body_of(source), named, event_name=event_name)
        translate.join_call(log_record, None)
        found = {attribute.key for attribute in encoded(log_record).attributes}
        assert found >= set(named) | {"logger.name"}
        assert not found & translate.RESERVED_BY_BACKENDS

    @given(text)
    def test_text_that_can_be_encoded_is_never_changed(self, body):
        """Only what cannot be sent is replaced."""
        source = made(body, (), {"extra": body})
        try:
            body.encode()
        except UnicodeEncodeError:
            return
        found = encoded(translate.plain(source))
        assert found.body.string_value == body
        assert found.attributes[0].value.string_value == body


class TestAnyValue:
    @given(values)
    def test_clean_twice_is_clean_once(self, value):
        """What has been cleaned stays as it is."""
        once = clean_value(value)
        assert repr(clean_value(once)) == repr(once)

    @given(st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary()))
    def test_scalars_keep_value_and_type(self, value):
        """Scalars that fit are exactly what they were."""
        cleaned = clean_value(value)
        assert type(cleaned) is type(value)
        assert cleaned == value or math.isnan(value)
