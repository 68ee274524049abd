"""`otel-logging await`."""

from __future__ import annotations

import json
import time

import pytest

A, TA = "CA" + "a1" * 16, "a1" * 16


@pytest.fixture
def meanwhile(monkeypatch):
    """`meanwhile(action, …)`: what happens while the command sleeps, one action a sleep; time is not waited for."""
    actions = []

    def sleep(seconds):
        assert seconds >= 0
        if actions:
            actions.pop(0)()

    monkeypatch.setattr("otel_logging.cli.wait.time.sleep", sleep)
    return lambda *more: actions.extend(more)


def test_already_there(run, store):
    """What is there already is not waited for."""
    result = run("await", "--call", A, "--count", "3")
    assert (result.code, result.out) == (0, "")
    assert "there after 0.0 s: 4 of 3 records; searched 2 files" in result.err


def test_blocks_until_enough(run, store, meanwhile):
    """Records that arrive are counted by the same filter words as in `search`."""
    meanwhile(
        lambda: store.log("media", store.record("hello", at=20, call=A)),
        lambda: store.log("media", store.record("nothing", at=21, call=A)),
        lambda: store.log("new", store.record("HELLO", at=22, call=A), service="worker"),
    )
    assert run("await", "hello", "--call", A, "--count", "2").code == 0


def test_a_call_that_is_not_there_yet(run, store, meanwhile):
    """A call may begin while one waits for it, and so may the store."""
    meanwhile(lambda: store.log("x", store.record("first", call="CAnew")))
    assert run("await", "--call", "CAnew").code == 0


def test_too_late(run, store):
    """What does not come in time is 1, and how far it came is said."""
    result = run("await", "--level", "error", "--count", "2", "--timeout", "0.2")
    assert result.code == 1
    assert "not there after 0.2 s: 1 of 2 records" in result.err


def test_ended(run, store, meanwhile):
    """`--ended` waits for the hang-up; a call that only fell silent has not ended."""
    assert run("await", "--call", A, "--ended", "--timeout", "0.1").code == 1
    hung_up = store.span(
        "call", trace=TA, span="1" * 16, call=A, end=30, otel_logging__end_reason="completed"
    )  # fmt: skip
    meanwhile(lambda: store.trace("media", hung_up))
    result = run("await", "--call", A, "--ended", "--json")
    answer = json.loads(result.out)
    assert (result.code, answer["met"], answer["state"], answer["total"]) == (0, True, "complete", 4)


def test_reads_only_what_changed(run, store, monkeypatch, meanwhile):
    """A store that does not change is not searched again and again."""
    from otel_logging.cli import wait

    looked = []
    real = wait._looked
    monkeypatch.setattr(wait, "_looked", lambda *args, **more: looked.append(1) or real(*args, **more))
    meanwhile(time.perf_counter)
    assert run("await", "nowhere", "--timeout", "0.05").code == 1
    assert len(looked) == 1


@pytest.mark.parametrize(
    "argv",
    [["--ended"], ["--count", "x"], ["--timeout", "-1"], ["--timeout", "soon"], ["--level", "loud"], ["--call", "CA"]],
)
def test_wrong(run, store, argv):
    """Wrong usage, and an id that may be several, exit with 2 at once."""
    assert run("await", *argv).code == 2
