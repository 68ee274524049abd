"""The promises of otel_logging.export.entry."""

from __future__ import annotations

import pytest
from export_kit import RESOURCE, SCOPE, sdk_record
from opentelemetry.context import Context, set_value
from opentelemetry.sdk._logs import ReadWriteLogRecord

from otel_logging.export.entry import entry_of, weight


class TestEntry:
    def test_same_record_without_its_context(self):
        """The queued record has every field of the original but its context, which other processors keep."""
        given = sdk_record("hello", attributes={"a": 1}, event_name="x", context=set_value("big", "data", Context()))
        given.log_record._otel_logging_verdict = True
        entry = entry_of(given)
        queued = dict(vars(entry.record.log_record))
        original = dict(vars(given.log_record))
        assert queued.pop("context") == Context()
        assert original.pop("context") == {"big": "data"}
        assert queued == original
        assert type(entry.record.log_record) is type(given.log_record)
        assert (entry.record.resource, entry.record.instrumentation_scope) == (RESOURCE, SCOPE)

    def test_without_a_resource(self):
        """A record without a resource gets the default one."""
        given = sdk_record()
        given.resource = None
        assert entry_of(given).record.resource.attributes["telemetry.sdk.name"] == "opentelemetry"

    def test_size_follows_the_texts(self):
        """A longer body or attribute makes a larger estimate, by its length."""
        base = entry_of(sdk_record("x" * 10, attributes={"k": "v" * 10})).size
        assert entry_of(sdk_record("x" * 1010, attributes={"k": "v" * 10})).size == base + 1000
        assert entry_of(sdk_record("x" * 10, attributes={"k": "v" * 1010})).size == base + 1000
        assert entry_of(ReadWriteLogRecord(sdk_record(None).log_record)).size < base


@pytest.mark.parametrize("value", [None, 5, "x" * 100, b"y" * 100, ["x" * 100], {"a": ["x" * 100]}])
def test_weight(value):
    """Texts count in full wherever they stand."""
    assert weight(value) >= (100 if value and value != 5 else 1)


def test_weight_of_a_cycle_is_bounded():
    """A cycle has a weight too, also one that branches at each turn."""
    cycle = []
    cycle += [cycle, cycle]
    assert weight(cycle) < 10_000_000
