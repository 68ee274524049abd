"""The methods that stand in for `logging.Logger`'s own: what each does before the gate's long way is taken, if at all.

Hot path, and therefore generated from templates: one call more would cost as much as the whole decision. What a message
costs that is dropped at first sight is measured in `benchmarks`. Three things keep it short:

- An attribute of the logger tells that it is enabled, and that its messages may be dropped at first sight. The standard
  library caches which levels are enabled, and tells its manager to forget that whenever a level changes; so do we.
- A constant text is found by itself, a text with other numbers by its shape, a template with one number by its range.
- What is dropped is counted in a slot of its call, and its fields go into its call's ring, without a lock.

Everything that may let a message through after all empties the tables that are bound here (see `gate`). A message that
is not found goes the long way, which knows everything better.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from time import time
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import entries, fates, scope, suppressed
from otel_logging.bridge.fates import Fate, Tally
from otel_logging.bridge.known import LONGEST, Line
from otel_logging.bridge.this_thread import thread
from otel_logging.policy.blind import ALIKE

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.known import Known, Template
    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.partners import Recorder

SOURCE_FILE: Final = logging.addLevelName.__code__.co_filename
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
NAMES: Final = (*_LEVELS, "log")
_SHORT: Final = "info"  # the method that frames are logged with; DEBUG is below its level, or wanted
_SILENT: Final = "_otel_logging_silent"  # attribute of a logger: whether DEBUG is below its level
_MARK: Final = "_otel_logging_texts"  # attribute of a logger: the constant texts that it may drop at first sight

_METHOD: Final = """
def {name}(self, {head}msg, *args, **kwargs):
    {first}
    if self.isEnabledFor({level}):
        {usual}
    else:
        call = _current()
        if call is None:
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

_LONG_WAY: Final = """if not _passes(self, {level}, msg, args, kwargs):
    return"""

_KEPT: Final = """seen = 0 if _familiar is None else _familiar(self, {level}, msg, args, kwargs)
if seen == 1:
    return
if not seen:
    if not _passes(self, {level}, msg, args, kwargs):
        return
    if _late is not None and _late(self, {level}, msg, args, kwargs):
        return"""

_REMEMBER: Final = """context = _context()
now = _now()
if {place}.context is context and {place}.logger is self:
    pending = {place}.pending
    pending += (now, {text}, {place}.code)  # no call since it was compared, and so no other thread
    if len(pending) >= {place}.full:
        _roll({memory}.ring)
else:
    ring = {memory}.ring
    if ring.put({place}, self, context, {why}, {template}, now, {text}):
        _roll(ring)"""

_AT_FIRST_SIGHT: Final = """try:
        texts = self.{mark}
    except AttributeError:
        _meet(self)
        texts = None
    if texts is not None and not kwargs and not self.disabled:
        try:
            call = _current()
            if call is not None:
                if args:
                    line = call.memory.templates.get(msg)
                    if line is not None and line.text is msg:
                        number, = args
                        if {whole} and 0 <= number < line.below:
                            {numbers}
                            line.tally.n += 1
                            return
                else:
                    memory = call.memory
                    if texts:
                        line = memory.constants.get(msg)
                        if line is not None and line.text is msg:
                            {constant}
                            line.tally.n += 1
                            return
                    if type(msg) is str:
                        raw = msg.encode()
                        shape = raw.translate(_alike)
                        line = memory.shapes.get(shape)
                        if line is not None and (not line.rated or _clock() < line.tally.until):
                            {shaped}
                            line.tally.n += 1
                            return
            if type(msg) is str:
                kind = None
                if args:
                    kind = _templates.get(msg)
                    if kind is None:
                        fate = None
                    elif kind.single and type(args[0]) is int and 0 <= args[0] < kind.below and len(args) == 1:
                        fate = kind.fate
                        text = None
                    else:
                        fate, text = kind.judge(args)
                else:
                    if call is None:
                        raw = msg.encode()
                        shape = raw.translate(_alike)
                    fate = kind = texts.get(msg) if texts else None
                    if fate is None:
                        fate = _fate_of(shape)
                    text = raw
                memory = _outside if call is None else call.memory
                page = memory.page
                if fate is not None and page is not None:
                    tally = page[fate.index]
                    if not fate.rated or _clock() < tally.until:
                        {remember}
                        tally.n += 1
                        if kind is None:
                            if call is not None:
                                _shorten(memory, self, texts, shape, fate, tally)
                        elif kind.single and not fate.rated:
                            _shorten(memory, self, texts, msg, kind, tally)
                        return
        except Exception:
            pass  # a lone surrogate, a template that does not fit, no ring any more: the long way copes
"""

