"""The corners of the specification, each through `policy eval`: OTLP/JSON in, OTLP/JSON and counts out."""

from __future__ import annotations

import base64
import json

import pytest

from otel_logging.cli import main

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
BODY = {"log_field": "body", "exists": True}


def any_value(value):
    """A Python value as OTLP/JSON writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {"stringValue": value}


def pairs(values):
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def plain(value):
    """The Python value of an AnyValue."""
    ((kind, found),) = value.items()
    if kind == "kvlistValue":
        return attributes(found["values"])
    return int(found) if kind == "intValue" else found


def attributes(found):
    return {one["key"]: plain(one["value"]) for one in found or []}


class Eval:
    """One run: records in, what is left of them out."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, policies, *records, resource=None, scope=None, resource_url="", scope_url=""):
        """Records are dicts in OTLP/JSON's keys, with plain Python values; gives those that stay, and sets `stats`."""
        made = []
        for number, record in enumerate(records):
            one = {"body": {"stringValue": f"r{number}"}, **record}
            if not isinstance(one["body"], dict) or "stringValue" not in one["body"]:
                one["body"] = any_value(one["body"])
            one["attributes"] = pairs(one.get("attributes") or {})
            made.append(one)
        document = {
            "resourceLogs": [
                {
                    "resource": {"attributes": pairs(resource or {})},
                    "schemaUrl": resource_url,
                    "scopeLogs": [
                        {"scope": {"attributes": pairs(scope or {})}, "schemaUrl": scope_url, "logRecords": made}
                    ],
                }
            ]
        }
        names = {name: self.folder / f"{name}.json" for name in ("policies", "input", "output", "stats")}
        whole = [{"id": f"p{number}", "name": "p", **one} for number, one in enumerate(policies)]
        names["policies"].write_text(json.dumps({"policies": whole}), encoding="utf-8")
        names["input"].write_text(json.dumps(document), encoding="utf-8")
        argv = [part for name, path in names.items() for part in (f"--{name}", str(path))]
        assert main(["policy", "eval", *argv, "--signal", "log"]) == 0
        told = json.loads(names["stats"].read_text(encoding="utf-8"))["policies"]
        self.stats = {one["policy_id"]: (one["hits"], one.get("misses", 0)) for one in told}
        self.errors = {one["policy_id"]: one["errors"] for one in told if "errors" in one}
        output = json.loads(names["output"].read_text(encoding="utf-8"))
        left = output.get("resourceLogs") or []
        self.resource = attributes(left[0]["resource"]["attributes"]) if left else None
        self.scope = attributes(left[0]["scopeLogs"][0]["scope"]["attributes"]) if left else None
        kept = left[0]["scopeLogs"][0]["logRecords"] if left else []
        return [
            {
                **one,
                "body": plain(one["body"]) if one.get("body") else None,
                "attributes": attributes(one["attributes"]),
            }
            for one in kept
        ]


@pytest.fixture
def run(tmp_path):
    return Eval(tmp_path)


def drops(matcher):
    return {"log": {"match": [matcher], "keep": "none"}}


