"""The rendered rules as a file for the Collector: one to be given beside its configuration, with comments for people.

    otelcol --config config.yaml --config policies.yaml

It holds the two processors and nothing else; which pipelines they stand in, and where, is the configuration's
business: `filter/policies` before `transform/policies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otel_logging.policy.render import Line, Rendered

FILTER: Final = "filter/policies"
TRANSFORM: Final = "transform/policies"
_COLUMNS: Final = 110


def document(rendered: Rendered) -> dict[str, Any]:
    """The file's content as data."""
    transform: dict[str, Any] = {"error_mode": "ignore"}
    if rendered.statements:
        transform["log_statements"] = [{"statements": [_dollars(line.ottl) for line in rendered.statements]}]
    drop: dict[str, Any] = {"error_mode": "ignore"}
    if rendered.conditions:
        drop["log_conditions"] = [_dollars(line.ottl) for line in rendered.conditions]
    return {"processors": {FILTER: drop, TRANSFORM: transform}}


def yaml_text(rendered: Rendered, command: str) -> str:
    """The file, with which policy each line is for, and what is not as in the application.

    Args:
        rendered: without refusals.
        command: what makes this file again.
    """
    lines = [
        *_wrapped(f"Made by `{command}`: change the policies, not this file.", "# ", "# "),
        "#",
        "# The same rules as in the application, for what other services send, and for whom no application decides:",
        "#     otelcol-contrib --config config.yaml --config policies.yaml",
        "# filter/policies drops a record for which one of its conditions holds; transform/policies changes the rest.",
    ]
    if rendered.notes:
        lines += ["#", "# Notes:"]
        for note in rendered.notes:
            lines += _wrapped(note, "#   - ", "#     ")
    lines += ["", "processors:", f"  {FILTER}:", "    error_mode: ignore"]
    if rendered.conditions:
        lines += ["    log_conditions:", *_items(rendered.conditions, "      ")]
    lines += ["", f"  {TRANSFORM}:", "    error_mode: ignore"]
    if rendered.statements:
        lines += ["    log_statements:", "      - statements:", *_items(rendered.statements, "          ")]
    return "\n".join(lines) + "\n"


def _items(lines: Sequence[Line], indent: str) -> Iterator[str]:
    before: object = None
    for line in lines:
        if line.policy is not before and line.policy is not None:
            name = f": {line.policy.name}" if line.policy.name != line.policy.id else ""
            source = f" ({line.policy.source})" if line.policy.source else ""
            yield from _wrapped(f"{line.policy.id}{source}{name}", f"{indent}# ", f"{indent}# ")
        elif line.policy is None and before is not None:
            yield f"{indent}# for all of these"
        before = line.policy
        quoted = _dollars(line.ottl).replace("'", "''")
        yield f"{indent}- '{quoted}'"


def _dollars(text: str) -> str:
    """As the Collector wants it: it reads `$` as the beginning of a variable."""
    return text.replace("$", "$$")


def _wrapped(text: str, first: str, following: str) -> Iterator[str]:
    """A comment, in lines. Names come from files of all kinds: nothing in them may end a line of ours."""
    words: Iterable[str] = "".join(char if char.isprintable() else " " for char in text).split()
    line = first
    fresh = True
    for word in words:
        if not fresh and len(line) + len(word) >= _COLUMNS:
            yield line.rstrip()
            line, fresh = following, True
        line += word if fresh else f" {word}"
        fresh = False
    yield line.rstrip()
