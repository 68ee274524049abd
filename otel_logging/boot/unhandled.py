"""Exceptions that nobody handles: each is told once, as a CRITICAL record with its traceback and the call it left.

In the main thread, in threads, and in asyncio's tasks and callbacks. Whatever hooks the application has are called as
ever, and what Python prints stays; a hook that logs the exception itself has told it, and nothing is added. Delivering
the record before the process ends is the business of `ends`.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble
from otel_logging.bridge import translate
from otel_logging.bridge.values import safe_str
from otel_logging.calls import activation, call
from otel_logging.calls.patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LOGGER: Final = "otel_logging.unhandled"
_NOT_NEWS: Final = (KeyboardInterrupt, SystemExit)  # how people and programs end programs


class _Now(threading.local):
    """What this thread is in the midst of telling."""

    error: BaseException | None = None
    seen = False  # a record of it has been made
    raised = False  # what asyncio says of it is to be CRITICAL


_now = _Now()
_patches = Patches("unhandled")
_told_last = 0  # id of the `sys.last_value` of which a record has been made


class _Hook:
    """`sys.excepthook` or `threading.excepthook`: ours in its place, with what was there below."""

    def __init__(self, owner: Any, ours: Callable[..., None]) -> None:
        self._owner, self._ours = owner, ours
        self._below: list[Callable[..., None]] = []
        self._depth = threading.local()

    def take(self) -> None:
        """Put ours on top of what is there now."""
        found = self._owner.excepthook
        if found is not self._ours:
            self._below.append(found)
            self._owner.excepthook = self._ours

    def give_back(self) -> None:
        """Put back what was there, unless somebody has built upon ours."""
        if self._below and self._owner.excepthook is self._ours:
            self._owner.excepthook = self._below[-1]
            self._below.clear()

    def is_pythons(self) -> bool:
        """Whether nothing but Python's own is below."""
        below = self._below[-1] if self._below else None  # compared by identity: it need not be hashable
        return below is None or below is sys.__excepthook__ or below is threading.__excepthook__

    def call(self, *args: Any) -> None:
        """Call what is below. A hook that calls the one before it, which is ours, gets what was below that."""
        depth = getattr(self._depth, "value", 0)
        default = sys.__excepthook__ if self._owner is sys else threading.__excepthook__
        below = self._below[-1 - depth] if depth < len(self._below) else default
        self._depth.value = depth + 1
        try:
            below(*args)
        finally:
            self._depth.value = depth


def install() -> None:
    """Tell of unhandled exceptions from now on. May be called again; undone by `uninstall`."""
    if _patches.active:
        return
    translate.on_exception = _seen
    _MAIN.take()
    _THREADS.take()
    _patches.install()
    _patches.replace(threading.Thread, "start", _start)
    logger = logging.getLogger("asyncio")
    logger.addFilter(_raise_level)
    _patches.on_uninstall(lambda: logger.removeFilter(_raise_level))


def uninstall() -> None:
    """Give the hooks back."""
    _patches.uninstall()
    _MAIN.give_back()
    _THREADS.give_back()
    translate.on_exception = None


def tell_the_last() -> None:
    """For the end of the process: an exception that went to a hook that knows nothing of us is told now."""
    error = getattr(sys, "last_value", None)
    if error is None or isinstance(error, _NOT_NEWS) or id(error) == _told_last or hasattr(sys, "ps1"):
        return
    # Test runners and shells note exceptions there that they have dealt with: the program's own begin at its main file.
    first = error.__traceback__
    if first is not None and first.tb_frame.f_globals.get("__name__") in {"__main__", "runpy"}:
        _tell(error, "")


def _seen(error: BaseException) -> None:
    """A record of `error` is being made."""
    global _told_last
    if error is _now.error:
        _now.seen = True
    if error is getattr(sys, "last_value", None):
        _told_last = id(error)


def _tell(error: BaseException, where: str) -> None:
    """Make the record, at the place where the exception was raised. Never raises."""
    try:
        logger = logging.getLogger(LOGGER)
        if not logger.isEnabledFor(logging.CRITICAL):
            return
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        code = trace.tb_frame.f_code if trace is not None else None
        sid = activation.left_by(error)
        found = call.find(sid) if sid is not None else None
        record = logger.makeRecord(
            LOGGER,
            logging.CRITICAL,
            code.co_filename if code is not None else "(unknown file)",
            trace.tb_lineno if trace is not None else 0,
            "Unhandled exception%s: %s",
            (where, _summary(error)),
            (type(error), error, error.__traceback__),
            code.co_name if code is not None else None,
            {"call_sid": sid} if sid is not None and found is None else None,
        )
        if found is None:
            logger.handle(record)
        else:
            with found.activate():
                logger.handle(record)
    except Exception as failure:
        trouble.report("unhandled_failed", f"an unhandled exception could not be told ({type(failure).__name__})")


