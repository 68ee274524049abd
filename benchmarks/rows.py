"""The rows of the table: what is measured, in which unit, and how much it may be. They stand in `budgets.toml`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:  # the part of TOML that the file uses
    tomllib = None

BUDGETS = Path(__file__).with_name("budgets.toml")


class Row(NamedTuple):
    """One row: its name, what it is, its unit, the most and the least it may be, and what is aimed at."""

    name: str
    what: str
    unit: str = "x"
    most: float | None = None
    least: float | None = None
    aim: float | None = None

    @property
    def has_budget(self) -> bool:
        """Whether it can be missed at all."""
        return self.most is not None or self.least is not None

    @property
    def limit(self) -> str:
        """The budget as a person reads it."""
        if self.most is not None:
            return f"<= {self.most:g}"
        return "no budget" if self.least is None else f">= {self.least:g}"

    def met_by(self, figure: float) -> bool:
        """Whether a figure is within the budget."""
        return (self.most is None or figure <= self.most) and (self.least is None or figure >= self.least)


class Table:
    """All rows of a file, some of which stand for many: `a.*.c`, whose `what` says `{0}` for the part that differs."""

    def __init__(self, text: str) -> None:
        """Read the text of the file."""
        tables = tomllib.loads(text) if tomllib is not None else simple_toml(text)
        self._rows = {
            name: Row(
                name, row["what"], row.get("unit", "x"), row.get("most"), row.get("least"), row.get("aim")
            ) for name, row in tables.items()
        }  # fmt: skip

    @classmethod
    def read(cls, path: Path = BUDGETS) -> Table:
        """That of a file, `budgets.toml` unless another is named."""
        return cls(path.read_text("utf-8"))

    def names(self) -> list[str]:
        """The names of the rows as they stand in the file."""
        return list(self._rows)

    def row(self, name: str) -> Row:
        """The row of a figure: that of its own name, else the first whose pattern its name has.

        Raises:
            KeyError: if there is none.
        """
        if name in self._rows:
            return self._rows[name]
        for pattern, row in self._rows.items():
            if "*" in pattern:
                found = re.fullmatch(re.escape(pattern).replace(r"\*", "([^.]+)"), name)
                if found is not None:
                    parts = (part.replace("_", " ") for part in found.groups())
                    return row._replace(name=name, what=row.what.format(*parts))
        raise KeyError(name)


def simple_toml(text: str) -> dict[str, dict[str, Any]]:
    """The tables of a file that holds nothing but `["name"]` and `key = value` lines, and comments."""
    tables: dict[str, dict[str, Any]] = {}
    table: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith("["):
            table = tables[line.strip("[]").strip('"')] = {}
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            table[key.strip()], end = json.JSONDecoder().raw_decode(value.strip())
            after = value.strip()[end:].strip()
            if after and not after.startswith("#"):
                raise ValueError(line)
    return tables