class TestSpellings:
    @pytest.mark.parametrize(
        "matcher",
        [
            {"log_field": "severity_text", "exact": "INFO"},
            {"logField": "LOG_FIELD_SEVERITY_TEXT", "exact": "INFO"},
            {"logField": "severityText", "exact": "INFO"},
            {"log_field": "LOG_FIELD_SEVERITY_TEXT", "equals": "INFO"},
            {"log_field": 2, "equals": {"string_value": "INFO"}},
            {"logField": "severity_text", "equals": {"stringValue": "info"}, "caseInsensitive": True},
            {"logField": "severity_text", "startsWith": "IN"},
            {"log_field": "severity_text", "ends_with": "fo", "case_insensitive": True},
            {"log_attribute": "a.b", "exact": "x"},
            {"logAttribute": ["a.b"], "exact": "x"},
            {"logAttribute": {"path": ["a.b"]}, "exact": "x"},
            {"log_attribute": ["deep", "er", "est"], "equals": 5},
            {"resourceAttribute": "service.name", "contains": "api"},
            {"resource_attribute": {"path": ["k8s", "pod"]}, "exists": True},
            {"scopeAttribute": "lib", "regex": "^l.b$"},
            {"logField": "resourceSchemaUrl", "endsWith": "1.2.0"},
            {"log_field": "LOG_FIELD_SCOPE_SCHEMA_URL", "contains": "SCOPE", "case_insensitive": True},
            {"logField": "traceId", "exact": TRACE.upper()},
            {"logField": "span_id", "equals": {"hexValue": SPAN}},
            {"logField": "eventName", "equals": "call.end"},
        ],
    )
    def test_each_selects(self, run, matcher):
        """Canonical and shorthand, snake_case and camelCase mean the same; a record that has none of it stays."""
        record = {
            "severityText": "INFO", "traceId": TRACE, "spanId": SPAN, "eventName": "call.end",
            "attributes": {"a.b": "x", "deep": {"er": {"est": 5}}},
        }  # fmt: skip
        shared = {
            "resource": {"service.name": "api", "k8s": {"pod": "p"}}, "scope": {"lib": "lib"},
            "resource_url": "https://x/1.2.0", "scope_url": "https://scope/1",
        }  # fmt: skip
        assert run([drops(matcher)], record, **shared) == []
        assert run.stats == {"p0": (1, 0)}
        assert len(run([drops(matcher)], {})) == 1
        assert run.stats == {}

    def test_a_path_is_no_key(self, run):
        """`a.b` is one key and `[a, b]` two; neither finds what the other does."""
        flat, nested = {"attributes": {"a.b": "x"}}, {"attributes": {"a": {"b": "x"}}}
        assert [one["body"] for one in run([drops({"log_attribute": "a.b", "exists": True})], flat, nested)] == ["r1"]
        assert [one["body"] for one in run([drops({"log_attribute": ["a", "b"], "exists": True})], flat, nested)] == [
            "r0"
        ]


class TestValues:
    @pytest.mark.parametrize(
        ("condition", "dropped"),
        [
            ({"equals": 5}, [5, 5.0]),
            ({"equals": {"int_value": "5"}}, [5, 5.0]),
            ({"equals": {"doubleValue": 5}}, [5, 5.0]),
            ({"equals": "5"}, ["5"]),
            ({"exact": "5"}, ["5"]),
            ({"equals": {"boolValue": True}}, [True]),
            ({"equals": False}, [False]),
            ({"equals": {"bytes_value": "AAE="}}, [b"\0\1"]),
            ({"equals": {"hexValue": "0001"}}, [b"\0\1"]),
            ({"gt": 5}, [5.5, 6]),
            ({"gte": {"intValue": "5"}}, [5, 5.0, 5.5, 6]),
            ({"lt": 5.5}, [5, 5.0, -1]),
            ({"lte": {"double_value": "5.5"}}, [5, 5.0, 5.5, -1]),
            ({"exists": True}, ["5", 5, 5.0, 5.5, 6, -1, True, False, b"\0\1", "", [5], {"a": 5}]),
            ({"contains": ""}, ["5", "", b"\0\1"]),
        ],
    )
    def test_types_tell(self, run, condition, dropped):
        """A condition holds for values of its type, with numbers of both kinds as one; its negation for all others."""
        values = ["5", 5, 5.0, 5.5, 6, -1, True, False, b"\0\1", "", [5], {"a": 5}]
        records = [{"body": f"{number}", "attributes": {"v": value}} for number, value in enumerate(values)]

        def same(one, other):
            return type(one) is type(other) and one == other

        meant = [f"{n}" for n, value in enumerate(values) if any(same(value, other) for other in dropped)]
        matcher = {"log_attribute": "v", **condition}
        kept = [one["body"] for one in run([drops(matcher)], *records, {"body": "none"})]
        assert sorted({f"{n}" for n in range(len(values))} - set(kept)) == sorted(meant)
        assert "none" in kept
        kept = [one["body"] for one in run([drops({**matcher, "negate": True})], *records, {"body": "none"})]
        assert sorted(kept) == sorted(meant)


