"""SDK log records and spans as OTLP/JSON: ids in hex, 64-bit integers as strings, bytes in base64, enums as numbers.

One request (`ExportLogsServiceRequest`, `ExportTraceServiceRequest`) per call, as the Collector's file exporter writes
it, one a line. Encoding never fails: what OTLP has no form for becomes a string, and a record that still resists is
written with a marker in its body. Files belong elsewhere.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_MAX_DEPTH: Final = 32
_MAX_NODES: Final = 20_000
_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(1, 2**64)  # 0 is the default, and left out as all defaults are
_UINT32: Final = range(1, 2**32)
# The flag bits that say "it is known whether the parent is remote", and "it is".
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

_dump: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def line(request: Mapping[str, Any]) -> bytes:
    """One request as one line of JSON, UTF-8, newline included. A lone surrogate becomes its name as text."""
    text = _dump(request) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Not an escape of JSON's: strict parsers refuse the whole line for one.
        return _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text).encode()


def encode_logs(batch: Sequence[ReadableLogRecord]) -> dict[str, Any]:
    """A batch of log records as an `ExportLogsServiceRequest`, grouped by resource and scope in order of appearance."""
    return {"resourceLogs": _grouped(batch, _log, "scopeLogs", "logRecords")}


def encode_spans(batch: Sequence[ReadableSpan]) -> dict[str, Any]:
    """A batch of spans as an `ExportTraceServiceRequest`."""
    return {"resourceSpans": _grouped(batch, _span, "scopeSpans", "spans")}


def _grouped(batch: Sequence[Any], encode: Callable[[Any], Any], scopes_key: str, items_key: str) -> list[Any]:
    # By identity: a process has one resource and one scope per logger, and hashing a resource costs more than encoding.
    resources: dict[int, tuple[dict[str, Any], dict[int, list[Any]]]] = {}
    for item in batch:
        resource, scope = item.resource, item.instrumentation_scope
        group = resources.get(id(resource))
        if group is None:
            group = resources[id(resource)] = (_resource(resource, scopes_key), {})
        encoded, scopes = group
        items = scopes.get(id(scope))
        if items is None:
            items = scopes[id(scope)] = []
            encoded[scopes_key].append(_scope(scope, items_key, items))
        items.append(encode(item))
    return [encoded for encoded, _ in resources.values()]


def _resource(resource: Resource | None, scopes_key: str) -> dict[str, Any]:
    encoded: dict[str, Any] = {"resource": {}, scopes_key: []}
    if resource is not None:
        if resource.attributes:
            encoded["resource"]["attributes"] = attributes(resource.attributes)
        if resource.schema_url:
            encoded["schemaUrl"] = _text(resource.schema_url)
    return encoded


def _scope(scope: InstrumentationScope | None, items_key: str, items: list[Any]) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    encoded: dict[str, Any] = {"scope": inner, items_key: items}
    if scope is not None:
        if scope.name:
            inner["name"] = _text(scope.name)
        if scope.version:
            inner["version"] = _text(scope.version)
        if scope.attributes:
            inner["attributes"] = attributes(scope.attributes)
        if scope.schema_url:
            encoded["schemaUrl"] = _text(scope.schema_url)
    return encoded


def _log(readable: ReadableLogRecord) -> dict[str, Any]:
    try:
        return _log_fields(readable)
    except Exception as error:
        why = trouble.sentence(error)
        trouble.report("otlp_json", f"a record could not be written whole ({why})")
        record = readable.log_record
        body = {"stringValue": f"<record could not be written: {why}>"}
        return {"observedTimeUnixNano": str(record.observed_timestamp), "body": body}


def _log_fields(readable: ReadableLogRecord) -> dict[str, Any]:
    record = readable.log_record
    encoded: dict[str, Any] = {}
    _put_uint64(encoded, "timeUnixNano", record.timestamp)
    _put_uint64(encoded, "observedTimeUnixNano", record.observed_timestamp)
    severity = getattr(record.severity_number, "value", record.severity_number)
    if isinstance(severity, int) and severity:
        encoded["severityNumber"] = int(severity)
    if record.severity_text:
        encoded["severityText"] = _text(record.severity_text)
    encoded["body"] = any_value(record.body)
    if record.attributes:
        encoded["attributes"] = attributes(record.attributes)
    if readable.dropped_attributes:
        encoded["droppedAttributesCount"] = readable.dropped_attributes
    if record.trace_flags:
        encoded["flags"] = int(record.trace_flags)
    if record.trace_id:
        encoded["traceId"] = f"{record.trace_id:032x}"
    if record.span_id:
        encoded["spanId"] = f"{record.span_id:016x}"
    if record.event_name:
        encoded["eventName"] = _text(record.event_name)
    return encoded


def _span(span: ReadableSpan) -> dict[str, Any]:
    try:
        return _span_fields(span)
    except Exception as error:
        why = trouble.sentence(error)
        trouble.report("otlp_json", f"a span could not be written whole ({why})")
        return {"name": f"<span could not be written: {why}>"}


def _span_fields(span: ReadableSpan) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    context = span.get_span_context()
    if context is not None:
        encoded["traceId"] = f"{context.trace_id:032x}"
        encoded["spanId"] = f"{context.span_id:016x}"
        if context.trace_state:
            encoded["traceState"] = ",".join(f"{key}={value}" for key, value in context.trace_state.items())
    if span.parent:
        encoded["parentSpanId"] = f"{span.parent.span_id:016x}"
    encoded["flags"] = _remote_flags(span.parent)
    encoded["name"] = _text(span.name)
    encoded["kind"] = span.kind.value + 1  # OTLP keeps 0 for "unspecified"
    _put_uint64(encoded, "startTimeUnixNano", span.start_time)
    _put_uint64(encoded, "endTimeUnixNano", span.end_time)
    if span.attributes:
        encoded["attributes"] = attributes(span.attributes)
    if span.events:
        encoded["events"] = [_event(event) for event in span.events]
    if span.links:
        encoded["links"] = [_link(link) for link in span.links]
    _put_dropped(encoded, droppedAttributesCount=span, droppedEventsCount=span, droppedLinksCount=span)
    status: dict[str, Any] = {}
    if span.status.description:
        status["message"] = _text(span.status.description)
    if span.status.status_code.value:
        status["code"] = span.status.status_code.value
    encoded["status"] = status
    return encoded


_DROPPED: Final = {
    "droppedAttributesCount": "dropped_attributes",
    "droppedEventsCount": "dropped_events",
    "droppedLinksCount": "dropped_links",
}


def _put_dropped(encoded: dict[str, Any], **sources: Any) -> None:
    for key, source in sources.items():
        if count := getattr(source, _DROPPED[key], 0):
            encoded[key] = count


def _event(event: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    _put_uint64(encoded, "timeUnixNano", event.timestamp)
    encoded["name"] = _text(event.name)
    if event.attributes:
        encoded["attributes"] = attributes(event.attributes)
    _put_dropped(encoded, droppedAttributesCount=event)
    return encoded


def _link(link: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "traceId": f"{link.context.trace_id:032x}",
        "spanId": f"{link.context.span_id:016x}",
    }
    if link.attributes:
        encoded["attributes"] = attributes(link.attributes)
    _put_dropped(encoded, droppedAttributesCount=link)
    encoded["flags"] = _remote_flags(link.context)
    return encoded


def _remote_flags(context: Any) -> int:
    return _HAS_IS_REMOTE | (_IS_REMOTE if context and context.is_remote else 0)


def _put_uint64(encoded: dict[str, Any], key: str, value: Any) -> None:
    """A time, unless OTLP cannot hold it (before 1970, say): then the field is left out, which means unknown."""
    if isinstance(value, int) and value in _UINT64:
        encoded[key] = str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _string_of(value)


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A mapping as a list of KeyValue."""
    return [{"key": _text(key), "value": any_value(value)} for key, value in values.items()]


