"""Per-call debug: rules that let messages through against levels and policies, for a while.

`Rule` is one such rule, `Overrides` the set in force, which the gate asks. While a rule is in force,
`Logger.isEnabledFor` answers True for what it lets through, so that an application that asks first goes on; without
one nothing of this module is in the way. Where rules come from is `boot.control`'s business.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_logging import ids
from otel_logging.bridge import scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otel_logging.bridge.scope import CallScope

_MAX_NAMES: Final = 2048  # loggers whose being quiet is known; f-strings may make loggers without end
_SCALARS: Final = (str, int, float)  # a value that runs no code of the application's when it is compared


on_change: Callable[[], None] | None = None
"""Called after rules have changed; set by `gate`, whose short way is shut while there are any."""


@dataclass(frozen=True)
class Rule:
    """What is let through, for which calls, until when.

    Attributes:
        id: names the rule in `otel_logging.trigger` (`debug:<id>`) and on the command line.
        expires: when it ends, in seconds since 1970.
        created: when it was made; `where` means calls that began later.
        call: a call id or trace id, or None.
        everything: all calls, and what is logged outside of any.
        where: attributes that a call must have, as text.
        calls: how many such calls are let through.
        level: from which level on.
        loggers: only these loggers and those below them; without any, all but quiet libraries.
    """

    id: str
    expires: float
    created: float = 0.0
    call: str | None = None
    everything: bool = False
    where: tuple[tuple[str, str], ...] = ()
    calls: int = 1
    level: int = logging.DEBUG
    loggers: tuple[str, ...] = ()
    traces: frozenset[int] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        if self.call is not None:
            pasted = ids.parse_pasted(self.call)
            found = {int(pasted.trace_id, 16)} if pasted.trace_id else set()
            if pasted.call_sid is not None and ids.is_call_id(pasted.call_sid):
                found.add(ids.trace_id_for(pasted.call_sid))
            object.__setattr__(self, "traces", frozenset(found))

    @property
    def trigger(self) -> str:
        """What records that this rule let through carry as `otel_logging.trigger`."""
        return f"debug:{self.id}"

    def names(self, name: str) -> bool:
        """Whether the rule names the logger `name` or one above it."""
        return any(name == prefix or name.startswith(prefix + ".") for prefix in self.loggers)


class _Snapshot:
    """The rules in force, sorted by how they are looked up. Immutable."""

    __slots__ = ("by_trace", "everything", "lowest", "rules", "where")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.lowest = min((rule.level for rule in rules), default=0)
        self.everything = tuple(rule for rule in rules if rule.everything)
        self.where = tuple(rule for rule in rules if rule.where)
        traces = {trace for rule in rules for trace in rule.traces}
        self.by_trace = {trace: tuple(rule for rule in rules if trace in rule.traces) for trace in traces}


class Overrides:
    """The rules in force in this process; replaced as a whole. All methods may be used from any thread.

    Args:
        is_quiet: tells a library's logger, which only a rule that names it lets through.
        on_claim: told `(rule id, call id)` when a call is the next one of a `where` rule; must be quick.
        clock: seconds since 1970.

    Attributes:
        active: whether there is any rule; False is all that the gate looks at then.
    """

    def __init__(
        self,
        *,
        is_quiet: Callable[[str], bool] = lambda _name: False,
        on_claim: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.active = False
        self._is_quiet = is_quiet
        self.on_claim = on_claim
        self._clock = clock
        self._snapshot = _Snapshot(())
        self._quiet: dict[str, bool] = {}
        self._lock = threading.Lock()  # guards the claims; rules are swapped without it
        self._claimed: dict[str, tuple[str, ...]] = {}  # by rule: calls that all processes agree on
        self._own: dict[str, dict[str, None]] = {}  # by rule: calls that this process has claimed

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._snapshot.rules

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put `rules` in force instead of those before; expired ones are left out."""
        now = self._clock()
        kept = tuple(rule for rule in rules if rule.expires > now)
        known = {rule.id for rule in kept}
        with self._lock:
            self._claimed = {rule: calls for rule, calls in self._claimed.items() if rule in known}
            self._own = {rule: calls for rule, calls in self._own.items() if rule in known}
        self._snapshot = _Snapshot(kept)
        self.active = bool(kept)
        if kept:
            _stand_in(self)
        else:
            _stand_back(self)
        if on_change is not None:
            on_change()

    def tidy(self) -> bool:
        """Take expired rules out; returns whether any is left."""
        now = self._clock()
        rules = self._snapshot.rules
        if any(rule.expires <= now for rule in rules):
            self.replace(rules)
        return self.active

    def after_fork_in_child(self) -> None:
        """A thread that did not come along may have held a lock."""
        global _patch_lock
        self._lock = threading.Lock()
        _patch_lock = threading.Lock()

    def trigger_for(self, call: CallScope | None, name: str, level: int) -> str | None:
        """The trigger that lets a message of logger `name` through, within `call`; None where no rule does."""
        snapshot = self._snapshot
        if level < snapshot.lowest:
            return None
        rules = snapshot.everything
        if call is not None and snapshot.by_trace:
            rules += snapshot.by_trace.get(call.trace_id, ())
        for rule in rules:
            if self._admits(rule, name, level):
                return rule.trigger
        if call is not None:
            for rule in snapshot.where:
                if self._admits(rule, name, level) and self._is_next(rule, call):
                    return rule.trigger
        return None

    def _admits(self, rule: Rule, name: str, level: int) -> bool:
        if level < rule.level or rule.expires <= self._clock():
            return False
        if rule.loggers:
            return rule.names(name)
        quiet = self._quiet.get(name)
        if quiet is None:
            if len(self._quiet) >= _MAX_NAMES:
                self._quiet.clear()
            quiet = self._quiet[name] = self._is_quiet(name)
        return not quiet

    # The next N calls with an attribute.

    def _is_next(self, rule: Rule, call: CallScope) -> bool:
        """Whether `call` is one of the calls that `rule` waits for; if there is room, it becomes one."""
        sid = call.call_sid
        if sid is None:
            return False  # it is known by its id, in the other processes too
        agreed = self._claimed.get(rule.id, ())
        if sid in agreed:
            return True
        if len(agreed) >= rule.calls:
            return False
        own = self._own.get(rule.id)
        if own is not None and sid in own:
            return True  # until the others are known to have been first
        if call.memory.began < rule.created or not _has(call.attributes, rule.where):
            return False
        with self._lock:
            own = self._own.setdefault(rule.id, {})
            if len(own.keys() | set(self._claimed.get(rule.id, ()))) >= rule.calls:
                return sid in own
            own[sid] = None
        if self.on_claim is not None:
            self.on_claim(rule.id, sid)
        return True

    def agree(self, claims: Mapping[str, Iterable[str]]) -> None:
        """What all processes have claimed, by rule and in the order in which they did: the first ones have it."""
        limits = {rule.id: rule.calls for rule in self._snapshot.rules if rule.where}
        with self._lock:
            for rule, calls in claims.items():
                if rule in limits:
                    merged = dict.fromkeys((*self._claimed.get(rule, ()), *calls))
                    self._claimed[rule] = tuple(merged)[: limits[rule]]


