"""Whether the digits of a text have a part in what matches it: if not, the same text with other digits is judged alike.

Most log lines of a running service are old texts with new numbers. Each pattern that tells digits apart is searched for
twice more: as if it took any digit where it asks for some (what it does not find then, it finds with no digits), and as
if it took none there (what it finds then, it finds with any digits). Where these two give every policy the same answer,
it holds for all digits. Digits stand where they stood: a text with a digit more is another text.

Runs once for each new kind of line, which to a service that logs transcripts is each line: so only policies that a
text can concern are asked, not all there are. No verdict is taken in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_logging.policy import patterns, shapes
from otel_logging.policy.compiler import pattern_of, scanned
from otel_logging.policy.filed import Filed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_logging.policy.model import Policy

ALIKE: Final = bytes.maketrans(shapes.DIGITS.encode(), b"0" * len(shapes.DIGITS))
"""For `bytes.translate`: all texts that differ in their digits only become one."""

_NEVER: Final = r"[^\x00-\x{10FFFF}]"


class _Condition(NamedTuple):
    """One condition on the body, as numbers of patterns: found for all digits, found for some, and whether negated."""

    always: int
    ever: int
    negate: bool


class Blindness:
    """Tells for which texts digits do not matter to a set of policies.

    Args:
        policies: those that decide.

    Raises:
        shapes.Unreadable: a policy reads more than the body, or has a pattern that is not understood.
        patterns.BadPattern: the patterns are too large together.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        numbers: dict[str, int] = {}
        # Policies that differ in their digits only are one here, with the patterns that each needs to be concerned.
        wanted: dict[tuple[tuple[_Condition, ...], frozenset[int]], None] = {}
        for policy in policies:
            conditions: list[_Condition] = []
            for matcher in policy.match:
                if matcher.field.kind != "body":
                    raise shapes.Unreadable(matcher.field.reads)
                if scanned(matcher):
                    always, ever = (numbers.setdefault(one, len(numbers)) for one in _bounds(pattern_of(matcher)))
                    conditions.append(_Condition(always, ever, matcher.negate))
                elif matcher.kind != "exists":  # which does not look at any character
                    raise shapes.Unreadable(matcher.kind)
            # Where a pattern that must be found is not, with no digits, the policy fails with all. One that only
            # forbids holds with all, unless something that it forbids is found.
            required = frozenset(one.ever for one in conditions if not one.negate)
            for needs in [required] if required else [frozenset([one.ever]) for one in conditions]:
                wanted[tuple(conditions), needs] = None
        self._policies = tuple(conditions for conditions, _ in wanted)
        self._filed = Filed(needs for _, needs in wanted)
        self._scan = patterns.PatternSet(list(numbers)) if numbers else None

    def same_for_all_digits(self, text: str) -> bool:
        """Whether every policy gives `text` the answer that it gives it with any other digits in the same places."""
        if self._scan is None:
            return True
        found = frozenset(self._scan.search(text))
        return all(_settled(self._policies[place], found) for place in self._filed.concerned(found))


def _settled(conditions: tuple[_Condition, ...], found: frozenset[int]) -> bool:
    """Whether a policy matches whatever the digits, or with none."""
    all_hold = True
    for one in conditions:
        if (one.always in found) if one.negate else (one.ever not in found):
            return True  # one condition fails for all digits
        all_hold = all_hold and ((one.ever not in found) if one.negate else (one.always in found))
    return all_hold


def widest(pattern: str) -> str:
    """A pattern that finds something in a text whenever `pattern` does in the same text with any other digits.

    Raises:
        shapes.Unreadable: the pattern is not understood.
    """
    return _bounds(pattern)[1]


def _bounds(pattern: str) -> tuple[str, str]:
    """The pattern with no digit where it takes some, and with all of them."""
    parts = shapes.pieces(pattern)
    if not any(digits for _, digits in parts):
        return pattern, pattern
    never = "".join(_NEVER if digits else piece for piece, digits in parts)
    ever = "".join(_with_all_digits(piece) if digits else piece for piece, digits in parts)
    return never, ever


def _with_all_digits(piece: str) -> str:
    """One digit or class of characters, with all digits. Digits are written alike, so that few patterns remain."""
    return "[0-9]" if piece in shapes.DIGITS else f"(?:{piece}|[0-9])"
