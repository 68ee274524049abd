"""Carrying out transforms: each operation as a function of a `LogView`. What a policy is or matches is not known here.

A view is changed by giving it new values; the mappings it was made with are never written to, so that a resource which
many records share, and the application's own objects, stay as they are. A function here may raise: `engine` takes back
what a failing policy did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_logging.policy.model import ID_FIELDS, STANDARD_FIELDS, Add, Field, Redact, Remove, Rename, Transform
from otel_logging.policy.template import Template
from otel_logging.policy.view import ABSENT, HOMES, LogView, id_bytes, reader

Change = Callable[[LogView], None]
Stages = tuple[tuple[Change, ...], ...]
STAGES: Final = ("remove", "redact", "rename", "add")  # in the order that the specification sets
_SLOTS: Final = (*STANDARD_FIELDS, *HOMES.values())


def compiled(transform: Transform, *, everywhere: bool = False) -> Stages:
    """The operations of each of `STAGES`.

    Empty where there are none at all. `everywhere` leaves the redactions of the body by a pattern out: see `privacy`.
    """
    redactions = (one for one in transform.redact if not (everywhere and holds_everywhere(one)))
    stages = (
        tuple(_remove(one) for one in transform.remove),
        tuple(_redact(one) for one in redactions),
        tuple(_rename(one) for one in transform.rename),
        tuple(_add(one) for one in transform.add),
    )
    return stages if any(stages) else ()


def holds_everywhere(one: Redact) -> bool:
    """Whether a redaction of a privacy policy is one that holds for every text."""
    return one.field.kind == "body" and one.regex is not None


def is_id(text: str, size: int) -> bool:
    """Whether a text is the hex of an id of `size` bytes."""
    return len(text) == 2 * size and id_bytes(text, size) is not None


def snapshot(view: LogView) -> tuple[Any, ...]:
    """What a view holds, to be given back to it by `restore`."""
    return tuple(getattr(view, name) for name in _SLOTS)


def restore(view: LogView, before: tuple[Any, ...]) -> None:
    """Make `view` what it was."""
    for name, value in zip(_SLOTS, before, strict=True):
        setattr(view, name, value)


def _remove(one: Remove) -> Change:
    home = HOMES.get(one.field.kind)
    if home is None:
        name = one.field.kind
        return lambda view: setattr(view, name, None)
    path = one.field.path

    def remove(view: LogView) -> None:
        _edit(view, home, path, lambda parent, key: parent.pop(key, None))

    return remove


def _redact(one: Redact) -> Change:
    read = reader(one.field)
    write = _writer(one.field)
    if one.regex is None:
        replacement = one.replacement

        def redact(view: LogView) -> None:
            if read(view) is not ABSENT:
                write(view, replacement)

        return redact
    template = Template(one.regex, one.replacement)

    is_id = one.field.kind in ID_FIELDS

    def redact_found(view: LogView) -> None:
        value = read(view)
        if is_id and isinstance(value, bytes):
            value = value.hex()  # as matchers see an id
        if isinstance(value, str):
            changed = template.replace(value)
            if changed is not value:
                write(view, changed)

    return redact_found


def _rename(one: Rename) -> Change:
    home = HOMES.get(one.field.kind)
    if home is None:
        return lambda _view: None  # a field of the record has no key that could change
    to, upsert = one.to, one.upsert

    def move(parent: dict[str, Any], key: str) -> None:
        if key != to and key in parent and (upsert or to not in parent):
            value = parent.pop(key)
            parent.pop(to, None)
            parent[to] = value

    return lambda view: _edit(view, home, one.field.path, move)


def _add(one: Add) -> Change:
    read, write, value = reader(one.field), _writer(one.field), one.value
    if one.upsert:
        return lambda view: write(view, value)

    def add(view: LogView) -> None:
        if read(view) is ABSENT:
            write(view, value)

    return add


def _writer(field: Field) -> Callable[[LogView, str], None]:
    """A function that puts text into a field, and what leads to it where it is nested."""
    home = HOMES.get(field.kind)
    if home is not None:
        path = field.path
        return lambda view, text: _edit(view, home, path, lambda parent, key: parent.update({key: text}), make=True)
    name = field.kind
    size = ID_FIELDS.get(name)
    if size is not None:
        # An id holds bytes; what is no id leaves none, rather than what was to be covered up.
        return lambda view, text: setattr(view, name, id_bytes(text, size) if is_id(text, size) else None)
    return lambda view, text: setattr(view, name, text)


def _edit(
    view: LogView,
    home: str,
    path: tuple[str, ...],
    edit: Callable[[dict[str, Any], str], object],
    *,
    make: bool = False,
) -> None:
    """Let `edit` change a copy of the mapping that holds the last key of `path`, and put copies on the way to it."""
    root: dict[str, Any] = dict(getattr(view, home))
    parent = root
    for key in path[:-1]:
        inner = parent.get(key, ABSENT)
        if inner is ABSENT and make:
            inner = {}
        if not isinstance(inner, Mapping):
            return  # nothing there, or a value that has no members
        inner = parent[key] = dict(inner)
        parent = inner
    if not make and path[-1] not in parent:
        return
    edit(parent, path[-1])
    setattr(view, home, root)
