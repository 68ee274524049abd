"""The policies in force, as one immutable snapshot: match a record, decide about it, count.

Matching is pure, so that callers may cache it; deciding draws samples and charges rate limits. Fail-open: a policy
that cannot be compiled or fails on a record is out, and the record goes on. No I/O, no OTel, no logging in here.
"""

from __future__ import annotations

import random as _random
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging.policy.compiler import Compiled, Patterns
from otel_logging.policy.limit import in_sample
from otel_logging.policy.verdict import KEPT, Verdict
from otel_logging.policy.view import ABSENT, LogView

if TYPE_CHECKING:
    from otel_logging.policy.model import Policy
    from otel_logging.policy.patterns import PatternSet

__all__ = ["KEPT", "Compiled", "PolicySet", "PolicyStats", "Verdict"]

SEVERE: Final = 13  # OTel's SeverityNumber WARN; frame policies never match from here on
_SEVERE_TEXTS: Final = frozenset({"WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"})
_TEXT_FIELDS: Final = frozenset({"body", "severity_text", "severity_number", "scope.name"})
_Matched = tuple[Compiled, ...]
_MAX_KNOWN: Final = 1024  # combinations of patterns found on one line


@dataclass(frozen=True)
class PolicyStats:
    """What one policy did: records it matched with its intent carried out, overridden, and what is wrong with it."""

    policy_id: str
    hits: int
    misses: int
    errors: tuple[str, ...] = ()


class _Candidates(NamedTuple):
    """Policies whose conditions on the body hold, most restrictive first, and whether nothing else needs a look."""

    policies: _Matched
    decided: bool


_NOBODY: Final = _Candidates((), decided=True)


