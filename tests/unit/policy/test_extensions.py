"""Extensions: which records are delivered, by mode, and that a handler can do no harm."""

import pytest

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.parse import policy as parse
from otel_logging.policy.view import LogView


def rule(mode, keep="none", contains="tick"):
    return parse(
        {"id": "p", "extensions": [{"type": "x/y", "version": "1.0.0", "mode": mode, "config": {"a": 1}}],
         "log": {"match": [{"log_field": "body", "contains": contains}], "keep": keep}}, 0
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "delivered"),
    [("dropped", ["tick"]), ("kept", []), ("matched", ["tick"]), ("unmatched", ["other"]), ("all", ["tick", "other"]), (None, ["tick"])],
)  # fmt: skip
def test_modes(mode, delivered):
    """Each mode names its slice of the records; without one it is `matched`."""
    got = []
    policies = PolicySet(
        [rule(mode)],
        handlers={"x/y": lambda extension, name, view: got.append((extension.config["a"], name, view.body))},
    )
    for body in ("tick", "other"):
        policies.evaluate(LogView(body))
    assert got == [(1, "p", body) for body in delivered]


def test_dropped_by_another_policy():
    """The outcome is the record's final one, whoever caused it."""
    got = []
    other = parse({"id": "o", "log": {"match": [{"log_field": "body", "contains": "t"}], "keep": "none"}}, 0)
    policies = PolicySet([rule("dropped", keep="all"), other], handlers={"x/y": lambda *_: got.append(1)})
    assert not policies.evaluate(LogView("tick")).keep
    assert got == [1]


def test_a_handler_that_fails():
    """The verdict stands, and the failure is the policy's."""

    def fail(*_):
        raise RuntimeError("no")

    policies = PolicySet([rule("all")], handlers={"x/y": fail})
    assert not policies.evaluate(LogView("tick")).keep
    assert policies.stats()[0].errors == ("failed on 1 records, last with RuntimeError",)


def test_what_is_declared():
    """Declared extensions are found by type, each once; one nobody handles is skipped."""
    policies = PolicySet([rule("dropped")])
    assert [one.config for one in policies.extension("x/y")] == [{"a": 1}]
    assert policies.extension("x/z") == ()
    assert not policies.evaluate(LogView("tick")).keep
