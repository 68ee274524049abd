"""OTLP in JSON, as the local store and the Collector's file exporter write it, into records and spans.

Writers differ (camelCase or snake_case, 64-bit integers as text or as numbers), and a store may hold anything: what
does not have the expected shape is passed over, never an error. Reading files does not belong here.
"""

from __future__ import annotations

import json

from otel_logging.search import clock
from otel_logging.search.record import Record, absorb, as_text, call_id, from_flat, hex_id, is_flat
from otel_logging.search.spans import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_TEXT = {"stringValue": None}.keys()
_MOST_MADE = 50_000  # records kept for a second scan of the same question
_DEPTH = 32  # nesting of attribute values followed


def records(
    payload: Any,
    source: str = "",
    fits: Callable[[str | None, str | None], bool] | None = None,
    made: dict[int, tuple[Any, Record]] | None = None,
) -> Iterator[Record]:
    """The records of one line: an ExportLogsServiceRequest, or a JSON console line.

    Records whose call id and trace id `fits` refuses may be left out, which saves making them. Those in `made` (by
    the identity of what they are made from, which stands beside them) are not made again.
    """
    if not isinstance(payload, dict):
        return
    groups = _get(payload, "resourceLogs", "resource_logs")
    if groups is None:
        if is_flat(payload):
            yield from_flat(payload, source)
        return
    for group in _mappings(groups):
        resource = None
        for scoped in _mappings(_get(group, "scopeLogs", "scope_logs")):
            owner = owner_of(group, scoped, resource)
            resource = owner.resource
            for raw in _mappings(_get(scoped, "logRecords", "log_records")):
                if made is not None and (known := made.get(id(raw))) is not None:
                    yield known[1]
                elif fits is None or _may_fit(raw, fits):
                    record = record_of(raw, owner, source)
                    if made is not None and len(made) < _MOST_MADE:
                        made[id(raw)] = raw, record
                    yield record


class Owner:
    """What the records of a line have in common: their resource, its service, and their scope's name."""

    __slots__ = ("resource", "scope", "service")

    def __init__(self, resource: dict[str, Any], service: str, scope: str) -> None:
        self.resource = resource
        self.service = service
        self.scope = scope


def owner_of(group: dict[str, Any], scoped: dict[str, Any], resource: dict[str, Any] | None = None) -> Owner:
    """The owner of the records of one scope; `resource` is that of its group, where it was made already."""
    if resource is None:
        resource = attributes(_mapping(group, "resource").get("attributes"))
    return Owner(resource, as_text(resource.get("service.name")), as_text(_mapping(scoped, "scope").get("name")))


def _may_fit(raw: dict[str, Any], fits: Callable[[str | None, str | None], bool]) -> bool:
    try:
        body = raw["body"]["stringValue"]
        if not isinstance(body, str) or body.startswith("{"):
            return True  # a console line may stand in it, with ids of its own
        if fits(None, hex_id(_get(raw, "traceId", "trace_id"), 32)):
            return True
        return any(
            fits(call_id(value_of(pair["value"])), None) for pair in raw["attributes"] if pair["key"] == "call_sid"
        )
    except (KeyError, TypeError, AttributeError):
        return True


def record_of(raw: dict[str, Any], owner: Owner, source: str) -> Record:
    """The record of one entry of `logRecords`."""
    extras = attributes(raw.get("attributes"))
    time, observed = raw.get("timeUnixNano"), raw.get("observedTimeUnixNano")
    number, text = raw.get("severityNumber"), raw.get("severityText")
    trace, span, event = raw.get("traceId"), raw.get("spanId"), raw.get("eventName")
    body = value_of(raw.get("body"))
    seen = whole(raw.get("observed_time_unix_nano") if observed is None else observed)
    record = Record(
        whole(raw.get("time_unix_nano") if time is None else time) or seen,
        seen,
        _severity(raw.get("severity_number") if number is None else number),
        as_text(raw.get("severity_text") if text is None else text),
        service=owner.service,
        logger=as_text(extras.pop("logger.name", None)) or owner.scope,
        call_sid=call_id(extras.pop("call_sid", None)),
        trace_id=hex_id(raw.get("trace_id") if trace is None else trace, 32),
        span_id=hex_id(raw.get("span_id") if span is None else span, 16),
        attributes=extras,
        resource=owner.resource,
        event_name=as_text(raw.get("event_name") if event is None else event),
        source=source,
    )
    inner = _console_line(body)
    if inner is not None:
        absorb(record, inner)
    else:
        record.body = as_text(body)
    return record


