"""Processes that take turns, and the endpoint they send to: what a process prints must not be taken for its answer."""

from __future__ import annotations

import urllib.request

import pytest

from benchmarks.sink import Sink
from benchmarks.turns import Sides

SIDE = """
import contextlib, sys
from benchmarks import turns
@contextlib.contextmanager
def side():
    print("noise")
    yield lambda request: (print("more noise"), {"got": request})[1]
if __name__ == "__main__":
    turns.serve(side)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "a_side.py").write_text(SIDE, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_side"


class TestSides:
    def test_answers_and_nothing_else(self, module):
        """What a side prints is not read as its answer; each side is asked by its name."""
        with Sides({"one": (module,), "other": (module,)}) as sides:
            assert sides.ask("one", ["x", 1]) == {"got": ["x", 1]}
            assert sides.ask("other", "y") == {"got": "y"}
            assert sides.ask("one", None) == {"got": None}

    def test_a_side_that_ended(self):
        """A side that could not start is an error that names it, not an endless wait."""
        with (
            Sides({"gone": ("benchmarks.no_such_module",)}) as sides,
            pytest.raises(RuntimeError, match="process of gone ended with 1"),
        ):
            sides.ask("gone", 1)


def test_sink_counts_records():
    """The endpoint counts what it was sent, and begins anew when it was asked."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(3):
        scope.log_records.add().body.string_value = str(number)
    with Sink() as sink:
        with urllib.request.urlopen(sink.endpoint + "/v1/logs", request.SerializeToString(), timeout=10) as answer:
            assert answer.status == 200
        found = sink.counts()
        assert (found["requests"], found["records"], found["spans"]) == (1, 3, 0)
        assert sink.counts()["records"] == 0
