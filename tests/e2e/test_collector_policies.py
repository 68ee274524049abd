"""One rule file, everywhere: the Collector drops, keeps and changes what the application does, by rendered policies."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from otel_logging.policy.collector_file import document
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.otlp_json import Place, places, view_of
from otel_logging.policy.parse import policy as parsed
from otel_logging.policy.render import render
from otel_logging.policy.view import LogView, id_bytes
from random_rules import policy, record
from rendered_rules import id_of, through_the_collector

SETS, POLICIES, RECORDS = 48, 5, 50


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


def one_by_one(requests: list[dict[str, Any]]) -> list[Place]:
    return [place for request in requests for place in places({"resourceLogs": [request]})]


def compare(expected: dict[str, Any], found: dict[str, list[Place]], told: dict[str, str]) -> None:
    """Every record that stays arrived once, as the engine leaves it, and no other."""
    wrong = []
    for name, wanted in expected.items():
        got = [outcome(view_of(place)) for place in found.get(name, ())]
        if got != ([] if wanted is None else [wanted]):
            wrong.append(f"{name}: {told.get(name.split(':')[0], '')}\n  engine: {wanted}\n  Collector: {got}")
    assert not wrong, f"{len(wrong)} of {len(expected)}\n" + "\n".join(wrong[:5])
    assert set(found) <= set(expected)


class TestDifferential:
    def test_the_collector_does_what_the_engine_does(self, tmp_path):
        """Over 2,000 records by generated policies: the same survivors, bodies and attributes, each exactly once."""
        random = Random(20240121)
        sets, told, requests, expected = {}, {}, [], {}
        for number in range(SETS):
            policies = [parsed(policy(random, position), position) for position in range(POLICIES)]
            assert not [one.errors for one in policies if one.errors]
            rendered = render(policies)
            assert not rendered.refused
            name = f"s{number}"
            sets[name] = document(rendered)["processors"]
            told[name] = "\n".join(map(repr, policies))
            made = [record(random, f"{name}:{position}") for position in range(RECORDS)]
            requests.append({"resourceLogs": made})
            engine = PolicySet(policies)
            expected.update({id_of(place): by_the_engine(engine, place) for place in one_by_one(made)})
        found, said = through_the_collector(tmp_path, sets, requests)
        assert len(expected) >= 2_000
        compare(expected, found, told)
        assert "failed to" not in said  # no condition or statement met a value that it cannot take
        dropped = sum(wanted is None for wanted in expected.values())
        assert 200 < dropped < len(expected) - 200
