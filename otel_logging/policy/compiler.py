"""From a `Policy` to code: patterns for the one scan of the body, closures for everything else.

Text matchers on the body become RE2 patterns that all policies share one scan for; a matcher on any other field
becomes a small function of a `LogView`. What is done with the outcome is `engine`'s business.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from otel_logging.policy import patterns, transform
from otel_logging.policy.limit import RateLimit
from otel_logging.policy.model import ID_FIELDS, NUMERIC_KINDS, STRING_KINDS, Matcher, Policy
from otel_logging.policy.parse import id_literal
from otel_logging.policy.verdict import Verdict
from otel_logging.policy.view import ABSENT, LogView, reader

Test = Callable[[LogView], bool]
_COMPARE: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


class Compiled:
    """One policy in force: its conditions, its limits and its counters.

    Counters are plain integers: with the GIL an increment of a slot is not interrupted; without one a count may be
    lost under contention, which a statistic can bear better than a lock on the hot path.
    """

    __slots__ = (
        "changes", "drop_verdict", "drops_all", "failures", "forbidden", "frame", "hits", "id", "keep_verdict",
        "last_failure", "limit", "misses", "percent", "policy", "rank", "required", "sample_key", "sampled", "tests",
    )  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        """Compile `policy`, of which `Patterns` fills in `required` and `forbidden`."""
        self.policy = policy
        self.id = policy.id
        self.frame = policy.frame
        self.required: frozenset[int] = frozenset()
        self.forbidden: frozenset[int] = frozenset()
        self.tests = tuple(_test(matcher) for matcher in policy.match if not scanned(matcher))
        keep = policy.keep
        self.drops_all = keep.kind == "none"
        self.sampled = keep.kind == "sample" and keep.percent < 100
        self.percent = keep.percent
        self.limit = RateLimit(keep.limit, keep.window) if keep.kind == "rate" else None
        self.sample_key = reader(policy.sample_key) if policy.sample_key else None
        self.changes = transform.compiled(policy.transform, everywhere=policy.everywhere)
        for redaction in policy.transform.redact:
            if redaction.regex is not None:
                patterns.check(redaction.regex)
        self.rank = _rank(self)
        self.hits = 0
        self.misses = 0
        self.failures = 0
        self.last_failure = ""
        reason = "sampled" if self.sampled else "rate_limited" if self.limit is not None else "policy"
        self.drop_verdict = Verdict(keep=False, reason=f"{reason}:{policy.id}", policy=policy.id)
        self.keep_verdict = Verdict(keep=True, reason=f"kept:{policy.id}", policy=policy.id)

    def failed(self, error: Exception) -> None:
        """Count a record on which this policy failed; the record goes on as if the policy did not exist."""
        self.failures += 1
        self.last_failure = type(error).__name__

    def __repr__(self) -> str:
        return f"<Compiled {self.id}>"


def _rank(compiled: Compiled) -> tuple[int, float, str]:
    """Most restrictive first: none, then lower percentages, then lower rates; ties by id, so that order is fixed."""
    keep = compiled.policy.keep
    if compiled.drops_all:
        return 0, 0.0, compiled.id
    if compiled.sampled:
        return 1, keep.percent, compiled.id
    if compiled.limit:
        return 2, keep.limit / keep.window, compiled.id
    return 3, 0.0, compiled.id


def scanned(matcher: Matcher) -> bool:
    """Whether the common scan of the body answers this matcher."""
    if matcher.field.kind != "body":
        return False
    return matcher.kind in STRING_KINDS or (matcher.kind == "equals" and isinstance(matcher.value, str))


class Patterns:
    """The distinct body patterns of all policies, numbered."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def claim(self, compiled: Compiled) -> None:
        """Give `compiled` the numbers of the patterns it requires and forbids.

        Raises:
            patterns.BadPattern: for a pattern that RE2 does not take; nothing is claimed then.
        """
        compiled.required, compiled.forbidden = self.numbers(compiled.policy)

    def numbers(self, policy: Policy) -> tuple[frozenset[int], frozenset[int]]:
        """The numbers of the patterns that `policy` requires and forbids; raises as `claim` does."""
        wanted: dict[bool, list[str]] = {False: [], True: []}
        for matcher in policy.match:
            if scanned(matcher):
                wanted[matcher.negate].append(pattern_of(matcher))
        for pattern in wanted[False] + wanted[True]:
            patterns.check(pattern)
        required, forbidden = (
            frozenset(self.number(pattern) for pattern in wanted[negate]) for negate in (False, True)
        )
        return required, forbidden

    def number(self, pattern: str) -> int:
        """The number of one pattern, the same for the same pattern."""
        return self._numbers.setdefault(pattern, len(self._numbers))

    def build(self) -> patterns.PatternSet | None:
        """The set that scans for all of them, or None where there are none."""
        return patterns.PatternSet(list(self._numbers)) if self._numbers else None

    def __len__(self) -> int:
        return len(self._numbers)


def pattern_of(matcher: Matcher) -> str:
    """The RE2 pattern that finds what a matcher finds of which `scanned` is true."""
    kind = "exact" if matcher.kind == "equals" else matcher.kind
    return patterns.translate(kind, str(matcher.value), case_insensitive=matcher.case_insensitive)


def _test(matcher: Matcher) -> Test:
    """A matcher as a function of the record; what a type does not fit does not match, and never raises."""
    read = reader(matcher.field)
    wanted = not matcher.negate
    if matcher.kind == "exists":
        present = matcher.value is wanted  # exists: false, negated, means that it is there
        return lambda view: (read(view) is not ABSENT) is present
    check = _check(matcher)
    if wanted:
        return lambda view: (value := read(view)) is not ABSENT and check(value)
    return lambda view: (value := read(view)) is ABSENT or not check(value)


def _check(matcher: Matcher) -> Callable[[Any], bool]:
    """A function of a present value."""
    kind, value = matcher.kind, matcher.value
    if kind == "exact" and matcher.field.kind in ID_FIELDS:
        kind, value = "equals", id_literal(str(value))
    if kind in NUMERIC_KINDS:
        compare = _COMPARE[kind]
        return lambda found: isinstance(found, int | float) and not isinstance(found, bool) and compare(found, value)
    if kind == "equals" and not isinstance(value, str):
        return _equals(value)
    if kind == "equals":
        kind = "exact"
    return _text_check(kind, str(value), case_insensitive=matcher.case_insensitive)


def _equals(value: bool | float | bytes) -> Callable[[Any], bool]:
    if isinstance(value, bool):
        return lambda found: found is value
    if isinstance(value, bytes):
        return lambda found: isinstance(found, bytes | bytearray) and found == value
    return lambda found: isinstance(found, int | float) and not isinstance(found, bool) and found == value


def _text_check(kind: str, value: str, *, case_insensitive: bool) -> Callable[[Any], bool]:
    """Text conditions. Bytes are met in their canonical text, lower-case hex, except by equality."""
    test: Callable[[str], bool]
    if case_insensitive or kind == "regex":
        search = patterns.PatternSet([patterns.translate(kind, value, case_insensitive=case_insensitive)]).search

        def test(text: str) -> bool:
            return bool(search(text))
    else:
        test = {
            "exact": value.__eq__,
            "starts_with": lambda text: text.startswith(value),
            "ends_with": lambda text: text.endswith(value),
            "contains": lambda text: value in text,
        }[kind]

    def check(found: Any) -> bool:
        if isinstance(found, str):
            return test(found)
        return kind != "exact" and isinstance(found, bytes | bytearray) and test(found.hex())

    return check
