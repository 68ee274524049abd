"""What is asked of Datadog, in its log search syntax, and an event of its answer as a record.

A record's ids stand in different places there, depending on how it came: as an attribute, as a reserved attribute, in
hexadecimal or as the decimal of a trace id's lower half. All of them are asked for. Calling the service does not
belong here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock, events, otlp
from otel_logging.search.record import LEVELS, Record, as_text, call_id, hex_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_logging.search.source import Ask, Ids

_STATUSES = {
    "DEBUG": ("debug", "trace"),
    "INFO": ("info", "notice", "ok"),
    "WARNING": ("warn", "warning"),
    "ERROR": ("error",),
    "CRITICAL": ("critical", "alert", "emergency", "fatal"),
}
_HEX_FIELDS = ("trace_id", "@trace_id", "@otel.trace_id", "@dd.trace_id")
_DECIMAL_FIELDS = ("trace_id", "@dd.trace_id")
_PLAIN = re.compile(r"[a-z0-9]{2,}")
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_VALUE = re.compile(r"[A-Za-z][\w .:/@-]{0,199}", re.ASCII)
_WHOLE_NUMBER = re.compile(r"\d{1,15}")
_IDS_IN_QUERY = 25


def queries(ask: Ask) -> Iterator[str]:
    """Search queries that together find what is asked for."""
    common = []
    if ask.level and ask.level not in {"DEBUG", "INFO"}:
        names = [status for level in LEVELS[LEVELS.index(ask.level) :] for status in _STATUSES[level]]
        common.append(f"status:({' OR '.join(names)})")
    if ask.services:
        common.append(f"service:({' OR '.join(quoted(name) for name in ask.services)})")
    if run := max(_PLAIN.findall(ask.run), key=len, default=""):
        common.append(f"*:*{run}*")
    for key, value in ask.attrs:
        if _KEY.fullmatch(key) and (_VALUE.fullmatch(value) or _WHOLE_NUMBER.fullmatch(value)):
            common.append(f"@{key}:{quoted(value)}")
    conditions = _conditions(ask.ids) if ask.ids is not None else []
    for start in range(0, len(conditions) or 1, _IDS_IN_QUERY):
        few = conditions[start : start + _IDS_IN_QUERY]
        yield " ".join([f"({' OR '.join(few)})", *common] if few else common) or "*"


def _conditions(ids: Ids) -> list[str]:
    found: dict[str, None] = {}
    for text in ids.calls:
        found[f"@call_sid:{quoted(text)}"] = None
    for text in ids.traces:
        found.update(dict.fromkeys(f"{name}:{text}" for name in _HEX_FIELDS))
        if decimal := lower_half(text):
            found.update(dict.fromkeys(f"{name}:{decimal}" for name in _DECIMAL_FIELDS))
    for text in ids.call_starts:
        found[f"@call_sid:{escaped(text)}*"] = None
    for text in ids.trace_starts:
        found.update(dict.fromkeys(f"{name}:{text}*" for name in _HEX_FIELDS))
    return list(found)


def quoted(text: str) -> str:
    """A value that is taken as it stands."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(text: str) -> str:
    """A value that a wildcard may follow: what is no letter or digit gets a backslash."""
    return re.sub(r"([^A-Za-z0-9_])", r"\\\1", text)


def lower_half(trace_id: str) -> int:
    """The lower 64 bits of a trace id, which Datadog shows as a decimal number; 0 if it is no trace id."""
    return int(trace_id, 16) & (2**64 - 1) if hex_id(trace_id, 32) else 0


def record_of(event: Mapping[str, Any], source: str, traces: Mapping[int, str]) -> Record:
    """The record in an event of the answer.

    Args:
        event: the event's `attributes`: `timestamp`, `status`, `service`, `message` and the log's own `attributes`.
        source: where it stands, for people.
        traces: full trace ids by their lower halves, for events that only have those.
    """
    extras = dict(event.get("attributes") or {})
    dd, otel = _taken(extras, "dd"), _taken(extras, "otel")
    status = as_text(event.get("status") or extras.pop("status", None))
    record = Record(
        time=otlp.whole(otel.get("timestamp")) or _nanos(event.get("timestamp")),
        severity=min(otlp.whole(otel.get("severity_number")), 24),
        severity_text=as_text(otel.get("severity_text")) or status,
        service=as_text(event.get("service")),
        logger=as_text(_dotted(extras, "logger", "name")),
        call_sid=call_id(extras.pop("call_sid", None)),
        trace_id=_trace(otel, dd, extras.pop("trace_id", None), traces),
        span_id=hex_id(otel.get("span_id"), 16) or _span(dd.get("span_id") or extras.pop("span_id", None)),
        source=source,
    )
    if host := event.get("host"):
        record.resource["host.name"] = as_text(host)
    record.attributes = flattened(extras)
    for tag in event.get("tags") or ():
        key, _, value = str(tag).partition(":")
        record.resource.setdefault(key, value)
    events.set_body(record, event.get("message"))
    record.observed = record.time
    return record


def flattened(values: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested objects as dotted keys, as the record had them before Datadog split its keys at dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value and depth < 10:
            flat.update(flattened(value, f"{prefix}{key}.", depth + 1))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _taken(extras: dict[str, Any], name: str) -> dict[str, Any]:
    """The keys under `name.`, whether they come nested or with dots, taken out of `extras`."""
    found = {key[len(name) + 1 :]: extras.pop(key) for key in list(extras) if key.startswith(f"{name}.")}
    nested = extras.get(name)
    if isinstance(nested, dict):
        found.update(extras.pop(name))
    return found


def _dotted(extras: dict[str, Any], first: str, second: str) -> Any:
    nested = extras.get(first)
    if isinstance(nested, dict) and second in nested:
        rest = {key: value for key, value in nested.items() if key != second}
        if rest:
            extras[first] = rest
        else:
            del extras[first]
        return nested[second]
    if isinstance(nested, str):
        return extras.pop(first)
    return extras.pop(f"{first}.{second}", None)


def _trace(otel: dict[str, Any], dd: dict[str, Any], plain: Any, traces: Mapping[int, str]) -> str | None:
    for value in (otel.get("trace_id"), plain, dd.get("trace_id")):
        if found := hex_id(value, 32):
            return found
    for value in (dd.get("trace_id"), plain):
        if half := otlp.whole(value):
            return traces.get(half) or hex_id(f"{half:032x}", 32)
    return None


def _span(value: Any) -> str | None:
    if found := hex_id(value, 16):
        return found
    number = otlp.whole(value)
    return hex_id(f"{number:016x}", 16) if number else None


def _nanos(stamp: Any) -> int:
    if isinstance(stamp, str):
        return clock.parse_stamp(stamp) or 0
    if stamp is None:
        return 0
    return clock.parse_stamp(stamp.isoformat()) or 0
