"""`otel-logging stats`."""

from __future__ import annotations

import json


def test_table(run, store):
    """What the store holds, a line each."""
    result = run("stats")
    rows = dict(line.split(maxsplit=1) for line in result.lines)
    assert result.code == 0
    assert rows["store"] == str(store.root)
    assert rows["records"] == "5"
    assert rows["calls"] == "2 (1 with errors)"
    assert rows["services"] == "media 4, worker 1"
    assert rows["newest"] == "2024-01-21 19:30:35.000"


def test_json(run, store):
    """One JSON object with the same figures."""
    store.raw("logs", "worker", "broken\n")
    figures = json.loads(run("stats", "--json").out)
    assert (
        figures["files"],
        figures["records"],
        figures["calls"],
        figures["broken"],
        figures["records_without_call"],
    ) == (2, 5, 2, 1, 0)
    assert figures["oldest"] == "2024-01-21T19:30:26.000000000Z"


def test_empty(run, tmp_path):
    """An empty store exits with 1, and JSON is printed all the same."""
    result = run("stats", "--json", "--store", tmp_path)
    assert result.code == 1
    assert json.loads(result.out)["records"] == 0


def test_books(run, store):
    """The summaries that calls left are added up: made, kept, recovered, and what was dropped for which reason."""
    for service, made in (("media", 100), ("worker", 7)):
        summary = store.record(
            "Call summary", at=20, call="CA" + "a1" * 16, otel_logging__made=made, otel_logging__kept=5,
            otel_logging__recovered=1,
        )  # fmt: skip
        summary["eventName"] = "otel_logging.call.summary"
        dropped = {"key": "policy:audio-frames", "value": {"intValue": str(made - 5)}}
        summary["attributes"].append(
            {"key": "otel_logging.dropped_by", "value": {"kvlistValue": {"values": [dropped]}}}
        )
        store.log(f"{service}-2", summary, service=service)
    rows = dict(line.split(maxsplit=1) for line in run("stats").lines)
    assert rows["books"] == "107 made, 10 kept, 2 recovered (as 2 ended calls told)"
    assert rows["dropped"] == "policy:audio-frames 97"
    assert json.loads(run("stats", "--json").out)["books"] == {
        "summaries": 2, "made": 107, "kept": 10, "recovered": 2, "dropped": {"policy:audio-frames": 97}
    }  # fmt: skip


def test_no_books(run, store):
    """A store without summaries shows none."""
    assert not [line for line in run("stats").lines if line.startswith("books")]
