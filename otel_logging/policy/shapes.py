"""Shapes: texts that differ only in digits, taken for one text where no pattern tells these digits apart.

Most log lines of a running service are old texts with new numbers. Where all policies see nothing but the body, what
matches a text matches every text of the same shape, and a look-up replaces the search. Which digits matter is read off
the patterns themselves, once: each literal digit and each class of characters splits the ten digits into those it takes
and those it does not. What cannot be read for sure tells all of them apart. No matching is done in here.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_logging.policy.model import Policy

DIGITS: Final = "0123456789"
_ALL: Final = frozenset(DIGITS)
_STRINGS: Final = frozenset({"exact", "starts_with", "ends_with", "contains", "equals"})
_COUNT: Final = re.compile(r"\{\d+(?:,\d*)?\}")
_GROUP_NAME: Final = re.compile(r"\(\?P?<\w+>")
_LETTERS_ALONE: Final = re.compile(r"[^0-9\[\\({]+")
_NAMED_CLASS: Final = re.compile(r"\[:\^?[a-z]+:\]")
# One character by its number, or a class of Unicode's, which takes all of the ASCII digits or none.
_NUMBERED: Final = re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_UNICODE_CLASS: Final = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)")
# Classes, anchors and control characters that RE2 writes as a letter; none of them tells one digit from another.
_LETTERS: Final = frozenset("dDwWsSbBAzaftnrvC")


class Unreadable(Exception):  # noqa: N818 (a verdict on a pattern)
    """A piece of a pattern, or a condition, that is not understood here."""


def _escaped(pattern: str, at: int) -> tuple[int, str | None]:
    """What the escape at `at` is: where it ends, and the character it stands for, if it is one."""
    if found := _NUMBERED.match(pattern, at):
        return found.end(), chr(int(found[1] or found[2], 16))
    if found := _UNICODE_CLASS.match(pattern, at):
        return found.end(), None
    following = pattern[at + 1 : at + 2]
    if following in _LETTERS:
        return at + 2, None
    if following.isalnum() or not following:
        raise Unreadable(pattern[at : at + 4])  # octal numbers, \Q, what is new in RE2
    return at + 2, following


def _class(pattern: str, at: int) -> tuple[int, frozenset[str]]:
    """The digits in the bracketed class at `at`, negated or not, and where it ends."""
    at += 2 if pattern.startswith("[^", at) else 1
    digits: set[str] = set()
    previous: str | None = None  # the character that a range may begin with
    first = True
    while first or pattern[at : at + 1] != "]":
        if at >= len(pattern):
            raise Unreadable("[")
        first = False
        ranged = pattern[at] == "-" and previous is not None and pattern[at + 1 : at + 2] not in {"]", ""}
        at += ranged
        if found := _NAMED_CLASS.match(pattern, at):
            at, character = found.end(), None
        elif pattern[at] == "\\":
            at, character = _escaped(pattern, at)
        else:
            at, character = at + 1, pattern[at]
        if ranged and (character is None or previous is None):
            raise Unreadable("-")
        if ranged:
            digits |= {digit for digit in DIGITS if str(previous) <= digit <= str(character)}
            previous = None
        else:
            digits |= {character} & set(DIGITS) if character else set()
            previous = character
    return at + 1, frozenset(digits)


@functools.lru_cache(maxsize=1024)  # patterns are read for several purposes while a process starts
def pieces(pattern: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The pieces of an RE2 pattern, in order, each with the digits that it takes where it does not take all of them.

    What takes no digits, or all, is one piece up to the next one that takes some.

    Raises:
        Unreadable: a piece is not understood.
    """
    found: list[tuple[str, frozenset[str]]] = []
    at = plain_from = 0
    while at < len(pattern):
        # What stands for itself and is no digit, in one step: patterns are letters for the most part.
        if whole := _LETTERS_ALONE.match(pattern, at) or _COUNT.match(pattern, at) or _GROUP_NAME.match(pattern, at):
            at = whole.end()
            continue
        begin, character = at, pattern[at]
        if character == "[":
            at, digits = _class(pattern, at)
        elif character == "\\":
            at, single = _escaped(pattern, at)
            digits = frozenset(single or "")
        else:
            digits = frozenset(character)
            at += 1
        digits &= _ALL
        if digits and digits != _ALL:
            if plain_from < begin:
                found.append((pattern[plain_from:begin], frozenset()))
            found.append((pattern[begin:at], digits))
            plain_from = at
    if plain_from < at:
        found.append((pattern[plain_from:], frozenset()))
    return tuple(found)


def _split_all(policies: Iterable[Policy]) -> Iterator[frozenset[str]]:
    for policy in policies:
        for matcher in policy.match:
            if matcher.field.reads != "body":
                raise Unreadable(matcher.field.reads)
            if matcher.kind == "regex":
                yield from (digits for _, digits in pieces(str(matcher.value)))
            elif matcher.kind in _STRINGS and isinstance(matcher.value, str):
                yield from map(frozenset, matcher.value)
            elif matcher.kind != "exists":
                raise Unreadable(matcher.kind)


def table_of(policies: Iterable[Policy]) -> bytes | None:
    """For `bytes.translate`: gives digits that no policy tells apart one common stand-in.

    None where a policy reads more than the body, or each digit matters: then every text stands for itself.
    """
    signatures: dict[str, list[bool]] = {digit: [] for digit in DIGITS}
    try:
        for split in set(_split_all(policies)):
            for digit, signature in signatures.items():
                signature.append(digit in split)
    except Unreadable:
        return None
    stand_in: dict[tuple[bool, ...], str] = {}
    table = bytearray(range(256))
    for digit, signature in signatures.items():
        table[ord(digit)] = ord(stand_in.setdefault(tuple(signature), digit))
    return bytes(table) if len(stand_in) < len(DIGITS) else None