class TestKeep:
    @pytest.mark.parametrize(
        ("keep", "number"),
        [
            (None, 4), ("all", 4), ("", 4), ("none", 0), ("0%", 0), ("100%", 4), ("100.0%", 4),
            ("2/s", 2), ("3/m", 3), ("1/10s", 1), ("2/5m", 2), ("4294967295/s", 4),
        ],
    )  # fmt: skip
    def test_forms(self, run, keep, number):
        """Each form keeps as many of four records; all of them count as hits of the only policy."""
        policy = {"log": {"match": [BODY], **({} if keep is None else {"keep": keep})}}
        assert len(run([policy], {}, {}, {}, {})) == number
        assert run.stats == {"p0": (4, 0)}

    @pytest.mark.parametrize(
        "keep", ["some", "-1%", "101%", "5/h", "0/s", "1/0s", "1.5/s", "all ways", "NONE", 5, True, "%", "/s", "10 %"]
    )
    def test_what_is_none(self, run, keep):
        """Anything else is an error of this policy, which then has no part in anything."""
        assert len(run([{"log": {"match": [BODY], "keep": keep}}], {}, {})) == 2
        assert run.stats == {"p0": (0, 0)}
        assert run.errors["p0"][0].startswith("log: keep: invalid value")

    @pytest.mark.parametrize(
        ("selector", "values"),
        [
            ({"log_field": "trace_id"}, [{"traceId": f"{n:032x}"} for n in range(1, 200)]),
            ({"log_field": "span_id"}, [{"spanId": f"{n:016x}"} for n in range(1, 200)]),
            ({"logField": "LOG_FIELD_BODY"}, [{"body": f"b{n}"} for n in range(200)]),
            ({"log_field": "severity_text"}, [{"severityText": f"s{n}"} for n in range(200)]),
            ({"log_field": "event_name"}, [{"eventName": f"e{n}"} for n in range(200)]),
            ({"log_attribute": ["a", "b"]}, [{"attributes": {"a": {"b": n}}} for n in range(200)]),
            ({"logAttribute": {"path": ["k"]}}, [{"attributes": {"k": n % 2 == 0}} for n in range(200)]),
        ],
    )
    def test_a_sample_key_decides_once(self, run, selector, values):
        """Records with one value of the key share one fate, also in another run."""
        policy = {"log": {"match": [BODY], "keep": "50%", "sampleKey": selector}}
        records = [{"body": f"b{n}", **one, "flags": n + 1} for n, one in enumerate(values)]
        first = {one["flags"] for one in run([policy], *records)}
        assert {one["flags"] for one in run([policy], *reversed(records))} == first
        again = run([policy], *records, *records)
        assert sorted(one["flags"] for one in again) == sorted([*first, *first])

    def test_rates_by_sample_key(self, run):
        """With a key a rate is counted for each of its values."""
        policy = {"log": {"match": [BODY], "keep": "1/m", "sample_key": {"resource_attribute": "service.name"}}}
        assert len(run([policy], {}, {}, {}, resource={"service.name": "a"})) == 1
        by_record = {"log": {"match": [BODY], "keep": "1/m", "sample_key": {"log_attribute": "k"}}}
        records = [{"attributes": {"k": n % 3}} for n in range(9)]
        assert [one["body"] for one in run([by_record], *records)] == ["r0", "r1", "r2"]

    def test_the_most_restrictive_wins(self, run):
        """None before a share, a lower share before a higher, a lower rate before a higher; the others miss."""
        rules = [
            {"id": "all", "log": {"match": [BODY], "keep": "all"}},
            {"id": "rate", "log": {"match": [BODY], "keep": "2/m"}},
            {"id": "lower-rate", "log": {"match": [BODY], "keep": "1/m"}},
            {"id": "share", "log": {"match": [{"log_attribute": "s", "exists": True}], "keep": "0%"}},
            {"id": "none", "log": {"match": [{"log_attribute": "n", "exists": True}], "keep": "none"}},
        ]
        kept = run(rules, {}, {}, {"attributes": {"s": 1}}, {"attributes": {"s": 1, "n": 1}})
        assert [one["body"] for one in kept] == ["r0"]
        assert run.stats == {
            "all": (1, 3), "rate": (1, 3), "lower-rate": (2, 2), "share": (1, 1), "none": (1, 0)
        }  # fmt: skip


