"""LOG_CAPTURE_PRINT=1: what `print()` writes to the process's stdout becomes one call of `emit` per line.

Partial prints (`end=""`) are joined until their newline, per thread and per call, so that two calls at once never share
a line. Untouched stay `print(file=…)` to anything else, a redirected `sys.stdout` (`contextlib.redirect_stdout`, a tee)
and `sys.stdout.write()`: only `print` is captured. What a line is worth, and where it goes, is the caller's; nothing
about loggers or levels belongs in here.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from otel_logging import trouble
from otel_logging.bridge.scope import CallScope, current

Emit = Callable[[str, int], None]

PARTIAL_LIMIT: Final = 64 * 1024  # characters that wait for their newline
_MAX_PARTIALS: Final = 256  # threads and calls with an unfinished line; beyond, the oldest goes out as it is
_STACKLEVEL: Final = 3  # as logging counts, from inside emit: emit, our print, the application's line

_emit: Emit | None = None
_original: Callable[..., None] = builtins.print
_in_force = False
_fork_hooked = False
_busy = threading.local()
# Unfinished lines by (thread, call). No lock: each entry belongs to its thread, and print() works in signal handlers.
_partials: dict[tuple[int, int], tuple[CallScope | None, str]] = {}


def install(emit: Emit) -> None:
    """Send printed lines to `emit(line, stacklevel)` from now on. A second call only replaces `emit`.

    `stacklevel` is what `logger.info(line, stacklevel=stacklevel)`, called by `emit` itself, needs to name the
    application's print call. If `emit` raises, the line is printed as it would have been.
    """
    global _emit, _original, _in_force, _fork_hooked
    if not _in_force:
        if not _takes_file(builtins.print):
            # An application's own print that cannot be asked for its text goes on as it is.
            trouble.report("print_not_captured", "LOG_CAPTURE_PRINT: the application's own print() is left alone")
            return
        _original = builtins.print
        builtins.print = functools.wraps(_original)(_print)
        _in_force = True
    if not _fork_hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_partials.clear)  # the parent's unfinished lines are the parent's
        _fork_hooked = True
    _emit = emit


def uninstall() -> None:
    """Emit what is unfinished and give `print` back, unless an application wrapped ours: then ours only passes on."""
    global _emit, _in_force
    drain()
    _emit = None
    if _in_force and builtins.print is _print:
        builtins.print = _original
        _in_force = False


def drain() -> None:
    """Emit the unfinished lines of all threads: for the end of the process."""
    while _partials:
        try:
            key = next(iter(_partials))
        except (StopIteration, RuntimeError):
            continue  # a thread finished or began a line meanwhile
        _put_out(key)


def _takes_file(function: Callable[..., Any]) -> bool:
    if inspect.isbuiltin(function):
        return True
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "file" or p.kind is p.VAR_KEYWORD for p in parameters)


def _is_process_stdout(file: Any) -> bool:
    """Whether `file` (None: whatever `sys.stdout` is now) ends in this process's stdout and nowhere else."""
    stdout = sys.stdout
    if file is None:
        file = stdout
    if file is None or file is not stdout:
        return False
    if file is sys.__stdout__:
        return True
    try:
        # Applications re-wrap stdout for its encoding; a tee or a StringIO is another thing.
        return isinstance(file, io.TextIOWrapper) and file.fileno() == 1
    except (OSError, ValueError):
        return False


def _print(*objects: Any, **options: Any) -> None:
    emit = _emit
    if emit is None or getattr(_busy, "on", False) or not _is_process_stdout(options.get("file")):
        _original(*objects, **options)
        return
    # The original does the formatting, so that separators, wrong arguments and a raising __str__ are exactly as ever.
    text = io.StringIO(newline="")
    try:
        options["file"] = text
        _original(*objects, **options)
    finally:
        for line in _lines(text.getvalue()):
            _busy.on = True
            try:
                emit(line, _STACKLEVEL)
            except Exception as error:
                _fall_back(line, error)
            finally:
                _busy.on = False
    if options.get("flush"):
        sys.stdout.flush()


def _lines(text: str) -> list[str]:
    """The lines that `text` finishes, less the empty ones; the rest waits."""
    scope = current.get()
    key = (threading.get_ident(), id(scope))
    waiting = _partials.pop(key, None)
    if waiting is not None:
        text = waiting[1] + text
    *lines, rest = text.split("\n")
    if len(rest) > PARTIAL_LIMIT:
        lines.append(rest)
    elif rest:
        if len(_partials) >= _MAX_PARTIALS:
            _put_out(next(iter(_partials), key))
        _partials[key] = (scope, rest)
    return [line for line in (line.rstrip("\r") for line in lines) if line.strip()]


def _put_out(key: tuple[int, int]) -> None:
    """Emit an unfinished line as it is, in the call in which it was printed."""
    emit = _emit
    scope, line = _partials.pop(key, (None, ""))
    line = line.rstrip("\r")
    if emit is None or not line.strip():
        return
    token = current.set(scope)
    _busy.on = True
    try:
        emit(line, _STACKLEVEL)
    except Exception as error:
        _fall_back(line, error)
    finally:
        _busy.on = False
        current.reset(token)


def _fall_back(line: str, error: Exception) -> None:
    trouble.report("print_capture_failed", f"a printed line was not captured: {trouble.sentence(error)}")
    _original(line)
