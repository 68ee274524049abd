"""Regular expressions, all of them RE2: message text comes from callers and models, so matching must be linear.

A `PatternSet` finds in one scan which of many patterns a text matches. Nothing else in the product may import `re2`
for policies, and nothing in here knows what a policy is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import re2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# RE2's automaton is built as text arrives, within this budget; beyond it states are forgotten and built again.
_SET_MEMORY: Final = 64 * 1024 * 1024


class BadPattern(ValueError):  # noqa: N818 (a verdict on an author's pattern)
    """A pattern that is not valid RE2; its text is RE2's own reason."""


def _options(max_mem: int = 0) -> Any:
    options = re2.Options()
    options.log_errors = False  # RE2 would print each bad pattern to stderr; the policy's error says it better
    if max_mem:
        options.max_mem = max_mem
    return options


def quoted(pattern: str) -> str:
    """A pattern as error messages show it."""
    return json.dumps(pattern, ensure_ascii=False)


def compiled(pattern: str) -> Any:
    """One pattern for finding and replacing; raises as `check` does."""
    check(pattern)
    return re2.compile(pattern, options=_options())


def encodable(text: str) -> str:
    """`text` as RE2 can read it: a lone surrogate, which UTF-8 cannot carry, is read as a question mark."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


_trusted: Final[set[str]] = set()


def trust(pattern: str) -> None:
    """Take `pattern` for valid RE2 without compiling it: for the bundled ones, which the tests do compile.

    Compiling each alone, only to throw it away, was the largest part of reading the bundled policies.
    """
    _trusted.update((pattern, translate("regex", pattern, case_insensitive=True)))


def check(pattern: str) -> None:
    """Raise `BadPattern` if `pattern` is not valid RE2."""
    if pattern in _trusted:
        return
    try:
        re2.compile(pattern, options=_options())
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise BadPattern(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
    except (UnicodeError, ValueError, OverflowError) as error:
        raise BadPattern(str(error)) from None


def translate(kind: str, value: str, *, case_insensitive: bool) -> str:
    """The RE2 pattern that finds what a string matcher of `kind` finds."""
    if kind == "regex":
        pattern = value
    else:
        literal = re2.escape(value)
        pattern = {
            "exact": rf"\A{literal}\z",
            "starts_with": rf"\A{literal}",
            "ends_with": rf"{literal}\z",
            "contains": literal,
        }[kind]
    # A prefix, not a group around it: what an open `\Q` would do to a closing parenthesis need not be thought about.
    return f"(?i){pattern}" if case_insensitive else pattern


class PatternSet:
    """Several patterns, searched for in one pass over the text."""

    __slots__ = ("_match", "_one_by_one")

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compile `patterns`; each must have passed `check`, or `BadPattern` is raised."""
        built = self._build(patterns)
        self._match: Callable[[bytes], Sequence[int] | None] | None = built.Match if built else None
        self._one_by_one: tuple[Any, ...] = ()
        if built is None:
            # Too much for one automaton: slower, equally right.
            self._one_by_one = tuple(self._build([pattern]) for pattern in patterns)
            if None in self._one_by_one:
                raise BadPattern("pattern too large - compile failed")

    @staticmethod
    def _build(patterns: Sequence[str]) -> Any:
        built = re2.Set.SearchSet(_options(_SET_MEMORY))
        try:
            for pattern in patterns:
                built.Add(pattern)
            built.Compile()
        except (re2.error, UnicodeError):
            return None
        return built

    def search(self, text: str) -> Sequence[int]:
        """The numbers, in no order, of the patterns that `text` matches somewhere."""
        try:
            data = text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot carry, is read as a question mark
            data = text.encode("utf-8", "replace")
        if self._match is not None:
            return self._match(data) or ()
        return [number for number, one in enumerate(self._one_by_one) if one.Match(data)]
