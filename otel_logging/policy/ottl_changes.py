"""Transforms of policies as OTTL statements, in the order that the specification sets: remove, redact, rename, add.

Each statement does what `transform` does to a view, and leaves alone what that leaves alone. Which records are meant
is decided before the first change: a statement runs where `flag`, an OTTL condition, holds. Redactions that hold for
every text are `ottl_privacy`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_logging.policy import ottl
from otel_logging.policy.model import ID_FIELDS, Add, Field, Policy, Redact, Remove, Rename
from otel_logging.policy.template import Template
from otel_logging.policy.transform import STAGES, holds_everywhere, is_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHARED: Final = ("resource", "scope")


def statements(policy: Policy, flag: str, stages: Iterable[str] = STAGES) -> Iterator[str]:
    """What the policy changes on a record for which `flag` holds.

    Args:
        policy: whose changes.
        flag: a condition.
        stages: of which stages.

    Raises:
        Inexpressible: OTTL cannot say one of the operations.
    """
    for stage in stages:
        for position, operation in enumerate(getattr(policy.transform, stage)):
            yield from _where(_steps(policy, operation, position), flag, f"{policy.id} {stage} {position}")


def shared(policy: Policy) -> bool:
    """Whether the policy changes what records share: their resource or their scope."""
    changed = policy.transform
    operations: list[Remove | Redact | Rename | Add] = [*changed.remove, *changed.redact, *changed.rename, *changed.add]
    return any(one.field.kind.startswith(_SHARED) for one in operations)


def remembered(name: str) -> str:
    """A place that lasts while one record is worked on."""
    return f"log.cache[{ottl.text(name)}]"


def replacement(parts: Iterable[str | int]) -> str:
    """The parts of a template as Go's regular expressions read them: groups by number, a dollar sign twice."""
    return "".join(f"${{{part}}}" if isinstance(part, int) else part.replace("$", "$$") for part in parts)


# An operation is a list of (statement, conditions). `{}` in either is the operation's own remembered place.
_Steps = list[tuple[str, list[str]]]


def _where(steps: _Steps, flag: str, name: str) -> Iterator[str]:
    own = remembered(name)
    for statement, conditions in steps:
        yield f"{statement} where {ottl.both([flag, *conditions])}".replace(_OWN, own)


_OWN: Final = "\x00own\x00"  # stands for the operation's remembered place until its name is known


def _steps(policy: Policy, operation: Remove | Redact | Rename | Add, position: int) -> _Steps:
    if isinstance(operation, Remove):
        return _remove(operation)
    if isinstance(operation, Rename):
        return _rename(operation)
    if isinstance(operation, Add):
        return _add(operation)
    if policy.everywhere and holds_everywhere(operation):
        return []
    return _redact(operation, f"log: transform: redact[{position}]")


def _set(field: Field, value: str) -> str:
    return f"set({ottl.path(field)}, {ottl.text(value)})"


def _cleared(field: Field) -> str:
    """A field of the record that holds nothing. OTTL cannot take a body away; an empty one counts as none."""
    return _set(field, ottl.no_id(field) if field.kind in ID_FIELDS else "")


def _remove(one: Remove) -> _Steps:
    field = one.field
    if field.kind not in ottl.MAPS:
        return [(_cleared(field), ottl.present(field))]
    return [(f"delete_key({ottl.holder(field)}, {ottl.text(field.path[-1])})", ottl.parents(field))]


def _redact(one: Redact, place: str) -> _Steps:
    field = one.field
    if one.regex is None:
        return [(_written(field, one.replacement), ottl.present(field))]
    template = Template(one.regex, one.replacement)
    arguments = f"{ottl.regex(one.regex, place)}, {ottl.text(replacement(template.parts))}"
    where = ottl.path(field)
    if field.kind in ID_FIELDS:
        # What becomes no id must leave none, and would be refused by the field itself: changed beside it first.
        digits = f"^[0-9a-fA-F]{{{2 * ID_FIELDS[field.kind]}}}$"
        fits = f"IsMatch({_OWN}, {ottl.text(digits)})"
        return [
            (f"set({_OWN}, {where})", ottl.present(field)),
            (f"replace_pattern({_OWN}, {arguments})", [f"{_OWN} != nil"]),
            (f"set({where}, {_OWN})", [f"{_OWN} != nil", fits]),
            (_cleared(field), [f"{_OWN} != nil", f"not {fits}"]),
        ]
    guard = ottl.parents(field)
    if field.kind not in ottl.MAPS and ottl.finds_empty(one.regex):
        guard = ottl.present(field)  # an empty field is none, so nothing is found in it
    return [(f"replace_pattern({where}, {arguments})", guard)]


def _rename(one: Rename) -> _Steps:
    field = one.field
    if field.kind not in ottl.MAPS or field.path[-1] == one.to:
        return []
    target = Field(field.kind, (*field.path[:-1], one.to))
    free = [] if one.upsert else [ottl.negation([ottl.present(target)[-1]])]
    # A key without a value stays: OTTL has nothing to set in its place.
    movable = [*ottl.present(field), f"{ottl.path(field)} != nil", *free]
    return [
        (f"set({_OWN}, true)", movable),
        (f"set({ottl.path(target)}, {ottl.path(field)})", [f"{_OWN} == true"]),
        (f"delete_key({ottl.holder(field)}, {ottl.text(field.path[-1])})", [f"{_OWN} == true"]),
    ]


def _add(one: Add) -> _Steps:
    field = one.field
    conditions = [] if one.upsert else [ottl.negation(ottl.present(field))]
    return [(_written(field, one.value), [*conditions, _reachable(field)])]


def _reachable(field: Field) -> str:
    """That maps lead to an attribute, or can be made to: what is there and no map is left alone."""
    found = ottl.TRUE
    for end in range(len(field.path) - 1, 0, -1):
        step = Field(field.kind, field.path[:end])
        found = f"(not {ottl.present(step)[-1]} or {ottl.both([f'IsMap({ottl.path(step)})', found])})"
    return found


def _written(field: Field, value: str) -> str:
    """The field with text put into it; into an id, what is no id leaves none."""
    if field.kind in ID_FIELDS:
        return _set(field, value.lower()) if is_id(value, ID_FIELDS[field.kind]) else _cleared(field)
    return _set(field, value)
