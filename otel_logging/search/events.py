"""One event of a log service into a record, whatever put it there.

Four shapes are told apart by their keys: what the Collector's `awscloudwatchlogs` exporter writes (`severity_number`,
`attributes`), what CloudWatch's own OTLP endpoint stores (`timeUnixNano`, `severityNumber`), a JSON console line
(`timestamp`, `message`), and plain text. How a service is asked does not belong here.
"""

from __future__ import annotations

import json
from typing import Any

from otel_logging.search import otlp
from otel_logging.search.record import Record, absorb, as_text, call_id, from_flat, hex_id, is_flat

_NESTED = ("attributes", "resource", "severity_number", "severityNumber", "body")


def record_of(message: str, *, time: int = 0, observed: int = 0, source: str = "") -> Record:
    """The record in an event's text.

    Args:
        message: the event's text.
        time: the event's own time in nanoseconds, for records that do not say theirs.
        observed: when the service took it in.
        source: where it stands, for people.
    """
    payload = parsed(message)
    if payload is not None and any(name in payload for name in _NESTED) and not is_flat(payload):
        record = nested(payload, source)
    elif payload is not None:
        record = from_flat(payload, source)
        if not record.body and not record.time:
            record.body = message
    else:
        record = Record(body=message, source=source)
    record.time = record.time or time
    record.observed = record.observed or observed or record.time
    return record


def parsed(message: str) -> dict[str, Any] | None:
    """The text as a JSON object, or None if it is none."""
    if not message.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def nested(payload: dict[str, Any], source: str = "") -> Record:
    """A record in the shape of an OTLP log record with plain values, in either spelling of its keys."""
    extras = _plain(payload.get("attributes"))
    resource = _plain(payload.get("resource"))
    if set(resource) <= {"attributes", "schemaUrl", "schema_url", "droppedAttributesCount"}:
        resource = _plain(resource.get("attributes"))
    scope = payload.get("scope")
    scope_name = as_text(scope.get("name")) if isinstance(scope, dict) else ""
    observed = otlp.whole(_either(payload, "observedTimeUnixNano", "observed_time_unix_nano"))
    record = Record(
        time=otlp.whole(_either(payload, "timeUnixNano", "time_unix_nano")) or observed,
        observed=observed,
        severity=min(otlp.whole(_either(payload, "severityNumber", "severity_number")), 24),
        severity_text=as_text(_either(payload, "severityText", "severity_text")),
        service=as_text(resource.get("service.name")),
        logger=as_text(extras.pop("logger.name", None)) or scope_name,
        call_sid=call_id(extras.pop("call_sid", None)),
        trace_id=hex_id(_either(payload, "traceId", "trace_id"), 32),
        span_id=hex_id(_either(payload, "spanId", "span_id"), 16),
        attributes=extras,
        resource=resource,
        event_name=as_text(_either(payload, "eventName", "event_name")),
        source=source,
    )
    body = payload.get("body")
    if isinstance(body, dict) and len(body) == 1:
        body = otlp.value_of(body) if next(iter(body)).endswith("Value") else body
    set_body(record, body)
    return record


def set_body(record: Record, body: Any) -> None:
    """Give the record its body; one that is itself a JSON console line fills in what the envelope leaves out."""
    line = parsed(body) if isinstance(body, str) else body
    if isinstance(line, dict) and is_flat(line):
        absorb(record, line)
    else:
        record.body = as_text(body)


def _plain(value: Any) -> dict[str, Any]:
    if isinstance(value, list):  # OTLP's own key-value pairs
        return otlp.attributes(value)
    return dict(value) if isinstance(value, dict) else {}


def _either(mapping: dict[str, Any], camel: str, snake: str) -> Any:
    value = mapping.get(camel)
    return mapping.get(snake) if value is None else value
