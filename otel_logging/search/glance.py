"""The few facts of a record that an index and a list of calls need, read without making the record.

They must be those of the finished record: whatever is not of the usual shape is made into one by `otlp`. This is where
indexing spends its time, hence the plain loops and the bare tuples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_logging.search import clock, otlp
from otel_logging.search.books import SUMMARY_EVENT
from otel_logging.search.record import LEVELS, RECOVERED, Record, as_text, call_id, hex_id, level_of

if TYPE_CHECKING:
    from typing import TypeAlias

    Facts: TypeAlias = "tuple[str | None, str | None, str | None, int, int, str, bool, Record | None]"

RANK: Final = {level: rank for rank, level in enumerate(LEVELS)}
RANKS: Final = [0, *(RANK[level_of(number)] for number in range(1, 25))]  # by severity number
_OFTEN: Final = 50_000  # trace ids remembered


def facts(payload: Any) -> list[Facts]:
    """What there is to know of each record that `otlp.records` would make of a line, in the same order.

    Each is a tuple: call id, trace id, span id (only where there is no call id), time, level (0 for DEBUG to 4 for
    CRITICAL), service, recovered, and the whole record where its event is `SUMMARY_EVENT`.
    """
    groups = payload.get("resourceLogs") if isinstance(payload, dict) else None
    if not isinstance(groups, list):
        return [of_record(record) for record in otlp.records(payload)]
    found: list[Facts] = []
    for group in groups:
        if isinstance(group, dict):
            _of_group(group, found)
    return found


def _of_group(group: dict[str, Any], found: list[Facts]) -> None:
    resource, scopes = group.get("resource"), group.get("scopeLogs")
    if type(scopes) is not list:
        _slowly(group, found)
        return
    attributes = resource.get("attributes") if isinstance(resource, dict) else None
    service = as_text(otlp.attributes(attributes).get("service.name"))
    for scoped in scopes:
        raws = scoped.get("logRecords") if isinstance(scoped, dict) else None
        if type(raws) is not list:
            _slowly({**group, "scopeLogs": [scoped]}, found)
            continue
        for raw in raws:
            usual = _usual(raw, service)
            if usual is not None:
                found.append(usual)
            elif isinstance(raw, dict):
                _slowly({**group, "scopeLogs": [{**scoped, "logRecords": [raw]}]}, found)


def _slowly(group: dict[str, Any], found: list[Facts]) -> None:
    found.extend(of_record(record) for record in otlp.records({"resourceLogs": [group]}))


def of_record(record: Record) -> Facts:
    """The facts of a finished record."""
    return (
        record.call_sid, record.trace_id, None if record.call_sid is not None else record.span_id, record.time,
        RANK[record.level], record.service, record.recovered, record if record.event_name == SUMMARY_EVENT else None,
    )  # fmt: skip


def _usual(raw: Any, service: str) -> Facts | None:  # noqa: C901 (where indexing spends its time)
    """The facts of a record of the usual shape, else None."""
    call_sid: Any = None
    recovered = False
    try:
        time = int(raw["timeUnixNano"])
        number = raw["severityNumber"]
        body = raw["body"]
        text = body["stringValue"]
        for pair in raw["attributes"]:
            key = pair["key"]
            if key == "call_sid":
                call_sid = otlp.value_of(pair.get("value"))
            elif key == RECOVERED:
                recovered = otlp.value_of(pair.get("value")) in (True, "true")
            elif type(key) is not str:
                return None
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None
    if (
        type(raw["attributes"]) is not list
        or type(number) is not int
        or not 0 < number < 25
        or not 0 < time < clock.LATEST
        or type(text) is not str
        or text[:1] == "{"  # a console line may stand in it, with ids of its own
        or len(body) != 1
        or "eventName" in raw
        or "event_name" in raw
    ):
        return None
    trace = raw.get("traceId")
    if trace is None and "trace_id" in raw:
        return None
    span = None
    if call_sid is None or call_sid == "":
        call_sid, span = None, raw.get("spanId")
        if span is None and "span_id" in raw:
            return None
        span = hex_id(span, 16)
    elif type(call_sid) is not str:
        call_sid = call_id(call_sid)
    return call_sid, _trace_id(trace), span, time, RANKS[number], service, recovered, None


_traces: dict[str, str | None] = {}


def _trace_id(value: Any) -> str | None:
    if type(value) is not str:
        return None
    known = _traces.get(value, "")
    if known == "":
        if len(_traces) >= _OFTEN:
            _traces.clear()
        known = _traces[value] = hex_id(value, 32)
    return known
