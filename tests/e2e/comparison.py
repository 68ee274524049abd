"""The matrix as a page of the docs: what arrived of each row's lines, with the official handler and with otel-logging.

Written by `pytest tests/e2e -k matrix --write-comparison`, from counts of real runs. How they are made is `matrix_run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matrix

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "compared-with-the-official-handler.md"
_BEGIN, _END = "<!-- matrix -->", "<!-- end of the matrix -->"


def table(rows: list[Any]) -> str:
    """The Markdown table of `rows`: name, our counts, the official handler's counts. In the order of the matrix."""
    counts = {name: (ours, official) for name, ours, official in rows}
    lines = []
    for group, cases in matrix.GROUPS.items():
        found = [case for case in cases if case.name in counts]
        if not found:
            continue
        lines += [f"### {group}", "", "| case | emitted | official handler | otel-logging |", "|---|---|---|---|"]
        for case in found:
            ours, official = counts[case.name]
            lines.append(f"| {case.about} | {ours['emitted']} | {_said(official)} | {_said(ours)} |")
        lines.append("")
    return "\n".join(lines).strip()


def _said(counts: dict[str, int]) -> str:
    twice = f", {counts['twice']} twice" if counts["twice"] else ""
    return f"{counts['arrived']}{twice}"


def write(text: str, rows: list[Any]) -> None:
    """Put the table in its place in the page. Only all of the rows will do: run the whole matrix, and let it pass."""
    missing = {case.name for case in matrix.CASES} - {name for name, *_ in rows}
    assert not missing, f"not written, as rows are missing: {sorted(missing)}"
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", "utf-8")


def rows_of_the_page() -> list[str]:
    """What the page's table calls its cases."""
    _, _, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    text, _, _ = rest.partition(_END)
    cells = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return [cell for cell in cells if cell != "case"]
