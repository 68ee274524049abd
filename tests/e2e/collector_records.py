"""Records for a Collector, written by hand, sent over OTLP/HTTP as JSON, and read back from the files it writes.

Nothing of ours takes part: what these tests see is what the Collector makes of a record, whoever sent it.
"""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

    from collector_process import Collector

CALL = "CA" + "0123456789abcdef" * 2
TRACE = CALL[2:]


@dataclass
class Written:
    """One record as it stands in a file."""

    body: Any
    severity: int
    level: str
    time: int  # nanoseconds
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


def any_value(value: Any) -> dict[str, Any]:
    """A Python value as OTLP/JSON."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {"stringValue": value}


def pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP/JSON."""
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def record(body: Any, attributes: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A log record of this moment, INFO; `fields` are OTLP/JSON's own, such as `timeUnixNano` or `traceId`."""
    now = str(time.time_ns())
    return {
        "timeUnixNano": now,
        "observedTimeUnixNano": now,
        "severityNumber": 9,
        "severityText": "INFO",
        "body": any_value(body),
        "attributes": pairs(attributes or {}),
        **fields,
    }


def request(
    *records: dict[str, Any], resource: Mapping[str, Any] | None = None, scope: str = "server.media"
) -> dict[str, Any]:
    """A request with these records, of the service `voice` unless `resource` says otherwise."""
    about = {"attributes": pairs({"service.name": "voice"} if resource is None else resource)}
    scopes = [{"scope": {"name": scope}, "logRecords": list(records)}]
    return {"resourceLogs": [{"resource": about, "scopeLogs": scopes}]}


def post(
    url: str, message: Mapping[str, Any], headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> None:
    """Send one message of OTLP/JSON; raises what urllib raises for a refusal."""
    asked = urllib.request.Request(
        url, json.dumps(message).encode(), {"Content-Type": "application/json", **(headers or {})}
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=tls)] if tls else [])
    )
    with opener.open(asked, timeout=60) as answer:
        answer.read()


def send(collector: Collector, *records: dict[str, Any], **about: Any) -> None:
    """Send these records as one request; `about` as for `request`."""
    post(f"{collector.url}/v1/logs", request(*records, **about))


def written(folder: Path) -> list[Written]:
    """All records in `logs/*.jsonl` of a folder of files, in their order."""
    found = []
    for path in sorted(folder.glob("logs/*.jsonl")):
        for line in whole_lines(path):
            for resource in line["resourceLogs"]:
                about = attributes(resource.get("resource", {}))
                for scope in resource["scopeLogs"]:
                    name = scope.get("scope", {}).get("name", "")
                    found += [_written(raw, about, name) for raw in scope["logRecords"]]
    return found


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that somebody may be writing to just now."""
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _written(raw: dict[str, Any], resource: dict[str, Any], scope: str) -> Written:
    return Written(
        body=value(raw.get("body", {})),
        severity=raw.get("severityNumber", 0),
        level=raw.get("severityText", ""),
        time=int(raw.get("timeUnixNano", 0)),
        trace_id=raw.get("traceId", ""),
        span_id=raw.get("spanId", ""),
        attributes=attributes(raw),
        resource=resource,
        scope=scope,
        raw=raw,
    )


def attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a record, scope or resource in OTLP/JSON."""
    return {item["key"]: value(item["value"]) for item in holder.get("attributes", [])}


def value(any_value: Mapping[str, Any]) -> Any:
    """A value of OTLP/JSON as Python has it."""
    if not any_value:
        return None
    ((kind, inner),) = any_value.items()
    if kind == "intValue":
        return int(inner)
    if kind == "kvlistValue":
        return {item["key"]: value(item["value"]) for item in inner.get("values", [])}
    if kind == "arrayValue":
        return [value(item) for item in inner.get("values", [])]
    return inner