class PolicySet:
    """All policies that are in force, compiled.

    Args:
        policies: what `load` found; broken and disabled ones and those for other signals take no part.
        frame_policies: False leaves out the policies labelled `otel-logging.class: frame`.
        clock: seconds, monotonic, for rate limits.
        random: a number from 0 to 1, for sampling without a key.

    Attributes:
        reads: the kinds of fields that any policy reads, such as `body`, `scope.name` or `attribute`.
        only_frames: whether all are frame policies, so that nothing from WARNING on needs to be looked at.
        text_only: whether body, severity and scope name are all that it reads, so that `match_text` may be used.
    """

    def __init__(
        self,
        policies: Iterable[Policy],
        *,
        frame_policies: bool = True,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._broken: list[tuple[str, tuple[str, ...]]] = []
        compiled: list[Compiled] = []
        patterns = Patterns()
        for policy in policies:
            if policy.errors:
                self._broken.append((policy.id, tuple(map(str, policy.errors))))
                continue
            if not policy.enabled or policy.signal != "log" or (policy.frame and not frame_policies):
                continue
            try:
                one = Compiled(policy)
                patterns.claim(one)
            except Exception as error:  # only for policies that were not made by `parse`: it has checked all this
                self._broken.append((policy.id, (f"cannot be compiled: {error}",)))
                continue
            compiled.append(one)
        self._compiled: _Matched = tuple(sorted(compiled, key=lambda one: one.rank))
        self._scan: PatternSet | None = patterns.build()
        self._known: dict[tuple[int, ...], _Candidates] = {}
        self.only_frames = all(one.frame for one in self._compiled)
        self.reads: frozenset[str] = frozenset(self._kinds())
        self.text_only = self.reads <= _TEXT_FIELDS

    def _kinds(self) -> Iterable[str]:
        for one in self._compiled:
            yield from (matcher.field.reads for matcher in one.policy.match)
            if one.policy.sample_key:
                yield one.policy.sample_key.reads
            if one.frame:
                yield "severity_number"

    def __len__(self) -> int:
        return len(self._compiled)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in force, most restrictive first."""
        return tuple(one.policy for one in self._compiled)

    def evaluate(self, view: LogView, call: str | None = None) -> Verdict:
        """Match and decide: the whole verdict on one record. Never raises.

        Args:
            view: the record.
            call: what rate limits are fair between, such as the call_sid; None counts for the whole process.
        """
        return self.decide(self.match(view), view, call)

    def match(self, view: LogView) -> _Matched:
        """The policies that match, most restrictive first. Pure: equal records get equal answers. Never raises."""
        try:
            candidates = self._candidates(_text(view.body), _severe(view.severity_number, view.severity_text))
            if candidates.decided:
                return candidates.policies
            return tuple(one for one in candidates.policies if all(test(view) for test in one.tests))
        except Exception:
            return self._match_carefully(view)

    def match_text(
        self, body: str, severity_number: int, severity_text: str | None = None, scope_name: str | None = None
    ) -> _Matched:
        """As `match`, for a set that is `text_only`: no view is made unless a policy asks for more than the body."""
        try:
            candidates = self._candidates(body, _severe(severity_number, severity_text))
            if candidates.decided:
                return candidates.policies
        except Exception:
            pass  # `match` meets the same failure and isolates it
        return self.match(LogView(body, severity_number, severity_text, scope_name=scope_name))

    def drops_all(
        self, *, scope_name: str | None = None, severity_number: int | None = None, event_name: str | None = None
    ) -> bool:
        """Whether every record with these is dropped, whatever else it holds; None stands for not known yet."""
        known = {"scope.name": scope_name, "severity_number": severity_number, "event_name": event_name}
        view = LogView(severity_number=severity_number or 0, event_name=event_name or "", scope_name=scope_name or "")
        return any(
            one.drops_all
            and not (one.frame and (severity_number is None or severity_number >= SEVERE))
            and all(known.get(matcher.field.reads) is not None for matcher in one.policy.match)
            and all(test(view) for test in one.tests)
            for one in self._compiled
        )

    def _candidates(self, text: str, severe: bool) -> _Candidates:
        """The policies whose conditions on the body hold.

        They depend on nothing but which patterns were found, and few combinations ever are, so each is worked out once.
        """
        if severe and self.only_frames:
            return _NOBODY
        found: Sequence[int] = self._scan.search(text) if text and self._scan is not None else ()
        key = (severe, *found)
        known = self._known.get(key)
        if known is None:
            policies = tuple(one for one in self._compiled if _body_holds(one, frozenset(found), severe))
            known = _Candidates(policies, decided=not any(one.tests for one in policies))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[key] = known
        return known

    def _match_carefully(self, view: LogView) -> _Matched:
        """Where something failed on a record: policy by policy, so that only what fails is out."""
        matched: list[Compiled] = []
        for one in self._compiled:
            try:
                found: Sequence[int] = ()
                if (one.required or one.forbidden) and self._scan is not None:
                    found = self._scan.search(_text(view.body))
                severe = _severe(view.severity_number, view.severity_text)
                if _body_holds(one, frozenset(found), severe) and all(test(view) for test in one.tests):
                    matched.append(one)
            except Exception:  # noqa: PERF203 (one failing policy must not take the next ones with it)
                one.failures += 1
        return tuple(matched)

    def decide(self, matched: _Matched, view: LogView | None = None, call: str | None = None) -> Verdict:
        """The verdict that matched policies give together, and their hits and misses. Never raises.

        The first to drop takes the hit; what it drops is charged to no rate limit. `view` is read for sample keys only.
        """
        if not matched:
            return KEPT
        try:
            dropper = self._dropper(matched, view, call)
        except Exception:
            matched[0].failures += 1
            return KEPT
        if dropper is None:
            for one in matched:
                one.hits += 1
            return matched[0].keep_verdict
        for one in matched:
            if one is dropper:
                one.hits += 1
            else:
                one.misses += 1
        return dropper.drop_verdict

    def _dropper(self, matched: _Matched, view: LogView | None, call: str | None) -> Compiled | None:
        first = matched[0]
        if first.drops_all:
            return first
        if first.sampled and not self._sample(first, view):  # the lowest percentage stands first; others give way to it
            return first
        limited = [one for one in matched if one.limit is not None]
        return self._limited(limited, view, call) if limited else None

    def _sample(self, one: Compiled, view: LogView | None) -> bool:
        value = ABSENT if one.sample_key is None or view is None else one.sample_key(view)
        if value is ABSENT:  # independent draws, as the specification asks for where there is no key
            return self._random() * 100 < one.percent
        return in_sample(value, one.percent)

    def _limited(self, limited: list[Compiled], view: LogView | None, call: str | None) -> Compiled | None:
        """The first whose rate is used up; if there is none, the record is charged to all of them."""
        now = self._clock()
        keys = [_rate_key(one, view, call) for one in limited]
        # Never waited for: after a fork the lock may be held by a thread that does not exist here.
        held = self._lock.acquire(blocking=False)
        try:
            for one, key in zip(limited, keys, strict=True):
                if one.limit is not None and not one.limit.allows(key, now):
                    return one
            for one, key in zip(limited, keys, strict=True):
                if one.limit is not None:
                    one.limit.take(key, now)
            return None
        finally:
            if held:
                self._lock.release()

    def stats(self) -> list[PolicyStats]:
        """Hits, misses and errors of every policy that has any, by id."""
        found = [PolicyStats(policy, 0, 0, errors) for policy, errors in self._broken]
        for one in self._compiled:
            errors = (f"failed on {one.failures} records",) if one.failures else ()
            if one.hits or one.misses or errors:
                found.append(PolicyStats(one.id, one.hits, one.misses, errors))
        return sorted(found, key=lambda stats: stats.policy_id)

    @property
    def evicted(self) -> int:
        """Rate windows that were given up while still open, because too many calls had one."""
        return sum(one.limit.evicted for one in self._compiled if one.limit is not None)


def _text(body: Any) -> str:
    """What patterns are searched for in: text as it is, bytes in their canonical text, anything else not at all."""
    return body if isinstance(body, str) else body.hex() if isinstance(body, bytes | bytearray) else ""


def _severe(number: int, text: str | None) -> bool:
    return number >= SEVERE if number else text is not None and text.upper() in _SEVERE_TEXTS


def _body_holds(one: Compiled, found: frozenset[int], severe: bool) -> bool:
    return not (severe and one.frame) and one.required <= found and one.forbidden.isdisjoint(found)


def _rate_key(one: Compiled, view: LogView | None, call: str | None) -> Hashable:
    """What a rate limit counts by: the call, and the sample key's value where the policy has one."""
    if one.sample_key is None or view is None:
        return call
    value = one.sample_key(view)
    # A hash in place of the value, which may be long and comes from outside.
    return call, hash(value) if isinstance(value, Hashable) else hash(repr(value))