class TestTransforms:
    def change(self, run, transform, record=None, **shared):
        (found,) = run([{"log": {"match": [BODY], "transform": transform}}], record or {}, **shared)
        assert not run.errors
        return found

    @pytest.mark.parametrize(
        ("field", "key"),
        [("body", "body"), ("severity_text", "severityText"), ("event_name", "eventName")],
    )
    def test_fields_of_the_record(self, run, field, key):
        """Fields are removed, redacted and set; what an `add` without upsert finds there stays."""
        record = {key: "here"} if key != "body" else {"body": "here"}
        assert not self.change(run, {"remove": [{"log_field": field}]}, record).get(key)
        assert self.change(run, {"redact": [{"log_field": field}]}, record)[key] == "[REDACTED]"
        assert self.change(run, {"add": [{"log_field": field, "value": "new"}]}, record)[key] == "here"
        assert self.change(run, {"add": [{"logField": field, "value": "new", "upsert": True}]}, record)[key] == "new"

    def test_ids(self, run):
        """An id is text in hex to a pattern, and must be an id afterwards."""
        record = {"traceId": TRACE, "spanId": SPAN}
        half = {"log_field": "trace_id", "regex": "^.{16}", "replacement": "0" * 16}
        assert self.change(run, {"redact": [half]}, record)["traceId"] == "0" * 16 + TRACE[16:]
        assert not self.change(run, {"redact": [{"log_field": "span_id"}]}, record)["spanId"]
        assert not self.change(run, {"remove": [{"log_field": "trace_id"}]}, record)["traceId"]
        added = self.change(run, {"add": [{"log_field": "span_id", "value": SPAN.upper()}]})
        assert added["spanId"].lower() == SPAN

    def test_nested_paths(self, run):
        """A path leads into maps; `add` makes the way, the others follow it only where it is."""
        record = {"attributes": {"a": {"b": "x", "c": 1}, "s": "text"}}
        assert self.change(run, {"remove": [{"log_attribute": ["a", "b"]}]}, record)["attributes"]["a"] == {"c": 1}
        found = self.change(run, {"add": [{"log_attribute": ["n", "o"], "value": "v"}]}, record)
        assert found["attributes"]["n"] == {"o": "v"}
        found = self.change(run, {"redact": [{"log_attribute": ["s", "x"]}, {"log_attribute": ["no", "way"]}]}, record)
        assert found["attributes"] == record["attributes"]

    def test_order(self, run):
        """Remove, redact, rename, add, whatever the file's order; within each as written."""
        transform = {
            "add": [{"log_attribute": "old", "value": "added"}, {"log_attribute": "gone", "value": "back"}],
            "rename": [{"from_log_attribute": "old", "to": "new"}, {"from_log_attribute": "new", "to": "newer"}],
            "redact": [
                {"log_attribute": "old", "regex": "a", "replacement": "b"},
                {"log_attribute": "old", "regex": "b", "replacement": "c"},
            ],
            "remove": [{"log_attribute": "gone"}],
        }
        found = self.change(run, transform, {"attributes": {"old": "aab", "gone": "x"}})
        assert found["attributes"] == {"newer": "ccc", "old": "added", "gone": "back"}

    @pytest.mark.parametrize(("upsert", "expected"), [(False, {"a": "1", "b": "2"}), (True, {"b": "1"})])
    def test_rename_onto_another(self, run, upsert, expected):
        """Without upsert both stay as they are; with it the source takes the target's place."""
        rename = {"fromLogAttribute": {"path": ["a"]}, "to": "b", "upsert": upsert}
        assert self.change(run, {"rename": [rename]}, {"attributes": {"a": "1", "b": "2"}})["attributes"] == expected

    def test_resource_and_scope(self, run):
        """What records share is changed too."""
        transform = {
            "redact": [{"resourceAttribute": "host", "replacement": "h"}],
            "rename": [{"from_scope_attribute": "a", "to": "b"}],
            "add": [{"resource_attribute": "env", "value": "prod"}, {"scope_attribute": "x", "value": "y"}],
        }
        self.change(run, transform, resource={"host": "secret"}, scope={"a": 1})
        assert run.resource == {"host": "h", "env": "prod"}
        assert run.scope == {"b": 1, "x": "y"}

    @pytest.mark.parametrize(
        ("regex", "replacement", "text", "result"),
        [
            (r"(\d+)-(\d+)", "$2/$1", "1-2 3-4", "2/1 4/3"),
            (r"(?P<user>\w+)@(?P<host>\w+)", "${host}:${user}$$", "a@b", "b:a$"),
            (r"(a)|(b)", "[$1$2$3${none}]", "ab", "[a][b]"),
            (r"a", "$0$0", "banana", "baanaanaa"),
            (r"(a)", "$1x ${1}1", "a", "ax a1"),
            (r"(?i)SECRET", "", "my secret", "my [REDACTED]"),
            (r"^x?", "-", "abc", "-abc"),
            (r"$", "!", "end", "end!"),
            (r"a*", "-", "baac", "-b-c-"),
            (r"(?m)$", ";", "a\nb", "a;\nb;"),
            (r"(?s)a.b", "c", "a\nb", "c"),
            (r"(?m)^l", "L", "l\nl", "L\nL"),
            (r"שלום", "היי", "שלום 📞", "היי 📞"),
            (r"\$(\d)", "€$1", "cost $5", "cost €5"),
        ],
    )
    def test_patterns(self, run, regex, replacement, text, result):
        """Each match is replaced by the template with its groups."""
        redact = {"log_field": "body", "regex": regex, "replacement": replacement}
        assert self.change(run, {"redact": [redact]}, {"body": text})["body"] == result

    def test_policies_together(self, run):
        """All that match transform a record that stays, stage by stage; one that a drop overrides does nothing."""
        rules = [
            {"id": "b", "log": {"match": [BODY], "transform": {"rename": [{"from_log_attribute": "z", "to": "y"}]}}},
            {
                "id": "a",
                "log": {
                    "match": [BODY],
                    "transform": {"add": [{"log_attribute": "x", "value": "1"}, {"log_attribute": "z", "value": "2"}]},
                },
            },
            {
                "id": "c",
                "log": {"match": [{"log_attribute": "y", "exists": True}], "transform": {"remove": [BODY_FIELD]}},
            },
        ]
        (found,) = run(rules, {})
        assert (found["attributes"], found["body"]) == ({"x": "1", "z": "2"}, "r0")
        assert run.stats == {"a": (1, 0), "b": (1, 0)}
        assert run([*rules, {"id": "d", **drops(BODY)}], {}) == []
        assert run.stats == {"a": (0, 1), "b": (0, 1), "d": (1, 0)}


