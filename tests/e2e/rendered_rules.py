"""Rendered policies in one real Collector: each set in a pipeline of its own, and what comes out of each.

Records name the set they are for in an attribute of their own, which also tells them apart: every pipeline gets them
all and lets go of the others'. What is compared with what does not belong in here.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from collector_process import DEADLINE, Collector

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.otlp_json import Place, any_value, attributes_of, places, view_of
from otel_logging.policy.view import LogView, id_bytes

ID = "test.id"  # set:number
_RECEIVERS = {"otlp": {"protocols": {"http": {"endpoint": "${env:COLLECTOR_OTLP_HTTP_ENDPOINT}"}}}}
_OUTPUT = "records.jsonl"


def configuration(sets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What runs each set of processors, by its name, on its own records, and writes all that stays to one file."""
    processors: dict[str, Any] = {}
    pipelines: dict[str, Any] = {}
    for name, parts in sets.items():
        own = f"filter/only-{name}"
        processors[own] = {
            "error_mode": "ignore",
            "log_conditions": [f'not IsMatch(log.attributes["{ID}"], "^{name}:")'],
        }
        mine = {f"{part}-{name}": value for part, value in parts.items()}
        processors.update(mine)
        pipelines[f"logs/{name}"] = {"receivers": ["otlp"], "processors": [own, *mine], "exporters": ["file"]}
    return {
        "receivers": _RECEIVERS,
        "processors": processors,
        "exporters": {"file": {"path": f"${{env:COLLECTOR_OUTPUT_DIR}}/{_OUTPUT}"}},
        "extensions": {"health_check": {"endpoint": "${env:COLLECTOR_HEALTH_ENDPOINT}"}},
        "service": {
            "extensions": ["health_check"],
            "pipelines": pipelines,
            "telemetry": {"metrics": {"level": "none"}},
        },
    }


def through_the_collector(
    folder: Path, sets: Mapping[str, Mapping[str, Any]], requests: Iterable[Any]
) -> tuple[dict[str, list[Place]], str]:
    """Send OTLP/JSON requests, and give what arrived, by the records' ids, and what the Collector said."""
    collector = Collector(folder, configuration(sets))
    with collector:
        for document in requests:
            _send(collector.url, document)
        # A receiver answers when all pipelines have written; the end empties the file's buffer.
        assert collector.stop() == 0, collector.describe()
    found: dict[str, list[Place]] = {}
    for line in (collector.files / _OUTPUT).read_text("utf-8").splitlines():
        for place in places(json.loads(line)):
            found.setdefault(id_of(place), []).append(place)
    return found, collector.said


def id_of(place: Place) -> str:
    """The record's own id."""
    return str(attributes_of(place.record.get("attributes")).get(ID))


def request(name: str, body: Any, severity: int, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a service, with its id, in a resource of its own."""
    pairs = [{"key": key, "value": any_value(value)} for key, value in {**attributes, ID: name}.items()]
    record = {
        "timeUnixNano": "1700000000000000000",
        "severityNumber": severity,
        "body": any_value(body),
        "attributes": pairs,
    }
    return {"scopeLogs": [{"logRecords": [record]}]}


def one_by_one(requests: Iterable[Any]) -> list[Place]:
    """The records of resources."""
    return [place for one in requests for place in places({"resourceLogs": [one]})]


def outcome(view: LogView) -> dict[str, Any]:
    """All of a record, as one value; what is empty is none."""
    found = {name: getattr(view, name) for name in LogView.__slots__}
    for name, size in (("trace_id", 16), ("span_id", 8)):
        found[name] = id_bytes(found[name], size)
    return {name: value for name, value in found.items() if value is not None and value not in ("", {})}


def by_the_engine(policies: PolicySet, place: Place) -> dict[str, Any] | None:
    """What the application makes of a record: all of it, or None if it drops it."""
    view = view_of(place)
    if "otel_logging.trigger" not in view.attributes and not policies.evaluate(view).keep:
        return None
    policies.transform(view)
    return outcome(view)


def compare(expected: Mapping[str, Any], found: Mapping[str, list[Place]], told: Mapping[str, str]) -> None:
    """Every record that stays arrived once, as the engine leaves it, and no other. `told` says what a set's rules are."""
    wrong = []
    for name, wanted in expected.items():
        got = [outcome(view_of(place)) for place in found.get(name, ())]
        if got != ([] if wanted is None else [wanted]):
            rules = told.get(name.split(":", maxsplit=1)[0], "")
            wrong.append(f"{name}: {rules}\n  engine: {wanted}\n  Collector: {got}")
    assert not wrong, f"{len(wrong)} of {len(expected)}\n" + "\n".join(wrong[:5])
    assert set(found) <= set(expected)


def _send(url: str, document: Any) -> None:
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"{url}/v1/logs", json.dumps(document).encode(), headers)
    with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
        assert answer.status == 200
