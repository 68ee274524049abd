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
from otel_logging.policy.otlp_json import Place, attributes_of, places

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


def _send(url: str, document: Any) -> None:
    request = urllib.request.Request(
        f"{url}/v1/logs", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        assert answer.status == 200
