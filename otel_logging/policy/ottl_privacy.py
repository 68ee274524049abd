"""Redactions of privacy policies as OTTL statements, as near to `everywhere` as OTTL comes.

In the application they hold for every text of a record. OTTL reaches the body and those attributes that are text
themselves, and sees a value without its key. What we put on a record ourselves, and ids where a policy spares them,
stay as they are here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_logging.policy import ottl
from otel_logging.policy.compiler import pattern_of, scanned
from otel_logging.policy.everywhere import OWN_KEYS, SPARED
from otel_logging.policy.model import SPARE_LABEL, Matcher, Policy, Redact
from otel_logging.policy.ottl_changes import remembered, replacement
from otel_logging.policy.template import Template
from otel_logging.policy.transform import holds_everywhere

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMITS: Final = (
    "in the application these hold for every text of a record; the Collector reaches the body and attributes that are "
    "text, not names of attributes, numbers, or what is nested, and does not see under which name a value stands"
)
_ATTRIBUTES: Final = "log.attributes"
_OWN: Final = remembered("our own attributes")
# Unicode keeps these for use within a program: no text has them.
_ID, _ID_END, _FOUND, _MIDDLE, _END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"


def redactions(policy: Policy) -> list[tuple[str, Redact]]:
    """The redactions of a policy that hold for every text, and their places in it."""
    found = enumerate(policy.transform.redact) if policy.everywhere else ()
    return [(f"log: transform: redact[{position}]", one) for position, one in found if holds_everywhere(one)]


def before() -> list[str]:
    """To be said ahead of all redactions: what is ours is put aside."""
    ours = "^(?:" + "|".join(key.replace(".", r"\.") for key in sorted(OWN_KEYS)) + ")$"
    return [f"set({_OWN}, {_ATTRIBUTES})", f"keep_matching_keys({_OWN}, {ottl.text(ours)})"]


def after() -> list[str]:
    """To be said behind them: what is ours comes back."""
    return [f'merge_maps({_ATTRIBUTES}, {_OWN}, "upsert")']


def statements(policy: Policy) -> Iterator[str]:
    """What a privacy policy does to the texts of a record.

    Raises:
        Inexpressible: OTTL cannot say one of its conditions or patterns.
    """
    others = [matcher for matcher in policy.match if not scanned(matcher)]
    flag = []
    if others:
        flag = [f"{remembered(policy.id)} == true"]
        yield f"set({remembered(policy.id)}, true) where {ottl.both(ottl.matching(others))}"
    for place, one in redactions(policy):
        spares = policy.labels.get(SPARE_LABEL) == "ids"
        steps = list(_steps(one, place, spares=spares))
        body = [*flag, *_of_text(policy.match, one)]
        if spares:  # several steps: only where there is something to do
            found = remembered(f"{policy.id} {place}")
            needed = [*body, f"IsString({ottl.BODY})", f"IsMatch({ottl.BODY}, {ottl.regex(str(one.regex), place)})"]
            yield f"set({found}, true) where {ottl.both(needed)}"
            body = [f"{found} == true"]
        yield from (f"replace_pattern({ottl.BODY}, {step}){_where(body)}" for step in steps)
        if not any(matcher.negate for matcher in policy.match if scanned(matcher)):
            yield from (f'replace_all_patterns({_ATTRIBUTES}, "value", {step}){_where(flag)}' for step in steps)


def _where(conditions: Sequence[str]) -> str:
    return f" where {ottl.both(conditions)}" if conditions else ""


def _of_text(matchers: Sequence[Matcher], one: Redact) -> list[str]:
    """The conditions on the text at hand, but for the one that the redaction's own pattern makes needless."""
    terms = []
    for matcher in matchers:
        if scanned(matcher):
            pattern = pattern_of(matcher)
            found = f"IsMatch({ottl.BODY}, {ottl.text(pattern)})"
            if matcher.negate:
                terms.append(f"not {found}")
            elif pattern != one.regex:
                terms.append(found)
    return terms


def _steps(one: Redact, place: str, *, spares: bool) -> Iterator[str]:
    """Patterns and what stands in for them, one after another."""
    pattern = str(one.regex)
    template = Template(pattern, one.replacement)
    if not spares:
        yield f"{ottl.regex(pattern, place)}, {ottl.text(replacement(template.parts))}"
        return
    # Ids are put between marks. Then an id, or what the pattern finds beside ids, is put between other marks, which
    # tell one from the other: the replacement of a regular expression is the same text for both.
    yield f"{ottl.text(SPARED)}, {ottl.text(f'{_ID}${{0}}{_ID_END}')}"
    either = f"({_ID}[^{_ID_END}]*{_ID_END})|(?:{pattern})"
    shifted = (part + 1 if isinstance(part, int) else part for part in template.parts)
    marked = f"{_FOUND}${{1}}{_MIDDLE}{replacement(shifted)}{_END}"
    yield f"{ottl.regex(either, place)}, {ottl.text(marked)}"
    kept = f"{_FOUND}{_ID}([^{_ID_END}]*){_ID_END}{_MIDDLE}[^{_END}]*{_END}"
    yield f"{ottl.text(kept)}, {ottl.text('${1}')}"
    yield f"{ottl.text(f'{_FOUND}{_MIDDLE}([^{_END}]*){_END}')}, {ottl.text('${1}')}"
    yield f"{ottl.text(f'[{_ID}-{_END}]')}, {ottl.text('')}"