def any_value(value: Any) -> dict[str, Any]:
    """Any value as an AnyValue. What OTLP has no form for (a set, an integer beyond 64 bits) becomes a string."""
    if isinstance(value, str):
        return {"stringValue": value}
    if value is None:
        return {}
    if isinstance(value, (bool, int, float)):
        return _number(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytesValue": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, (Mapping, Sequence)):
        return _Nested().encode(value, 0)
    return {"stringValue": _string_of(value)}


class _Nested:
    """One walk through nested values, with bounds: a cycle, or lists of the same list, must not become a large line."""

    def __init__(self) -> None:
        self._left = _MAX_NODES

    def encode(self, value: Any, depth: int) -> dict[str, Any]:
        if isinstance(value, (str, bytes, bytearray, memoryview)) or not isinstance(value, (Mapping, Sequence)):
            return any_value(value)
        self._left -= len(value)
        if depth > _MAX_DEPTH or self._left < 0:
            return {"stringValue": "<cut off: too deep or too many values>"}
        if isinstance(value, Mapping):
            pairs = [{"key": _text(key), "value": self.encode(item, depth + 1)} for key, item in value.items()]
            return {"kvlistValue": {"values": pairs}}
        return {"arrayValue": {"values": [self.encode(item, depth + 1) for item in value]}}


def _number(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, float):
        return {"doubleValue": float(value) if math.isfinite(value) else _not_finite(value)}
    number = int(value)
    return {"intValue": str(number)} if number in _INT64 else {"stringValue": _string_of(number)}


def _string_of(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose str() failed: {type(error).__name__}>"


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
