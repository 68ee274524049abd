"""The last steps of an ordinary record (see `ordinary`): the SDK's own objects filled by hand, or no SDK at all.

The SDK makes of each record a mapping that cleans every attribute again under a lock, and a frozen copy. Both cost more
than all the rest of a record's way. Where nothing but our queues is behind a provider, an ordinary record goes straight
into them; where somebody has added a processor, it gets the SDK's objects as the SDK would make them. What these are
made of is learned from one that the SDK has made; where that is not what is known here, the SDK makes them itself.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadWriteLogRecord

from otel_logging.export.entry import SIZE, light_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry._logs import Logger
    from opentelemetry.sdk._logs import LoggerProvider

    from otel_logging.export.batch import BatchingProcessor

# What the SDK's objects are made of; where another version has them made of other things, it makes them itself.
_BOUNDED: Final = {"_dict", "maxlen", "dropped", "max_value_len", "_lock", "_immutable"}
_RECORD: Final = {"log_record", "resource", "instrumentation_scope", "limits"}
_UNKNOWN: Final = object()


def writable(record: LogRecord, logger: Logger) -> ReadWriteLogRecord | None:
    """The SDK's record of one that came by `log_record`, as `logger` would make it; None for any other.

    The SDK cleans each attribute again under a lock, which is more than all the rest of a record's way costs; here
    they are clean, and within its limits.
    """
    given = record.__dict__
    attributes = given["attributes"]
    limits = _limits(logger)
    if (
        SIZE not in given
        or limits is None
        or type(attributes) is not dict
        or given["exception"] is not None
        or len(attributes) > limits.most
    ):
        return None
    bounded = BoundedAttributes.__new__(BoundedAttributes)
    bounded.__dict__.update(limits.bounded, _dict=attributes, _lock=Lock())
    record.attributes = bounded
    made = ReadWriteLogRecord.__new__(ReadWriteLogRecord)
    made.__dict__.update(limits.record, log_record=record)
    return made


class Direct:
    """From an ordinary record straight into our queues, where nothing but them is behind a provider.

    Args:
        provider: the SDK's LoggerProvider, which has been given all the processors that it is to have from us.
        queues: those processors, without what wraps them: an ordinary record has its verdict, and nothing to change.
    """

    def __init__(self, provider: LoggerProvider, queues: Sequence[BatchingProcessor]) -> None:
        self._several: Any = getattr(provider, "_multi_log_record_processor", None)
        self._behind: Any = getattr(self._several, "_log_record_processors", None)
        self.queues = tuple(queues)
        # The SDK counts records only in the one of its own ways.
        self._open = self._behind is not None and not os.environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED")

    def open(self) -> bool:
        """Whether nothing but our queues is behind the provider."""
        return self._open and getattr(self._several, "_log_record_processors", None) is self._behind

    @staticmethod
    def shared(logger: Logger) -> dict[str, Any] | None:
        """What all records of one SDK logger have beside the record itself; None where that is not what we know."""
        limits = _limits(logger)
        return None if limits is None else limits.record

    def take(self, record: LogRecord, logger: Logger) -> bool:
        """Queue a record; False if it has to take the SDK's way: somebody has added a processor, say."""
        given = record.__dict__
        if SIZE not in given or not self.open():
            return False
        attributes, limits = given["attributes"], _limits(logger)
        if limits is None or type(attributes) is not dict or len(attributes) > limits.most:
            return False
        entry = light_entry(record, limits.record)
        for queue in self.queues:
            queue.put(entry)
        return True


class _Limits(NamedTuple):
    """What all records of one SDK logger have in common."""

    logger: Any  # held, so that no other has its identity
    most: float
    bounded: dict[str, Any]
    record: dict[str, Any]


_MOST_LOGGERS: Final = 4_096
_known: dict[int, _Limits | None] = {}


def _limits(logger: Any) -> _Limits | None:
    """Learned from a record that the SDK itself has made; None where that is not made of what we know."""
    known = _known.get(id(logger))
    # In a forked child the SDK gives its loggers another Resource: one with an instance id of the child's own.
    if known is not None and known.record["resource"] is logger.resource:
        return known
    if known is None and id(logger) in _known:
        return None
    if len(_known) >= _MOST_LOGGERS:
        _known.clear()
    found = _known[id(logger)] = _learned(logger)
    return found


def _learned(logger: Any) -> _Limits | None:
    try:
        sample = LogRecord(body="", attributes={"key": "value"})
        limits: Any = getattr(logger, "_log_record_limits", None)
        if limits is None:
            return None
        made = ReadWriteLogRecord(sample, logger.resource, logger.instrumentation_scope, limits)
    except Exception:
        return None  # not the SDK's logger, or not the SDK we know
    attributes: Any = sample.attributes
    bounded, of = dict(attributes.__dict__), dict(made.__dict__)
    known = type(attributes) is BoundedAttributes and bounded.keys() == _BOUNDED and of.keys() == _RECORD
    if not known or bounded["max_value_len"] is not None or bounded["_dict"] != {"key": "value"}:
        return None
    del bounded["_dict"], bounded["_lock"], of["log_record"]
    return _Limits(logger, float("inf") if bounded["maxlen"] is None else bounded["maxlen"], bounded, of)
