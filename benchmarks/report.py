"""What the benchmarks found, as lines beside their budgets, as a document, and as text for a terminal."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.figures import median

if TYPE_CHECKING:
    from benchmarks.rows import Row, Table
    from benchmarks.topics import Figures

PEERS = (
    "otel-logging", "opentelemetry-sdk", "opentelemetry-instrumentation-logging", "protobuf", "structlog", "loguru",
    "picologging", "python-json-logger", "logfire", "ddtrace",
)  # fmt: skip


class Line(NamedTuple):
    """One row and what was found for it: a figure a run, or why there is none."""

    row: Row
    figures: tuple[float, ...]
    why: str = ""

    @property
    def figure(self) -> float:
        """The median of the runs."""
        return float(median(self.figures))

    @property
    def within(self) -> bool | None:
        """Whether every run kept the budget; None if it was not measured."""
        return all(self.row.met_by(figure) for figure in self.figures) if self.figures else None

    def missed(self, *, strict: bool) -> bool:
        """Whether it stands against the whole: a budget overrun or, if `strict`, not measured."""
        if self.within is None:
            return strict and self.row.has_budget
        return not self.within


def lines(runs: list[Figures], table: Table) -> list[Line]:
    """All rows that any run has, in the order of the first that has them.

    Raises:
        KeyError: for a figure that has no row.
    """
    found = []
    for name in dict.fromkeys(name for figures in runs for name in figures):
        values = [figures.get(name, "not measured in each run") for figures in runs]
        why = next((value for value in values if isinstance(value, str)), "")
        figures = () if why else tuple(float(value) for value in values)
        found.append(Line(table.row(name), figures, why))
    return found


def document(found: list[Line]) -> dict[str, Any]:
    """What is written as JSON."""
    return {
        "about": {
            "python": platform.python_version(), "machine": platform.machine(), "system": platform.system(),
            "packages": versions(),
        },
        "rows": {
            line.row.name: {
                "figure": round(line.figure, 3) if line.figures else None,
                "runs": [round(figure, 3) for figure in line.figures], "unit": line.row.unit,
                "budget": line.row.most if line.row.least is None else line.row.least, "aim": line.row.aim,
                "within": line.within, "what": line.row.what, **({"not_measured": line.why} if line.why else {}),
            } for line in found
        },
    }  # fmt: skip


def versions() -> dict[str, str]:
    """What is installed of all that is compared."""
    return {name: _version(name) for name in PEERS}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def text(found: list[Line]) -> str:
    """A line a row, and at the end what does not hold."""
    wide = max((len(line.row.what) for line in found), default=0)
    written = []
    for line in found:
        if not line.figures:
            written.append(f"{line.row.what:<{wide}}  not measured: {line.why}")
            continue
        runs = "".join(f" {number(figure):>8}" for figure in line.figures) if len(line.figures) > 1 else ""
        verdict = "" if line.within else "  MISSED"
        figure = f"{number(line.figure):>9} {line.row.unit:<8} {line.row.limit:<10}"
        written.append(f"{line.row.what:<{wide}} {figure}{runs}{verdict}".rstrip())
    missed = [line.row.name for line in found if line.within is False]
    unknown = [line.row.name for line in found if line.within is None and line.row.has_budget]
    if missed:
        written.append("missed: " + ", ".join(missed))
    if unknown:
        written.append("with a budget, and not measured: " + ", ".join(unknown))
    return "\n".join(written)


def number(figure: float) -> str:
    """A figure with as many digits as one reads."""
    return f"{figure:,.0f}" if abs(figure) >= 1_000 else f"{figure:.2f}" if abs(figure) < 100 else f"{figure:.1f}"
