"""The loop test's figures: seconds that other programs spoiled are left out, and too few of them are no figure."""

from __future__ import annotations

from benchmarks import loop


def rounds(p99, waited):
    return [{"p99": p99, "max": p99, "waited": waited, "cpu": 10.0, "kept": 10, "delivered": 100.0}]


class TestFigures:
    def test_spoiled_seconds_are_left_out(self):
        """A second in which the thread had no core for long says nothing of the logger."""
        assert loop.calm(rounds([2.0, 90.0, 3.0], [1.0, 400.0, 50.0]), "p99") == [2.0, 3.0]

    def test_what_ours_adds_beside_what_theirs_adds(self):
        """(ours - none) of (official - none), of the medians of their seconds."""
        found = {side: rounds([value] * 3, [0.0] * 3) for side, value in
                 {"none": 2.0, "ours": 3.0, "official": 6.0, "filtered": 12.0}.items()}  # fmt: skip
        figures = loop._figures(found)
        assert figures["loop.p99.beside_official"] == 0.25
        assert figures["loop.p99.beside_filtered"] == 0.1

    def test_a_busy_machine_has_no_figure(self):
        """Where most seconds were spoiled there is a reason in place of each figure that depends on them."""
        quiet, busy = rounds([2.0] * 4, [0.0] * 4), rounds([9.0] * 4, [0.0, 99.0, 99.0, 99.0])
        figures = loop._figures({"none": quiet, "ours": busy, "official": quiet, "filtered": quiet})
        assert figures["loop.p99.ours"] == figures["loop.p99.beside_official"] == loop.TOO_BUSY
        assert figures["loop.p99.none"] == 2.0
        assert figures["loop.delivered.ours"] == 100.0


def test_lines_are_places_of_their_own():
    """Each line has code of its own, as in a service: no guard takes them for one place at frame rate."""
    import logging

    places = loop._places(logging.getLogger("a"))
    assert len({place.__code__ for place in places}) == len(loop.LINES)
    places[0](1, 1.5)
