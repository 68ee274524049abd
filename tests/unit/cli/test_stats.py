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
