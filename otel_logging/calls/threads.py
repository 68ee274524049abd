"""The call in force flows into threads and into the work items of thread pools.

Patched are `threading.Thread.start` and `ThreadPoolExecutor.submit`, and with them Timer, `run_in_executor` and every
subclass. Only our own context variable is carried: OTel's context belongs to OTel's threading instrumentation.
Threads started before the call, such as a queue's consumer, use `Call.activate()`.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from otel_logging import trouble
from otel_logging.bridge import scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from otel_logging.bridge.scope import CallScope

# Threads of libraries that are started by whichever call comes first and then serve the whole process.
_NOT_OF_A_CALL = (
    "otel_logging",
    "opentelemetry",
    "concurrent",
    "multiprocessing",
    "apscheduler",
    "datadog",
    "ddtrace",
    "grpc",
    "launchdarkly_eventsource",
    "ldclient",
    "posthog",
    "pymongo",
    "sentry_sdk",
    "watchdog",
)

_active = False
_undo: list[Callable[[], None]] = []


def install() -> None:
    """Carry calls into threads from now on. Doing it twice does nothing."""
    global _active
    _active = True
    if not _undo:
        _replace(threading.Thread, "start", _start)
        _replace(ThreadPoolExecutor, "submit", _submit)


def uninstall() -> None:
    """Put back what was there; where somebody patched on top of us, our part becomes inert."""
    global _active
    _active = False
    while _undo:
        _undo.pop()()


def _replace(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def patched(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs) if _active else original(*args, **kwargs)

    setattr(owner, name, patched)

    def undo() -> None:
        if getattr(owner, name) is patched:
            setattr(owner, name, original)

    _undo.append(undo)


def _start(original: Callable[..., None], thread: threading.Thread, /, *args: Any, **kwargs: Any) -> None:
    call = scope.current.get()
    if call is None or thread.ident is not None or _serves_the_process(thread):
        original(thread, *args, **kwargs)
        return
    restore = _carry(thread, call)
    try:
        original(thread, *args, **kwargs)
    except BaseException:
        restore()  # "can't start new thread": it may be started later, by another call
        raise


def _carry(thread: threading.Thread, call: CallScope) -> Callable[[], None]:
    """Have the thread begin by putting `call` in force. Returns what undoes it.

    The thread's own `run` is covered by an attribute of the instance, until it runs: this way overridden `run`s,
    bound methods and other libraries' wrappers of it all stay what they are. A new thread has a context of its own,
    which ends with it, so there is nothing to reset.
    """
    missing = object()
    covered = vars(thread).get("run", missing)
    run = thread.run

    def carried(*_: object) -> None:  # sentry_sdk passes the thread itself when it has wrapped this
        restore()
        scope.current.set(call)
        run()

    def restore() -> None:
        if vars(thread).get("run", missing) is carried:
            if covered is missing:
                del thread.run
            else:
                thread.run = covered  # type: ignore[method-assign]

    try:
        thread.run = carried  # type: ignore[method-assign]
    except Exception as error:
        trouble.report("thread_without_call", f"{type(thread).__name__} could not be given its call: {error!r}")
    return restore


def _serves_the_process(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    modules = (type(thread).__module__, getattr(target, "__module__", None))
    return any(isinstance(name, str) and name.split(".", 1)[0] in _NOT_OF_A_CALL for name in modules)


def _submit(original: Callable[..., Future[Any]], /, *args: Any, **kwargs: Any) -> Future[Any]:
    call = scope.current.get()
    if call is None or len(args) < 2:
        return original(*args, **kwargs)
    pool, function, *rest = args
    # A worker thread that the pool starts now outlives this item: it must not begin with this call in force.
    token = scope.current.set(None)
    try:
        return original(pool, _run_within, call, function, *rest, **kwargs)
    finally:
        scope.current.reset(token)


def _run_within(call: CallScope, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = scope.current.set(call)
    try:
        return function(*args, **kwargs)
    finally:
        scope.current.reset(token)
