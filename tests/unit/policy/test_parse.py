"""Policies from decoded documents: every form, and every error with its place."""

from __future__ import annotations

import pytest

from otel_logging.policy.fields import Wrong
from otel_logging.policy.model import Extension, Field, Keep, Matcher
from otel_logging.policy.parse import keep_value, policies_in, policy

BODY = {"log_field": "body", "contains": "x"}


def parsed(log=None, **parts):
    return policy({"id": "p", "name": "P", "log": {"match": [BODY], **(log or {})}, **parts}, 0, "f.yaml")


def errors(found):
    return [str(error) for error in found.errors]


class TestPolicy:
    def test_a_whole_policy(self):
        """All that a log policy may say is read."""
        found = policy(
            {
                "id": "p",
                "name": "P",
                "description": "why",
                "createdAtUnixNano": "1",
                "labels": [{"key": "otel-logging.class", "value": {"stringValue": "frame"}}],
                "log": {
                    "match": [
                        {"logField": "LOG_FIELD_BODY", "startsWith": "a", "caseInsensitive": True, "negate": True}
                    ],
                    "keep": "5/10s",
                    "sampleKey": {"log_attribute": "id"},
                },
                "extensions": [
                    {"type": "otel-logging/x", "version": "1.0.0", "mode": "EXTENSION_MODE_DROPPED", "config": {"a": 1}}
                ],
            },
            0,
        )
        assert errors(found) == []
        assert found.match == (Matcher(Field("body"), "starts_with", "a", negate=True, case_insensitive=True),)
        assert found.keep == Keep("rate", limit=5, window=10)
        assert found.sample_key == Field("attribute", ("id",))
        assert found.extensions == (Extension("otel-logging/x", "1.0.0", {"a": 1}, "dropped"),)
        assert (found.name, found.description, found.enabled, found.frame) == ("P", "why", True, True)

    @pytest.mark.parametrize(
        ("value", "meant"),
        [
            ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "5"}]}}, ["a", 5]),
            ({"kvlist_value": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, {"k": True}),
            ({"bytesValue": "3q2+7w=="}, b"\xde\xad\xbe\xef"),
            ({"intValue": "5"}, 5),
        ],
    )
    def test_labels_hold_any_value(self, value, meant):
        """A label is an OTLP key-value: none of its types takes the policy out of force."""
        found = parsed(labels=[{"key": "team", "value": value}])
        assert (found.errors, found.labels) == ((), {"team": meant})

    @pytest.mark.parametrize("config", ["3q2+7w==", "eyJhIjogMX0=", "no base64", ["x"], 5])
    def test_the_config_of_a_foreign_extension_is_opaque(self, config):
        """An extension that is not ours is skipped, whatever its config is; its policy is in force."""
        found = parsed(extensions=[{"type": "com.example/x", "version": "1.0.0", "config": config, "mode": 2}])
        assert found.errors == ()
        assert found.extensions[0].mode == "dropped"
        assert found.extensions[0].config == ({"a": 1} if config == "eyJhIjogMX0=" else {})

    def test_the_config_of_our_extension_may_be_base64_and_must_be_a_mapping(self):
        """Protobuf's JSON writes bytes as base64; what is in it is checked as ever."""
        ours = {"type": "otel-logging/flight-recorder", "version": "1.0.0"}
        assert parsed(extensions=[{**ours, "config": "eyJhIjogMX0="}]).extensions[0].config == {"a": 1}
        found = parsed(extensions=[{**ours, "config": "W10="}])
        assert list(map(str, found.errors)) == ["extensions[0]: config must be a mapping"]

    def test_labels_may_be_a_mapping(self):
        """The short form of labels means the same."""
        assert parsed(labels={"otel-logging.class": "frame"}).frame
        assert not parsed(labels=[{"key": "team", "value": "voice"}]).frame

    def test_policies_for_other_signals_are_no_errors(self):
        """A file may hold metric and trace policies; they are not ours to judge."""
        found = policy({"id": "m", "metric": {"match": [], "keep": False}}, 0)
        assert (found.signal, errors(found)) == ("metric", [])

    def test_every_error_is_collected_with_its_place(self):
        """One pass tells an author all that is wrong."""
        found = policy(
            {
                "id": "p",
                "enabled": "yes",
                "log": {
                    "match": [
                        {"log_field": "body", "regex": "([bad"},
                        {"log_fild": "body", "exact": "x"},
                        {"exact": "x"},
                        {"log_field": "body"},
                        {"log_field": "body", "exact": 5, "negate": "no"},
                        {"log_field": "severity_number", "gte": "13"},
                        {"log_field": "body", "exists": "yes"},
                        {"log_field": "body", "exact": "a", "contains": "b"},
                        "body",
                    ],
                    "keep": "bogus",
                    "sample_key": {"log_field": "nope"},
                    "transform": {"encrypt": []},
                },
                "extensions": [{"type": "x"}, {"type": "x", "version": "1", "mode": "sometimes"}],
                "labels": 5,
            },
            0,
        )
        assert [error.split(";")[0] for error in errors(found)] == [
            'log: match[0]: invalid regex "([bad": missing ]: [bad',
            "log: match[1]: unknown field 'log_fild'",
            "log: match[2]: no field set",
            "log: match[3]: no match condition set",
            "log: match[4]: exact must be a string, not 5",
            "log: match[4]: negate must be true or false, not 'no'",
            "log: match[5]: a comparison needs a number, not a string",
            "log: match[6]: exists must be true or false, not 'yes'",
            "log: match[7]: more than one match condition set: exact, contains",
            "log: match[8]: a matcher must be a mapping, not a string",
            'log: keep: invalid value "bogus"',
            "log: sample_key: unknown log_field 'nope'",
            "log: transform: unknown field 'encrypt'",
            "enabled: must be true or false, not 'yes'",
            "labels: must be a list of key-values",
            "extensions[0]: a version is needed",
            "extensions[1]: unknown mode 'sometimes'",
        ]

    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            ("text", "a policy must be a mapping"),
            (None, "a policy must be a mapping"),
            ({"name": "no id", "log": {"match": [BODY]}}, "id: a non-empty string is needed"),
            ({"id": 5, "log": {"match": [BODY]}}, "id: a non-empty string is needed"),
            ({"id": "p"}, "exactly one of log, metric, trace is needed, 0 are given"),
            (
                {"id": "p", "log": {"match": [BODY]}, "trace": {}},
                "exactly one of log, metric, trace is needed, 2 are given",
            ),
            ({"id": "p", "enbled": False, "log": {"match": [BODY]}}, "unknown field 'enbled'"),
            ({"id": "p", "log": []}, "log: log must be a mapping, not a list"),
            ({"id": "p", "log": {"match": []}}, "log: match: at least one matcher is needed"),
            ({"id": "p", "log": {}}, "log: match: at least one matcher is needed"),
            ({"id": "p", "log": {"match": BODY}}, "log: match: must be a list of matchers"),
            ({"id": "p", "name": 7, "log": {"match": [BODY]}}, "name: must be a string"),
            ({"id": "p", "labels": [{"key": ""}], "log": {"match": [BODY]}}, "labels: a label needs a key"),
            ({"id": "p", "extensions": {}, "log": {"match": [BODY]}}, "extensions: must be a list"),
        ],
    )
    def test_structural_errors(self, raw, said):
        """A policy of the wrong shape is a policy with an error, never an exception."""
        assert any(error.startswith(said) for error in errors(policy(raw, 3)))

    def test_an_unnamed_policy_is_named_by_its_place(self):
        """Where there is no id, the place in the file stands for it."""
        assert policy({"log": {}}, 3).id == "policies[3]"