def _has(attributes: Mapping[str, Any], where: tuple[tuple[str, str], ...]) -> bool:
    for key, wanted in where:
        value = attributes.get(key)
        if not isinstance(value, _SCALARS):
            return False
        text = str(value)
        if text != wanted and not (isinstance(value, bool) and text.lower() == wanted.lower()):
            return False
    return True


# -- Logger.isEnabledFor while a rule is in force ----------------------------------------------------------------------

_patch_lock = threading.Lock()
_in_force: Overrides | None = None
_original: Any = logging.Logger.isEnabledFor


def enabled_without(logger: logging.Logger, level: int) -> bool:
    """What `logger.isEnabledFor(level)` would say without any rule."""
    return bool(_original(logger, level))


def _is_enabled_for(self: logging.Logger, level: int) -> bool:
    """Indicates whether this logger is enabled for level 'level'."""
    # The library's own answer goes into its cache, ours never: a rule's end needs no cache to be emptied.
    if _original(self, level):
        return True
    overrides = _in_force
    if overrides is None or self.disabled:
        return False
    try:
        return overrides.trigger_for(scope.current.get(), self.name, level) is not None
    except Exception:
        return False  # a rule that cannot be judged lets nothing through


_is_enabled_for.__name__ = "isEnabledFor"
_is_enabled_for.__qualname__ = "Logger.isEnabledFor"


def _stand_in(overrides: Overrides) -> None:
    global _in_force, _original
    with _patch_lock:
        if _in_force is None and logging.Logger.isEnabledFor is not _is_enabled_for and not _buried:
            _original = logging.Logger.isEnabledFor
            logging.Logger.isEnabledFor = _is_enabled_for  # type: ignore[method-assign]
        _in_force = overrides


_buried = False  # somebody has patched on top of ours: it stays underneath, and does nothing without rules


def _stand_back(overrides: Overrides) -> None:
    global _in_force, _buried
    with _patch_lock:
        if _in_force is not overrides:
            return
        _in_force = None
        _buried = logging.Logger.isEnabledFor is not _is_enabled_for
        if not _buried:
            logging.Logger.isEnabledFor = _original  # type: ignore[method-assign]
