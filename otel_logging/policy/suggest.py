"""Rules for the loudest lines of calls: which texts repeat, and the policy that would leave them out.

Texts that differ in numbers, ids and what stands in quotes are one shape. Only what is below WARN is ever proposed, and
a person reads each proposal before it is in force: nothing in here drops anything. Reading records is not done here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_logging.policy import patterns
from otel_logging.policy.group import severe
from otel_logging.policy.model import FRAME, FRAME_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_SHAPES: Final = 20_000  # beyond it new shapes are counted together: a log of nothing but different lines
_MAX_TEXT: Final = 160  # characters of a line that a shape and its pattern look at
_LEAST_WORDS: Final = 4  # letters that a pattern must name, so that it does not mean everything
_SPECIAL: Final = frozenset(r"\.+*?()|[]{}^$")
_VARIABLE: Final = re.compile(
    r"(?P<id>[A-Z]{2}[0-9a-f]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?<![0-9A-Za-z])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}(?![0-9A-Za-z]))"
    r"|(?P<number>[0-9]+(?:[.,:][0-9]+)*)"
    r"""|(?P<quoted>"[^"\n]*"|(?<!\w)'[^'\n]*')"""
)
_STAND_INS: Final = {
    "id": "[0-9A-Za-z-]+",
    "number": "[0-9][0-9.,:]*",
    "quoted": r"""(?:"[^"\n]*"|'[^'\n]*')""",
}


@dataclass
class Shape:
    """Texts that are one but for what varies. `mild` counts those below WARN, `calls` where they were."""

    example: str
    pattern: str
    name: str
    mild: int = 0
    calls: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Suggestion:
    """One proposed policy.

    Attributes:
        policy: as a policy file has it.
        example: a line that it is about.
        lines: how many lines it would have dropped.
        calls: in how many calls.
        share: of all lines, 0 to 1.
    """

    policy: dict[str, Any]
    example: str
    lines: int
    calls: int
    share: float

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "policy": self.policy, "example": self.example, "lines": self.lines, "calls": self.calls,
            "lines_per_call": round(self.lines / self.calls, 1), "share": round(self.share, 4),
        }  # fmt: skip


class Shapes:
    """Counts lines by shape and call.

    Attributes:
        lines: all that were added.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._shapes: dict[str, Shape] = {}

    def add(self, text: str, severity_number: int, severity_text: str | None, call: str | None) -> None:
        """One line. Without a call it counts for the whole, and is proposed only where no line has one."""
        self.lines += 1
        if severe(severity_number, severity_text):
            return
        pattern, name = shape_of(text)
        shape = self._shapes.get(pattern)
        if shape is None:
            if len(self._shapes) >= _MAX_SHAPES:
                return
            shape = self._shapes[pattern] = Shape(text, pattern, name)
        shape.mild += 1
        if call is not None:
            shape.calls.add(call)

    def suggestions(self, *, least: float, top: int) -> list[Suggestion]:
        """Policies for the shapes with at least so many lines a call, at most `top`, the loudest first.

        Without any call the whole is taken for one.
        """
        shapes = list(self._shapes.values())
        alone = not any(shape.calls for shape in shapes)
        loud = [
            shape
            for shape in shapes
            if (shape.calls or alone)
            and shape.mild / (len(shape.calls) or 1) >= least
            and sum(map(str.isalpha, shape.name)) >= _LEAST_WORDS
        ]
        loud.sort(key=lambda shape: (-shape.mild, shape.name))
        return [*self._proposed(loud[:top], shapes)]

    def _proposed(self, loud: Sequence[Shape], shapes: Sequence[Shape]) -> Iterator[Suggestion]:
        """What each drops beyond those before it: a pattern may mean the lines of another shape as well."""
        ids: set[str] = set()
        gone: set[str] = set()
        for shape in loud:
            finds = patterns.PatternSet([shape.pattern]).search
            mine = [one for one in shapes if one.pattern not in gone and finds(one.example)]
            if not mine:
                continue
            gone |= {one.pattern for one in mine}
            lines = sum(one.mild for one in mine)
            calls = len(set().union(*(one.calls for one in mine))) or 1
            policy = _policy(shape, ids)
            yield Suggestion(policy, shape.example, lines, calls, lines / self.lines)


def shape_of(text: str) -> tuple[str, str]:
    """The pattern that finds this text and those of its shape, and the shape as people read it."""
    text = patterns.encodable(text[:_MAX_TEXT])
    pattern, name = "^", ""
    end = 0
    for found in _VARIABLE.finditer(text):
        literal = text[end : found.start()]
        pattern += _literal(literal) + _STAND_INS[str(found.lastgroup)]
        name += literal + "…"
        end = found.end()
    return pattern + _literal(text[end:]), name + text[end:]


def _literal(text: str) -> str:
    """As `re2.escape`, but for what means nothing in a pattern: people read these."""
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


def _policy(shape: Shape, ids: set[str]) -> dict[str, Any]:
    words = re.findall(r"[^\W\d_]+", shape.name.lower())
    base = number = "-".join(words[:5])[:40].strip("-")
    count = 1
    while number in ids:
        count += 1
        number = f"{base}-{count}"
    ids.add(number)
    return {
        "id": number,
        "name": " ".join(shape.name.split())[:80],
        "labels": [{"key": FRAME_LABEL, "value": {"string_value": FRAME}}],
        "log": {"match": [{"log_field": "body", "regex": shape.pattern}], "keep": "none"},
    }


def yaml_text(suggestions: Sequence[Suggestion], lines: int) -> str:
    """A policy file with the proposals, each below what it would do."""
    dropped = sum(one.lines for one in suggestions)
    said = [
        f"# These rules would drop {dropped:,} of {lines:,} lines ({_percent(dropped / lines)}), all below WARN.",
        "# Read each before you use it: a line that matters may look like one that does not.",
        "policies:",
    ]
    for one in suggestions:
        per_call = f"{one.lines / one.calls:,.0f}"
        calls = "1 call" if one.calls == 1 else f"{one.calls:,} calls"
        said += [
            f"  # {one.lines:,} lines in {calls}, {per_call} a call: {_percent(one.share)} of all. For example:",
            f"  #   {_comment(one.example)}",
            f"  - id: {_quoted(one.policy['id'])}",
            f"    name: {_quoted(one.policy['name'])}",
            "    labels:",
            f"      - {{key: {FRAME_LABEL}, value: {{string_value: {FRAME}}}}}",
            "    log:",
            "      match:",
            "        - log_field: body",
            f"          regex: {_quoted(one.policy['log']['match'][0]['regex'])}",
            "      keep: none",
            "",
        ]
    return "\n".join(said).rstrip("\n") + "\n"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_TEXT])


def _quoted(text: str) -> str:
    """A YAML string: as it is where that can be, so that a pattern stays readable."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return "".join(
        char if char.isprintable() else json.dumps(char)[1:-1] for char in json.dumps(text, ensure_ascii=False)
    )
