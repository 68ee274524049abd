"""Policies at work: matching, deciding, counting, failing open."""

from __future__ import annotations

import threading

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.policy.engine import KEPT, PolicySet, PolicyStats
from otel_logging.policy.model import Field, Matcher, Policy
from otel_logging.policy.parse import policy as parse
from otel_logging.policy.view import LogView

INFO, WARN, ERROR = 9, 13, 17
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FRAME = {"otel-logging.class": "frame"}


def rule(name, *match, keep="none", **parts):
    log = {"match": list(match) or [{"log_field": "body", "exists": True}], "keep": keep}
    if "sample_key" in parts:
        log["sample_key"] = parts.pop("sample_key")
    found = parse({"id": name, "log": log, **parts}, 0)
    assert not found.errors, found.errors
    return found


def body(**condition):
    return {"log_field": "body", **condition}


def matches(matcher, view):
    return len(PolicySet([rule("p", matcher)]).match(view)) == 1


def counts(policies):
    return {one.policy_id: (one.hits, one.misses) for one in policies.stats()}


class TestMatchers:
    @pytest.mark.parametrize("place", ["body", "attribute"])
    @pytest.mark.parametrize(
        ("condition", "yes", "no"),
        [
            ({"exact": "Ab"}, ["Ab"], ["ab", "Abc", 5, True]),
            ({"equals": "Ab"}, ["Ab"], ["ab", "Abc", b"Ab"]),
            ({"regex": "^A+b"}, ["AAb", "Abc"], ["xAb", 5]),
            ({"starts_with": "Ab"}, ["Abc"], ["xAb"]),
            ({"ends_with": "Ab"}, ["xAb"], ["Abx"]),
            ({"contains": "Ab"}, ["xAbx"], ["xabx", ["Ab"], {"Ab": 1}]),
            ({"exact": "Ab", "case_insensitive": True}, ["aB"], ["aBc"]),
            ({"equals": {"string_value": "Ab"}, "case_insensitive": True}, ["AB"], ["ABC"]),
            ({"regex": "^a+b", "case_insensitive": True}, ["AAB"], ["xb"]),
            ({"starts_with": "Ab", "case_insensitive": True}, ["abc"], ["xab"]),
            ({"ends_with": "Ab", "case_insensitive": True}, ["xab"], ["abx"]),
            ({"contains": "Ab", "case_insensitive": True}, ["xABx"], ["x"]),
            ({"contains": "dead"}, [b"\xde\xad"], [b"dead"]),
            ({"equals": 5}, [5, 5.0], ["5", True, 6]),
            ({"equals": 1}, [1, 1.0], [True]),
            ({"equals": 9007199254740993}, [9007199254740993], [9007199254740992]),
            ({"equals": 0.5}, [0.5], ["0.5", 1]),
            ({"equals": True}, [True], [1, "true", False]),
            ({"equals": {"hex_value": "DEad"}}, [b"\xde\xad", bytearray(b"\xde\xad")], ["dead", b"\xde"]),
            ({"gt": 5}, [6, 5.5], [5, "6", True, None]),
            ({"gte": 5}, [5, 5.0], [4]),
            ({"lt": 0.5}, [0, 0.4], [0.5, False]),
            ({"lte": {"int_value": "5"}}, [5], [6]),
        ],
    )
    def test_each_condition_on_each_type(self, place, condition, yes, no):
        """A condition holds for the values of its type, in the body and in attributes alike, and for no other."""
        matcher = {**({"log_field": "body"} if place == "body" else {"log_attribute": "a"}), **condition}

        def holds(value):
            return matches(matcher, LogView(value) if place == "body" else LogView(attributes={"a": value}))

        assert [value for value in yes + no if holds(value)] == yes
        negated = {**matcher, "negate": True}
        assert [
            value
            for value in yes + no
            if matches(negated, LogView(value) if place == "body" else LogView(attributes={"a": value}))
        ] == no

    @pytest.mark.parametrize("field", [{"log_field": "body"}, {"log_field": "event_name"}, {"log_attribute": "a"}])
    def test_a_missing_field_matches_only_negated(self, field):
        """What is not there meets no condition, so it meets every negated one."""
        for condition in ({"contains": ""}, {"equals": "x"}, {"regex": ""}, {"exists": True}):
            assert not matches({**field, **condition}, LogView())
            assert matches({**field, **condition, "negate": True}, LogView())
        assert matches({**field, "exists": False}, LogView())
        assert not matches({**field, "exists": False, "negate": True}, LogView())

    @pytest.mark.parametrize(
        "condition",
        [
            {"exact": TRACE},
            {"exact": TRACE.upper()},
            {"equals": TRACE},
            {"equals": {"hex_value": TRACE}},
            {"starts_with": "4bf9"},
            {"regex": "4736$"},
            {"contains": "B34D", "case_insensitive": True},
        ],
    )
    @pytest.mark.parametrize("given", [TRACE, int(TRACE, 16), bytes.fromhex(TRACE)])
    def test_ids_are_matched_as_bytes_and_as_hex(self, condition, given):
        """An id is found however policy and record write it."""
        matcher = {"log_field": "trace_id", **condition}
        assert matches(matcher, LogView(trace_id=given))
        assert not matches(matcher, LogView(trace_id="0af7651916cd43dd8448eb211c80319c"))
        assert not matches(matcher, LogView())

    def test_text_that_is_no_hex_equals_no_id(self):
        """A literal that can be no id is valid and matches nothing."""
        assert not matches({"log_field": "span_id", "exact": "xyz"}, LogView(span_id=5))

    def test_all_matchers_must_hold(self):
        """Matchers of a policy are joined by and."""
        both = rule(
            "p",
            body(contains="a"),
            body(contains="b"),
            body(contains="c", negate=True),
            {"log_field": "severity_number", "lt": WARN},
        )
        policies = PolicySet([both])
        views = [LogView("ab", INFO), LogView("a", INFO), LogView("abc", INFO), LogView("ab", WARN)]
        assert [len(policies.match(view)) for view in views] == [1, 0, 0, 0]

    @given(
        st.lists(
            st.lists(
                st.tuples(st.sampled_from(["contains", "regex", "starts_with", "exact"]), st.sampled_from(["a", "b", "ab", "c"]),
                          st.booleans(), st.booleans()), min_size=1, max_size=3),
            min_size=1, max_size=6),
        st.text("abcABC ", max_size=6),
    )  # fmt: skip
    def test_one_scan_agrees_with_matcher_by_matcher(self, rules, text):
        """The common scan gives what evaluating each matcher by itself gives."""

        def holds(kind, value, insensitive, negate):
            pattern = {"contains": value, "regex": value, "starts_with": "^" + value, "exact": f"^{value}$"}[kind]
            return bool(text and re2.search(f"(?i){pattern}" if insensitive else pattern, text)) is not negate

        policies = PolicySet(
            Policy(
                f"p{number}",
                match=tuple(
                    Matcher(Field("body"), kind, value, negate, insensitive) for kind, value, insensitive, negate in one
                ),
            )
            for number, one in enumerate(rules)
        )
        expected = [f"p{number}" for number, one in enumerate(rules) if all(holds(*matcher) for matcher in one)]
        assert [one.id for one in policies.match(LogView(text))] == expected
        assert policies.match_text(text, INFO) == policies.match(LogView(text, INFO))


