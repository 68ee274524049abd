"""Privacy policies: every text, at any depth, one scan, and the modes of the bundled set."""

import pytest

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.load import load
from otel_logging.policy.parse import policy as parse
from otel_logging.policy.sets import in_force, privacy
from otel_logging.policy.view import LogView

PRIVACY = {"otel-logging.class": "privacy"}


def rule(regex="secret", name="p", match=None, labels=PRIVACY, **redact):
    made = parse(
        {"id": name, "labels": labels, "log": {"match": match or [{"log_field": "body", "regex": regex}],
         "transform": {"redact": [{"log_field": "body", "regex": regex, "replacement": "-", **redact}]}}}, 0
    )  # fmt: skip
    assert not made.errors
    return made


def redacted(view, *rules):
    policies = PolicySet(rules or [rule()])
    policies.transform(view)
    return view


class TestEveryText:
    def test_body_keys_and_values_at_any_depth(self):
        """Nothing a record says is left out: maps, lists, keys, bodies that are maps."""
        view = redacted(
            LogView({"a": ["x secret"]}, attributes={"l": [{"k": "secret"}, 1], "secret": True, "t": ("secret",)})
        )
        assert view.body == {"a": ["x -"]}
        assert view.attributes == {"l": [{"k": "-"}, 1], "-": True, "t": ["-"]}

    def test_an_attribute_is_seen_with_its_key(self):
        """`key=value` after an empty line, numbers too; the key itself comes out whole."""
        view = redacted(
            LogView("pin=1", attributes={"pin": 1234, "a": {"pin": "x y"}, "n": 1234}),
            rule(r"(?s)^\n((?:[\w.]*\.)?pin=).*$", replacement="\n$1-"),
        )
        assert (view.body, view.attributes) == ("pin=1", {"pin": "-", "a": {"pin": "-"}, "n": 1234})

    def test_own_attributes_are_left(self):
        """Names of loggers and code, and the call's id, are never searched."""
        given = {"logger.name": "secret", "code.file.path": "/secret", "call_sid": "secret"}
        assert redacted(LogView("x", attributes=given)).attributes == given

    @pytest.mark.parametrize("pattern", ["^secret$", r"\Asecret\z", r"(^|\W)secret($|\W)"])
    def test_anchors(self, pattern):
        """A pattern is anchored to each text, although all are scanned at once."""
        view = redacted(LogView("other", attributes={"exception.message": "secret"}), rule(pattern))
        assert view.attributes["exception.message"] == "-"

    def test_conditions(self):
        """Conditions on the body are about the text at hand, others about the record."""
        where = [{"log_field": "body", "contains": "card"}, {"log_field": "severity_text", "exact": "INFO"}]
        for severity, result in (("INFO", ("card -", "secret")), ("WARN", ("card secret", "secret"))):
            view = redacted(LogView("card secret", 0, severity, attributes={"a": "secret"}), rule(match=where))
            assert (view.body, view.attributes["a"]) == result

    def test_without_the_label(self):
        """An ordinary policy redacts the body alone."""
        view = redacted(LogView("secret", attributes={"a": "secret"}), rule(labels={}))
        assert (view.body, view.attributes) == ("-", {"a": "secret"})

    def test_spared_ids(self):
        """With the label, ids and times stay; without it a secret may look like one."""
        text = "at 2024-01-21 550e8400-e29b-41d4-a716-446655440000 and 446655440000"
        spare = rule("[0-9]{4,}", labels={**PRIVACY, "otel-logging.spare": "ids"})
        assert redacted(LogView(text), spare).body == "at 2024-01-21 550e8400-e29b-41d4-a716-446655440000 and -"
        assert "2024" not in redacted(LogView(text), rule("[0-9]{4,}")).body

    def test_counts(self):
        """A record that was redacted is one hit."""
        policies = PolicySet([rule()])
        policies.transform(LogView("secret secret", attributes={"a": "secret"}))
        policies.transform(LogView("nothing"))
        assert [(one.policy_id, one.hits) for one in policies.stats()] == [("p", 1)]


class TestBundled:
    def test_modes(self):
        """Each mode holds all of the one before; none has a mistake."""
        assert load(["privacy"]).errors == []
        off, secrets, strict = ({policy.id for policy in privacy(mode)} for mode in ("off", "secrets", "strict"))
        assert off < secrets < strict == {policy.id for policy in load(["privacy"]).policies}

    def test_the_gate_is_not_touched(self):
        """Redaction adds nothing to what the gate reads."""
        for mode in ("off", "secrets", "strict"):
            policies, errors = in_force(["voice"], mode)
            assert (policies.text_only, policies.only_frames, errors) == (True, True, [])
            assert policies._everywhere._first_look is not None

    def test_twice_is_as_once(self):
        """A text that was redacted comes out of a second redaction as it is."""
        policies, _ = in_force([], "strict")
        texts = [
            'password=hunter2 Bearer abcdefgh123 phone=+972501234567 a@b.co name=דנה digits=12 {"customer_name": "x"} 4111 1111 1111 1111',
            "Authorization: Bearer abcdefghij0123456789",
            "{'Authorization': ['Bearer abc.def-123']}",
            "'authorization': b\"Basic dXNlcjpwYXNz\"",
            "Set-Cookie: sid=abc; Path=/",
            "[TRANSCRIPT] Customer: hello, my name is Dana",
        ]
        for text in texts:
            for form in (text, repr({"data": text}), f"\nnote={text}"):
                once = policies.redact_text(form)
                assert once != form
                assert policies.redact_text(once) == once

    def test_own_policies_win(self, tmp_path):
        """A policy of the user's with a bundled one's id takes its place."""
        path = tmp_path / "own.yaml"
        path.write_text(
            "id: privacy-dtmf\nenabled: false\nlog: {match: [{log_field: body, exists: true}], keep: none}\n"
        )
        policies, errors = in_force([str(path), "privacy"], "off")
        assert (policies.redact_text("digits=12"), errors) == ("digits=12", [])
