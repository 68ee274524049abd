"""The policies in force, as one immutable snapshot: match a record, decide about it, change it, count.

Matching is pure, so that callers may cache it; deciding draws samples and charges rate limits. Fail-open: a policy
that cannot be compiled or fails on a record is out, and the record goes on. No I/O, no OTel, no logging in here.
"""

from __future__ import annotations

import random as _random
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_logging.policy import transform
from otel_logging.policy.compiler import Compiled, Patterns
from otel_logging.policy.everywhere import Everywhere
from otel_logging.policy.extensions import Dispatcher, Handler
from otel_logging.policy.group import SEVERE, Group, Matched
from otel_logging.policy.limit import in_sample
from otel_logging.policy.verdict import KEPT, Verdict
from otel_logging.policy.view import ABSENT, LogView

if TYPE_CHECKING:
    from otel_logging.policy.model import Extension, Policy

__all__ = ["KEPT", "Compiled", "PolicySet", "PolicyStats", "Verdict"]

_TEXT_FIELDS: Final = frozenset({"body", "severity_text", "severity_number", "scope.name"})
_EARLY_FIELDS: Final = frozenset({"scope.name", "severity_number", "event_name"})  # known before there is a record


@dataclass(frozen=True)
class PolicyStats:
    """What one policy did: records it matched with its intent carried out, overridden, and what is wrong with it."""

    policy_id: str
    hits: int
    misses: int
    errors: tuple[str, ...] = ()