_REMEMBER_IF_IN_CALL: Final = """if call is None:
    pass
elif text is None:
    ring = memory.ring
    context = _context()
    ids = ring.ids if context is ring.context else ring.look(context)
    pending = ring.pending
    pending += (_now(), args if len(args) > 1 else args[0], (self.name, ids, fate.why, msg, ()))
    if len(pending) >= ring.full:
        _roll(ring)
else:
    {text}"""

_MAX_SHORTENED: Final = 256  # constants, templates and shapes of one call
_MAX_CONSTANTS: Final = 1024  # of one logger

_BELOW_AT_FIRST_SIGHT: Final = """try:
        silent = self.{silent}
    except AttributeError:
        _meet(self)
        silent = False
    if silent:
        {remember}
"""

_BELOW: Final = """call = _current()
if call is None:
    return
memory = call.memory
if (
    memory.page is not None and type(msg) is str and not args and not kwargs
    and len(msg) <= {longest} and not self.disabled
):
    try:
        place = memory.ring.below
        {remember}
        return
    except AttributeError:
        pass  # no ring any more: the long way copes"""

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
    "_below_debug": (logging.DEBUG, None),
    "_clock": None,
    "_context": None,
    "_current": scope.current.get,
    "_familiar": None,
    "_late": None,
    "_meet": None,
    "_now": time,
    "_outside": suppressed.outside,
    "_roll": _no_ring,
    "_fate_of": {}.get,
    "_shorten": None,
    "_templates": {},
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
    made: dict[str, Any] = {}
    exec(_compiled(name, remembers=_recorder is not None), _names, made)  # noqa: S102 (our own template, see above)
    method = made[name]
    method.__doc__ = original.__doc__
    method.__qualname__ = f"Logger.{name}"
    _made[name] = method
    return method


@functools.cache
def _compiled(name: str, *, remembers: bool) -> CodeType:
    """The code of a module that defines the method; without a recorder, it has no line about rings."""
    level = str(_LEVELS.get(name, "level"))
    first = ""
    if name == _SHORT:
        constant = numbers = shaped = remember = ""
        whole = "(line.decimal or type(number) is int)"
        if remembers:
            whole = "type(number) is int"  # as only such ones are kept
            constant = _remember(28, "memory", "line", "msg", "line.tally.fate.why", "None")
            numbers = _remember(28, "call.memory", "line", "number", "line.tally.fate.why", "msg")
            shaped = _remember(28, "memory", "line", "raw", "line.tally.fate.why", "None")
            text = _remember(4, "memory", "tally", "text", "fate.why", "None")
            remember = _indented(24, _REMEMBER_IF_IN_CALL.format(text=text))
        first = _AT_FIRST_SIGHT.format(
            mark=_MARK, whole=whole, constant=constant, numbers=numbers, shaped=shaped, remember=remember
        )
    elif name == "debug":
        keep = _remember(8, "memory", "place", "msg", "_below_debug", "None")
        remember = _BELOW.format(longest=LONGEST, remember=keep) if remembers else "return"
        first = _BELOW_AT_FIRST_SIGHT.format(silent=_SILENT, remember=_indented(8, remember))
    elif name == "log":
        first = _CHECK_LEVEL
    head = "level, " if name == "log" else ""
    # The library has a handler of last resort for warnings, so they always need a record.
    usual = _indented(8, (_LONG_WAY if _LEVELS.get(name, 0) >= logging.WARNING else _KEPT).format(level=level))
    return compile(_METHOD.format(name=name, level=level, head=head, first=first, usual=usual), SOURCE_FILE, "exec")


def _function_code(module: CodeType) -> CodeType:
    """The code of the one function that a module defines."""
    return next(one for one in module.co_consts if isinstance(one, CodeType))


def _remember(indent: int, memory: str, place: str, text: str, why: str, template: str) -> str:
    """The lines that put a message into a ring, for a place so many spaces deep."""
    return _indented(indent, _REMEMBER.format(memory=memory, place=place, text=text, why=why, template=template))


def _indented(indent: int, lines: str) -> str:
    return lines.replace("\n", "\n" + " " * indent)


def bind(
    known: Known | None,
    recorder: Recorder | None,
    late: Callable[..., bool] | None,
    familiar: Callable[..., int] | None,
) -> None:
    """Look messages up in `known` from now on, nowhere if it is None, and remember them with `recorder`.

    `late` takes messages that are kept and need no record; `familiar` those that are kept and shown at first sight.
    """
    global _shut, _recorder
    with _lock:
        _disarm_all()
        _recorder = recorder
        fates.disarm_all()
        _shut = known is None
        for name, method in _made.items():
            method.__code__ = _function_code(_compiled(name, remembers=recorder is not None))
    if known is not None and known.policies is not None:
        suppressed.outside.page = fates.page_of(suppressed.outside)
        _names["_clock"] = known.policies.clock
    _names.update(
        _fate_of=({} if known is None else known.shapes).get,
        _templates={} if known is None else known.templates,
        _familiar=familiar,
        _late=late,
        _context=entries.context_getter(),
        _roll=recorder.roll if recorder is not None else _no_ring,
    )


