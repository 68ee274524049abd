"""The one record shape that every back end returns, and its flat JSON form.

A record may come as OTLP (`attributes.call_sid`) or as a JSON console line (`call_sid` at the top); here both look the
same. How a back end is read does not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from otel_logging.search import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RECOVERED = "otel_logging.recovered"
_TELLING = (RECOVERED.encode(), b"exception.", b"event.name")


def dull(pairs: bytes) -> bool:
    """Whether no attribute changes how a record is shown; they are as they stand in a line, without escapes."""
    return not any(part in pairs for part in _TELLING)


_NUMBERS = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
_NAMES = {
    **{level: level for level in LEVELS},
    "TRACE": "DEBUG",
    "NOTICE": "INFO",
    "INFORMATION": "INFO",
    "WARN": "WARNING",
    "ERR": "ERROR",
    "FATAL": "CRITICAL",
    "CRIT": "CRITICAL",
    "ALERT": "CRITICAL",
    "EMERGENCY": "CRITICAL",
}
# What a console line calls the parts of a record; other tools' usual names are understood as well.
_FLAT_TIME = ("timestamp", "time", "@timestamp", "ts")
_FLAT_LEVEL = ("level", "severity", "levelname", "severity_text")
_FLAT_MESSAGE = ("message", "msg", "body", "event")
_FLAT_LOGGER = ("logger", "logger.name")
_FLAT_SERVICE = ("service", "service.name")


def level_of(number: int, text: str = "") -> str:
    """Python's name for an OTel severity; by its text where the number is missing, INFO where both are."""
    if number > 0:
        return LEVELS[0 if number < 9 else min((number - 5) // 4, 4)]
    return _NAMES.get(text.strip().upper(), "INFO")


class Record:
    """One log record. Times are nanoseconds since 1970 UTC, ids are lower-case hex or None.

    `pairs` are the attributes as they stand in a line of JSON, from `own_lines`: thousands of records are printed of
    which nobody asks for more than a few attributes. `attributes` makes them a mapping when it is first asked for.
    `dull` says that there is none among them that changes how the record is shown: no exception, no event's name, not
    recovered.
    """

    FIELDS = (
        "time", "observed", "severity", "severity_text", "body", "service", "logger", "call_sid", "trace_id", "span_id",
        "attributes", "resource", "event_name", "source",
    )  # fmt: skip

    __slots__ = (
        "_attributes", "_pairs", "body", "call_sid", "dull", "event_name", "logger", "observed", "resource", "service",
        "severity", "severity_text", "source", "span_id", "time", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        time: int = 0,
        observed: int = 0,
        severity: int = 0,
        severity_text: str = "",
        body: str = "",
        service: str = "",
        logger: str = "",
        call_sid: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        attributes: dict[str, Any] | None = None,
        resource: dict[str, Any] | None = None,
        event_name: str = "",
        source: str = "",
        pairs: bytes = b"",
        dull: bool = False,
    ) -> None:
        self.time = time
        self.observed = observed
        self.severity = severity
        self.severity_text = severity_text
        self.body = body
        self.service = service
        self.logger = logger
        self.call_sid = call_sid
        self.trace_id = trace_id
        self.span_id = span_id
        self._attributes = attributes
        self._pairs = pairs
        self.dull = dull
        self.resource = {} if resource is None else resource
        self.event_name = event_name
        self.source = source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def as_dict(self) -> dict[str, Any]:
        """All fields by their names."""
        return {name: getattr(self, name) for name in self.FIELDS}

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes, but for those that have fields of their own."""
        made = self._attributes
        if made is None:
            made = {}
            if self._pairs:
                from otel_logging.search.own_lines import attributes_of

                made = attributes_of(self._pairs)
            self._attributes, self._pairs = made, b""
        return made

    @attributes.setter
    def attributes(self, value: dict[str, Any]) -> None:
        self._attributes, self._pairs, self.dull = value, b"", False

    def attribute(self, key: str) -> Any:
        """One attribute, None if there is none; to ask for one that few records have costs next to nothing."""
        if self._pairs and key.encode() not in self._pairs:
            return None
        return self.attributes.get(key)

    @property
    def level(self) -> str:
        """DEBUG, INFO, WARNING, ERROR or CRITICAL."""
        return level_of(self.severity, self.severity_text)

    @property
    def recovered(self) -> bool:
        """True for a record that was dropped at first and given back when its call went wrong."""
        if self.dull:
            return False
        value = self.attributes.get(RECOVERED)  # a summary's is a number, and 1 would equal True
        return value is True or value == "true"

    @property
    def exception(self) -> str:
        """The traceback, or `type: message` where there is none, or an empty text."""
        if self.dull:
            return ""
        trace = self.attributes.get("exception.stacktrace")
        if trace:
            return str(trace).rstrip()
        parts = (self.attributes.get("exception.type"), self.attributes.get("exception.message"))
        return ": ".join(str(part) for part in parts if part)

    @property
    def order(self) -> tuple[int, int]:
        """Sort key. Python's sort is stable, so records of the same time stay in the order of their file."""
        return self.time, self.observed


def flat(record: Record, *, since: int | None = None) -> dict[str, Any]:
    """The record as one flat mapping for JSON lines: the fixed keys first, then every other attribute.

    Args:
        record: the record.
        since: the call's first time in nanoseconds, for `relative` (seconds); None where it is not known.
    """
    line: dict[str, Any] = {
        "timestamp": clock.rfc3339(record.time),
        "level": record.level,
        "service": record.service,
        "logger": record.logger,
        "message": record.body,
        "call_sid": record.call_sid,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "relative": None if since is None else round(max(record.time - since, 0) / clock.NANOS, 6),
    }
    if record.event_name:
        line["event_name"] = record.event_name
    for key, value in record.attributes.items():
        # A foreign attribute called `level` must not pass for the record's own.
        line[f"attributes.{key}" if key in line else key] = value
    return line


def from_flat(line: Mapping[str, Any], source: str = "") -> Record:
    """A record from a JSON console line, ours or one of another tool's with the usual key names."""
    rest = dict(line)
    stamp = _take(rest, _FLAT_TIME)
    level = _take(rest, _FLAT_LEVEL)
    level = level if isinstance(level, str) else ""
    trace = rest.pop("exception", None)
    rest.pop("relative", None)
    if trace:
        rest.setdefault("exception.stacktrace", trace if isinstance(trace, str) else as_text(trace))
    return Record(
        time=stamp_of(stamp),
        severity=_NUMBERS.get(_NAMES.get(level.strip().upper(), ""), 0),
        severity_text=level,
        body=as_text(_take(rest, _FLAT_MESSAGE)),
        service=as_text(_take(rest, _FLAT_SERVICE)),
        logger=as_text(_take(rest, _FLAT_LOGGER)),
        call_sid=call_id(rest.pop("call_sid", None)),
        trace_id=hex_id(rest.pop("trace_id", None), 32),
        span_id=hex_id(rest.pop("span_id", None), 16),
        attributes=rest,
        source=source,
    )


def _take(line: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in line:
            return line.pop(name)
    return None


def is_flat(value: Any) -> bool:
    """True for a mapping that looks like a JSON console line: it says when and what."""
    return (
        isinstance(value, Mapping)
        and any(name in value for name in _FLAT_TIME)
        and any(name in value for name in _FLAT_MESSAGE)
    )


def absorb(record: Record, line: Mapping[str, Any]) -> None:
    """Open up a record whose body is a whole JSON console line, as a Collector that tails a file makes them.

    What the envelope says stays; the line fills in what it leaves out.
    """
    inner = from_flat(line)
    record.body = inner.body
    record.attributes = {**inner.attributes, **record.attributes}
    record.time = inner.time or record.time
    for name in ("severity", "severity_text", "service", "logger", "call_sid", "trace_id", "span_id"):
        if not getattr(record, name):
            setattr(record, name, getattr(inner, name))


def as_text(value: Any) -> str:
    """A body of any type as text: strings as they are, nothing as nothing, the rest as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def call_id(value: Any) -> str | None:
    """The value as a call id; empty means none."""
    return None if value is None or value == "" else as_text(value)


def hex_id(value: Any, digits: int) -> str | None:
    """A trace or span id in lower case, or None if the value is none (all zeros means none)."""
    if not isinstance(value, str) or len(value) != digits or not value.isascii():
        return None
    value = value.lower()
    return value if value.strip("0") and not value.strip("0123456789abcdef") else None


def stamp_of(value: Any) -> int:
    """Nanoseconds of a console line's time (RFC 3339 text or a Unix time in seconds), 0 if it cannot be read."""
    if isinstance(value, str):
        return clock.parse_stamp(value) or 0
    if isinstance(value, (int, float)) and 0 < value < clock.LATEST:
        return int(value * clock.NANOS) if value < 1e11 else int(value * 10 ** (19 - len(str(int(value)))))
    return 0
