"""`otel-logging call`."""

from __future__ import annotations

import json

import pytest

A, TA = "CA" + "a1" * 16, "a1" * 16


def test_table(run, store):
    """The call is printed for people on stdout; what was searched and how much is shown goes to stderr."""
    result = run("call", "CAa1")
    assert result.code == 0
    assert result.lines[0] == f"Call {A}"
    assert result.lines[-1] == "+00:09.000  INFO     worker  [jobs] summary"
    assert (
        result.err
        == f"otel-logging: 4 records shown, 2 services, complete; searched 2 files, 2 lines in {store.root}\n"
    )


@pytest.mark.parametrize("option", [["--json"], ["--format", "jsonl"]])
def test_json_lines(run, store, option):
    """One flat JSON object a record, with relative times, and nothing else on stdout."""
    records = [json.loads(line) for line in run("call", A, *option).lines]
    assert [(record["message"], record["relative"], record["service"]) for record in records] == [
        ("📞 [START] שלום", 0.0, "media"), ("slow", 1.5, "media"), ("it broke", 3.0, "media"), ("summary", 9.0, "worker"),
    ]  # fmt: skip
    assert records[1]["latency_ms"] == 812
    assert records[2]["exception.stacktrace"] == "Traceback\nValueError: no"


def test_json_object(run, store):
    """`--format json` is one object with records, spans, counts and what was searched."""
    view = json.loads(run("call", TA, "--format", "json").out)
    assert (view["call_sid"], len(view["records"]), view["searched"]["files"]) == (A, 4, 2)


def test_nothing_found(run, store):
    """A call that is not there exits with 1, prints nothing on stdout, and says what was searched."""
    result = run("call", "CA" + "9" * 32)
    assert (result.code, result.out) == (1, "")
    assert "searched 2 files, 2 lines" in result.err


def test_ambiguous(run, store):
    """A prefix of several calls exits with 2 and lists them on stderr, harmlessly."""
    store.log("evil", store.record("x", call="CA\x1b[2J"), service="\x1b[31m")
    result = run("call", "CA")
    assert (result.code, result.out) == (2, "")
    assert A in result.err
    assert "\x1b" not in result.err


def test_what_could_not_be_read_is_said(run, store, tmp_path):
    """Broken lines, unfinished lines and links are told, never passed over in silence."""
    store.raw("logs", "worker", '{"broken\n{"unfinished')
    (store.root / "logs" / "link.jsonl").symlink_to(tmp_path)
    err = run("call", A).err
    assert "1 broken line skipped, 1 unfinished line left" in err
    assert "not read: logs/link.jsonl: a symbolic link, not followed" in err
