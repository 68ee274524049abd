"""What is made of the figures: a miss in one run of three is a miss, and what was not measured is not passed off."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import Line, document, lines, number, text
from benchmarks.rows import Row, Table

TABLE = Table('["a"]\nwhat = "first"\nmost = 2.0\n["b"]\nwhat = "second"\n')


class TestLines:
    def test_each_run_has_to_hold(self):
        """Two good runs do not make up for a bad one, though the median is within the budget."""
        (line,) = lines([{"a": 1.0}, {"a": 2.1}, {"a": 1.0}], TABLE)
        assert line.figure == 1.0
        assert line.within is False
        assert line.missed(strict=False)

    def test_all_runs_hold(self):
        """Three runs within the budget are no miss."""
        (line,) = lines([{"a": 1.0}, {"a": 2.0}, {"a": 1.5}], TABLE)
        assert (line.figure, line.within, line.missed(strict=True)) == (1.5, True, False)

    @pytest.mark.parametrize("runs", [[{"a": "not installed"}], [{"a": 1.0}, {"a": "not installed"}], [{"a": 1.0}, {}]])
    def test_not_measured(self, runs):
        """A row that was not measured each time has no figure; only a strict reader counts it as missed."""
        (line,) = lines(runs, TABLE)
        assert (line.figures, line.within) == ((), None)
        assert (line.missed(strict=False), line.missed(strict=True)) == (False, True)

    def test_not_measured_without_a_budget(self):
        """What has no budget cannot be missed."""
        (line,) = lines([{"b": "not installed"}], TABLE)
        assert not line.missed(strict=True)

    def test_unknown(self):
        """A figure that no row knows is an error: it would never be checked."""
        with pytest.raises(KeyError, match="c"):
            lines([{"c": 1.0}], TABLE)


class TestText:
    def test_tells_misses_and_gaps_at_the_end(self):
        """Whoever reads the last lines only sees what does not hold and what is not known."""
        table = Table('["a"]\nwhat = "first"\nmost = 2.0\n["b"]\nwhat = "second"\nmost = 1.0\n')
        told = text(lines([{"a": 3.0, "b": "valgrind is missing"}], table)).splitlines()
        assert told[0].startswith("first")
        assert told[0].endswith("MISSED")
        assert told[1].endswith("not measured: valgrind is missing")
        assert told[2:] == ["missed: a", "with a budget, and not measured: b"]

    def test_shows_each_run(self):
        """With several runs each figure is there, so that a reader sees how far they lie apart."""
        assert text(lines([{"b": 1.0}, {"b": 3.0}], TABLE)).split()[-2:] == ["1.00", "3.00"]

    @pytest.mark.parametrize(("figure", "told"), [(0.456, "0.46"), (123.45, "123.5"), (176_557.0, "176,557")])
    def test_digits(self, figure, told):
        """Figures have the digits that one reads."""
        assert number(figure) == told


def test_document_is_json():
    """What is written has the figures, the budgets, why something is missing, and what it was measured with."""
    row = Row("a", "first", most=2.0)
    found = json.loads(json.dumps(document([Line(row, (1.0, 1.25)), Line(Row("b", "second"), (), "not installed")])))
    assert found["rows"]["a"] == {
        "figure": 1.125, "runs": [1.0, 1.25], "unit": "x", "budget": 2.0, "aim": None, "within": True, "what": "first",
    }  # fmt: skip
    assert found["rows"]["b"]["not_measured"] == "not installed"
    assert found["rows"]["b"]["figure"] is None
    assert "otel-logging" in found["about"]["packages"]
