"""Why a record is kept or dropped: every policy that matches it, which conditions held, and on what.

For people at a command line, not for hot paths. The verdict itself comes from `engine`, so that this never tells
another story than what happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_logging.policy import patterns
from otel_logging.policy.view import ABSENT, reader

if TYPE_CHECKING:
    from otel_logging.policy.compiler import Compiled
    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.model import Field, Keep, Matcher
    from otel_logging.policy.view import LogView

_LONGEST: Final = 60  # characters of a pattern or a value that are shown


@dataclass(frozen=True)
class Reason:
    """One policy that matched: where it stands, what it wants kept, and why each of its conditions held.

    Attributes:
        decided: whether it gave the reason why the record is dropped.
        agreed: whether it would have dropped the record as well; it has a hit for it.
    """

    policy: str
    source: str
    keep: str
    decided: bool
    agreed: bool
    conditions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "policy": self.policy,
            "file": self.source,
            "keep": self.keep,
            "decided": self.decided,
            "agreed": self.agreed,
            "matchers": list(self.conditions),
        }


@dataclass(frozen=True)
class Explanation:
    """The verdict on one record, the policies that matched it, its body afterwards, and which policies redacted it."""

    keep: bool
    reason: str
    matched: tuple[Reason, ...]
    body: Any
    changed: bool
    redacted_by: tuple[str, ...] = ()


def explain(policies: PolicySet, view: LogView, call: str | None = None) -> Explanation:
    """The verdict on one record as `PolicySet.evaluate` takes it (rates and counts included), and how it came about."""
    matched = (*policies.match(view), *policies.match_changers(view))
    before = _hits(policies)
    verdict = policies.evaluate(view, call)
    droppers = () if verdict.keep else _grown(policies, before)
    reasons = [_reason(one, view, droppers, decided=one.id == verdict.policy) for one in matched]
    before = _hits(policies)
    changed = verdict.keep and policies.transform(view, evaluated=True)
    redacted_by = _grown(policies, before)
    return Explanation(verdict.keep, verdict.reason, tuple(reasons), view.body, changed, redacted_by)


def _hits(policies: PolicySet) -> dict[str, int]:
    return {one.policy_id: one.hits for one in policies.stats()}


def _grown(policies: PolicySet, before: dict[str, int]) -> tuple[str, ...]:
    return tuple(name for name, hits in _hits(policies).items() if hits > before.get(name, 0))


def _reason(one: Compiled, view: LogView, droppers: tuple[str, ...], *, decided: bool) -> Reason:
    policy = one.policy
    drops = one.id in droppers
    conditions = tuple(f"match[{number}]: {held(matcher, view)}" for number, matcher in enumerate(policy.match))
    return Reason(
        policy.id, policy.source, describe_keep(policy.keep), drops and decided, drops and not decided, conditions
    )


def held(matcher: Matcher, view: LogView) -> str:
    """A condition that holds, and what it holds on: `body regex "…" found "[AUDIO]"`."""
    value = reader(matcher.field)(view)
    text = describe(matcher)
    if value is ABSENT:
        return f"{text}; there is none"
    if matcher.kind == "regex" and not matcher.negate and isinstance(value, str):
        pattern = patterns.translate("regex", str(matcher.value), case_insensitive=matcher.case_insensitive)
        found = patterns.Pattern(pattern).search(patterns.encodable(value))
        return f"{text} found {_short(found.group(0))}" if found else text
    return text if matcher.field.kind == "body" else f"{text}; it is {_short(value)}"


def describe(matcher: Matcher) -> str:
    """A condition as a reader of the policy knows it: `not body contains "x"`."""
    words = [_field(matcher.field), matcher.kind, _short(matcher.value)]
    if matcher.negate:
        words.insert(0, "not")
    if matcher.case_insensitive:
        words.append("in any case")
    return " ".join(words)


def describe_keep(keep: Keep) -> str:
    """A keep value as it is written."""
    if keep.kind == "sample":
        return f"{keep.percent:g}%"
    if keep.kind == "rate":
        return f"{keep.limit}/{keep.window}s"
    return keep.kind


def _field(field: Field) -> str:
    return f"{field.kind} {'.'.join(field.path)}" if field.path else field.kind


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.hex()
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return patterns.quoted(value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…")
