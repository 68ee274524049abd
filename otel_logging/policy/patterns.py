"""Regular expressions, all of them RE2: message text comes from callers and models, so matching must be linear.

A `PatternSet` finds in one scan which of many patterns a text matches. Nothing else in the product may import `re2`
for policies, and nothing in here knows what a policy is.

RE2 lets other threads run while it searches. A daemon thread that comes back from there when the interpreter has ended
takes the process down with "terminate called" and SIGABRT, up to Python 3.13: Python ends such a thread by unwinding
it, and C++ forbids that. So at the end no thread is left in there, and none goes in but the main thread.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import re2

from otel_logging import final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType

# RE2's automaton is built as text arrives, within this budget; beyond it states are forgotten and built again.
_SET_MEMORY: Final = 64 * 1024 * 1024


_ending = False
_END_SECONDS: Final = 1.0  # the longest wait at the end for threads that are searching
_PAUSE: Final = 0.05  # seconds that a daemon thread waits at the end before it searches: usually it is over by then
_MOMENT: Final = 0.001


def _leave() -> None:
    """The interpreter ends as soon as this returns: have all other threads leave RE2."""
    global _ending
    _ending = True
    until = time.monotonic() + _END_SECONDS
    while _searched() and time.monotonic() < until:
        time.sleep(_MOMENT)


def _searched() -> bool:
    """Whether another thread is in RE2, or about to be."""
    mine = threading.get_ident()
    frames = sys._current_frames()  # noqa: SLF001 (documented)
    codes = [frame.f_code for thread, frame in frames.items() if thread != mine]
    return any(code in _doors or code.co_filename == re2.__file__ for code in codes)


def _wait() -> None:
    """At the end, before RE2 is asked. Not for ever: something else that ends may wait for this thread."""
    if threading.get_ident() != threading.main_thread().ident:
        time.sleep(_PAUSE)


final.at_last(_leave)


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


class Pattern:
    """One pattern for finding, with the matches that `re2` makes; making one raises as `check` does.

    Attributes:
        groups: how many groups it has.
        groupindex: their numbers by name.
    """

    __slots__ = ("_made", "groupindex", "groups")

    def __init__(self, pattern: str) -> None:
        check(pattern)
        self._made: Any = re2.compile(pattern, options=_options())
        self.groups: int = self._made.groups
        self.groupindex: dict[str, int] = self._made.groupindex

    def search(self, text: str) -> Any:
        """The first match, or None. Raises UnicodeEncodeError for a lone surrogate; see `encodable`."""
        if _ending:
            _wait()
        return self._made.search(text)

    def finditer(self, text: str) -> Iterator[Any]:
        """All matches; raises as `search`."""
        if _ending:
            _wait()
        return iter(list(self._made.finditer(text)))


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
    if _ending:
        _wait()
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
        if _ending:
            _wait()
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
        if _ending:
            _wait()
        try:
            data = text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot carry, is read as a question mark
            data = text.encode("utf-8", "replace")
        if self._match is not None:
            return self._match(data) or ()
        return [number for number, one in enumerate(self._one_by_one) if one.Match(data)]


_doors: Final[frozenset[CodeType]] = frozenset(
    one.__code__
    for one in (PatternSet.search, PatternSet._build, Pattern.search, Pattern.finditer)  # noqa: SLF001 (ours)
)
