"""The comparison: what is compared does the same work, and what differs is told."""

from __future__ import annotations

from benchmarks import boot, compare, scaling
from benchmarks.compare_sides import LIBRARIES, SHAPES


class TestCompare:
    def test_every_library_is_known(self):
        """What the comparison names can be set up, and ours is in each of its parts."""
        for libraries in compare.WAYS.values():
            assert set(libraries) <= set(LIBRARIES)
            assert "ours" in libraries

    def test_what_is_not_installed_says_so(self, monkeypatch):
        """A library that is absent has a reason in each of its rows, and no figure."""
        monkeypatch.setattr(compare, "installed", lambda _: False)
        found = {}
        monkeypatch.setattr(compare, "WAYS", {"json": ("loguru",)})
        monkeypatch.setattr(compare.turns, "Sides", _Nobody)
        assert compare._way("json", 0, found) == {}
        assert found == {f"compare.json.{shape}.loguru": "not installed" for shape in SHAPES}

    def test_ratios_need_both(self):
        """A ratio with one side missing is a reason, not a figure."""
        rows = compare._ratios("below", {("ours", "constant"): [1.0]})
        assert rows["compare.below.beside_stdlib.constant"] == "one of the two was not measured"

    def test_lines_that_come_late_are_found_out(self):
        """A library that returns before its line is written is not measured as one that writes."""
        assert compare._written_through(dict.fromkeys(SHAPES, lambda _: None), "any").startswith(
            "its lines are not there"
        )

    def test_lines_that_are_no_json_are_found_out(self, capfd):
        """A line of text is not measured as one of JSON."""
        import os

        says = dict.fromkeys(SHAPES, lambda _: os.write(1, b"the call has begun\n"))
        assert compare._written_through(says, "any").startswith("its line is no JSON")
        assert compare._written_through(says, "stdlib") == ""


class _Nobody:
    def __init__(self, commands, _):
        assert commands == {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class TestScaling:
    def test_policies_are_as_many_as_asked_and_one_drops_the_frames(self):
        """The policies of the test load, each is another, and exactly one of them matches what is logged."""
        for count in (10, 40):
            text = scaling.policy_file(count)
            assert text.count('"id"') == count
            assert text.count("[AUDIO_DELTA]") == 1

    def test_multiples_of_the_smallest(self):
        """Each size is told as a multiple of the smallest of its kind."""
        costs = {"calls.dropped.1": [100.0], "calls.dropped.50": [150.0], "attributes.kept.4": [9.0]}
        assert scaling.figures(costs)["scaling.calls.dropped.50"] == 1.5


class TestBoot:
    def test_what_run_adds_beside_what_instrument_adds(self):
        """A Python of 50, 450 under opentelemetry-instrument, 650 under ours: half as much again."""
        assert boot.beside(50.0, 450.0, 650.0) == 0.5

    def test_needed_are_all_once(self):
        """What several packages need is counted once, and a circle ends."""
        tree = {"a": ["B", "c_d"], "b": ["c-d"], "c-d": ["a"]}
        assert boot.needed(["a"], lambda name: tree[name]) == {"a", "b", "c-d"}

    def test_installation(self):
        """What is installed beyond OpenTelemetry's packages holds ours and is not nothing."""
        rows = boot.installation()
        assert 1 < rows["boot.installation"] < rows["boot.installation.named"]