class TestKeep:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            (None, Keep()),
            ("", Keep()),
            ("all", Keep()),
            (" none ", Keep("none")),
            ("0%", Keep("sample", percent=0)),
            ("12.5%", Keep("sample", percent=12.5)),
            (".01%", Keep("sample", percent=0.01)),
            ("100%", Keep("sample", percent=100)),
            ("10/s", Keep("rate", limit=10, window=1)),
            ("2/m", Keep("rate", limit=2, window=60)),
            ("1/5s", Keep("rate", limit=1, window=5)),
            ("10/5m", Keep("rate", limit=10, window=300)),
        ],
    )
    def test_forms(self, given, meant):
        """All the forms of the specification."""
        assert keep_value(given) == meant

    @pytest.mark.parametrize(
        "given",
        [
            "banana",
            "101%",
            "-1%",
            "%",
            "1.5/s",
            "0/s",
            "1/0s",
            "1/1.5s",
            "1/h",
            "/s",
            "1/",
            "ALL",
            "1 /s",
            "99999999999/s",
            "٣/s",
            5,
            True,
            ["none"],
        ],
    )
    def test_anything_else_is_refused(self, given):
        """A keep value that is not one is told with what is valid, and never read as something permissive."""
        with pytest.raises(Wrong, match=r"invalid value .*; valid: all, none, N%, N/s"):
            keep_value(given)


class TestDocuments:
    def test_shapes_of_a_document(self):
        """A list under `policies`, a plain list and a single policy are the same; other keys beside the list are fine."""
        one = {"id": "p"}
        assert [list(policies_in(document)) for document in ({"policies": [one], "hash": "x"}, [one], one)] == [
            [one]
        ] * 3
        assert list(policies_in(None)) == list(policies_in({"policies": None})) == []

    @pytest.mark.parametrize("document", ["text", 5, {"policies": {"id": "p"}}])
    def test_what_is_no_policy_file(self, document):
        """Anything else is refused with a sentence."""
        with pytest.raises(Wrong):
            list(policies_in(document))