def _console_line(body: Any) -> dict[str, Any] | None:
    if isinstance(body, str) and body.startswith("{") and body.rstrip().endswith("}"):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return None
    return body if isinstance(body, dict) and is_flat(body) else None


def spans(payload: Any, source: str = "") -> Iterator[Span]:
    """The spans of one line, an ExportTraceServiceRequest."""
    if not isinstance(payload, dict):
        return
    for group in _mappings(_get(payload, "resourceSpans", "resource_spans")):
        service = as_text(attributes(_mapping(group, "resource").get("attributes")).get("service.name"))
        for scoped in _mappings(_get(group, "scopeSpans", "scope_spans")):
            for raw in _mappings(scoped.get("spans")):
                extras = attributes(raw.get("attributes"))
                status = _mapping(raw, "status")
                links = (hex_id(_get(link, "traceId", "trace_id"), 32) for link in _mappings(raw.get("links")))
                yield Span(
                    trace_id=hex_id(_get(raw, "traceId", "trace_id"), 32),
                    span_id=hex_id(_get(raw, "spanId", "span_id"), 16),
                    parent_id=hex_id(_get(raw, "parentSpanId", "parent_span_id"), 16),
                    name=as_text(raw.get("name")),
                    service=service,
                    start=whole(_get(raw, "startTimeUnixNano", "start_time_unix_nano")),
                    end=whole(_get(raw, "endTimeUnixNano", "end_time_unix_nano")),
                    failed=status.get("code") in (2, "2", "STATUS_CODE_ERROR"),
                    status=as_text(status.get("message")),
                    call_sid=call_id(extras.get("call_sid")),
                    links=tuple(link for link in links if link),
                    attributes=extras,
                    source=source,
                )


def attributes(pairs: Any) -> dict[str, Any]:
    """OTLP's list of key-value pairs as a mapping of plain values."""
    made: dict[str, Any] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if not isinstance(pair, dict):
            continue
        key, value = pair.get("key"), pair.get("value")
        # Most values are texts; this is half the time of making a record.
        plain = value["stringValue"] if type(value) is dict and value.keys() == _TEXT else value_of(value)
        made[key if type(key) is str else as_text(key)] = plain
    return made


def value_of(value: Any, depth: int = 0) -> Any:
    """An OTLP AnyValue as a plain value. Bytes stay base64 text; NaN and the infinities stay text, as JSON has none."""
    if not isinstance(value, dict) or depth > _DEPTH:
        return value if isinstance(value, (str, int, float, bool)) else None
    for key, inner in value.items():
        name = key.replace("_", "").lower()
        if name == "intvalue":
            return whole(inner, signed=True) if isinstance(inner, (str, int)) else inner
        if name == "arrayvalue":
            items = inner.get("values") if isinstance(inner, dict) else None
            return [value_of(item, depth + 1) for item in items] if isinstance(items, list) else []
        if name == "kvlistvalue":
            pairs = _mappings(inner.get("values") if isinstance(inner, dict) else None)
            return {as_text(pair.get("key")): value_of(pair.get("value"), depth + 1) for pair in pairs}
        if name == "doublevalue" and isinstance(inner, float) and inner - inner != 0:
            return str(inner)
        if name in {"stringvalue", "boolvalue", "doublevalue", "bytesvalue"}:
            return inner
    return None


def whole(value: Any, *, signed: bool = False) -> int:
    """A 64-bit integer that JSON carries as text or as a number; 0 if it is neither, times never below 0."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if signed else min(max(number, 0), clock.LATEST)


def _severity(value: Any) -> int:
    """The number; protobuf's JSON may also carry the name, `SEVERITY_NUMBER_WARN2`."""
    if type(value) is int and 0 <= value < 25:
        return value
    if not isinstance(value, str) or value.isdigit():
        return min(whole(value), 24)
    name = value.removeprefix("SEVERITY_NUMBER_")
    base = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}.get(name.rstrip("1234"), 0)
    return base + int(name[-1]) - 1 if base and name[-1] in "234" else base


def _get(mapping: dict[str, Any], camel: str, snake: str) -> Any:
    value = mapping.get(camel)
    return mapping.get(snake) if value is None else value


def _mapping(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
