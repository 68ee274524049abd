"""Instruction counts: what callgrind says is read right, and a record of another Python is no measure."""

from __future__ import annotations

import pytest

from benchmarks import instructions

FOUND = {
    "disabled": 100, "dropped": 200, "remembered": 300, "kept": 1_000, "kept_in_call": 1_200, "official_kept": 4_000,
}  # fmt: skip


class TestEach:
    def test_the_difference_of_two_runs(self):
        """What N and 2N times have in common, start and end included, is no record's."""
        fixed, one = 700, 25
        marks = [5_000, fixed + 10 * one, 9, fixed + 10 * one, 9, fixed + 20 * one]
        assert instructions.each([*marks, *marks], ("a", "b"), 10) == {"a": one, "b": one}

    def test_marks_are_missing(self):
        """A process that ended early gives no figures."""
        with pytest.raises(ValueError, match="5 marks for 1 paths"):
            instructions.each([1, 2, 3, 4, 5], ("a",), 10)


class TestFigures:
    def test_ratios(self):
        """Rows are instructions of each path, and paths beside one another."""
        rows = instructions.figures(FOUND, {})
        assert rows["instructions.kept"] == 1_000
        assert rows["instructions.dropped.ratio"] == 2.0
        assert rows["instructions.kept.ratio"] == 0.25
        assert "instructions.growth" not in rows

    def test_growth_is_that_of_the_worst(self):
        """One path that costs more than the record says is not averaged away."""
        record = {"python": instructions.python(), "instructions": {**FOUND, "kept": 500, "dropped": 400}}
        assert instructions.figures(FOUND, record)["instructions.growth"] == 2.0

    def test_another_python(self):
        """Counts of another Python say nothing about this one."""
        record = {"python": "CPython 2.7.18, pdp11", "instructions": dict.fromkeys(FOUND, 1)}
        assert "instructions.growth" not in instructions.figures(FOUND, record)


def test_without_valgrind(monkeypatch, capsys):
    """Without valgrind there is a reason instead of a figure."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("sys.argv", ["instructions"])
    instructions.main()
    assert '"valgrind is missing"' in capsys.readouterr().out


def test_sum_of_a_file():
    """The sum that callgrind writes is what is read; a file without one is an error."""
    assert instructions._total("events: Ir\nsummary: 81\n\ntotals: 81\n") == 81
    with pytest.raises(ValueError, match="without a sum"):
        instructions._total("events: Ir\n")