# -- which loggers may drop messages at first sight --------------------------------------------------------------------

_lock = threading.RLock()  # around what follows; taken when policies or levels change, never for a message
_shut = True
_recorder: Recorder | None = None
_armed: list[logging.Logger] = []  # that have an attribute of ours
_made: Final[dict[str, FunctionType]] = {}
_clear_cache: Any = None  # what stood there before us


def watch_levels() -> bool:
    """Learn of every change of a level, as the standard library's own cache does; False where that is not possible."""
    global _clear_cache
    found = getattr(logging.Manager, "_clear_cache", None)
    if found is None or _clear_cache is not None:
        return found is not None
    _clear_cache = found
    logging.Manager._clear_cache = _levels_changed  # type: ignore[attr-defined]  # noqa: SLF001 (see the docstring)
    return True


def unwatch_levels() -> None:
    """Undo `watch_levels`; where somebody has patched on top of it since, it stays."""
    global _clear_cache
    if getattr(logging.Manager, "_clear_cache", None) is _levels_changed:
        logging.Manager._clear_cache = _clear_cache  # type: ignore[attr-defined]  # noqa: SLF001
        _clear_cache = None


def _levels_changed(self: logging.Manager) -> None:
    _clear_cache(self)
    with _lock:
        _disarm_all()


def _disarm_all() -> None:
    while _armed:
        logger = _armed.pop()
        for name in (_MARK, _SILENT):
            if hasattr(logger, name):
                delattr(logger, name)


def _meet(logger: logging.Logger) -> None:
    """A logger that has not met us, or not since levels changed.

    There is no default on the class, as the interpreter's quick way to an attribute of an instance forbids it.
    """
    try:
        with _lock:
            silent = not _shut and _plain(logger) and not logger.isEnabledFor(logging.DEBUG)
            setattr(logger, _MARK, None)
            setattr(logger, _SILENT, silent and (_recorder is None or _recorder.listens(logger)))
            _armed.append(logger)
    except Exception:
        pass  # an application's class that has its own idea of attributes


def _shorten(
    memory: CallMemory,
    logger: logging.Logger,
    texts: dict[str, Fate],
    msg: str | bytes,
    kind: Fate | Template,
    tally: Tally,
) -> None:
    """A constant text, a template with one number, or the shape of a text: in its call, one look-up will do now."""
    with _lock:
        if getattr(logger, _MARK, None) is not texts or memory.page is None:
            return  # policies, levels, or what may pass changed meanwhile
        if len(memory.constants) + len(memory.templates) + len(memory.shapes) >= _MAX_SHORTENED:
            return
        if isinstance(msg, bytes):
            memory.shapes = memory.shapes or {}
            memory.shapes[msg] = Line("", tally, rated=tally.fate.rated)
        elif isinstance(kind, Fate):
            memory.constants = memory.constants or {}  # not the one that all share
            memory.constants[msg] = Line(msg, tally)
        elif kind.single:
            memory.templates = memory.templates or {}
            memory.templates[msg] = Line(msg, tally, below=kind.below, decimal=kind.decimal)


_names["_shorten"], _names["_meet"] = _shorten, _meet


def arm(logger: logging.Logger, constant: tuple[str, Fate] | None) -> None:
    """Let messages of `logger` be dropped at first sight, if it is enabled for them; `constant` with its fate."""
    _arm(logger)
    if constant is not None:
        with _lock:
            texts = getattr(logger, _MARK, None)
            if texts is not None and len(texts) < _MAX_CONSTANTS:
                texts[constant[0]] = constant[1]


def _arm(logger: logging.Logger) -> None:
    if getattr(logger, _MARK, True) is not None or not _plain(logger):
        return
    with _lock:
        if not _shut and logger.isEnabledFor(_LEVELS[_SHORT]):
            setattr(logger, _MARK, {})


def _plain(logger: logging.Logger) -> bool:
    """Whether the standard library alone decides what is enabled, and tells us when that changes."""
    code = getattr(type(logger).isEnabledFor, "__code__", None)
    return _clear_cache is not None and getattr(code, "co_filename", None) == SOURCE_FILE


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()  # a thread that did not come along may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
