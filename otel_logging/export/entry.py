"""What waits in the export queue: a record made read-only and light, and an estimate of the memory it takes."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from otel_logging.export import record_size

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadWriteLogRecord

REPAIRED: Final = "otel_logging.repaired"
"""On a record some of whose numbers could not be kept: which of them, as a list of texts."""

SIZE: Final = "_otel_logging_size"
"""On an OTel record whose attributes are all scalars: the characters of its texts, where they have been counted."""

# Bytes that a queued record, and each of its attributes, take beside their texts: measured, CPython 3.11.
OVERHEAD: Final = 850
_PER_ATTRIBUTE: Final = 120
_KEY: Final = 16  # bytes of an attribute's name, where nobody has counted
PER_EXTRA: Final = _PER_ATTRIBUTE + _KEY
_MAX_NODES: Final = 50_000  # of one value; ours have fewer
_NO_CONTEXT: Final = Context()


class Entry(NamedTuple):
    """A record in the queue and its estimated size in bytes."""

    record: ReadableLogRecord
    size: int


class LateRecord(ReadableLogRecord):
    """A record that is translated when somebody looks at it (see `bridge.late`). For whoever looks, as any other."""

    __slots__ = ()
    shared: dict[str, Any]  # what it has beside `log_record`

    @property
    def resource(self) -> Resource:
        """Where the record comes from."""
        resource: Resource = self.shared["resource"]
        return resource

    @property
    def instrumentation_scope(self) -> Any:
        """What it was logged with."""
        return self.shared["instrumentation_scope"]

    @property
    def limits(self) -> Any:
        """The SDK's limits."""
        return self.shared["limits"]

    @abc.abstractmethod
    def encoded(self) -> bytes | None:
        """The record as an OTLP `LogRecord` message; None if `log_record` has to be encoded. May raise."""


def light_entry(record: LogRecord, shared: dict[str, Any]) -> Entry:
    """The entry of a record whose texts have been counted (see `SIZE`), and that nobody else holds or changes.

    `shared` is what its `ReadableLogRecord` has beside it: `resource`, `instrumentation_scope` and `limits`.
    """
    of = record.__dict__
    of["context"] = _NO_CONTEXT
    readable = ReadableLogRecord.__new__(ReadableLogRecord)
    readable.__dict__.update(shared, log_record=record)
    return Entry(readable, OVERHEAD + of[SIZE] + (_PER_ATTRIBUTE + _KEY) * len(of["attributes"]))


def entry_of(log_record: ReadWriteLogRecord) -> Entry:
    """The record as exporters take it, without the context, which could keep a whole request alive while it waits."""
    # A shallow copy, so that other processors keep their context; by hand, as copy.copy() takes three times as long.
    given = log_record.log_record
    cls = type(given)
    api_record = cls.__new__(cls)
    api_record.__dict__.update(given.__dict__)
    api_record.context = _NO_CONTEXT
    size = OVERHEAD
    body = api_record.body
    attributes = api_record.attributes
    counted = api_record.__dict__.get(SIZE)
    if counted is not None and attributes:
        # Keys, and what a later processor has added, are short.
        size += counted + (_PER_ATTRIBUTE + _KEY) * len(attributes)
    else:
        size += len(body) if isinstance(body, str) else weight(body)
    if attributes and counted is None:
        # BoundedAttributes takes its lock for every look-up, and once for a copy.
        pairs = attributes.copy() if isinstance(attributes, BoundedAttributes) else attributes
        for key, value in pairs.items():
            size += _PER_ATTRIBUTE + len(key) + (len(value) if isinstance(value, str) else weight(value))
    if size > record_size.SUSPECT:
        size = OVERHEAD + record_size.fit(api_record)
    resource = log_record.resource
    readable = ReadableLogRecord.__new__(ReadableLogRecord)
    # As the class's own __init__ does, which is frozen and pays for that with each field.
    readable.__dict__.update(
        log_record=api_record,
        resource=resource if resource is not None else Resource.create({}),
        instrumentation_scope=log_record.instrumentation_scope,
        limits=log_record.limits,
    )
    return Entry(readable, size)


def weight(value: Any) -> int:
    """An estimate of the bytes that a value takes; one of very many members, or a cycle, is not walked to its end."""
    if isinstance(value, (str, bytes)):
        return len(value)
    total, waiting, left = 24, [value], _MAX_NODES
    while waiting and left:
        left -= 1
        one = waiting.pop()
        if isinstance(one, (str, bytes)):
            total += len(one)
        elif isinstance(one, Mapping):
            total += 64 + 64 * len(one)
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, (list, tuple)):
            total += 64 + 16 * len(one)
            waiting += one
        else:
            total += 8
    return total
