"""What a policy may look at: one log record, as cheap to make as possible. No logic beyond reading a field.

The bridge fills a `LogView` from whatever it has at that moment (arguments of a log call, an OTel LogRecord), the
conformance runner from OTLP/JSON. Nothing is copied and nothing is converted until a policy reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_logging.policy.model import ATTRIBUTE, ID_FIELDS, RESOURCE, SCOPE_ATTRIBUTE, Field

Attributes = Mapping[str, Any]
_NONE: Final[Attributes] = {}


class LogView:
    """One log record as policies see it.

    `body` is text in the normal case, but may be any value OTLP can carry. `trace_id` and `span_id` may be given as
    the integers of the OTel API, as bytes or as hex text; 0, empty and None mean that there is none.
    """

    __slots__ = (
        "attributes",
        "body",
        "event_name",
        "resource_attributes",
        "resource_schema_url",
        "scope_attributes",
        "scope_name",
        "scope_schema_url",
        "scope_version",
        "severity_number",
        "severity_text",
        "span_id",
        "trace_id",
    )

    def __init__(
        self,
        body: Any = None,
        severity_number: int = 0,
        severity_text: str | None = None,
        *,
        attributes: Attributes | None = None,
        event_name: str | None = None,
        trace_id: int | bytes | str | None = None,
        span_id: int | bytes | str | None = None,
        resource_attributes: Attributes | None = None,
        resource_schema_url: str | None = None,
        scope_name: str | None = None,
        scope_version: str | None = None,
        scope_attributes: Attributes | None = None,
        scope_schema_url: str | None = None,
    ) -> None:
        self.body = body
        self.severity_number = severity_number
        self.severity_text = severity_text
        self.attributes = attributes or _NONE
        self.event_name = event_name
        self.trace_id = trace_id
        self.span_id = span_id
        self.resource_attributes = resource_attributes or _NONE
        self.resource_schema_url = resource_schema_url
        self.scope_name = scope_name
        self.scope_version = scope_version
        self.scope_attributes = scope_attributes or _NONE
        self.scope_schema_url = scope_schema_url


class _Absent:
    """The type of `ABSENT`: a field that a record does not have, told apart from a value that is None."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
HOMES: Final = {
    ATTRIBUTE: "attributes",
    RESOURCE: "resource_attributes",
    SCOPE_ATTRIBUTE: "scope_attributes",
}


def reader(field: Field) -> Callable[[LogView], Any]:
    """A function that reads `field` from a view and answers `ABSENT` where the record has none.

    A well-known field that is empty counts as absent, as it does in OTLP, where the two cannot be told apart; an
    attribute is there when its key is.
    """
    home = HOMES.get(field.kind)
    if home is not None:
        return _path_reader(home, field.path)
    if field.kind in ID_FIELDS:
        return _id_reader(field.kind, ID_FIELDS[field.kind])
    name = field.kind

    def read(view: LogView) -> Any:
        value = getattr(view, name)
        return ABSENT if value is None or value == "" or (value == 0 and name == "severity_number") else value

    return read


def _path_reader(home: str, path: tuple[str, ...]) -> Callable[[LogView], Any]:
    first, rest = path[0], path[1:]

    def read(view: LogView) -> Any:
        value = getattr(view, home).get(first, ABSENT)
        for key in rest:
            if not isinstance(value, Mapping):
                return ABSENT
            value = value.get(key, ABSENT)
        return value

    return read


def _id_reader(name: str, size: int) -> Callable[[LogView], Any]:
    def read(view: LogView) -> Any:
        raw = id_bytes(getattr(view, name), size)
        return ABSENT if raw is None else raw

    return read


def id_bytes(value: Any, size: int) -> bytes | None:
    """A trace or span id as its bytes, or None where there is none or it cannot be one."""
    try:
        if isinstance(value, int):
            raw = value.to_bytes(size, "big")
        elif isinstance(value, str):
            raw = bytes.fromhex(value)
        else:
            raw = bytes(value) if value else b""
    except (ValueError, OverflowError, TypeError):
        return None
    return raw if any(raw) else None
