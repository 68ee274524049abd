"""The same rules in the Collector: what its `filter` and `transform` processors must say to do as the policies do.

What cannot be said exactly is refused, or, where that was asked for, comes as near as it can, with a note. A record
that an override let through (`otel_logging.trigger`) is dropped by nothing. OTTL itself is `ottl`'s business, the file
`collector_file`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from otel_logging.policy import ottl, ottl_changes, ottl_privacy
from otel_logging.policy.limit import SPACE, in_sample, threshold
from otel_logging.policy.model import ID_FIELDS, Field, Keep, Policy
from otel_logging.policy.ottl import Inexpressible
from otel_logging.policy.transform import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LET_THROUGH: Final = 'log.attributes["otel_logging.trigger"] == nil'
_HEX_DIGITS: Final = 14  # of the 56 bits that decide about a sample
_TRACE_ID_START: Final = 18  # where they begin in a trace id
_KEEPS: Final = "all, none, N% with a sample_key that match asks for"


@dataclass(frozen=True)
class Line:
    """One condition or statement, and which policy it is for."""

    ottl: str
    policy: Policy | None = None


@dataclass(frozen=True)
class Rendered:
    """What the Collector is to do.

    Attributes:
        conditions: a record for which one holds is dropped.
        statements: carried out on what stays, in order.
        notes: what a reader must know, each about one policy or file.
        refused: what could not be said; where there is any, the rest must not be used.
    """

    conditions: tuple[Line, ...]
    statements: tuple[Line, ...]
    notes: tuple[str, ...]
    refused: tuple[str, ...]


def render(policies: Iterable[Policy], *, approximate: bool = False) -> Rendered:
    """Render policies. Broken and disabled ones, and those for other signals, are named in a note and left out.

    Args:
        policies: of any state, each id once among those that are good.
        approximate: whether what cannot be said may come as near as it can, with a note, instead of being refused.
    """
    work = _Render(approximate=approximate)
    good = [policy for policy in policies if work.takes(policy) and not work.guarded(policy, work.never)]
    conditions = [line for policy in _by_restriction(good) for line in work.guarded(policy, work.drops)]
    changing = sorted(good, key=lambda policy: policy.id)
    # All conditions are looked at before the first change.
    flags = [line for policy in changing for line in work.guarded(policy, _flag)]
    changes = [
        line for stage in STAGES for policy in changing for line in work.guarded(policy, partial(_changes, stage=stage))
    ]
    texts = work.private(changing)
    for policy in good:
        work.tell_about(policy)
    return Rendered(tuple(conditions), (*flags, *changes, *texts), tuple(work.notes), tuple(work.refused))


def _by_restriction(policies: Iterable[Policy]) -> list[Policy]:
    """As `compiler` ranks them, as far as it matters here: of those that sample, the first that matches decides."""
    return sorted(policies, key=lambda policy: (policy.keep.kind != "none", policy.keep.percent, policy.id))


def _name(policy: Policy) -> str:
    return f"{policy.source}: policy {policy.id!r}" if policy.source else f"policy {policy.id!r}"


class _Render:
    """Collects notes and refusals."""

    def __init__(self, *, approximate: bool) -> None:
        self.notes: list[str] = []
        self.refused: list[str] = []
        self._approximate = approximate
        self._samplers: list[tuple[Policy, str]] = []  # those before the one at hand, and when they match

    def takes(self, policy: Policy) -> bool:
        """Whether the application carries the policy out."""
        why = ""
        if policy.errors:
            why = f"is left out, as in the application: {'; '.join(map(str, policy.errors))}"
        elif policy.signal != "log":
            why = f"is left out: it is for {policy.signal}s"
        elif not policy.enabled:
            why = "is left out: it is disabled"
        if why:
            self.notes.append(f"{_name(policy)} {why}")
        return not why

    def tell_about(self, policy: Policy) -> None:
        """What is different in the Collector by its nature."""
        for extension in dict.fromkeys(extension.type for extension in policy.extensions):
            self.notes.append(f"{_name(policy)}: its extension {extension} is left out: it works in the application")
        if ottl_changes.shared(policy):
            self.notes.append(
                f"{_name(policy)}: a resource or scope that it changes is changed for all records that share it"
            )

    def guarded(self, policy: Policy, lines: Callable[[Policy], Iterator[Line]]) -> list[Line]:
        """The lines, or none and a refusal."""
        try:
            return list(lines(policy))
        except Inexpressible as error:
            said = f"{_name(policy)}: {error}; nothing is rendered"
            if said not in self.refused:
                self.refused.append(said)
            return []

    def _nearly(self, policy: Policy, place: str, what: str, valid: str, instead: str) -> None:
        """Refuse what cannot be said, or note what is said instead."""
        if not self._approximate:
            raise Inexpressible(place, what, f"{valid} (with --approximate, {instead})")
        self.notes.append(f"{_name(policy)}: {place}: {what}; {instead}")

    def never(self, policy: Policy) -> Iterator[Line]:
        """Something, if no record can match the policy."""
        if ottl.both(ottl.matching(policy.match, frame=policy.frame)) == ottl.FALSE:
            self.notes.append(f"{_name(policy)} is left out: it matches no record")
            yield Line(ottl.FALSE, policy)

    def drops(self, policy: Policy) -> Iterator[Line]:
        """When the policy drops a record."""
        keep, passes = policy.keep, "all its records pass here"
        if keep.kind == "all" or (keep.kind == "sample" and keep.percent >= 100):
            return
        if keep.kind == "rate":
            what = f"{_rate(keep)}: the Collector keeps no counts from one record to the next"
            self._nearly(policy, "log: keep", what, _KEEPS, passes)
            return
        terms = ottl.matching(policy.match, frame=policy.frame)
        if keep.kind == "sample" and keep.percent > 0:
            # Of one key, what the lower percentage keeps the higher keeps as well.
            earlier = [
                when for one, when in self._samplers if not one.sample_key or one.sample_key != policy.sample_key
            ]
            self._samplers.append((policy, ottl.both(terms)))
            if policy.sample_key is None:
                what = f"{keep.percent:g}% without a sample_key: what the application kept would be drawn again"
                self._nearly(policy, "log: keep", what, _KEEPS, passes)
                return
            lot = _out_of_sample(policy.sample_key, keep.percent)
            if all(one.negate or one.field != policy.sample_key for one in policy.match):
                what = "a record without it would be drawn again"
                self._nearly(policy, "log: sample_key", what, "a key that match asks for", "such records pass here")
            if policy.sample_key.kind in {"body", *ottl.MAPS}:
                other = "a sample_key that is neither text, whole number nor boolean passes"
                self.notes.append(f"{_name(policy)}: {other}")
            terms = [*terms, *(ottl.negation([when]) for when in earlier), lot]
        yield Line(ottl.both([LET_THROUGH, *terms]), policy)

    def private(self, policies: Sequence[Policy]) -> list[Line]:
        """The redactions of privacy policies, which are told about together: a mode brings many."""
        private = [policy for policy in policies if ottl_privacy.redactions(policy)]
        for source in dict.fromkeys(policy.source for policy in private):
            names = ", ".join(repr(policy.id) for policy in private if policy.source == source)
            said = f"{source or 'policies'}: {names}: {ottl_privacy.LIMITS}"
            if self._approximate:
                self.notes.append(said)
            else:
                self.refused.append(
                    f"{said}; valid for the Collector: policies without the class privacy, --privacy none for your "
                    "own policies alone (with --approximate, they do what they can); nothing is rendered"
                )
        lines = [line for policy in private for line in self.guarded(policy, _private)]
        return [*map(Line, ottl_privacy.before()), *lines, *map(Line, ottl_privacy.after())] if lines else []


def _private(policy: Policy) -> Iterator[Line]:
    for statement in ottl_privacy.statements(policy):
        yield Line(statement, policy)


def _flag(policy: Policy) -> Iterator[Line]:
    if next(ottl_changes.statements(policy, ottl.TRUE), None) is not None and policy.keep.kind != "none":
        when = ottl.both(ottl.matching(policy.match, frame=policy.frame))
        yield Line(f"set({ottl_changes.remembered(policy.id)}, true) where {when}", policy)


def _changes(policy: Policy, stage: str) -> Iterator[Line]:
    if policy.keep.kind != "none":
        for statement in ottl_changes.statements(policy, f"{ottl_changes.remembered(policy.id)} == true", (stage,)):
            yield Line(statement, policy)


def _rate(keep: Keep) -> str:
    return f"{keep.limit}/{keep.window}s"


def _out_of_sample(field: Field, percent: float) -> str:
    """Where `limit.in_sample` says no: hexadecimal digits of one length are in the order of their numbers."""
    bound = ottl.text(f"{min(threshold(percent), SPACE - 1):0{_HEX_DIGITS}x}")
    where = ottl.path(field)
    if field.kind == "trace_id":
        return ottl.both([*ottl.present(field), f"Substring({where}, {_TRACE_ID_START}, {_HEX_DIGITS}) < {bound}"])
    if field.kind in ID_FIELDS:
        raise Inexpressible("log: sample_key", f"OTTL has no hash of a {field.kind}", "trace_id, an attribute, a text")
    hashed = f"Substring(SHA256(String({where})), 0, {_HEX_DIGITS}) < {bound}"
    if field.kind not in ottl.MAPS:
        return ottl.both([*ottl.present(field), f"(IsString({where}) or IsInt({where}))", hashed])
    lots = [f"(IsString({where}) or IsInt({where})) and {hashed}"]
    lots += (f"{where} == {str(value).lower()}" for value in (True, False) if not in_sample(value, percent))
    return ottl.both([*ottl.parents(field), f"({' or '.join(lots)})"])
