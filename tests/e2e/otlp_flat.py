"""OTLP's nested messages as flat records and spans, for tests to look at. How they arrive is `otlp_sink`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Record:
    """One log record as it arrived."""

    body: Any
    severity: int
    level: str
    logger: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    trace_id: str
    span_id: str
    time: int  # nanoseconds, as the next
    observed: int
    event: str
    request: int  # the number of the request that brought it
    connection: int
    peer: tuple[str, int]


@dataclass
class Span:
    """One span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    start: int  # nanoseconds, as the next
    end: int
    failed: bool
    request: int


def any_value(value: Any) -> Any:
    """An OTLP AnyValue as the Python value it stands for."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [any_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return getattr(value, kind)


def attributes(pairs: Any) -> dict[str, Any]:
    """A list of OTLP KeyValues as a dictionary."""
    return {pair.key: any_value(pair.value) for pair in pairs}


def flat_records(message: Any, connection: int, peer: tuple[str, int]) -> Iterator[Record]:
    """The records of an ExportLogsServiceRequest."""
    for resource in message.resource_logs:
        about = attributes(resource.resource.attributes)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield Record(
                    body=any_value(record.body),
                    severity=record.severity_number,
                    level=record.severity_text,
                    logger=scope.scope.name,
                    attributes=attributes(record.attributes),
                    resource=about,
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    time=record.time_unix_nano,
                    observed=record.observed_time_unix_nano,
                    event=record.event_name,
                    request=0,
                    connection=connection,
                    peer=peer,
                )


def flat_spans(message: Any) -> Iterator[Span]:
    """The spans of an ExportTraceServiceRequest."""
    for resource in message.resource_spans:
        about = attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    attributes=attributes(span.attributes),
                    resource=about,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    failed=span.status.code == 2,
                    request=0,
                )
