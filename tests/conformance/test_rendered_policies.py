"""The log cases of the Telemetry Policy conformance suite in a real Collector, by rendered policies.

The cases are read where they lie, as in `test_policy_conformance`. What the Collector cannot do is refused, each for
the reason given below.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rendered_rules import ID, outcome, through_the_collector

from otel_logging.policy.collector_file import document
from otel_logging.policy.load import load
from otel_logging.policy.otlp_json import places, view_of
from otel_logging.policy.render import render

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("OTEL_LOGGING_POLICY_CONFORMANCE") or REPOSITORY.parent / "shared" / "policy-conformance")
CASES = sorted(path.parent for path in FOLDER.glob("logs_*/policies.json"))
RATE = "the Collector keeps no counts from one record to the next"
AGAIN = "what the application kept would be drawn again"
KEYLESS = "a record without it would be drawn again"
REFUSED = {
    "logs_rate_limit_10_per_5m": RATE,
    "logs_rate_limit_1_per_1m_explicit": RATE,
    "logs_rate_limit_1_per_300s": RATE,
    "logs_rate_limit_1_per_5s": RATE,
    "logs_rate_limit_1s_backwards_compat": RATE,
    "logs_rate_limit_5_per_10s": RATE,
    "logs_rate_limit_drop_overlap": RATE,
    "logs_rate_limit_per_minute": RATE,
    "logs_transform_with_rate_limit": RATE,
    "logs_sampling_drop_overlap": AGAIN,
    "logs_sampling_25pct": KEYLESS,
    "logs_sampling_50pct": KEYLESS,
}


def records(case, file):
    """The records of a request, as policies see them."""
    request = json.loads((case / file).read_text(encoding="utf-8"))
    return [outcome(view_of(place)) for place in places(request)]


def without_id(record):
    """A record as it was before it was given an id."""
    attributes = {key: value for key, value in record.get("attributes", {}).items() if key != ID}
    rest = {key: value for key, value in record.items() if key != "attributes"}
    return {**rest, "attributes": attributes} if attributes else rest


@pytest.mark.skipif(not CASES, reason=f"the conformance suite is not there: no log cases in {FOLDER}")
class TestSuite:
    def test_cases_in_the_collector(self, tmp_path):
        """What is rendered without a refusal comes out as the suite expects; of what is refused it is known why."""
        sets, requests, refused = {}, [], {}
        for case in CASES:
            rendered = render(load([str(case / "policies.json")]).policies)
            if rendered.refused:
                refused[case.name] = rendered.refused[0]
                continue
            sets[case.name] = document(rendered)["processors"]
            request = json.loads((case / "input.json").read_text(encoding="utf-8"))
            for position, place in enumerate(places(request)):
                pair = {"key": ID, "value": {"stringValue": f"{case.name}:{position:03}"}}
                place.record["attributes"] = [*place.record.get("attributes", []), pair]
            requests.append(request)
        given = {case.name for case in CASES}
        assert set(refused) == {name for name in REFUSED if name in given}
        assert [name for name, why in refused.items() if REFUSED[name] not in why] == []
        found, said = through_the_collector(tmp_path, sets, requests)
        assert "failed to" not in said
        wrong = {}
        for case in CASES:
            if case.name in sets:
                mine = sorted(name for name in found if name.startswith(f"{case.name}:"))
                got = [without_id(outcome(view_of(place))) for name in mine for place in found[name]]
                if got != (expected := records(case, "expected.json")):
                    wrong[case.name] = (got, expected)
        assert wrong == {}
        assert len(sets) >= 60
