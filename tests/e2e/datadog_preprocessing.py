"""What Datadog makes of a log that is JSON before any pipeline of one's own: its documented preprocessing.

From https://docs.datadoghq.com/logs/log_configuration/pipelines/ (Preprocessing) and the status remapper's page: which
attributes are taken for the log's own source, host, date, message, status, service, trace and span, in which order, and
how a status is read. A log that is no JSON object is all message. The Agent's own word for host, service and source
stands where the log has none.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

SOURCES = {
    "host": ("host", "hostname", "syslog.hostname"),
    "date": (
        "@timestamp",
        "timestamp",
        "_timestamp",
        "Timestamp",
        "eventTime",
        "date",
        "published_date",
        "syslog.timestamp",
    ),
    "message": ("message", "msg", "log"),
    "status": ("status", "severity", "level", "syslog.severity"),
    "service": ("service", "syslog.appname", "dd.service"),
    "trace_id": ("dd.trace_id", "contextMap.dd.trace_id", "named_tags.dd.trace_id", "trace_id"),
    "span_id": ("dd.span_id", "contextMap.dd.span_id", "named_tags.dd.span_id", "span_id"),
}
# How a status is read: its beginning, in any case.
STATUSES = (
    ("f", "emergency"), ("emerg", "emergency"), ("a", "alert"), ("c", "critical"), ("e", "error"), ("w", "warning"),
    ("n", "notice"), ("i", "info"), ("d", "debug"), ("trace", "debug"), ("verbose", "debug"), ("o", "ok"), ("s", "ok"),
)  # fmt: skip
_OLDEST = dt.timedelta(hours=18)


@dataclass
class Log:
    """A log as the explorer shows it."""

    message: str
    status: str = "info"
    service: str = ""
    host: str = ""
    date: dt.datetime | None = None
    trace_id: str = ""
    span_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    def has(self, query: str) -> bool:
        """Whether a query of one term finds it: `@name:value`, or a reserved name as `service:value`."""
        name, _, value = query.partition(":")
        if name.startswith("@"):
            return str(_at(self.attributes, name[1:])) == value
        return str(getattr(self, name)) == value


def preprocessed(text: str, *, host: str, service: str) -> Log:
    """The log that Datadog makes of `text`, which an Agent on `host` sent for a container called `service`."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return Log(text, service=service, host=host)
    found = {name: _first(said, keys) for name, keys in SOURCES.items()}
    return Log(
        message=found["message"] if isinstance(found["message"], str) else text,
        status=_status(found["status"]),
        service=str(found["service"] or service),
        host=str(found["host"] or host),
        date=_date(found["date"]),
        trace_id=str(found["trace_id"] or ""),
        span_id=str(found["span_id"] or ""),
        attributes=said,
    )


def _at(said: dict[str, Any], path: str) -> Any:
    if path in said:
        return said[path]
    head, _, rest = path.partition(".")
    inner = said.get(head)
    return _at(inner, rest) if rest and isinstance(inner, dict) else None


def _first(said: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value for key in keys if (value := _at(said, key)) is not None), None)


def _status(value: Any) -> str:
    if isinstance(value, int):
        names = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
        return names[value] if 0 <= value < len(names) else "info"
    text = str(value or "").lower()
    best = max((one for one in STATUSES if text.startswith(one[0])), key=lambda one: len(one[0]), default=("", "info"))
    return best[1]


def _date(value: Any) -> dt.datetime | None:
    """ISO 8601, or milliseconds since 1970; what is older than 18 hours is not taken."""
    try:
        when = (
            dt.datetime.fromtimestamp(value / 1000, dt.timezone.utc)
            if isinstance(value, (int, float))
            else dt.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        )
    except (ValueError, OverflowError):
        return None
    return when if dt.datetime.now(dt.timezone.utc) - when < _OLDEST else None
