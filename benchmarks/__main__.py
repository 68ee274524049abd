"""Run the benchmarks, print their figures beside the budgets, and fail where one is missed."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:  # the part of TOML that the file uses
    tomllib = None

TOPICS = ("gate", "kept", "load", "page", "store")
ONCE = frozenset({"page", "store"})  # topics that take their own minima, and minutes
BUDGETS = Path(__file__).with_name("budgets.toml")


class Budget(NamedTuple):
    """One row of the table: what is measured, in what unit, the most it may be, and what is aimed at."""

    name: str
    what: str
    unit: str
    most: float | None
    aim: float | None

    def met_by(self, figure: float) -> bool:
        """Whether a figure is within the budget."""
        return self.most is None or figure <= self.most


def budgets() -> dict[str, Budget]:
    """All rows by name, in the order of the file."""
    text = BUDGETS.read_text("utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(text) if tomllib is not None else _simple_toml(text)
    return {
        name: Budget(name, row["what"], row.get("unit", "x"), row.get("most"), row.get("aim"))
        for name, row in tables.items()
    }


def _simple_toml(text: str) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    table: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith("["):
            table = tables[line.strip("[]").strip('"')] = {}
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            table[key.strip()] = json.loads(value)
    return tables


def run(topic: str, rounds: int) -> dict[str, float]:
    """The figures of one topic: for each the median over `rounds` processes."""
    found: dict[str, list[float]] = {}
    for _ in range(1 if topic in ONCE else rounds):
        child = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{topic}"],
            check=False,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        if child.returncode:
            sys.exit(f"benchmarks.{topic} failed:\n{child.stderr}")
        for name, figure in json.loads(child.stdout).items():
            found.setdefault(name, []).append(figure)
    return {name: statistics.median(figures) for name, figures in found.items()}


def main() -> int:
    """The command; 0 if every figure is within its budget, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    parser.add_argument("--only", choices=TOPICS, action="append", help="one topic; may be given again")
    parser.add_argument("--rounds", type=int, default=5, help="processes a topic; medians are taken (default: 5)")
    options = parser.parse_args()
    table = budgets()
    figures: dict[str, float] = {}
    for topic in options.only or TOPICS:
        figures.update(run(topic, options.rounds))
    unknown = figures.keys() - table.keys()
    if unknown:
        sys.exit(f"no row in {BUDGETS.name}: {', '.join(sorted(unknown))}")
    rows = {
        name: {"figure": round(figures[name], 3), "unit": row.unit, "budget": row.most, "aim": row.aim,
               "within": row.met_by(figures[name]), "what": row.what}
        for name, row in table.items() if name in figures
    }  # fmt: skip
    for row in rows.values():
        limit = f"<= {row['budget']:g}" if row["budget"] is not None else "no budget"
        print(
            f"{row['what']:<78} {row['figure']:>8.2f} {row['unit']:<7} {limit:<9} {'' if row['within'] else 'MISSED'}"
        )
    if options.json is not None:
        about = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
        options.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", "utf-8")
    return 0 if all(row["within"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
