"""Transforms: parsing, order, every operation on every home, isolation of what fails."""

import pytest

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.parse import policy as parse
from otel_logging.policy.template import Template
from otel_logging.policy.view import LogView


def rule(name="p", keep=None, match=None, **transform):
    made = parse(
        {
            "id": name,
            "name": name,
            "log": {"match": match or [{"log_field": "body", "exists": True}], "keep": keep, "transform": transform},
        },
        0,
    )
    assert not made.errors, made.errors
    return made


def view(**given):
    return LogView(given.pop("body", "text"), 9, "INFO", **given)


def changed(record, **transform):
    assert PolicySet([rule(**transform)]).transform(record)
    return record


HOMES = [
    ("log_attribute", "attributes"),
    ("resource_attribute", "resource_attributes"),
    ("scope_attribute", "scope_attributes"),
]


class TestOperations:
    @pytest.mark.parametrize(("selector", "home"), HOMES)
    def test_each_home(self, selector, home):
        """Remove, redact, rename and add work on attributes of the record, the resource and the scope."""
        record = view(**{home: {"a": 1, "b": "x", "c": "old"}})
        changed(record, remove=[{selector: "a"}], redact=[{selector: "b"}], rename=[{f"from_{selector}": "c", "to": "d"}], add=[{selector: "e", "value": "new"}])  # fmt: skip
        assert getattr(record, home) == {"b": "[REDACTED]", "d": "old", "e": "new"}

    def test_nested(self):
        """A path leads into maps; what leads to an added field is made, a scalar on the way is left alone."""
        record = view(attributes={"http": {"a": 1, "b": "x", "c": "y"}, "n": 3})
        changed(record, remove=[{"log_attribute": ["http", "a"]}, {"log_attribute": ["n", "x"]}], redact=[{"log_attribute": ["http", "b"], "replacement": "-"}],
                rename=[{"from_log_attribute": ["http", "c"], "to": "d"}], add=[{"log_attribute": ["new", "in", "here"], "value": "v"}, {"log_attribute": ["n", "x"], "value": "v"}])  # fmt: skip
        assert record.attributes == {"http": {"b": "-", "d": "y"}, "n": 3, "new": {"in": {"here": "v"}}}

    def test_fields(self):
        """Body, severity text, event name and ids can be changed; text in an id leaves none unless it is one."""
        record = view(trace_id="ab" * 16, span_id="cd" * 8, event_name="e")
        changed(record, remove=[{"log_field": "event_name"}], redact=[{"log_field": "trace_id"}, {"log_field": "body"}],
                add=[{"log_field": "span_id", "value": "12" * 8, "upsert": True}, {"log_field": "severity_text", "value": "X"}])  # fmt: skip
        assert (record.event_name, record.trace_id, record.body) == (None, None, "[REDACTED]")
        assert (record.span_id, record.severity_text) == (b"\x12" * 8, "INFO")

    def test_what_was_given_is_never_written_to(self):
        """The mappings a view is made of belong to others."""
        inner = {"b": "x"}
        given = {"a": inner, "c": 1}
        record = changed(
            view(attributes=given), redact=[{"log_attribute": ["a", "b"]}], remove=[{"log_attribute": "c"}]
        )
        assert (given, inner) == ({"a": inner, "c": 1}, {"b": "x"})
        assert record.attributes == {"a": {"b": "[REDACTED]"}}

    def test_upsert(self):
        """What is there already is overwritten only where the operation says so."""
        record = view(attributes={"a": 1, "b": 2, "c": 3})
        changed(record, rename=[{"from_log_attribute": "a", "to": "b"}, {"from_log_attribute": "c", "to": "b", "upsert": True}, {"from_log_attribute": "zz", "to": "b", "upsert": True}],
                add=[{"log_attribute": "a", "value": "no"}])  # fmt: skip
        assert record.attributes == {"a": 1, "b": 3}

    def test_nothing_to_do(self):
        """Operations on what is not there change nothing, and say so."""
        policies = PolicySet(
            [
                rule(
                    remove=[{"log_attribute": "x"}],
                    redact=[{"log_attribute": "x"}, {"log_attribute": "n", "regex": "."}],
                    rename=[{"from_log_field": "body", "to": "x"}],
                )
            ]
        )
        record = view(attributes={"n": 42})
        assert not policies.transform(record)
        assert (record.body, record.attributes) == ("text", {"n": 42})


class TestTemplates:
    @pytest.mark.parametrize(
        ("pattern", "replacement", "text", "result"),
        [
            ("a", "-", "banana", "b-n-n-"),
            ("(b)(c)?", "[$1$2$3]", "abc ab", "a[bc] a[b]"),
            ("x", "$$1 $", "x", "$1 $"),
            ("(?P<n>.)y", "${n}${0}${9}${none}!", "xy", "xxy!"),
            ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", "$10-$1", "abcdefghij", "j-a"),
            ("(?i)BEARER", "*", "Bearer bearer", "* *"),
            ("שלום", "[$0]", "אמר שלום לך", "אמר [שלום] לך"),
            ("x*", "-", "ab", "-a-b-"),
            ("z", "-", "ab", "ab"),
        ],
    )
    def test_references(self, pattern, replacement, text, result):
        """All matches give way to the template; missing groups are empty, `$$` is a dollar sign."""
        assert Template(pattern, replacement).replace(text) == result

    def test_a_lone_surrogate(self):
        """Text that UTF-8 cannot carry is redacted all the same."""
        assert Template("secret", "-").replace("\ud800 secret") == "? -"

    def test_spared_places(self):
        """A match that overlaps a spared place stays."""
        assert Template("[0-9]+", "-").replace("12 34", spared=[(0, 2)]) == "12 -"


