"""Which of several policies match a record: one scan of the body for all of them, closures for the rest. Pure.

Equal records get equal answers, so callers may cache them. What follows from a match is `engine`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging.policy.compiler import Compiled, Patterns
from otel_logging.policy.filed import Filed
from otel_logging.policy.view import LogView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_logging.policy.patterns import PatternSet

SEVERE: Final = 13  # OTel's SeverityNumber WARN; frame policies never match from here on
_SEVERE_TEXTS: Final = frozenset({"WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"})
Matched = tuple[Compiled, ...]
_MAX_KNOWN: Final = 1024  # combinations of patterns found on one line


class _Candidates(NamedTuple):
    """Policies whose conditions on the body hold, in order, and whether nothing else needs a look."""

    policies: Matched
    decided: bool


_NOBODY: Final = _Candidates((), decided=True)


class Group:
    """Compiled policies that are looked for together. A match names them in the order in which they are given.

    Args:
        compiled: the policies.
        patterns: what gave their patterns their numbers.
    """

    def __init__(self, compiled: Iterable[Compiled], patterns: Patterns) -> None:
        self.policies: Matched = tuple(compiled)
        self.only_frames = all(one.frame for one in self.policies)
        self._scan: PatternSet | None = patterns.build()
        self._filed = Filed(one.required for one in self.policies)
        self._known: dict[tuple[int, ...], _Candidates] = {}

    def match(self, view: LogView) -> Matched:
        """The policies that match. Never raises."""
        try:
            candidates = self._candidates(_text(view.body), severe(view.severity_number, view.severity_text))
            if candidates.decided:
                return candidates.policies
            return tuple(one for one in candidates.policies if all(test(view) for test in one.tests))
        except Exception:
            return self._match_carefully(view)

    def match_text(
        self, body: str, severity_number: int, severity_text: str | None = None, scope_name: str | None = None
    ) -> Matched:
        """As `match`; no view is made unless a policy asks for more than the body."""
        try:
            candidates = self._candidates(body, severe(severity_number, severity_text))
            if candidates.decided:
                return candidates.policies
        except Exception:
            pass  # `match` meets the same failure and isolates it
        return self.match(LogView(body, severity_number, severity_text, scope_name=scope_name))

    def _candidates(self, text: str, is_severe: bool) -> _Candidates:
        """The policies whose conditions on the body hold.

        They depend on nothing but which patterns were found, and few combinations ever are, so each is worked out once.
        """
        if is_severe and self.only_frames:
            return _NOBODY
        found: Sequence[int] = self._scan.search(text) if text and self._scan is not None else ()
        key = (is_severe, *found)
        known = self._known.get(key)
        if known is None:
            numbers = frozenset(found)
            concerned = (self.policies[place] for place in self._filed.concerned(numbers))
            policies = tuple(one for one in concerned if _body_holds(one, numbers, is_severe))
            known = _Candidates(policies, decided=not any(one.tests for one in policies))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[key] = known
        return known

    def _match_carefully(self, view: LogView) -> Matched:
        """Where something failed on a record: policy by policy, so that only what fails is out."""
        matched: list[Compiled] = []
        for one in self.policies:
            try:
                found: Sequence[int] = ()
                if (one.required or one.forbidden) and self._scan is not None:
                    found = self._scan.search(_text(view.body))
                is_severe = severe(view.severity_number, view.severity_text)
                if _body_holds(one, frozenset(found), is_severe) and all(test(view) for test in one.tests):
                    matched.append(one)
            except Exception as error:  # noqa: PERF203 (one failing policy must not take the next ones with it)
                one.failed(error)
        return tuple(matched)


def _text(body: Any) -> str:
    """What patterns are searched for in: text as it is, bytes in their canonical text, anything else not at all."""
    return body if isinstance(body, str) else body.hex() if isinstance(body, bytes | bytearray) else ""


def severe(number: int, text: str | None) -> bool:
    """Whether a record is of WARN or above; by its text where it has no number."""
    return number >= SEVERE if number else text is not None and text.upper() in _SEVERE_TEXTS


def _body_holds(one: Compiled, found: frozenset[int], is_severe: bool) -> bool:
    return not (is_severe and one.frame) and one.required <= found and one.forbidden.isdisjoint(found)
