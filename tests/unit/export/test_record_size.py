"""No exported record is larger than the back ends take; what is cut says so, and nothing else is touched."""

from __future__ import annotations

import json

import pytest
from export_kit import api_record, sdk_record

from otel_logging.export import record_size
from otel_logging.export.entry import entry_of


def size_of(record):
    """Bytes of a record's body and attributes as JSON."""
    attributes = dict(record.attributes)
    return len(json.dumps([record.body, attributes], ensure_ascii=False, default=str).encode())


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ("x" * 5_000_000, {}), ("é" * 1_000_000, {}), ("\0" * 1_000_000, {}), ("📞" * 1_000_000, {"small": "kept"}),
        ("short", {f"k{n}": "y" * 100_000 for n in range(100)}), ("short", {"nested": {"a": ["z" * 600_000, "z" * 600_000]}}),
        ("x" * 700_000, {"b": b"x" * 700_000}),
        ("short", {"list": ["x" * 10] * 200_000}),
    ],
    ids=range(8),
)  # fmt: skip
def test_large_records_are_cut(body, attributes):
    """Whatever makes a record too large, it fits after that, with a marker."""
    given = sdk_record(body, attributes=attributes)
    record = entry_of(given).record
    assert size_of(record.log_record) <= 1_000_000
    told = json.dumps([record.log_record.body, dict(record.log_record.attributes)], default=str)
    assert "[otel-logging: " in told or record.dropped_attributes
    assert size_of(given.log_record) > 1_000_000 or size_of(given.log_record) == size_of(record.log_record), (
        "others' record was changed"
    )


def test_small_parts_stay():
    """What is small is kept whole beside what is large."""
    attributes = {"call_sid": "CA1", "large": "x" * 2_000_000, "n": 5, "list": [1, 2]}
    record = entry_of(sdk_record("the body", attributes=attributes)).record.log_record
    assert record.body == "the body"
    assert {key: record.attributes[key] for key in ("call_sid", "n", "list")} == {
        "call_sid": "CA1",
        "n": 5,
        "list": (1, 2),
    }


def test_records_that_fit_are_not_touched():
    """A record up to the limit is the same object throughout."""
    body = "x" * (record_size.MAX_BYTES - 1000)
    given = sdk_record(body, attributes={"a": 1})
    record = entry_of(given).record.log_record
    assert record.body is body
    assert record.attributes is given.log_record.attributes


def test_too_many_names():
    """Names that take too much room by themselves are taken off, and counted."""
    record = api_record("short", attributes={f"{n}{'k' * 1000}": n for n in range(2000)})
    assert record_size.fit(record) <= record_size.MAX_BYTES
    assert record.attributes.dropped == 2000 - len(record.attributes)
    assert record.attributes.dropped > 1000
