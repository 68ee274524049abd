"""A tiny writer of stores: OTLP/JSON lines as the local exporter and the Collector's file exporter write them."""

from __future__ import annotations

import json

import pytest

BEGIN = 1_705_865_426_000_000_000  # 2024-01-21T19:30:26Z


class StoreWriter:
    """Writes into `root/logs` and `root/traces`; times are seconds after `BEGIN`."""

    def __init__(self, root):
        self.root = root

    def log(self, file, *records, service="media", scope="server.media", instance="", snake=False, end="\n"):
        """One line with these records."""
        facts = {"service.name": service, **({"service.instance.id": instance} if instance else {})}
        resource = {"attributes": attributes(facts)} if service else {}
        names = ("resource_logs", "scope_logs", "log_records") if snake else ("resourceLogs", "scopeLogs", "logRecords")
        group = {"resource": resource, names[1]: [{"scope": {"name": scope}, names[2]: list(records)}]}
        self.raw("logs", file, json.dumps({names[0]: [group]}, separators=(",", ":")) + end)

    def trace(self, file, *spans, service="media"):
        """One line with these spans."""
        resource = {"attributes": attributes({"service.name": service})}
        group = {"resource": resource, "scopeSpans": [{"scope": {"name": "t"}, "spans": list(spans)}]}
        self.raw("traces", file, json.dumps({"resourceSpans": [group]}, separators=(",", ":")) + "\n")

    def raw(self, folder, file, text):
        """Append text or bytes as they are."""
        path = self.root / folder / f"{file}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)

    @staticmethod
    def record(body, *, at=0.0, call=None, trace=None, span=None, severity=9, observed=None, **extras):
        """One OTLP/JSON log record."""
        nanos = BEGIN + round(at * 1e9)
        made = {
            "timeUnixNano": str(nanos),
            "observedTimeUnixNano": str(BEGIN + round(observed * 1e9) if observed is not None else nanos),
            "severityNumber": severity,
            "body": {"stringValue": body},
            "attributes": attributes({**({"call_sid": call} if call else {}), **extras}),
        }
        if trace:
            made["traceId"] = trace
        if span:
            made["spanId"] = span
        return made

    @staticmethod
    def span(name, *, trace, span, parent=None, start=0.0, end=1.0, call=None, links=(), failed=False, **extras):
        """One OTLP/JSON span."""
        return {
            "traceId": trace,
            "spanId": span,
            **({"parentSpanId": parent} if parent else {}),
            "name": name,
            "startTimeUnixNano": str(BEGIN + round(start * 1e9)),
            "endTimeUnixNano": str(BEGIN + round(end * 1e9)),
            "attributes": attributes({**({"call_sid": call} if call else {}), **extras}),
            "links": [{"traceId": link, "spanId": "1" * 16} for link in links],
            "status": {"code": 2} if failed else {},
        }


def attributes(mapping):
    """OTLP's list of key-value pairs; a `__` in a keyword stands for a dot."""
    return [{"key": key.replace("__", "."), "value": any_value(value)} for key, value in mapping.items()]


def any_value(value):
    """An OTLP AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes(value)}}
    return {"stringValue": value}


@pytest.fixture
def store(tmp_path):
    """An empty store to write into; `store.root` is its folder."""
    return StoreWriter(tmp_path / "store")