BODY_FIELD = {"log_field": "body"}


class TestErrors:
    @pytest.mark.parametrize(
        ("log", "path"),
        [
            ({"match": [{"log_field": "body", "regex": "([bad"}]}, 'log: match[0]: invalid regex "([bad"'),
            ({"match": [BODY, {"log_field": "body", "regex": "a(?=b)"}]}, 'log: match[1]: invalid regex "a(?=b)"'),
            ({"match": [{"exact": "x"}]}, "log: match[0]: no field set"),
            ({"match": [{"log_field": "body"}]}, "log: match[0]: no match condition set"),
            ({"match": [{"log_attribute": [], "exact": "x"}]}, "log: match[0]: attribute has empty path"),
            ({"match": [{"log_field": "LOG_FIELD_UNSPECIFIED", "exact": "x"}]}, "log: match[0]: field is unspecified"),
            (
                {"match": [{"log_attribute": "a", "equals": {"hex_value": "0g"}}]},
                'log: match[0]: invalid hex_value "0g"',
            ),
            ({"match": [{"log_attribute": "a", "gt": "5"}]}, "log: match[0]:"),
            ({"match": []}, "log: match:"),
            ({"match": [BODY], "keep": "bogus"}, "log: keep:"),
            ({"match": [BODY], "sample_key": {"log_attribute": ""}}, "log: sample_key: attribute has empty path"),
            (
                {"match": [BODY], "transform": {"redact": [{"log_field": "body", "regex": "([x"}]}},
                'log: transform: redact[0]: invalid regex "([x"',
            ),
            ({"match": [BODY], "transform": {"rename": [{"from_log_attribute": "a"}]}}, "log: transform: rename[0]:"),
            ({"match": [BODY], "transform": {"add": [{"value": "a"}]}}, "log: transform: add[0]: no field set"),
        ],
    )
    def test_one_mistake_takes_out_one_policy(self, run, log, path):
        """A mistake is reported with its place; the policy has no part in anything, the others are in force."""
        kept = run([{"log": {"keep": "none", **log}}, drops({"log_field": "body", "exact": "r1"})], {}, {})
        assert [one["body"] for one in kept] == ["r0"]
        assert run.stats == {"p0": (0, 0), "p1": (1, 0)}
        assert run.errors["p0"][0].startswith(path)

    def test_what_takes_no_part(self, run):
        """Disabled policies and those for other signals are silent."""
        rules = [
            {"enabled": False, **drops(BODY)},
            {"metric": {"match": [{"metric_field": "name", "exists": True}], "keep": False}},
            {"trace": {"match": [], "keep": {"percentage": 1}}},
        ]
        assert len(run(rules, {})) == 1
        assert (run.stats, run.errors) == ({}, {})
