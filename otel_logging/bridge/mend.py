"""Make an OTel record that somebody else made valid OTLP: bodies of any type, ids, times and names as they may be.

Our own translation makes valid records; this is for other bridges and hand-made `Logger.emit` calls, whose records the
official encoder refuses, or leaves parts of out. What is repaired says so: a text in its own place, a number in
`otel_logging.repaired`. No decision about keeping a record belongs here.
"""

from __future__ import annotations

import copy
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import TraceFlags

from otel_logging import trouble
from otel_logging.bridge.values import clean_key, clean_name, clean_value, free_name, safe_str
from otel_logging.export.entry import REPAIRED

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord

# The fields that are numbers, and the first number that is too large for each.
_NUMBERS: Final = {
    "timestamp": 1 << 64,
    "observed_timestamp": 1 << 64,
    "trace_id": 1 << 128,
    "span_id": 1 << 64,
    "trace_flags": 1 << 32,
}


def mend(record: LogRecord) -> None:
    """Repair `record` in place. Never raises: a field that resists is replaced whole."""
    try:
        repaired = [name for name, end in _NUMBERS.items() if _number(record, name, end)]
        record.observed_timestamp = record.observed_timestamp or time_ns()
        number: Any = record.severity_number
        if not isinstance(number, (SeverityNumber, type(None))):
            repaired += _severity(record)
        if record.severity_text is not None:
            record.severity_text = clean_name(record.severity_text)
        if record.event_name is not None:
            record.event_name = clean_name(record.event_name)
        record.body = clean_value(record.body)
        _attributes(record, repaired)
    except Exception as error:
        trouble.report("internal_error", f"a record could not be repaired: {safe_str(error)}")


def mended(given: ReadableLogRecord) -> ReadableLogRecord:
    """A finished record as `mend` leaves it: a copy, as other exporters share it."""
    try:
        record = copy.copy(given.log_record)
        record.attributes = dict(record.attributes or {})
        mend(record)
        made = copy.copy(given)
        object.__setattr__(made, "log_record", record)  # frozen for others' sake; this copy is nobody's yet
    except Exception as error:
        trouble.report("internal_error", f"a record could not be repaired: {safe_str(error)}")
        return given
    return made


def _number(record: LogRecord, name: str, end: int) -> bool:
    """Whether a number had to be replaced: a time by now, anything else by none."""
    value: Any = getattr(record, name)
    is_time = name.endswith("timestamp")
    if (is_time and value is None) or (isinstance(value, int) and 0 <= value < end):
        return False
    setattr(record, name, time_ns() if is_time else TraceFlags(0) if name == "trace_flags" else 0)
    return value is not None  # an id that is None is usual, and encoded by no one


def _severity(record: LogRecord) -> list[str]:
    number: Any = record.severity_number
    try:
        record.severity_number = SeverityNumber(number)
    except Exception:
        record.severity_number = SeverityNumber.UNSPECIFIED
        return ["severity"]
    return []


def _attributes(record: LogRecord, repaired: list[str]) -> None:
    given: Any = record.attributes
    if given is None:
        given = record.attributes = {}
    pairs = list(given.items())
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[free_name(clean_key(key), found)] = clean_value(value)
    if repaired:
        found[REPAIRED] = repaired
    if len(found) == len(pairs) and all(_same(old, new) for old, new in zip(pairs, found.items(), strict=True)):
        return
    if type(given) is dict:
        record.attributes = found
        return
    # The SDK's own mapping has limits and counts what they cost: it stays, with other contents.
    for key, _ in pairs:
        del given[key]
    for key, value in found.items():
        given[key] = value


def _same(old: tuple[Any, Any], new: tuple[str, Any]) -> bool:
    return old[0] is new[0] and (old[1] is new[1] or _as_sdk(new[1]) == old[1])


def _as_sdk(value: Any) -> Any:
    """A cleaned value in the types that the SDK's mapping makes of it."""
    if isinstance(value, list):
        return tuple(_as_sdk(item) for item in value)
    if isinstance(value, dict):
        return {key: _as_sdk(item) for key, item in value.items()}
    return value
