"""`otel-logging calls`."""

from __future__ import annotations

import json

import pytest

A, B = "CA" + "a1" * 16, "CA" + "b2" * 16


def test_table(run, store):
    """One line a call, newest first, with start, length, counts and services."""
    result = run("calls")
    assert result.lines[0].split() == [
        "CALL",
        "STARTED",
        "LASTED",
        "RECORDS",
        "WARNINGS",
        "ERRORS",
        "STATE",
        "SERVICES",
    ]
    assert result.lines[1].split() == [B, "2024-01-21", "19:30:28", "0.0s", "1", "0", "0", "complete", "media"]
    assert result.lines[2].split() == [
        A,
        "2024-01-21",
        "19:30:26",
        "9.0s",
        "4",
        "1",
        "1",
        "complete",
        "media,",
        "worker",
    ]
    assert "2 of 2 calls shown" in result.err


@pytest.mark.parametrize(
    ("argv", "calls"),
    [
        (["--errors"], [A]),
        (["--since", "2024-01-21T19:30:30Z"], [A]),
        (["--until", "2024-01-21T19:30:27Z"], [A]),
        (["--service", "worker"], [A]),
        (["--limit", "1"], [B]),
        (["--limit", "0"], [B, A]),
    ],
)
def test_filters(run, store, argv, calls):
    """The list can be narrowed by errors, time, service and number."""
    result = run("calls", "--json", *argv)
    assert [json.loads(line)["call_sid"] for line in result.lines] == calls


def test_json(run, store):
    """One JSON object a call with its counts and times."""
    line = json.loads(run("calls", "--json").lines[1])
    assert (line["records"], line["errors"], line["levels"], line["services"], line["seconds"]) == (
        4,
        1,
        {"INFO": 2, "WARNING": 1, "ERROR": 1},
        ["media", "worker"],
        9.0,
    )
    assert json.loads(run("calls", "--format", "json").out)["total"] == 2


def test_none(run, store):
    """No call exits with 1 and says what was searched."""
    result = run("calls", "--since", "1h")
    assert (result.code, result.out) == (1, "")
    assert "0 of 0 calls shown; searched 2 files" in result.err
