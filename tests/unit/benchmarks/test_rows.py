"""The table of budgets: each figure has a row, and a row that is missed is seen to be missed."""

from __future__ import annotations

import pytest

from benchmarks import rows
from benchmarks.rows import BUDGETS, Row, Table, simple_toml
from benchmarks.topics import TOPICS

TEXT = """
["a.exact"]
what = "one"
most = 2.0

["a.*.b"]
what = "{0} of b"
least = 99
unit = "%"

["a.*.*"]
what = "{0}, {1}"
"""


class TestRow:
    @pytest.mark.parametrize(("figure", "met"), [(1.9, True), (2.0, True), (2.001, False)])
    def test_most(self, figure, met):
        """A budget is met by itself, and by nothing above."""
        assert Row("a", "", most=2.0).met_by(figure) is met

    @pytest.mark.parametrize(("figure", "met"), [(99.9, False), (100.0, True), (101.0, True)])
    def test_least(self, figure, met):
        """What has to be at least so much is not met by less."""
        assert Row("a", "", least=100.0).met_by(figure) is met

    def test_without_a_budget(self):
        """A row for the record is met by anything, and says so."""
        row = Row("a", "")
        assert row.met_by(1e9)
        assert (row.has_budget, row.limit) == (False, "no budget")

    def test_limits_as_text(self):
        """A reader sees in which direction a budget holds."""
        assert Row("a", "", most=0.5).limit == "<= 0.5"
        assert Row("a", "", least=100.0).limit == ">= 100"


class TestTable:
    def test_own_name_goes_before_patterns(self):
        """A figure with a row of its own name has that one's budget."""
        assert Table(TEXT).row("a.exact").most == 2.0

    def test_the_first_pattern_counts(self):
        """A pattern gives its budget and its unit to what it matches, and names the part that differs."""
        row = Table(TEXT).row("a.some_thing.b")
        assert (row.name, row.what, row.least, row.unit) == ("a.some_thing.b", "some thing of b", 99, "%")
        assert Table(TEXT).row("a.x.y").what == "x, y"

    @pytest.mark.parametrize("name", ["b", "a.x", "a.x.y.z", "xa.x.y"])
    def test_a_figure_without_a_row_is_an_error(self, name):
        """A star stands for exactly one part; nothing slips into a row that does not mean it."""
        with pytest.raises(KeyError):
            Table(TEXT).row(name)

    def test_the_file_reads_alike_without_tomllib(self, monkeypatch):
        """Python 3.10, which has no TOML, reads the same table."""
        text = BUDGETS.read_text("utf-8")
        found = simple_toml(text)
        if rows.tomllib is not None:
            assert found == rows.tomllib.loads(text)
        monkeypatch.setattr(rows, "tomllib", None)
        assert Table.read().names() == list(found)

    def test_a_line_without_tomllib(self):
        """A comment behind a value is no part of it, and what is not understood is said."""
        assert simple_toml('# a = 1\n["x.y"]\nwhat = "a # b"  # c\nmost = 2.5# d\n') == {
            "x.y": {"what": "a # b", "most": 2.5}
        }
        with pytest.raises(ValueError, match="most = 2 3"):
            simple_toml("[x]\nmost = 2 3")

    def test_every_row_belongs_to_a_topic(self):
        """No row stands for a benchmark that is not there."""
        others = {"memory": "gate", "console": "compare"}
        for name in Table.read().names():
            part = name.partition(".")[0]
            assert others.get(part, part) in TOPICS

    @pytest.mark.parametrize(
        ("name", "most"),
        [
            ("gate.dropped.literal", 2.0), ("gate.dropped.f_string", 5.0), ("gate.below.outside", 1.5),
            ("kept.extras.emit", 0.5), ("kept.extras.both", 0.4), ("load.frames", 1.0), ("memory.remembered", 450),
            ("loop.p99.beside_official", 0.5), ("console.json.beside_python_json_logger.extras", 0.5),
            ("console.json.beside_structlog.template", 0.99), ("scaling.policies.f_string.10000", 2.0),
            ("scaling.policies.novel.10000", 2.0), ("boot.run", 1.0), ("boot.installation", 15),
        ],
    )  # fmt: skip
    def test_the_promised_budgets(self, name, most):
        """What was promised stays what is checked: a budget is not loosened in passing."""
        assert Table.read().row(name).most == most
