"""The chart of the README: bars of what was measured, as an SVG that is written by hand.

Light and dark follow the reader's setting, text is text, and ours is told from the others by its bold name and by a
heavier frame, so that nothing depends on colour. Nothing is loaded from anywhere, and no script runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Line

WIDTH, LEFT, RIGHT = 760, 230, 90  # room for the names, and for the figures
ROW, BAR, HEAD, GAP = 24, 15, 46, 18
STYLE = """
svg { background: #ffffff; }
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.note { fill: #59636e; font-size: 12px; }
.ours { font-weight: 700; }
rect { fill: #c8d1da; }
rect.ours { fill: #0969da; stroke: #1f2328; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; }
  text { fill: #f0f6fc; }
  .note { fill: #9198a1; }
  rect { fill: #4b535d; }
  rect.ours { fill: #4493f8; stroke: #f0f6fc; }
}
"""
NAMES = {
    "ours": "otel-logging", "ours_remembered": "otel-logging, remembered", "stdlib": "logging (text)",
    "official": "OpenTelemetry handler", "filtered": "OpenTelemetry handler, filter", "none": "no exporter",
    "python_json_logger": "python-json-logger",
}  # fmt: skip


class Bar(NamedTuple):
    """One bar: a name, a figure, and whether it is ours."""

    name: str
    figure: float
    ours: bool = False


class Panel(NamedTuple):
    """Some bars of one unit under a title."""

    title: str
    note: str
    unit: str
    bars: tuple[Bar, ...]


PANELS = (
    ("compare.filtered.f_string.", "A frame line that is dropped", "an f-string at INFO; CPU of its thread", "µs"),
    ("compare.json.extras.", "A line that is kept, as JSON on the console", "four extras, written at once", "µs"),
    ("compare.otlp.extras.", "A line that is kept, by OTLP", "four extras; CPU, sending included", "µs"),
    ("loop.p99.", "How late a 20 ms frame is, 99th percentile",
     "200 calls, 10,000 dropped and 4,000 kept lines a second", "ms"),
)  # fmt: skip


def of(lines: Sequence[Line]) -> str:
    """The chart of what was measured; panels in which ours was not measured are left out."""
    panels = []
    for prefix, title, note, unit in PANELS:
        found = {
            line.row.name.removeprefix(prefix): line.figure
            for line in lines
            if line.figures
            and line.row.name.startswith(prefix)
            and ".beside_" not in "." + line.row.name.removeprefix(prefix)
        }
        bars = tuple(Bar(NAMES.get(name, name), figure, name.startswith("ours")) for name, figure in found.items())
        if any(bar.ours for bar in bars):
            panels.append(Panel(title, note, unit, bars))
    return draw(panels)


def draw(panels: Sequence[Panel]) -> str:
    """An SVG of the panels, one below the other, each on a scale of its own that begins at zero."""
    parts: list[str] = []
    top = 8
    for panel in panels:
        parts.append(f'<text class="title" x="12" y="{top + 18}">{escape(panel.title)}</text>')
        parts.append(f'<text class="note" x="12" y="{top + 35}">{escape(panel.note)}; shorter is better</text>')
        top += HEAD
        most = max((bar.figure for bar in panel.bars), default=0.0) or 1.0
        for bar in sorted(panel.bars, key=lambda bar: bar.figure):
            wide = max(1.0, (WIDTH - LEFT - RIGHT) * bar.figure / most)
            kind = ' class="ours"' if bar.ours else ""
            parts.append(f'<text{kind} x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(bar.name)}</text>')
            parts.append(f'<rect{kind} x="{LEFT}" y="{top}" width="{wide:.1f}" height="{BAR}"/>')
            figure = f"{bar.figure:.3g} {panel.unit}"
            parts.append(f'<text{kind} x="{LEFT + wide + 8:.1f}" y="{top + 12}">{escape(figure)}</text>')
            top += ROW
        top += GAP
    told = "; ".join(f"{panel.title}: " + ", ".join(
        f"{bar.name} {bar.figure:.3g} {panel.unit}" for bar in panel.bars) for panel in panels)  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        f'role="img" aria-label={quoteattr("What log lines cost. " + told)}>\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
