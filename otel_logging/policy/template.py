"""Targeted redaction: what a pattern finds is replaced by a template with capture references. Text in, text out.

References are those of the Telemetry Policy specification: `$0` to `$99`, `${1}`, `${name}`, and `$$` for a dollar
sign. A reference to a group that does not exist, or took no part in the match, is empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from otel_logging.policy import patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_REFERENCE: Final = re.compile(r"\$(?:(\$)|([0-9]{1,2})|\{([0-9]{1,2}|[A-Za-z_][A-Za-z0-9_]*)\})")
Span = tuple[int, int]


class Template:
    """A pattern and what stands in for each of its matches.

    Args:
        pattern: an RE2 pattern; `patterns.BadPattern` is raised for any other.
        replacement: the template.
        literal: given the match and a literal part of the template, gives the text to use for it.

    Attributes:
        pattern: the pattern.
        parts: the template: literal texts, and numbers of groups.
    """

    __slots__ = ("_find", "_reword", "parts", "pattern")

    def __init__(self, pattern: str, replacement: str, literal: Callable[[Any, str], str] | None = None) -> None:
        made = patterns.Pattern(pattern)
        self.pattern = pattern
        self._find: Callable[[str], Any] = made.finditer
        self.parts = tuple(_parts(replacement, made.groups, made.groupindex))
        self._reword = literal

    def replace(self, text: str, spared: Sequence[Span] = ()) -> str:
        """`text` with every match replaced; the same object where there is none.

        Args:
            text: what is searched.
            spared: matches that overlap one of these places stay as they are.
        """
        try:
            matches = list(self._find(text))
        except UnicodeEncodeError:
            text = patterns.encodable(text)
            matches = list(self._find(text))
        done: list[str] = []
        end = 0
        last = -1
        for match in matches:
            start, stop = match.span()
            # An empty match right behind another match is none for RE2; its binding gives it, some even twice.
            if start == stop == last:
                continue
            last = stop
            if any(start < spared_stop and spared_start < stop for spared_start, spared_stop in spared):
                continue
            done += (text[end:start], self._expand(match))
            end = stop
        if not done:
            return text
        done.append(text[end:])
        return "".join(done)

    def _expand(self, match: Any) -> str:
        reword = self._reword
        found: list[str] = []
        for part in self.parts:
            if isinstance(part, int):
                found.append(match.group(part) or "")
            else:
                found.append(part if reword is None else reword(match, part))
        return "".join(found)


def _parts(replacement: str, groups: int, names: dict[str, int]) -> list[str | int]:
    """The template as literal texts and numbers of groups, references to missing ones left out."""
    found: list[str | int] = []
    literal = ""
    end = 0
    for match in _REFERENCE.finditer(replacement):
        literal += replacement[end : match.start()]
        end = match.end()
        if match[1]:
            literal += "$"
            continue
        name = match[2] or match[3]
        number = int(name) if name.isdigit() else names.get(name, -1)
        if literal:
            found.append(literal)
            literal = ""
        if 0 <= number <= groups:
            found.append(number)
    literal += replacement[end:]
    return [*found, literal] if literal else found
