"""The Telemetry Policy conformance suite, read where it lies: its log cases, through `policy eval`.

The cases come from the folder that OTEL_LOGGING_POLICY_CONFORMANCE names, or from `../shared/policy-conformance`
beside the repository. Each is a folder with policies.json, input.json (OTLP/JSON), expected.json, expected_stats.json.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from otel_logging.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("OTEL_LOGGING_POLICY_CONFORMANCE") or REPOSITORY.parent / "shared" / "policy-conformance")
SEVERITIES = [
    f"{name}{step}" for name in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL") for step in ("", 2, 3, 4)
]


CASES = sorted(path.parent for path in FOLDER.glob("logs_*/policies.json"))


def severity(number):
    """A severity number, given by its name."""
    name = number.removeprefix("SEVERITY_NUMBER_")
    return SEVERITIES.index(name) + 1 if name in SEVERITIES else 0


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
    def test_case_comes_out_as_the_suite_expects(self, case, tmp_path):
        """Through the runner's interface: records, hits, misses and reported errors are those of the suite."""
        output, stats = tmp_path / "output.json", tmp_path / "stats.json"
        arguments = ["--policies", case / "policies.json", "--input", case / "input.json", "--output", output]
        arguments += ["--stats", stats, "--signal", "log"]
        assert main(["policy", "eval", *map(str, arguments)]) == 0
        got = json.loads(output.read_text(encoding="utf-8"))
        assert normal(got) == normal(json.loads((case / "expected.json").read_text(encoding="utf-8")))
        counted = json.loads(stats.read_text(encoding="utf-8"))["policies"]
        expected = json.loads((case / "expected_stats.json").read_text(encoding="utf-8"))
        assert stats_of(counted) == stats_of(expected["policies"])
