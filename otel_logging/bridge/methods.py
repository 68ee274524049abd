"""The methods that stand in for `logging.Logger`'s own: what each does before the gate's long way is taken, if at all.

Hot path, and therefore generated from templates: one call more would cost as much as the whole decision. What a message
costs that is dropped at first sight is measured in `benchmarks`. Three things keep it short:

- One look at the logger's own cache of enabled levels tells that it is enabled and that its messages may be dropped at
  first sight: the standard library empties that cache whenever a level changes, and our mark with it.
- A constant text is found by itself, a text with other numbers by its shape, a template with one number by its range.
- What is dropped is counted in a slot of its call, and its fields go into its call's ring, without a lock.

Everything that may let a message through after all empties the tables that are bound here (see `gate`). A message that
is not found goes the long way, which knows everything better.
"""

from __future__ import annotations

import logging
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import entries, fates, scope, suppressed
from otel_logging.bridge.known import LONGEST
from otel_logging.bridge.pipeline import thread
from otel_logging.policy.blind import ALIKE

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.known import Known
    from otel_logging.bridge.pipeline import Recorder

SOURCE_FILE: Final = logging.addLevelName.__code__.co_filename
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
NAMES: Final = (*_LEVELS, "log")
_SHORT: Final = "info"  # the method that frames are logged with; DEBUG is below its level, or wanted
_MARK: Final = "otel_logging.info"  # in a logger's cache of enabled levels

_METHOD: Final = """
def {name}(self, {head}msg, *args, **kwargs):
    {first}
    if self.isEnabledFor({level}):
        if not _passes(self, {level}, msg, args, kwargs):
            return
    else:
        call = _current()
        if call is None:
            return
        memory = call.memory
        ring = memory.ring
        if (
            ring is not None and memory.page is not None and type(msg) is str and not args and not kwargs
            and len(msg) <= {longest} and not self.disabled and _listening.get(self.name)
        ):
            pending = ring.pending
            pending += (_now(), {level}, self.name, msg, _context(), None, None)
            if len(pending) >= ring.room:
                _roll(ring)
            return
        if not _below(self, {level}, msg, args, kwargs, call):
            return
    before = _thread.passed
    _thread.passed = self
    _thread.depth += 1
    try:
        self._log({level}, msg, args, **kwargs)
    finally:
        _thread.depth -= 1
        _thread.passed = before
        _thread.trigger = None
"""

_AT_FIRST_SIGHT: Final = """if "{mark}" in self._cache and type(msg) is str and not kwargs and not self.disabled:
        try:
            fate = None
            text = msg
            if not args:
                if _texts and msg in _texts:
                    fate = _texts[msg]
                elif (shape := msg.encode().translate(_alike)) in _shapes:
                    kind = _shapes[shape]
                    fate = kind.fate
                    if kind.last is msg:
                        kind.again(msg, _texts)
                    kind.last = msg
            elif msg in _templates:
                kind = _templates[msg]
                if kind.single:
                    number, = args
                    if type(number) is int and kind.low <= number <= kind.high:
                        fate = kind.fate
                        text = None
                else:
                    fate, text = kind.judge(args)
            if fate is not None:
                call = _current()
                memory = _outside if call is None else call.memory
                page = memory.page
                if page is not None:
                    tally = page[fate.index]
                    if not fate.rated or _clock() < tally.until:
                        ring = memory.ring
                        if ring is not None:
                            if text is None:
                                text = msg % args
                            pending = ring.pending
                            pending += (_now(), {level}, self.name, text, _context(), fate.reason, None)
                            if len(pending) >= ring.room:
                                _roll(ring)
                        tally.n += 1
                        return
        except Exception:
            pass  # a lone surrogate, a template that does not fit: the long way copes
"""

_CHECK_LEVEL: Final = """if not isinstance(level, int):
        return _bad_level(level)"""


def _bad_level(_level: object) -> None:
    """As the standard library: complain only where `logging.raiseExceptions` asks for it."""
    if logging.raiseExceptions:
        raise TypeError("level must be an integer")


def _no_ring(_ring: object) -> None:
    """Without a recorder there are no rings."""


# What the generated methods see as their globals. Values are exchanged, names never: the interpreter counts on that.
_names: Final[dict[str, Any]] = {
    "_alike": ALIKE,
    "_bad_level": _bad_level,
    "_clock": None,
    "_context": None,
    "_current": scope.current.get,
    "_listening": {},
    "_now": time_ns,
    "_outside": suppressed.outside,
    "_roll": _no_ring,
    "_shapes": {},
    "_templates": {},
    "_texts": {},
    "_thread": thread,
}


def make(name: str, original: Any, passes: Callable[..., bool], below: Callable[..., bool]) -> Any:
    """The method that stands in for `original`.

    Args:
        name: of a method in `NAMES`.
        original: what stands there now.
        passes: the long way of an enabled message; False drops it.
        below: the same of a message below its logger's level, within a call.
    """
    _names["_passes"], _names["_below"] = passes, below
    level = str(_LEVELS.get(name, "level"))
    first = ""
    if name == _SHORT:
        first = _AT_FIRST_SIGHT.format(mark=_MARK, level=level)
    elif name == "log":
        first = _CHECK_LEVEL
    head = "level, " if name == "log" else ""
    source = _METHOD.format(name=name, level=level, head=head, first=first, longest=LONGEST)
    made: dict[str, Any] = {}
    exec(compile(source, SOURCE_FILE, "exec"), _names, made)  # noqa: S102 (our own template; see the module's docstring)
    method = made[name]
    method.__doc__ = original.__doc__
    method.__qualname__ = f"Logger.{name}"
    return method


def bind(known: Known | None, recorder: Recorder | None) -> None:
    """Look messages up in `known` from now on, nowhere if it is None, and remember them with `recorder`."""
    tables = {"_texts": {}, "_templates": {}, "_shapes": {}} if known is None else {
        "_texts": known.texts, "_templates": known.templates, "_shapes": known.shapes
    }  # fmt: skip
    if known is not None and known.policies is not None:
        tables["_clock"] = known.policies.clock
        suppressed.outside.page = fates.page_of(suppressed.outside)
    _names.update(
        tables,
        _context=entries.context_getter(),
        _listening=recorder.listening if recorder is not None else {},
        _roll=recorder.roll if recorder is not None else _no_ring,
    )


def arm(logger: logging.Logger) -> None:
    """Let messages of `logger` be dropped at first sight, if it is enabled for them."""
    cache = getattr(logger, "_cache", None)
    if type(cache) is not dict or _MARK in cache:
        return
    code = getattr(type(logger).isEnabledFor, "__code__", None)
    if getattr(code, "co_filename", None) != SOURCE_FILE:
        return  # an application's own idea of what is enabled: it is to be asked each time
    cache[_MARK] = True
    if not logger.isEnabledFor(_LEVELS[_SHORT]):  # after the mark is set, as another thread may change the level
        cache.pop(_MARK, None)
