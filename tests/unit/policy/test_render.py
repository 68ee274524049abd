"""Rendering for the Collector: what is said, what is refused, what is noted. That it does the same is tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from otel_logging.policy.collector_file import document, yaml_text
from otel_logging.policy.parse import policy
from otel_logging.policy.render import LET_THROUGH, render
from otel_logging.policy.sets import asked_for

ROOT = Path(__file__).parents[3]
BODY = {"log_field": "body", "exact": "x"}
FRAME = [{"key": "otel-logging.class", "value": {"string_value": "frame"}}]
PRIVACY = [{"key": "otel-logging.class", "value": {"string_value": "privacy"}}]


def made(keep="none", match=(BODY,), labels=(), name="p", **log):
    """One policy."""
    parsed = policy(
        {"id": name, "labels": list(labels), "log": {"match": list(match), "keep": keep, **log}}, 0, "r.yaml"
    )
    assert parsed.errors == ()
    return parsed


class TestDrops:
    def test_nothing_drops_what_was_let_through(self):
        """Every condition leaves records alone that an override let through."""
        key = {"log_attribute": "conv"}
        rendered = render(
            [made(), made("0%", name="b"), made("10%", [{**key, "exists": True}], sample_key=key, name="c")]
        )
        assert len(rendered.conditions) == 3
        assert all(line.ottl.startswith(f"{LET_THROUGH} and ") for line in rendered.conditions)

    @pytest.mark.parametrize("keep", ["all", "100%"])
    def test_what_keeps_all_drops_nothing(self, keep):
        """A policy that keeps everything has no condition."""
        assert render([made(keep)]).conditions == ()

    def test_what_matches_nothing_is_noted(self):
        """A policy that no record can match has no condition, and a note says so."""
        rendered = render([made(match=[{"log_field": "severity_text", "gt": 1}])])
        assert rendered.conditions == ()
        assert rendered.notes == ("r.yaml: policy 'p' is left out: it matches no record",)


class TestRefusals:
    @pytest.mark.parametrize(
        ("one", "place", "what"),
        [
            (made("3/m"), "log: keep", "3/60s: the Collector keeps no counts"),
            (made("10%"), "log: keep", "10% without a sample_key"),
            (made("10%", sample_key={"log_attribute": "conv"}), "log: sample_key", "a record without it"),
        ],
    )
    def test_what_cannot_be_said(self, one, place, what):
        """It is refused with file, policy, place, what is valid and what happens; or passes here, with a note."""
        rendered = render([one])
        assert len(rendered.refused) == 1
        assert rendered.refused[0].startswith(f"r.yaml: policy 'p': {place}: {what}")
        assert "; valid for the Collector: " in rendered.refused[0]
        assert rendered.refused[0].endswith("; nothing is rendered")
        near = render([one], approximate=True)
        assert near.refused == ()
        assert near.notes[0].startswith(f"r.yaml: policy 'p': {place}: {what}")
        assert " here" in near.notes[0]

    def test_a_span_id_has_no_lot(self):
        """A sample by span id is refused whatever is asked for."""
        key = {"log_field": "span_id"}
        refused = render([made("10%", [{**key, "exists": True}], sample_key=key)], approximate=True).refused
        assert refused[0].startswith("r.yaml: policy 'p': log: sample_key: OTTL has no hash of a span_id; valid")

    def test_privacy_policies(self):
        """They are refused together, or hold for the body and attributes that are text, and ours come back."""
        redact = [{"log_field": "body", "regex": "a+"}]
        one = made("all", [{"log_field": "body", "regex": "a+"}], PRIVACY, transform={"redact": redact})
        assert render([one]).refused[0].startswith("r.yaml: 'p': in the application these hold for every text")
        statements = [line.ottl for line in render([one], approximate=True).statements]
        assert statements[2:4] == [
            'replace_pattern(log.body, "a+", "[REDACTED]")',
            'replace_all_patterns(log.attributes, "value", "a+", "[REDACTED]")',
        ]
        assert statements[1].startswith("keep_matching_keys(")
        assert statements[4].startswith("merge_maps(log.attributes, ")
        assert len(statements) == 5


class TestTransforms:
    def test_conditions_come_before_changes(self):
        """All policies are matched before the first change, then work in the order of ids, frames by their severity."""
        change = {"add": [{"log_attribute": "t", "value": "1", "upsert": True}]}
        rendered = render(
            [made("all", name="b", transform=change), made("all", labels=FRAME, name="a", transform=change)]
        )
        assert [line.ottl.partition(" where ")[0] for line in rendered.statements] == [
            'set(log.cache["a"], true)',
            'set(log.cache["b"], true)',
            'set(log.attributes["t"], "1")',
            'set(log.attributes["t"], "1")',
        ]
        assert "severity_number < 13" in rendered.statements[0].ottl
        assert LET_THROUGH not in rendered.statements[1].ottl

    def test_each_stage_is_that_of_all_policies(self):
        """All policies remove, then all redact, rename and add, as in the application."""
        first = {"add": [{"log_attribute": "x", "value": "1"}], "redact": [{"log_attribute": "y"}]}
        second = {"remove": [{"log_attribute": "x"}], "rename": [{"from_log_attribute": "z", "to": "y"}]}
        lines = render([made("all", name="a", transform=first), made("all", name="b", transform=second)]).statements
        said = [line.policy.id for line in lines if "log.cache" not in line.ottl.partition(" where ")[0]]
        assert said == ["b", "a", "b", "b", "a"]  # the one in the middle is a renaming: set, and delete
        assert lines[-1].ottl.startswith('set(log.attributes["x"], "1")')

    def test_shared_resources_are_noted(self):
        """Who changes a resource is told that all records that share it see the change."""
        change = {"remove": [{"resource_attribute": "host.name"}]}
        assert render([made("all", transform=change)]).notes == (
            "r.yaml: policy 'p': a resource or scope that it changes is changed for all records that share it",
        )


class TestLeftOut:
    def test_as_in_the_application(self):
        """Broken and disabled policies and those for other signals are left out, each with a note; the rest is said."""
        broken = policy({"id": "broken", "log": {"match": [{"log_field": "body", "regex": "("}]}}, 0, "r.yaml")
        other = policy({"id": "metric", "metric": {"match": []}}, 0, "r.yaml")
        disabled = policy({"id": "off", "enabled": False, "log": {"match": [BODY], "keep": "none"}}, 0, "r.yaml")
        rendered = render([broken, other, disabled, made()])
        assert len(rendered.conditions) == 1
        assert rendered.refused == ()
        assert [note.partition(" is left out")[0] for note in rendered.notes] == [
            "r.yaml: policy 'broken'", "r.yaml: policy 'metric'", "r.yaml: policy 'off'",
        ]  # fmt: skip

    def test_extensions(self):
        """Extensions belong to the application: left out with a note."""
        rendered = render(asked_for(["voice"], "none")[0], approximate=True)
        assert any("extension otel-logging/flight-recorder is left out" in note for note in rendered.notes)


class TestFile:
    def test_text_and_data_are_one(self):
        """The YAML that people read says what the data says, whatever stands in names and patterns."""
        odd = 'it\'s "$5" \\ \n\t\u202e ש # : - {x} %'
        one = policy(
            {"id": f"p'{odd}", "name": f"na: me\n# {odd}", "log": {
                "match": [{"log_field": "body", "contains": odd}, {"log_attribute": odd, "regex": r"^\$\d+'$"}], "keep": "none"}},
            0, "r.yaml",
        )  # fmt: skip
        change = {"redact": [{"log_field": "body", "regex": "(a)", "replacement": "$1$$"}]}
        rendered = render([one, made("all", transform=change)])
        assert yaml.safe_load(yaml_text(rendered, "make it")) == document(rendered)
        condition = document(rendered)["processors"]["filter/policies"]["log_conditions"][0]
        assert "$$" in condition
        assert "$" not in condition.replace("$$", "")

    def test_nothing_to_say(self):
        """Both processors are there when they have nothing to do: a pipeline names them."""
        assert document(render([])) == {
            "processors": {"filter/policies": {"error_mode": "ignore"}, "transform/policies": {"error_mode": "ignore"}}
        }

    def test_committed_file(self):
        """collector/policies.yaml is what its own first lines render."""
        text = (ROOT / "collector" / "policies.yaml").read_text(encoding="utf-8")
        command = "otel-logging policy render --to collector --policies voice --privacy secrets --approximate"
        assert command in text.replace("\n# ", " ")
        policies, loaded = asked_for(["voice"], "secrets")
        assert loaded.errors == []
        assert text == yaml_text(render(policies, approximate=True), command)
