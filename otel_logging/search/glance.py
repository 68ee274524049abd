"""The few facts of a record that an index and a list of calls need, read without making the record.

They must be those of the finished record: whatever is not of the usual shape is made into one by `otlp`. This is where
indexing spends its time, hence the plain loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging.search import clock, otlp
from otel_logging.search.record import RECOVERED, Record, as_text, call_id, hex_id, level_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_WANTED: Final = frozenset({"call_sid", RECOVERED})
SUMMARY_EVENT: Final = "otel_logging.call.summary"
"""The event of the record in which a process says what became of a call's records."""


class Facts(NamedTuple):
    """What there is to know of one record. `summary` is the whole record where its event is `SUMMARY_EVENT`."""

    call_sid: str | None
    trace_id: str | None
    span_id: str | None
    time: int
    level: str
    service: str
    recovered: bool
    summary: Record | None = None


def facts(payload: Any) -> Iterator[Facts]:
    """The facts of each record that `otlp.records` would make of a line, in the same order."""
    groups = payload.get("resourceLogs") if isinstance(payload, dict) else None
    if not isinstance(groups, list):
        for record in otlp.records(payload):
            yield of_record(record)
        return
    for group in groups:
        if isinstance(group, dict):
            yield from _of_group(group)


def _of_group(group: dict[str, Any]) -> Iterator[Facts]:
    resource, scopes = group.get("resource"), group.get("scopeLogs")
    if type(scopes) is not list:
        yield from facts_slowly(group)
        return
    attributes = resource.get("attributes") if isinstance(resource, dict) else None
    service = as_text(otlp.attributes(attributes).get("service.name"))
    for scoped in scopes:
        raws = scoped.get("logRecords") if isinstance(scoped, dict) else None
        if type(raws) is not list:
            yield from facts_slowly({**group, "scopeLogs": [scoped]})
            continue
        for raw in raws:
            found = _usual(raw, service)
            if found is not None:
                yield found
            elif isinstance(raw, dict):
                yield from facts_slowly({**group, "scopeLogs": [{**scoped, "logRecords": [raw]}]})


def facts_slowly(group: dict[str, Any]) -> Iterator[Facts]:
    """The facts of one group of records, by way of the records."""
    for record in otlp.records({"resourceLogs": [group]}):
        yield of_record(record)


def of_record(record: Record) -> Facts:
    """The facts of a finished record."""
    return Facts(
        record.call_sid, record.trace_id, record.span_id, record.time, record.level, record.service,
        record.recovered, record if record.event_name == SUMMARY_EVENT else None,
    )  # fmt: skip


def _usual(raw: Any, service: str) -> Facts | None:
    """The facts of a record of the usual shape, else None."""
    try:
        time = int(raw["timeUnixNano"])
        number = raw["severityNumber"]
        body = raw["body"]["stringValue"]
        pairs = raw["attributes"]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if (
        not 0 < time < clock.LATEST
        or type(number) is not int
        or not 0 < number < 25
        or type(body) is not str
        or body.startswith("{")  # a console line may stand in it, with ids of its own
        or type(pairs) is not list
        or "eventName" in raw
        or "event_name" in raw
        or len(raw["body"]) != 1
    ):
        return None
    call_sid: Any = None
    recovered = False
    try:
        for pair in pairs:
            key = pair["key"]
            if key in _WANTED:
                value = otlp.value_of(pair.get("value"))
                if key == RECOVERED:
                    recovered = value in (True, "true")
                else:
                    call_sid = value
    except (KeyError, TypeError, AttributeError):
        return None
    trace, span = raw.get("traceId"), raw.get("spanId")
    if (trace is None and "trace_id" in raw) or (span is None and "span_id" in raw):
        return None
    return Facts(
        call_id(call_sid), hex_id(trace, 32), hex_id(span, 16), time, level_of(number), service, recovered
    )  # fmt: skip