class TestPolicies:
    def test_conditions_come_first_and_ids_give_the_order(self):
        """All conditions are looked at before the first change, which the first policy by id makes."""
        policies = PolicySet([
            rule("b", match=[{"log_field": "body", "exact": "text"}], add=[{"log_attribute": "tag", "value": "b", "upsert": True}]),
            rule("a", redact=[{"log_field": "body"}], add=[{"log_attribute": "tag", "value": "a", "upsert": True}]),
        ])  # fmt: skip
        record = view()
        assert policies.transform(record)
        assert (record.body, record.attributes) == ("[REDACTED]", {"tag": "b"})

    def test_each_stage_is_that_of_all_policies(self):
        """All remove before one redacts, all redact before one renames, all rename before one adds, whatever their ids."""
        rules = [
            rule("a", add=[{"log_attribute": "new", "value": "added"}], rename=[{"from_log_attribute": "old", "to": "named"}]),
            rule("b", redact=[{"log_attribute": "old"}, {"log_attribute": "named"}], remove=[{"log_attribute": "new"}]),
        ]  # fmt: skip
        record = view(attributes={"old": "x", "new": "y"})
        assert PolicySet(rules).transform(record)
        assert record.attributes == {"named": "[REDACTED]", "new": "added"}

    def test_what_was_built_on_a_failing_policy_is_undone_too(self):
        """A record is as if a failing policy did not exist, also where another policy changed what it had left."""
        rules = [
            rule("a", redact=[{"log_attribute": "x", "replacement": "a"}]),
            rule("b", redact=[{"log_attribute": "x", "regex": "^a$", "replacement": "b"}]),
        ]
        policies = PolicySet(rules)
        first = policies._compiled[0]
        first.changes = (*first.changes[:3], (lambda _view: 1 // 0,))
        record = view(attributes={"x": "text"})
        assert not policies.transform(record)
        assert record.attributes == {"x": "text"}
        assert {one.policy_id: len(one.errors) for one in policies.stats()} == {"a": 1, "b": 0}

    def test_a_failing_policy_is_undone(self, monkeypatch):
        """What a policy did before it failed is taken back; the others are carried out, and the failure is counted."""
        bad, good = (
            rule("bad", redact=[{"log_field": "body"}], remove=[{"log_attribute": "x"}]),
            rule("good", add=[{"log_attribute": "a", "value": "b"}]),
        )
        policies = PolicySet([bad, good])

        def fail(_view):
            raise OSError("no")

        one = next(one for one in policies._compiled if one.id == "bad")
        one.changes = (*one.changes[:3], (fail,))
        record = view(attributes={"x": 1})
        assert policies.transform(record)
        assert (record.body, record.attributes) == ("text", {"x": 1, "a": "b"})
        assert [(one.policy_id, one.hits, one.errors) for one in policies.stats()] == [
            ("bad", 1, ("failed on 1 records, last with OSError",)), ("good", 1, ()),
        ]  # fmt: skip

    def test_they_have_no_say_in_what_is_kept(self):
        """A policy that only transforms costs the gate nothing: neither fields to read nor patterns."""
        policies = PolicySet(
            [rule("t", match=[{"log_attribute": "a", "exists": True}], redact=[{"log_attribute": "a"}])]
        )
        assert (policies.text_only, policies.only_frames, policies.has_transforms) == (True, True, True)
        assert policies.match(view(attributes={"a": 1})) == ()

    def test_counts(self):
        """A kept record is a hit of all that match it, a dropped one a miss of those that would have changed it."""
        drop = parse(
            {"id": "drop", "name": "d", "log": {"match": [{"log_field": "body", "contains": "no"}], "keep": "none"}}, 0
        )
        policies = PolicySet([drop, rule("t", redact=[{"log_field": "body"}])])
        assert not policies.evaluate(view(body="no")).keep
        record = view(body="yes")
        assert policies.evaluate(record).keep
        policies.transform(record, evaluated=True)
        policies.transform(view(body="later"))
        assert [(one.policy_id, one.hits, one.misses) for one in policies.stats()] == [("drop", 1, 0), ("t", 2, 1)]


class TestErrors:
    @pytest.mark.parametrize(
        ("transform", "error"),
        [
            ({"redact": [{"log_field": "body"}, {"log_field": "body", "regex": "([a"}]}, 'log: transform: redact[1]: invalid regex "([a": missing ]: [a'),
            ({"remove": [{}]}, "log: transform: remove[0]: no field set; one of log_field, log_attribute, resource_attribute, scope_attribute is needed"),
            ({"rename": [{"from_log_attribute": "a"}]}, "log: transform: rename[0]: `to` is needed: the new name"),
            ({"add": [{"log_attribute": "a", "value": 1}]}, "log: transform: add[0]: value must be a string, not 1; write it in quotes"),
            ({"add": [{"log_attribute": "a", "value": "b", "upsert": "yes"}]}, "log: transform: add[0]: upsert must be true or false, not 'yes'"),
            ({"redact": [{"log_field": "scope_name"}]}, "log: transform: redact[0]: scope_name can be matched, not changed"),
            ({"redact": "body"}, "log: transform: redact: must be a list"),
            ({"mask": []}, "log: transform: unknown field 'mask'; valid: remove, redact, rename, add"),
        ],
    )  # fmt: skip
    def test_say_where(self, transform, error):
        """A wrong operation makes its policy inert, with its place in the sentence."""
        made = parse({"id": "p", "log": {"match": [{"log_field": "body", "exists": True}], "transform": transform}}, 0)
        assert [str(one) for one in made.errors] == [error]
        assert not PolicySet([made]).has_transforms
