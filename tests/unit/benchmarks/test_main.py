"""The command `python -m benchmarks`: its exit code is what a CI job goes by."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

import benchmarks.__main__ as command
from benchmarks.topics import TOPICS, Topic, run, together


@pytest.fixture
def topic(monkeypatch):
    """A topic that says what it is told to, as a process of its own would, one answer a run."""
    answers = []

    def say(*found):
        answers.extend(found)
        monkeypatch.setattr(command, "run", lambda *_, **__: answers.pop(0))

    return say


class TestExitCodes:
    def test_all_within(self, topic, capsys):
        """0 if every figure is within its budget."""
        topic({"gate.rate_limited": 4.0})
        assert command.main(["--only", "gate"]) == 0
        assert "rate-limited" in capsys.readouterr().out

    def test_a_miss(self, topic, capsys):
        """1 if one is not, and the output names it."""
        topic({"gate.rate_limited": 5.1, "gate.below.outside": 1.0})
        assert command.main(["--only", "gate"]) == 1
        assert capsys.readouterr().out.splitlines()[-1] == "missed: gate.rate_limited"

    def test_a_miss_in_the_second_of_three_runs(self, topic):
        """Each run has to hold."""
        topic({"load.frames": 0.5}, {"load.frames": 1.5}, {"load.frames": 0.5})
        assert command.main(["--only", "load", "--runs", "3"]) == 1

    def test_not_measured(self, topic):
        """What a machine cannot measure does not fail there, unless that is asked for."""
        topic({"boot.run": "not installed"}, {"boot.run": "not installed"})
        assert command.main(["--only", "boot"]) == 0
        assert command.main(["--only", "boot", "--strict"]) == 1

    def test_a_figure_without_a_row(self, topic, capsys):
        """2 for a figure that no budget knows of."""
        topic({"gate.new": 1.0})
        assert command.main(["--only", "gate"]) == 2
        assert "gate.new" in capsys.readouterr().err

    def test_a_benchmark_that_fails(self, monkeypatch, capsys):
        """2 if a benchmark itself fails, with what it said."""
        monkeypatch.setitem(TOPICS, "broken", Topic("is not there"))
        assert command.main(["--only", "broken"]) == 2
        assert "No module named benchmarks.broken" in capsys.readouterr().err

    @pytest.mark.parametrize("wrong", [["--runs", "0"], ["--rounds", "0"], ["--only", "nothing"]])
    def test_usage(self, wrong):
        """2 for what cannot be run."""
        with pytest.raises(SystemExit) as error:
            command.main(wrong)
        assert error.value.code == 2

    def test_list(self, capsys):
        """The topics are told with what each measures."""
        assert command.main(["--list"]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(TOPICS)


def test_files(topic, tmp_path):
    """The figures are written as JSON, and the chart as SVG, also where a budget is missed."""
    topic({"loop.p99.ours": 3.0, "loop.p99.beside_official": 0.9})
    files = ["--json", str(tmp_path / "found.json"), "--svg", str(tmp_path / "chart.svg")]
    assert command.main(["--only", "loop", *files]) == 1
    rows = json.loads((tmp_path / "found.json").read_text("utf-8"))["rows"]
    assert rows["loop.p99.beside_official"]["within"] is False
    assert ET.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")


class TestTogether:
    def test_medians(self):
        """Each figure is the median over its processes."""
        assert together([{"a": 1.0}, {"a": 9.0}, {"a": 2.0}]) == {"a": 2.0}

    def test_a_reason_wins(self):
        """One process without the figure, and there is none."""
        assert together([{"a": 1.0}, {"a": "gone"}]) == {"a": "gone"}
        assert together([{"a": 1.0}, {}]) == {"a": "not measured every time"}


# What takes more than a few seconds is for the slow tests; `instructions` starts Python under valgrind.
QUICK, LONG = ("gate", "kept", "load", "loop", "boot"), ("compare", "scaling", "instructions", "page", "store")


class TestEachRuns:
    @pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
    def test_quickly(self, name):
        """Each benchmark runs, and every figure it finds has a row; with all that the tests need, all is measured."""
        found = run(name, 1, quick=True)
        table = command.Table.read()
        for figure in found:
            table.row(figure)
        missing = {figure: why for figure, why in found.items() if isinstance(why, str)}
        absent = {"not installed", "theirs added nothing in this run", "the machine is too busy"}
        assert set(missing.values()) <= absent, missing
        assert len(found) > len(missing) or name == "instructions"

    def test_none_is_forgotten(self):
        """Every topic is run by one of the tests above."""
        assert {*QUICK, *LONG} == set(TOPICS)
