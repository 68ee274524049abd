"""The chart: an SVG that any reader can show, whatever is in it, and that is understood without colours."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.chart import Bar, Panel, draw, of
from benchmarks.report import Line
from benchmarks.rows import Row

SVG = "{http://www.w3.org/2000/svg}"


def read(text):
    return ET.fromstring(text)


def texts(svg):
    return [node.text for node in svg.iter(f"{SVG}text")]


class TestDraw:
    def test_what_is_in_it_is_escaped(self):
        """A name with marks of the format stays a name, in the text and in the description."""
        hostile = "<script>\"&'"
        svg = read(draw([Panel(hostile, hostile, "µs", (Bar(hostile, 1.0),))]))
        assert hostile in texts(svg)
        assert hostile in svg.get("aria-label")
        assert not list(svg.iter(f"{SVG}script"))

    def test_bars_are_as_long_as_their_figures(self):
        """Lengths begin at zero and are in proportion; the shortest comes first."""
        svg = read(draw([Panel("title", "note", "µs", (Bar("slow", 10.0), Bar("fast", 2.5, ours=True)))]))
        first, second = (float(node.get("width")) for node in svg.iter(f"{SVG}rect"))
        assert first / second == 0.25
        assert texts(svg)[2:] == ["fast", "2.5 µs", "slow", "10 µs"]

    def test_ours_is_told_without_colour(self):
        """Ours has a bold name and a frame; every bar has its name and its figure beside it."""
        text = draw([Panel("title", "note", "µs", (Bar("ours", 1.0, ours=True), Bar("other", 2.0)))])
        kinds = [node.get("class") for node in read(text).iter(f"{SVG}rect")]
        assert kinds == ["ours", None]
        assert ".ours { font-weight: 700; }" in text
        assert "stroke-width" in text

    def test_light_and_dark(self):
        """It follows the reader's setting, and loads nothing to do so."""
        text = draw([Panel("title", "note", "µs", (Bar("a", 1.0),))])
        assert "@media (prefers-color-scheme: dark)" in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")

    def test_everything_is_inside(self):
        """No bar and no text is outside of the picture, also where all figures are zero."""
        bars = tuple(Bar(f"bar {number}", 0.0) for number in range(9))
        svg = read(draw([Panel("title", "note", "µs", bars)] * 4))
        height, width = float(svg.get("height")), float(svg.get("width"))
        for node in [*svg.iter(f"{SVG}text"), *svg.iter(f"{SVG}rect")]:
            assert 0 <= float(node.get("y")) < height
            assert 0 <= float(node.get("x")) < width

    def test_nothing(self):
        """Without figures it is an empty picture, still well-formed."""
        assert not texts(read(draw([])))


class TestOf:
    def test_takes_what_was_measured(self):
        """Only rows of the panels that have figures are drawn; ratios and what is not installed are not."""
        lines = [
            Line(Row("loop.p99.ours", ""), (3.0,)),
            Line(Row("loop.p99.beside_official", ""), (0.5,)),
            Line(Row("loop.p99.official", ""), (), "failed"),
            Line(Row("gate.rate_limited", ""), (4.0,)),
        ]
        svg = read(of(lines))
        assert texts(svg)[2:] == ["otel-logging", "3 ms"]
