"""Parsing of transform operations: what a policy removes, redacts, renames and adds. All errors are collected.

The grammar of fields is `fields`' business, carrying an operation out is `transform`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from otel_logging.policy import patterns
from otel_logging.policy.fields import SELECTORS, Wrong, selector, snake
from otel_logging.policy.model import OWN_FIELDS, Add, Field, Redact, Remove, Rename, Transform

_KEYS: Final = ("remove", "redact", "rename", "add")
_FROM: Final = tuple(f"from_{name}" for name in SELECTORS)
_Operation = TypeVar("_Operation", Remove, Redact, Rename, Add)
Report = Callable[[str, object], None]


def transform(raw: Any, path: str, wrong: Report) -> Transform:
    """The operations of a `transform`, in order.

    Args:
        raw: the decoded mapping.
        path: its place in the policy, for errors.
        wrong: called with the place and the reason of each error.
    """
    try:
        parts = snake(raw, _KEYS, "transform")
    except Wrong as error:
        wrong(path, error)
        return Transform()
    return Transform(
        remove=_all(parts, "remove", _remove, path, wrong),
        redact=_all(parts, "redact", _redact, path, wrong),
        rename=_all(parts, "rename", _rename, path, wrong),
        add=_all(parts, "add", _add, path, wrong),
    )


def _all(
    parts: Mapping[str, Any], name: str, parse: Callable[[Any], _Operation], path: str, wrong: Report
) -> tuple[_Operation, ...]:
    raw = parts.get(name, [])
    if not isinstance(raw, list):
        wrong(f"{path}: {name}", "must be a list")
        return ()
    found = []
    for number, one in enumerate(raw):
        try:
            found.append(parse(one))
        except Wrong as error:  # noqa: PERF203 (each operation is judged by itself)
            wrong(f"{path}: {name}[{number}]", error)
    return tuple(found)


def _remove(raw: Any) -> Remove:
    return Remove(_field(snake(raw, SELECTORS, "an operation")))


def _redact(raw: Any) -> Redact:
    parts = snake(raw, (*SELECTORS, "replacement", "regex"), "an operation")
    field = _field(parts)
    regex = parts.get("regex")
    if regex is not None:
        try:
            patterns.check(_text("regex", regex))
        except patterns.BadPattern as error:
            raise Wrong(f"invalid regex {patterns.quoted(regex)}: {error}") from None
    # In the protobuf schema an empty replacement is the same as none.
    return Redact(field, _text("replacement", parts.get("replacement", "")) or Redact.replacement, regex)


def _rename(raw: Any) -> Rename:
    parts = snake(raw, (*_FROM, "to", "upsert"), "an operation")
    field = _field({name.removeprefix("from_"): value for name, value in parts.items() if name in _FROM})
    to = _text("to", parts.get("to", ""))
    if not to:
        raise Wrong("`to` is needed: the new name")
    return Rename(field, to, _flag(parts))


def _add(raw: Any) -> Add:
    parts = snake(raw, (*SELECTORS, "value", "upsert"), "an operation")
    return Add(_field(parts), _text("value", parts.get("value", "")), _flag(parts))


def _field(parts: Mapping[str, Any]) -> Field:
    field = selector(parts)
    if field.kind in OWN_FIELDS:
        raise Wrong(f"{field.kind} can be matched, not changed")
    return field


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{name} must be a string, not {value!r}; write it in quotes")
    return value


def _flag(parts: Mapping[str, Any]) -> bool:
    value = parts.get("upsert", False)
    if not isinstance(value, bool):
        raise Wrong(f"upsert must be true or false, not {value!r}")
    return value
