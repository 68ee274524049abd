"""How a process ends: normally, by SIGTERM, `os._exit` or `os.exec…`; and how a forked child begins. All bounded.

The exit status and the application's own handlers stay what they were without us. SIGINT is Python's own business: it
becomes KeyboardInterrupt, and that ends in `atexit`. What flushing means is the caller's; nothing about exporters or
calls belongs in here.

One limit is Python's: a signal handler runs when the main thread gets back to the interpreter, so a main thread that
stays inside a C extension delays SIGTERM.
"""

from __future__ import annotations

import _thread
import atexit
import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from otel_logging import final, trouble
from otel_logging.bridge.ledger import ledger

if TYPE_CHECKING:
    from types import FrameType

Bounded = Callable[[float], bool]

# atexit and SIGTERM. Container runtimes kill after 10 s, and a server's first process closes when its workers have.
CLOSE_SECONDS: Final = 3.0
EXIT_SECONDS: Final = 2.0  # os._exit: the caller is in a hurry
_GRACE: Final = 0.5  # what a bounded callback may be late before it is left behind

# A main thread interrupted inside one of these may hold a lock that flushing needs, and cannot let go of it while its
# signal handler waits. So it is let go on, a moment at a time, until it is found elsewhere; one that stays is blocked
# in there (`Event.wait`, `Queue.get`, `Thread.join`), which holds nothing.
_LOCK_HOLDERS: Final = (
    "logging",
    "threading",
    "queue",
    "importlib",
    "otel_logging.bridge",
    "otel_logging.calls",
    "otel_logging.export",
    "otel_logging.policy",
    "otel_logging.trouble",
    "opentelemetry.sdk",
)
_MOMENT: Final = 0.005
_MAX_ATTEMPTS: Final = 40


@dataclass(frozen=True)
class _Callbacks:
    flush: Bounded
    close: Bounded
    after_fork: Callable[[], None]
    unsafe: Callable[[], int]


class _Work:
    """One bounded callback, run on a bare thread: `threading.Thread` takes locks that the interrupted code may hold."""

    def __init__(self, what: Bounded, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._running = _thread.allocate_lock()
        self.done = False

    def start(self) -> bool:
        """Begin. False if no thread can be started: at interpreter shutdown, or at the system's limit."""
        self._running.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            return False
        return True

    def wait(self) -> None:
        """Wait for the end, or as long as the bound and its grace allow."""
        if self._running.acquire(timeout=self._seconds + _GRACE):
            self._running.release()
        if not self.done:
            self._lament()

    def call(self) -> None:
        """Run in this thread. Whatever goes wrong is reported, not raised: the process is ending."""
        try:
            if not self._what(self._seconds):
                self._lament()
        except Exception as error:
            trouble.report("end_failed", f"flushing at the end of the process failed: {trouble.sentence(error)}")
        finally:
            self.done = True

    def _lament(self) -> None:
        held = _callbacks.unsafe() if _callbacks is not None else 0
        if held > 0:
            late = f"they could not be delivered within {self._seconds:g} s when the process ended"
            trouble.report("undelivered", f"{held} records are lost: {late}")

    def _run(self) -> None:
        try:
            self.call()
        finally:
            self._running.release()


_callbacks: _Callbacks | None = None
_asked = False  # SIGTERM came and is being dealt with
_attempts = 0  # how often it found the main thread inside of one of _LOCK_HOLDERS
_closing = False
_fork_hooked = False


class _Patch:
    """One attribute of a module, replaced by a function of ours and put back unless somebody built upon ours."""

    def __init__(self, module: Any, name: str, ours: Callable[..., Any]) -> None:
        self._module, self._name = module, name
        self._in_force = False
        self.real: Callable[..., Any] = getattr(module, name)
        self._ours = functools.wraps(self.real)(ours)

    def apply(self) -> None:
        if not self._in_force:
            self.real = getattr(self._module, self._name)
            setattr(self._module, self._name, self._ours)
            self._in_force = True

    def undo(self) -> None:
        # A stranger's wrapper around ours stays, and with it ours, which only passes on while nothing is installed.
        if self._in_force and getattr(self._module, self._name) is self._ours:
            setattr(self._module, self._name, self.real)
            self._in_force = False


def _all_held() -> int:
    return int(ledger.snapshot()["held"])


def install(
    flush: Bounded, close: Bounded, after_fork: Callable[[], None], unsafe: Callable[[], int] = _all_held
) -> None:
    """Handle this process's ends from now on. A second call only replaces the callbacks.

    Args:
        flush: delivers what is held, within the given seconds; called where the process may still go on.
        close: the same and for good; called once, at the end.
        after_fork: called in each forked child before its own code runs.
        unsafe: how many records would be lost if the process ended now.
    """
    global _callbacks, _fork_hooked
    again = _callbacks is not None
    _callbacks = _Callbacks(flush, close, after_fork, unsafe)
    if again:
        return
    final.stand_by()
    atexit.register(_at_exit)
    if not _fork_hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)  # cannot be taken back; it looks at _callbacks
        _fork_hooked = True
    for patch in _PATCHES:
        patch.apply()
    if _GETSIGNAL.real(signal.SIGTERM) == signal.SIG_DFL:
        _set_sigterm(_on_sigterm)