class TestKeep:
    def test_no_match_is_kept(self):
        """What no policy names is kept, by no policy."""
        assert PolicySet([rule("p", body(contains="x"))]).evaluate(LogView("y")) is KEPT
        assert PolicySet([]).evaluate(LogView("y")) is KEPT

    def test_none_beats_all(self):
        """The most restrictive policy wins; the one overridden counts a miss."""
        policies = PolicySet([rule("a-all", keep="all"), rule("z-none", body(contains="x"))])
        dropped, kept = policies.evaluate(LogView("x")), policies.evaluate(LogView("y"))
        assert (dropped.keep, dropped.reason, dropped.policy) == (False, "policy:z-none", "z-none")
        assert (kept.keep, kept.policy) == (True, "a-all")
        assert counts(policies) == {"a-all": (1, 1), "z-none": (1, 0)}

    @pytest.mark.parametrize(("keep", "more"), [("none", "50%"), ("0%", "50%"), ("1/m", "5/m")])
    def test_of_equals_the_first_id_decides_and_all_have_the_hit(self, keep, more):
        """Whatever the order in the file, one policy names the reason; all that would have dropped it carried it out."""
        rules = [rule("b", keep=keep), rule("c", keep="all"), rule("d", keep=more), rule("a", keep=keep)]
        for order in (rules, rules[::-1]):
            policies = PolicySet(order, clock=lambda: 0.0, random=lambda: 0.0)
            passed = int(keep == "1/m" and policies.evaluate(LogView("x")).keep)
            assert policies.evaluate(LogView("x")).policy == "a"
            assert counts(policies) == {name: (passed + (name in "ab"), name in "cd") for name in "abcd"}

    def test_lower_percentage_wins(self):
        """Of two samples only the smaller is drawn."""
        draws = iter([0.05, 0.2])
        policies = PolicySet([rule("half", keep="50%"), rule("tenth", keep="10%")], random=lambda: next(draws))
        verdicts = [policies.evaluate(LogView("x")) for _ in range(2)]
        assert [(one.keep, one.reason) for one in verdicts] == [(True, "kept:tenth"), (False, "sampled:tenth")]
        assert counts(policies) == {"half": (1, 1), "tenth": (2, 0)}

    def test_samples_by_key_are_consistent(self):
        """All records of one key share their fate, in every set and process."""
        make = rule("s", keep="50%", sample_key={"log_attribute": "request"})
        views = [LogView("x", attributes={"request": f"r{number}"}) for number in range(400)]
        first, second = ([PolicySet([make]).evaluate(view).keep for view in views] for _ in range(2))
        assert first == second
        assert 150 < sum(first) < 250

    def test_a_record_without_the_key_is_drawn_by_itself(self):
        """Where the key is missing the share is met record by record."""
        draws = iter([0.4, 0.6])
        policies = PolicySet([rule("s", keep="50%", sample_key={"log_attribute": "r"})], random=lambda: next(draws))
        assert [policies.evaluate(LogView("x")).keep for _ in range(2)] == [True, False]

    def test_rates_are_fair_between_calls(self):
        """Each call has its own window, and what belongs to none shares one."""
        policies = PolicySet([rule("r", keep="1/3s")], clock=lambda: 0.0)
        calls = ["CA1", "CA1", "CA2", None, None]
        verdicts = [policies.evaluate(LogView("x"), call) for call in calls]
        assert [one.keep for one in verdicts] == [True, False, True, True, False]
        assert verdicts[1].reason == "rate_limited:r"

    def test_rates_by_sample_key(self):
        """A rate with a sample key counts each of its values apart, hashable or not."""
        policies = PolicySet([rule("r", keep="1/s", sample_key={"log_attribute": "k"})], clock=lambda: 0.0)
        values = ["a", "a", "b", [1], [1], None]
        assert [policies.evaluate(LogView("x", attributes={"k": value}), "CA1").keep for value in values] == [
            True,
            False,
            True,
            True,
            False,
            True,
        ]

    def test_what_is_dropped_is_charged_to_no_rate(self):
        """A record that another policy drops leaves every rate as it was."""
        now = [0.0]
        rules = [
            rule("few", body(contains="few"), keep="1/10s"),
            rule("many", keep="3/s"),
            rule("none", body(contains="none")),
        ]
        policies = PolicySet(rules, clock=lambda: now[0])
        texts = ["none"] * 5 + ["few", "few", "few", "x", "x", "x"]
        assert [policies.evaluate(LogView(text)).keep for text in texts] == [False] * 5 + [
            True,
            False,
            False,
            True,
            True,
            False,
        ]
        assert counts(policies) == {"few": (3, 0), "many": (4, 7), "none": (5, 0)}

    def test_a_lock_held_by_nobody_here_is_not_waited_for(self):
        """After a fork the lock may be held for ever; deciding goes on without it."""
        policies = PolicySet([rule("r", keep="1/s")], clock=lambda: 0.0)
        policies._lock.acquire()
        assert [policies.evaluate(LogView("x")).keep for _ in range(2)] == [True, False]

    def test_threads_share_a_rate(self):
        """Under threads a limit lets through its number and at most one a thread more."""
        policies = PolicySet([rule("r", keep="50/m")], clock=lambda: 0.0)
        kept = []
        threads = [
            threading.Thread(target=lambda: kept.extend(policies.evaluate(LogView("x")).keep for _ in range(500)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 50 <= sum(kept) <= 54


class TestFramePolicies:
    def test_off_when_told(self):
        """At LOG_LEVEL=DEBUG frame policies are left out, and no others."""
        rules = [rule("f", body(contains="x"), labels=FRAME), rule("n", body(contains="y"))]
        policies = PolicySet(rules, frame_policies=False)
        assert [policies.evaluate(LogView(text)).keep for text in "xy"] == [True, False]
        assert [one.id for one in policies.policies] == ["n"]

    def test_never_from_warn_on(self):
        """A frame policy matches up to INFO4, by number or, where there is none, by name; other policies match anything."""
        frames, mixed = (
            PolicySet([rule("f", labels=FRAME)]),
            PolicySet([rule("f", labels=FRAME), rule("n", body(contains="y"))]),
        )
        assert (frames.only_frames, mixed.only_frames) == (True, False)
        for policies in (frames, mixed):
            views = [LogView("x", number, "INFO") for number in (1, INFO, 12, WARN, ERROR, 24)]
            views += [
                LogView("x", 0, text) for text in (None, "", "info", "warn", "WARNING", "Error", "CRITICAL", "FATAL")
            ]
            assert [policies.evaluate(view).keep for view in views] == [False] * 3 + [True] * 3 + [False] * 3 + [
                True
            ] * 5
        assert not mixed.evaluate(LogView("y", ERROR)).keep

    def test_short_cut_for_text_obeys_it_too(self):
        """The text path leaves WARN alone as the view path does."""
        policies = PolicySet([rule("f", body(contains="x"), labels=FRAME)])
        assert [len(policies.match_text("x", number, None, "app")) for number in (INFO, WARN)] == [1, 0]


class TestSnapshot:
    def test_what_is_read(self):
        """A set says which kinds of fields it reads, its sample keys among them, and whether text is all."""
        text = PolicySet([rule("a", body(contains="x"), {"log_field": "scope_name", "exact": "s"}, labels=FRAME)])
        assert (text.reads, text.text_only) == ({"body", "scope.name", "severity_number"}, True)
        more = PolicySet(
            [rule("a", {"resource_attribute": "r", "exists": True}, keep="1%", sample_key={"log_field": "trace_id"})]
        )
        assert (more.reads, more.text_only) == ({"resource", "trace_id"}, False)
        assert (PolicySet([]).reads, PolicySet([]).text_only) == (frozenset(), True)

    def test_text_path_asks_for_what_policies_read(self):
        """Severity and scope name reach the matchers on the text path as well."""
        policies = PolicySet(
            [
                rule(
                    "a",
                    body(contains="x"),
                    {"log_field": "scope_name", "exact": "s"},
                    {"log_field": "severity_text", "exact": "INFO"},
                )
            ]
        )
        assert [
            len(policies.match_text("x", INFO, *rest)) for rest in (("INFO", "s"), ("INFO", "t"), ("WARN", "s"))
        ] == [1, 0, 0]

    def test_what_takes_no_part(self):
        """Disabled policies, those of other signals and broken ones match nothing; broken ones are reported."""
        broken = parse({"id": "broken", "log": {"match": [body(regex="([bad")], "keep": "none"}}, 0)
        metric = parse({"id": "metric", "metric": {}}, 0)
        policies = PolicySet([rule("off", enabled=False), metric, broken])
        assert len(policies) == 0
        assert policies.evaluate(LogView("x")) is KEPT
        assert policies.stats() == [
            PolicyStats("broken", 0, 0, ('log: match[0]: invalid regex "([bad": missing ]: [bad',))
        ]

    def test_memory_of_combinations_is_bounded(self, monkeypatch):
        """However many combinations of patterns lines have, few are remembered, and answers stay right."""
        monkeypatch.setattr("otel_logging.policy.group._MAX_KNOWN", 8)
        letters = "abcdefgh"
        policies = PolicySet([rule(letter, body(contains=letter)) for letter in letters])
        for number in range(256):
            text = "".join(letter for bit, letter in enumerate(letters) if number >> bit & 1) + "."
            assert "".join(one.id for one in policies.match(LogView(text))) + "." == text
            assert len(policies._deciders._known) <= 8

    def test_drops_all_knows_only_what_it_was_told(self):
        """A promise that everything is dropped is given only where nothing unknown could change it."""
        policies = PolicySet([rule("e", {"log_field": "event_name", "exact": "tick"}), rule("f", {"log_field": "scope_name", "exact": "noise"}, labels=FRAME),
                              rule("b", {"log_field": "scope_name", "exact": "app"}, body(contains="x")), rule("k", {"log_field": "scope_name", "exact": "k"}, keep="1/s")])  # fmt: skip
        assert policies.drops_all(event_name="tick")
        assert policies.drops_all(scope_name="noise", severity_number=INFO)
        assert not policies.drops_all(scope_name="noise")
        assert not policies.drops_all(scope_name="noise", severity_number=WARN)
        assert not policies.drops_all(scope_name="app", severity_number=INFO)
        assert not policies.drops_all(scope_name="k", severity_number=INFO)
        assert not policies.drops_all()


class Hostile:
    """A mapping-like attribute holder that fails when read."""

    def get(self, *_):
        raise RuntimeError("no")


class TestFailOpen:
    def test_a_failure_on_a_record_takes_out_only_its_policy(self):
        """The record goes on under the other policies, and the failure is counted."""
        policies = PolicySet([rule("bad", {"log_attribute": "a", "exists": True}), rule("good", body(contains="x"))])
        view = LogView("x")
        view.attributes = Hostile()
        assert policies.evaluate(view).policy == "good"
        assert counts(policies) == {"bad": (0, 0), "good": (1, 0)}
        assert policies.stats()[0].errors == ("failed on 1 records, last with RuntimeError",)

    def test_a_failure_while_deciding_keeps_the_record(self):
        """A clock or a key that fails never loses a record."""

        def broken():
            raise OSError("no clock")

        policies = PolicySet([rule("r", keep="1/s")], clock=broken)
        assert policies.evaluate(LogView("x")).keep
        assert policies.stats()[0].errors == ("failed on 1 records, last with OSError",)

    def test_a_policy_made_by_hand_that_cannot_be_compiled(self):
        """A policy that did not come through the parser is judged all the same, and the others are in force."""
        wrong = Policy("wrong", match=(Matcher(Field("body"), "regex", "([bad"),))
        policies = PolicySet([wrong, rule("good", body(contains="x"))])
        assert not policies.evaluate(LogView("x")).keep
        assert policies.stats()[1].errors == ("cannot be compiled: missing ]: [bad",)

    @given(st.text())
    def test_any_text_gets_a_verdict(self, text):
        """No text, however odd, stops the engine."""
        policies = PolicySet([rule("a", body(regex=r"(?i)^\W*tag")), rule("b", body(contains="\x00"))])
        policies.evaluate(LogView(text + "\ud800"))
        policies.match_text(text, INFO)

    def test_odd_severities(self):
        """A severity that is no number keeps the record."""
        policies = PolicySet([rule("f", labels=FRAME)])
        assert policies.evaluate(LogView("x", "INFO")).keep
