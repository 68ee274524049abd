"""Policies over OTLP/JSON: records of an `ExportLogsServiceRequest` as policies see them, and their changes put back.

What the conformance suite's runner does, and `policy explain` on a file of OTLP lines. Not for hot paths. What is not
understood in a document stays in it as it is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging.policy.view import LogView

if TYPE_CHECKING:
    from otel_logging.policy.engine import PolicySet

_SEVERITIES: Final = tuple(
    f"SEVERITY_NUMBER_{name}{step}"
    for name in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
    for step in ("", 2, 3, 4)
)
_MAX_DEPTH: Final = 64
# view's name -> the record's key in camelCase and snake_case
_TEXTS: Final = {"severity_text": "severityText", "event_name": "eventName"}
_IDS: Final = {"trace_id": "traceId", "span_id": "spanId"}


class Place(NamedTuple):
    """One record and the groups it stands in."""

    record: dict[str, Any]
    scope_logs: dict[str, Any]
    resource_logs: dict[str, Any]


def places(document: Any) -> Iterator[Place]:
    """Every record of a request, in order."""
    for resource_logs in _list(document, "resourceLogs"):
        for scope_logs in _list(resource_logs, "scopeLogs"):
            for record in _list(scope_logs, "logRecords"):
                yield Place(record, scope_logs, resource_logs)


def filtered(policies: PolicySet, document: Any) -> Any:
    """The request as the policies leave it: without dropped records and without groups that held nothing else.

    Records are taken one after another, and the resource and scope they share are changed in place, as a Collector
    does it.
    """
    if not isinstance(document, dict):
        return document
    for resource_logs in _list(document, "resourceLogs"):
        for scope_logs in _list(resource_logs, "scopeLogs"):
            kept = [
                record
                for record in _list(scope_logs, "logRecords")
                if _process(policies, Place(record, scope_logs, resource_logs))
            ]
            _replace(scope_logs, "logRecords", kept)
        scopes = [one for one in _list(resource_logs, "scopeLogs") if _list(one, "logRecords")]
        _replace(resource_logs, "scopeLogs", scopes)
    _replace(document, "resourceLogs", [one for one in _list(document, "resourceLogs") if _list(one, "scopeLogs")])
    return document


def _process(policies: PolicySet, place: Place) -> bool:
    view = view_of(place)
    if not policies.evaluate(view).keep:
        return False
    before = view_of(place)
    if policies.has_transforms and policies.transform(view, evaluated=True):
        _write_back(place, before, view)
    return True


def view_of(place: Place) -> LogView:
    """One record as policies see it."""
    record, scope_logs, resource_logs = place
    scope, resource = _get(scope_logs, "scope"), _get(resource_logs, "resource")
    return LogView(
        value_of(_get(record, "body")),
        severity_of(_get(record, "severityNumber")),
        _text(record, "severityText"),
        attributes=attributes_of(_get(record, "attributes")),
        event_name=_text(record, "eventName"),
        trace_id=_text(record, "traceId"),
        span_id=_text(record, "spanId"),
        resource_attributes=attributes_of(_get(resource, "attributes")),
        resource_schema_url=_text(resource_logs, "schemaUrl"),
        scope_name=_text(scope, "name"),
        scope_version=_text(scope, "version"),
        scope_attributes=attributes_of(_get(scope, "attributes")),
        scope_schema_url=_text(scope_logs, "schemaUrl"),
    )


def _write_back(place: Place, before: LogView, view: LogView) -> None:
    record, scope_logs, resource_logs = place
    if view.body != before.body:
        _replace(record, "body", {} if view.body is None else any_value(view.body))
    for name, key in _TEXTS.items():
        if getattr(view, name) != getattr(before, name):
            _replace(record, key, getattr(view, name) or "")
    for name, key in _IDS.items():
        value = getattr(view, name)
        if value != getattr(before, name):
            _replace(record, key, value.hex() if isinstance(value, bytes) else value or "")
    _write_attributes(record, before.attributes, view.attributes)
    _write_group(resource_logs, "resource", before.resource_attributes, view.resource_attributes)
    _write_group(scope_logs, "scope", before.scope_attributes, view.scope_attributes)
    for group, name in ((resource_logs, "resource_schema_url"), (scope_logs, "scope_schema_url")):
        if getattr(view, name) != getattr(before, name):
            _replace(group, "schemaUrl", getattr(view, name) or "")


def _write_group(group: dict[str, Any], name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    if before == after:
        return
    if not isinstance(group.get(name), dict):
        group[name] = {}
    _write_attributes(group[name], before, after)


def _write_attributes(holder: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Attributes that did not change keep the very form in which they were written."""
    if before == after and list(before) == list(after):
        return
    raw = {one.get("key"): one for one in _list(holder, "attributes")}
    same = {key for key in after if key in before and _same(before[key], after[key])}
    pairs = [raw[key] if key in same else {"key": key, "value": any_value(value)} for key, value in after.items()]
    _replace(holder, "attributes", pairs)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def value_of(any_value: Any, depth: int = 0) -> Any:
    """An AnyValue as a Python value."""
    if not isinstance(any_value, Mapping) or depth > _MAX_DEPTH:
        return None
    for kind, found in any_value.items():
        name = kind.replace("_", "").lower() if isinstance(kind, str) else ""
        if name == "kvlistvalue":
            return attributes_of(_get(found, "values"), depth + 1)
        if name == "arrayvalue":
            values = _get(found, "values")
            return [value_of(item, depth + 1) for item in values] if isinstance(values, list) else []
        if name in _SCALARS:
            return _scalar(name, found)
    return None


_SCALARS: Final = {"stringvalue", "boolvalue", "intvalue", "doublevalue", "bytesvalue"}


def _scalar(name: str, value: Any) -> Any:
    try:
        if name == "intvalue":
            return int(value)
        if name == "doublevalue":
            return float(value)
        if name == "bytesvalue":
            return base64.b64decode(value, validate=True)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        return None
    return value


def attributes_of(pairs: Any, depth: int = 0) -> dict[str, Any]:
    """KeyValues as a mapping."""
    if not isinstance(pairs, list):
        return {}
    return {
        pair["key"]: value_of(pair.get("value"), depth)
        for pair in pairs
        if isinstance(pair, dict) and isinstance(pair.get("key"), str)
    }


def severity_of(number: Any) -> int:
    """A severity number, given as a number, as digits or by its name."""
    if isinstance(number, str):
        if number in _SEVERITIES:
            return _SEVERITIES.index(number) + 1
        return int(number) if number.isascii() and number.isdigit() else 0
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def any_value(value: Any) -> dict[str, Any]:
    """A Python value as an AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, bytes | bytearray):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": [{"key": key, "value": any_value(item)} for key, item in value.items()]}}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {} if value is None else {"stringValue": str(value)}


def _name(holder: Any, key: str) -> str:
    """The spelling of `key` that `holder` uses: OTLP/JSON says camelCase, some writers snake_case."""
    if isinstance(holder, Mapping) and key not in holder:
        snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in key)
        if snake in holder:
            return snake
    return key


def _get(holder: Any, key: str) -> Any:
    return holder.get(_name(holder, key)) if isinstance(holder, Mapping) else None


def _text(holder: Any, key: str) -> str | None:
    found = _get(holder, key)
    return found if isinstance(found, str) else None


def _list(holder: Any, key: str) -> list[dict[str, Any]]:
    found = _get(holder, key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _replace(holder: dict[str, Any], key: str, value: Any) -> None:
    name = _name(holder, key)
    if value in ({}, "") and name not in holder:
        return
    holder[name] = value