def _summary(error: BaseException) -> str:
    message = safe_str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _around(error: BaseException, where: str, below: Callable[[], None], *, pythons: bool) -> None:
    """Tell of `error` and call what is below; only if it has not been told there, where that is not Python's own."""
    if _now.error is error:  # called by a hook that calls the one before it
        below()
        return
    before = _now.error, _now.seen
    _now.error, _now.seen = error, False
    try:
        if pythons:
            _tell(error, where)  # first, so that a broken stderr cannot keep it
        below()
    finally:
        seen = _now.seen
        _now.error, _now.seen = before
        if not seen and not pythons:
            _tell(error, where)


def _main_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """`sys.excepthook`."""
    below = functools.partial(_MAIN.call, kind, error, trace)
    if not _patches.active or error is None or isinstance(error, _NOT_NEWS):
        below()
    else:
        _around(error, "", below, pythons=_MAIN.is_pythons())


def _thread_hook(args: Any) -> None:
    """`threading.excepthook`."""
    error = args.exc_value
    below = functools.partial(_THREADS.call, args)
    if not _patches.active or error is None or isinstance(error, _NOT_NEWS):
        below()
    else:
        name = args.thread.name if args.thread is not None else "unknown"
        _around(error, f" in thread {name}", below, pythons=_THREADS.is_pythons())


_MAIN: Final = _Hook(sys, _main_hook)
_THREADS: Final = _Hook(threading, _thread_hook)


def _start(original: Callable[..., None]) -> Callable[..., None]:
    """Patch of `Thread.start`: an application that has set a hook of its own since gets ours on top again."""

    @functools.wraps(original)
    def start(self: threading.Thread, *args: Any, **kwargs: Any) -> None:
        if threading.excepthook is not _thread_hook and _patches.active:
            _THREADS.take()
        original(self, *args, **kwargs)

    return start


# -- asyncio -----------------------------------------------------------------------------------------------------------


@_patches.on_import("asyncio.base_events")
def _asyncio(module: Any) -> None:
    _patches.replace(module.BaseEventLoop, "call_exception_handler", _call_exception_handler)


@_patches.on_import("uvloop")
def _uvloop(module: Any) -> None:
    if "call_exception_handler" not in vars(module.Loop):
        # Inherited from a compiled class, which cannot be patched.
        module.Loop.call_exception_handler = _call_exception_handler(module.Loop.call_exception_handler)
        _patches.on_uninstall(lambda: delattr(module.Loop, "call_exception_handler"))


def _call_exception_handler(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not _patches.active or not isinstance(error, BaseException) or not _is_unhandled(context, error):
            original(self, context)
            return
        where = _context_of(context)
        # A copy, as the context itself may be in use.
        run = where.copy().run if where is not None else contextvars.copy_context().run
        run(_in_its_call, error, functools.partial(original, self, context))

    return call_exception_handler


def _is_unhandled(context: dict[str, Any], error: BaseException) -> bool:
    """Whether it is the application's, in a task, a future or a callback, and not a connection's that broke."""
    if isinstance(error, _NOT_NEWS) or "transport" in context or "protocol" in context:
        return False
    return any(name in context for name in ("task", "future", "handle"))


def _in_its_call(error: BaseException, below: Callable[[], None]) -> None:
    sid = activation.left_by(error)
    found = call.find(sid) if sid is not None else None
    before, _now.raised = _now.raised, True
    try:
        if found is None:
            _around(error, " in asyncio", below, pythons=False)
        else:
            with found.activate():
                _around(error, " in asyncio", below, pythons=False)
    finally:
        _now.raised = before


def _context_of(context: dict[str, Any]) -> contextvars.Context | None:
    """The context that the task ran in."""
    thing = context.get("task") or context.get("future") or context.get("handle")
    get = getattr(thing, "get_context", None)  # since Python 3.12
    if get is not None:
        found = get()
        return found if isinstance(found, contextvars.Context) else None
    found = getattr(thing, "_context", None)  # a callback's, or a task's that is written in Python
    if isinstance(found, contextvars.Context):
        return found
    # A task of C says it to the garbage collector only.
    return next((one for one in gc.get_referents(thing) if isinstance(one, contextvars.Context)), None)


def _raise_level(record: logging.LogRecord) -> bool:
    """What asyncio itself says of an exception that nobody handles is CRITICAL, as what we say of the others."""
    if _now.raised and record.levelno == logging.ERROR and record.exc_info:
        record.levelno, record.levelname = logging.CRITICAL, "CRITICAL"
    return True