class PolicySet:
    """All policies that are in force, compiled.

    Policies that only transform have no say in what is kept: `match` and `decide` leave them out, so that redaction
    costs a dropped record nothing.

    Args:
        policies: what `load` found; broken and disabled ones and those for other signals take no part.
        frame_policies: False leaves out the policies labelled `otel-logging.class: frame`.
        clock: seconds, monotonic, for rate limits.
        random: a number from 0 to 1, for sampling without a key.
        pseudonym_key: with it, redactions of personal data leave a keyed hash in place of the data.
        handlers: what takes the records that policies deliver to extensions, by the extension's type.

    Attributes:
        reads: the kinds of fields that deciding reads, such as `body`, `scope.name` or `attribute`.
        only_frames: whether all that decide are frame policies, so that nothing from WARNING on needs a look.
        text_only: whether body, severity and scope name are all that deciding reads, so that `match_text` may be used.
        has_transforms: whether any policy changes records, so that `transform` has something to do.
        clock: seconds, as rate limits count them.
        before_stats: called before `stats` is told: whoever counts hits elsewhere credits them then.
    """

    def __init__(
        self,
        policies: Iterable[Policy],
        *,
        frame_policies: bool = True,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
        pseudonym_key: bytes | None = None,
        handlers: Mapping[str, Handler] | None = None,
    ) -> None:
        self.clock = clock
        self.before_stats: Callable[[], None] | None = None
        self._random = random
        self._lock = threading.Lock()
        self._broken: list[tuple[str, tuple[str, ...]]] = []
        deciding, changing = Patterns(), Patterns()
        compiled: list[Compiled] = []
        for policy in policies:
            if policy.errors:
                self._broken.append((policy.id, tuple(map(str, policy.errors))))
                continue
            if not policy.enabled or policy.signal != "log" or (policy.frame and not frame_policies):
                continue
            try:
                one = Compiled(policy)
                if one.changes or not policy.only_transforms:
                    (changing if policy.only_transforms else deciding).claim(one)
            except Exception as error:  # only for policies that were not made by `parse`: it has checked all this
                self._broken.append((policy.id, (f"cannot be compiled: {error}",)))
                continue
            compiled.append(one)
        compiled.sort(key=lambda one: one.rank)
        self._compiled: Matched = tuple(compiled)
        self._by_id = {one.id: one for one in compiled}
        self._deciders = Group((one for one in compiled if not one.policy.only_transforms), deciding)
        # Those that hold for every text look for their conditions in every text, not in the body alone.
        self._everywhere = Everywhere([one for one in compiled if one.policy.everywhere], pseudonym_key)
        self._changers = Group((one for one in compiled if one.policy.only_transforms and one.changes), changing)
        self._deciders_change = any(one.changes for one in self._deciders.policies)
        self._early = tuple(
            one
            for one in self._deciders.policies
            if one.drops_all and all(matcher.field.reads in _EARLY_FIELDS for matcher in one.policy.match)
        )
        self._dispatcher = Dispatcher(self._compiled, handlers or {})
        self.only_frames = self._deciders.only_frames
        self.reads: frozenset[str] = frozenset(self._kinds())
        self.text_only = self.reads <= _TEXT_FIELDS
        self._only_everywhere = not self._changers.policies and not self._deciders_change
        self.has_transforms = bool(self._changers.policies or self._deciders_change or self._everywhere)

    def _kinds(self) -> Iterable[str]:
        for one in self._deciders.policies:
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

    def extension(self, type_: str) -> tuple[Extension, ...]:
        """The extensions of this type that policies in force declare, each distinct one once."""
        found: list[Extension] = []
        for one in self._compiled:
            found.extend(ext for ext in one.policy.extensions if ext.type == type_ and ext not in found)
        return tuple(found)

    def evaluate(self, view: LogView, call: str | None = None) -> Verdict:
        """Match, decide, count, and deliver to extensions: the whole verdict on one record. Never raises.

        Args:
            view: the record.
            call: what rate limits are fair between, such as the call_sid; None counts for the whole process.
        """
        matched = self.match(view)
        verdict = self.decide(matched, view, call)
        changers = self.match_changers(view)
        for one in changers:
            if verdict.keep:
                one.hits += 1
            else:
                one.misses += 1
        if self._dispatcher:
            self._dispatcher.deliver((*matched, *changers), view, keep=verdict.keep)
        return verdict

    def match(self, view: LogView) -> Matched:
        """The policies that decide about this record, most restrictive first. Pure. Never raises."""
        return self._deciders.match(view)

    def match_changers(self, view: LogView) -> Matched:
        """The policies that only transform and match this record. Pure. Never raises."""
        return self._changers.match(view) if self._changers.policies else ()

    def match_text(
        self, body: str, severity_number: int, severity_text: str | None = None, scope_name: str | None = None
    ) -> Matched:
        """As `match`, for a set that is `text_only`: no view is made unless a policy asks for more than the body."""
        return self._deciders.match_text(body, severity_number, severity_text, scope_name)

    def drops_all(
        self, *, scope_name: str | None = None, severity_number: int | None = None, event_name: str | None = None
    ) -> bool:
        """Whether every record with these is dropped, whatever else it holds; None stands for not known yet."""
        known = {"scope.name": scope_name, "severity_number": severity_number, "event_name": event_name}
        view = LogView(severity_number=severity_number or 0, event_name=event_name or "", scope_name=scope_name or "")
        return any(
            not (one.frame and (severity_number is None or severity_number >= SEVERE))
            and all(known.get(matcher.field.reads) is not None for matcher in one.policy.match)
            and all(test(view) for test in one.tests)
            for one in self._early
        )

    def decide(self, matched: Matched, view: LogView | None = None, call: str | None = None) -> Verdict:
        """The verdict that matched policies give together, and their hits and misses. Never raises.

        Who drops takes a hit, each of them where several would have: all that say `none`, all of the lowest percentage,
        all whose rate is used up. The reason is the first one's. What is dropped is charged to no rate limit. `view` is
        read for sample keys only.
        """
        if not matched:
            return KEPT
        first = matched[0]
        if first.drops_all:  # what a frame line costs is decided here
            first.hits += 1
            for one in matched[1:]:
                if one.drops_all:
                    one.hits += 1
                else:
                    one.misses += 1
            return first.drop_verdict
        try:
            droppers = self._droppers(matched, view, call)
        except Exception as error:
            matched[0].failed(error)
            return KEPT
        if not droppers:
            for one in matched:
                one.hits += 1
            return matched[0].keep_verdict
        for one in matched:
            if one in droppers:
                one.hits += 1
            else:
                one.misses += 1
        return droppers[0].drop_verdict

    def _droppers(self, matched: Matched, view: LogView | None, call: str | None) -> Sequence[Compiled]:
        first = matched[0]
        if first.sampled and not self._sample(first, view):  # the lowest percentage stands first; others give way to it
            return [one for one in matched if one.sampled and one.percent == first.percent]
        limited = [one for one in matched if one.limit is not None]
        return self._limited(limited, view, call) if limited else ()

    def _sample(self, one: Compiled, view: LogView | None) -> bool:
        value = ABSENT if one.sample_key is None or view is None else one.sample_key(view)
        if value is ABSENT:  # independent draws, as the specification asks for where there is no key
            return self._random() * 100 < one.percent
        return in_sample(value, one.percent)

    def _limited(self, limited: list[Compiled], view: LogView | None, call: str | None) -> list[Compiled]:
        """Those whose rate is used up; if there are none, the record is charged to all of them."""
        now = self.clock()
        keys = [_rate_key(one, view, call) for one in limited]
        # Never waited for: after a fork the lock may be held by a thread that does not exist here.
        held = self._lock.acquire(blocking=False)
        try:
            full: list[Compiled] = []
            for one, key in zip(limited, keys, strict=True):
                if one.limit is not None and not one.limit.allows(key, now):
                    full.append(one)
            if not full:
                for one, key in zip(limited, keys, strict=True):
                    if one.limit is not None:
                        one.limit.take(key, now)
            return full
        finally:
            if held:
                self._lock.release()

    def credit(self, hits: Iterable[str], missed: Iterable[str], n: int) -> None:
        """Count `n` records that `hits` dropped and that `missed` matched too, without `decide` being asked."""
        for policy in hits:
            one = self._by_id.get(policy)
            if one is not None:
                one.hits += n
        for policy in missed:
            one = self._by_id.get(policy)
            if one is not None:
                one.misses += n

    def closed_until(self, matched: Matched, call: str | None = None) -> float:
        """Until when, by `clock`, the one rate limit in `matched` lets nothing of this call pass; 0.0 if it does."""
        first = matched[0]
        return first.limit.closed_until(call, self.clock()) if first.limit is not None else 0.0

    def transform(self, view: LogView, *, evaluated: bool = False) -> bool:
        """Change a record that is kept as the policies that match it say; tells whether anything changed. Never raises.

        All conditions are looked at before the first change. Then all policies remove, redact, rename and add, in this
        order, and within each of the four in the order of their ids. The mappings that `view` was made with are never
        written to: it gets new ones. A failing policy changes nothing.

        Args:
            view: the record.
            evaluated: whether `evaluate` has seen it, and counted the policies that only transform.
        """
        matched: list[Compiled] = []
        if self._changers.policies:
            matched += self.match_changers(view)
            if not evaluated:
                for one in matched:
                    one.hits += 1
        if self._deciders_change:
            matched += (one for one in self._deciders.match(view) if one.changes)
        start = transform.snapshot(view)
        if len(matched) > 1:
            matched.sort(key=lambda one: one.id)
        while matched and (failing := _change(view, matched)) is not None:
            transform.restore(view, start)  # and begun again without it: each may build on another
            matched.remove(failing)
        self.redact(view)
        return any(now is not then for now, then in zip(transform.snapshot(view), start, strict=True))

    def leaves(self, text: str) -> bool:
        """Whether `transform` would surely leave a record of these texts as it is; see `everywhere`. May raise."""
        if not self.has_transforms:
            return True
        return self._only_everywhere and self._everywhere.leaves(text)

    @property
    def leaves_alike(self) -> bool:
        """Whether `leaves` has one answer for all texts that differ in their digits only."""
        return self._everywhere.blind

    def redact(self, view: LogView) -> None:
        """Carry out the policies that hold for every text, and no others. Never raises."""
        if self._everywhere:
            self._everywhere.redact(view)

    def redact_text(self, text: str, key: str = "") -> str:
        """`text` as it may leave the process, by the policies that hold for every text. Never raises.

        Args:
            text: any text: a message that is remembered, a traceback.
            key: the attribute that it is the value of.
        """
        return self._everywhere.text(text, key) if self._everywhere else text

    def redact_name(self, name: str) -> str:
        """The name of a logger as `redact_text` leaves it; names are few, and asked for with each record."""
        return self._everywhere.name(name) if self._everywhere else name

    def stats(self) -> list[PolicyStats]:
        """Hits, misses and errors of every policy that has any, by id."""
        if self.before_stats is not None:
            self.before_stats()
        found = [PolicyStats(policy, 0, 0, errors) for policy, errors in self._broken]
        for one in self._compiled:
            errors = (f"failed on {one.failures} records, last with {one.last_failure}",) if one.failures else ()
            if one.hits or one.misses or errors:
                found.append(PolicyStats(one.id, one.hits, one.misses, errors))
        return sorted(found, key=lambda stats: stats.policy_id)

    @property
    def evicted(self) -> int:
        """Rate windows that were given up while still open, because too many calls had one."""
        return sum(one.limit.evicted for one in self._compiled if one.limit is not None)


def _change(view: LogView, matched: list[Compiled]) -> Compiled | None:
    """Carry out what these policies change, stage by stage; the first that fails ends it, and is returned."""
    one = matched[0]
    try:
        for stage in range(len(transform.STAGES)):
            for one in matched:
                for change in one.changes[stage]:
                    change(view)
    except Exception as error:
        one.failed(error)
        return one
    return None


def _rate_key(one: Compiled, view: LogView | None, call: str | None) -> Hashable:
    """What a rate limit counts by: the call, and the sample key's value where the policy has one."""
    if one.sample_key is None or view is None:
        return call
    value = one.sample_key(view)
    # A hash in place of the value, which may be long and comes from outside.
    return call, hash(value) if isinstance(value, Hashable) else hash(repr(value))
