"""Run the benchmarks, print their figures beside the budgets, and fail where one is missed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import chart, report
from benchmarks.rows import Table
from benchmarks.topics import TOPICS, Figures, run

MISSED, USAGE = 1, 2


def main(argv: list[str] | None = None) -> int:
    """The command; 0 if every figure is within its budget in every run, else 1, and 2 if it cannot be run so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw the chart of the README there")
    parser.add_argument("--only", choices=TOPICS, action="append", help="one topic; may be given again")
    parser.add_argument("--rounds", type=int, default=5, help="processes a topic; medians are taken (default: 5)")
    parser.add_argument("--runs", type=int, default=1, help="all of it so often; each run must hold (default: 1)")
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes: figures that are worth little")
    parser.add_argument("--strict", action="store_true", help="a budget that was not measured counts as missed")
    parser.add_argument("--list", action="store_true", help="list the topics and end")
    options = parser.parse_args(argv)
    if options.rounds < 1 or options.runs < 1:
        parser.error("--rounds and --runs are at least 1")
    if options.list:
        for name, topic in TOPICS.items():
            print(f"{name:<14}{topic.what}")
        return 0
    table = Table.read()
    runs: list[Figures] = []
    for _ in range(options.runs):
        figures: Figures = {}
        for name in options.only or TOPICS:
            print(f"benchmarks.{name} …", file=sys.stderr, flush=True)
            try:
                figures.update(run(name, options.rounds, quick=options.quick))
            except RuntimeError as error:
                print(error, file=sys.stderr)
                return USAGE
        runs.append(figures)
    try:
        lines = report.lines(runs, table)
    except KeyError as error:
        print(f"no row in budgets.toml: {error.args[0]}", file=sys.stderr)
        return USAGE
    print(report.text(lines))
    if options.json is not None:
        options.json.write_text(json.dumps(report.document(lines), indent=2) + "\n", "utf-8")
    if options.svg is not None:
        options.svg.write_text(chart.of(lines), "utf-8")
    return MISSED if any(line.missed(strict=options.strict) for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