def uninstall() -> None:
    """Undo `install`, as far as nobody else has built upon it."""
    global _callbacks
    if _callbacks is None:
        return
    _callbacks = None
    _forget()
    atexit.unregister(_at_exit)
    if _GETSIGNAL.real(signal.SIGTERM) is _on_sigterm:
        _set_sigterm(signal.SIG_DFL)
    for patch in _PATCHES:
        patch.undo()


def _set_sigterm(handler: Any) -> None:
    try:
        _SIGNAL.real(signal.SIGTERM, handler)
    except ValueError:
        pass  # not the main thread; when that one sets SIGTERM to its default it gets ours


def _is_default(handler: object) -> bool:
    return isinstance(handler, int) and handler == signal.SIG_DFL


def _signal(signalnum: Any, handler: Any) -> Any:
    """`signal.signal`, with ours in the place of SIGTERM's default. Worker classes set it back to that."""
    if _callbacks is not None and signalnum == signal.SIGTERM and _is_default(handler):
        handler = _on_sigterm
    previous = _SIGNAL.real(signalnum, handler)
    return signal.SIG_DFL if previous is _on_sigterm else previous


def _getsignal(signalnum: Any) -> Any:
    """`signal.getsignal`, which tells what the application set."""
    handler = _GETSIGNAL.real(signalnum)
    return signal.SIG_DFL if handler is _on_sigterm else handler


def _exit(status: int) -> NoReturn:
    """`os._exit`, after a short flush: job workers and forked children end here."""
    try:
        _leave()
    finally:  # also when a KeyboardInterrupt comes in between
        _EXIT.real(status)
    raise AssertionError  # os._exit does not return


def _execv(path: Any, argv: Any) -> NoReturn:
    """`os.execv`, after a short flush: reloaders replace their own process."""
    _leave()
    _EXECV.real(path, argv)
    raise AssertionError  # os.execv does not return


def _execve(path: Any, argv: Any, env: Any) -> NoReturn:
    """`os.execve`, after a short flush."""
    _leave()
    _EXECVE.real(path, argv, env)
    raise AssertionError  # os.execve does not return


_SIGNAL: Final = _Patch(signal, "signal", _signal)
_GETSIGNAL: Final = _Patch(signal, "getsignal", _getsignal)
_EXIT: Final = _Patch(os, "_exit", _exit)
_EXECV: Final = _Patch(os, "execv", _execv)  # the other exec functions come down to these two
_EXECVE: Final = _Patch(os, "execve", _execve)
_PATCHES: Final = (_SIGNAL, _GETSIGNAL, _EXIT, _EXECV, _EXECVE)


def _leave() -> None:
    if _callbacks is not None:
        _bounded(_callbacks.flush, EXIT_SECONDS, sys._getframe(2))  # noqa: SLF001 (documented, and the only way)


def _bounded(what: Bounded, seconds: float, frame: FrameType | None) -> None:
    work = _Work(what, seconds)
    if work.start():
        work.wait()
    elif not _may_hold_locks(frame):
        work.call()


def _may_hold_locks(frame: FrameType | None) -> bool:
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if isinstance(name, str) and any(name == owner or name.startswith(owner + ".") for owner in _LOCK_HOLDERS):
            return True
        frame = frame.f_back
    return False


def _forget() -> None:
    global _asked, _attempts, _closing
    _asked = _closing = False
    _attempts = 0


def _at_exit() -> None:
    global _closing
    if _callbacks is None:
        return
    _closing = True
    _bounded(_callbacks.close, CLOSE_SECONDS, None)
    if _asked:  # SIGTERM came before the program was done, or while this closed
        _die()


def _in_child() -> None:
    _forget()
    if _callbacks is None:
        return
    try:
        _callbacks.after_fork()
    except Exception as error:
        trouble.report("fork_failed", f"setting up a forked child failed: {trouble.sentence(error)}")


def _on_sigterm(_number: int, frame: FrameType | None) -> None:
    """Close, then die of the signal as if nobody had handled it."""
    global _asked, _attempts, _closing
    _asked = True
    if _callbacks is None:
        _die()
        return
    if _closing:
        return  # asked twice; the close is on its way, and bounded
    if _attempts < _MAX_ATTEMPTS and _may_hold_locks(frame) and _come_back():
        _attempts += 1
        return
    _closing = True
    # Nothing kills a container's first process this way: it goes on, so what it logs later still needs us.
    _bounded(_callbacks.flush if os.getpid() == 1 else _callbacks.close, CLOSE_SECONDS, frame)
    _die()


def _come_back() -> bool:
    """Let the interrupted code go on for a moment; then the signal comes again."""

    def again() -> None:
        time.sleep(_MOMENT)
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        _thread.start_new_thread(again, ())
    except RuntimeError:
        return False
    return True


def _die() -> None:
    _set_sigterm(signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    # Still here: the kernel keeps a container's first process from its own default signals.
    _forget()
    if _callbacks is not None:
        _set_sigterm(_on_sigterm)
