"""The Telemetry Policy conformance suite, read where it lies: its log cases that ask for no transform.

The cases come from the folder that OTEL_LOGGING_POLICY_CONFORMANCE names, or from `../shared/policy-conformance`
beside the repository. Each is a folder with policies.json, input.json (OTLP/JSON), expected.json, expected_stats.json.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import pytest

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.load import load
from otel_logging.policy.view import LogView

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("OTEL_LOGGING_POLICY_CONFORMANCE") or REPOSITORY.parent / "shared" / "policy-conformance")
SEVERITIES = [
    f"{name}{step}" for name in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL") for step in ("", 2, 3, 4)
]


def transforms(case):
    """Whether a case is about transforms, which a later version carries out."""
    document = json.loads((case / "policies.json").read_text(encoding="utf-8"))
    return any("transform" in policy.get("log", {}) for policy in document["policies"])


CASES = sorted(path.parent for path in FOLDER.glob("logs_*/policies.json") if not transforms(path.parent))


def value(any_value):
    """An OTLP/JSON AnyValue as the Python value that the SDK would hold."""
    for kind, found in (any_value or {}).items():
        if kind == "kvlistValue":
            return attributes(found.get("values"))
        if kind == "arrayValue":
            return [value(item) for item in found.get("values", [])]
        if kind == "intValue":
            return int(found)
        if kind == "bytesValue":
            return base64.b64decode(found)
        return found
    return None


def attributes(pairs):
    """OTLP/JSON key-values as a dict."""
    return {pair["key"]: value(pair.get("value")) for pair in pairs or []}


def severity(number):
    """A severity number, given as a number or by its name."""
    if isinstance(number, str):
        name = number.removeprefix("SEVERITY_NUMBER_")
        return SEVERITIES.index(name) + 1 if name in SEVERITIES else 0
    return number or 0


def view_of(record, scope_logs, resource_logs):
    """One OTLP/JSON record with its scope and resource, as policies see it."""
    scope, resource = scope_logs.get("scope") or {}, resource_logs.get("resource") or {}
    return LogView(
        value(record.get("body")),
        severity(record.get("severityNumber")),
        record.get("severityText"),
        attributes=attributes(record.get("attributes")),
        event_name=record.get("eventName"),
        trace_id=record.get("traceId"),
        span_id=record.get("spanId"),
        resource_attributes=attributes(resource.get("attributes")),
        resource_schema_url=resource_logs.get("schemaUrl"),
        scope_name=scope.get("name"),
        scope_version=scope.get("version"),
        scope_attributes=attributes(scope.get("attributes")),
        scope_schema_url=scope_logs.get("schemaUrl"),
    )


def filtered(policies, document):
    """The document without what the policies drop, and without scopes and resources that became empty."""
    resources = []
    for resource_logs in document.get("resourceLogs", []):
        scopes = []
        for scope_logs in resource_logs.get("scopeLogs", []):
            records = [
                record
                for record in scope_logs.get("logRecords", [])
                if policies.evaluate(view_of(record, scope_logs, resource_logs)).keep
            ]
            if records:
                scopes.append({**scope_logs, "logRecords": records})
        if scopes:
            resources.append({**resource_logs, "scopeLogs": scopes})
    return {"resourceLogs": resources}


def normal(node):
    """As the suite compares: no empty fields, severity names and all-digit strings as numbers."""
    if isinstance(node, dict):
        found = {key: normal(item) for key, item in node.items()}
        return {key: item for key, item in found.items() if item and item != "SEVERITY_NUMBER_UNSPECIFIED"}
    if isinstance(node, list):
        return [normal(item) for item in node]
    if isinstance(node, str) and node.startswith("SEVERITY_NUMBER_"):
        return severity(node)
    return int(node) if isinstance(node, str) and re.fullmatch("[0-9]+", node) else node


def known_part(error):
    """Of an error's text what the suite fixes: the engine's own reason after it is free."""
    if error.startswith("log: keep"):
        return "log: keep"
    found = re.match(r'.*invalid regex "[^"]*"', error)
    return found[0] if found else error


def stats_of(policies):
    """Per policy: hits, misses, errors."""
    return {
        one["policy_id"]: (
            one.get("hits", 0),
            one.get("misses", 0),
            [known_part(error) for error in one.get("errors", [])],
        )
        for one in policies
    }


@pytest.mark.skipif(not CASES, reason=f"the conformance suite is not there: no log cases in {FOLDER}")
class TestSuite:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_case_comes_out_as_the_suite_expects(self, case):
        """Records kept, hits, misses and reported errors are those of the suite."""
        policies = PolicySet(load([str(case / "policies.json")]).policies)
        output = filtered(policies, json.loads((case / "input.json").read_text(encoding="utf-8")))
        assert normal(output) == normal(json.loads((case / "expected.json").read_text(encoding="utf-8")))
        got = [vars(one) for one in policies.stats()]
        expected = json.loads((case / "expected_stats.json").read_text(encoding="utf-8"))
        assert stats_of(got) == stats_of(expected["policies"])
