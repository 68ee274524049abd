"""Where otel-logging reports its own trouble: one line on stderr, rate-limited by kind, and a count in `stats()`.

Never through `logging`: a bridge that logs its own failures feeds itself. Never raises. A line shows no secret that the
process was given, whatever the message repeats (`hidden`).
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from otel_logging import hidden

_INTERVAL: Final = 60.0  # seconds between two lines of one kind
_MAX_SENTENCE: Final = 300  # characters of an error's text
_MAX_KINDS: Final = 256  # kinds are ours, not the outside's; the bound is for mistakes

# Guards the two tables; writing to stderr happens outside it. Re-entrant, for a signal handler that reports trouble
# while this very thread holds it.
_lock = threading.RLock()
_counts: dict[str, int] = {}
_quiet: dict[str, tuple[float, int]] = {}  # kind -> (time of its last line, count at that line)


def report(kind: str, message: str) -> None:
    """Count one incident of `kind` and print `message`, at most once a minute per kind with the number unsaid since."""
    try:
        now = time.monotonic()
        with _lock:
            if kind not in _counts and len(_counts) >= _MAX_KINDS:
                kind = "other"
            count = _counts[kind] = _counts.get(kind, 0) + 1
            last, said = _quiet.get(kind, (-_INTERVAL, 0))
            if now - last < _INTERVAL:
                return
            _quiet[kind] = (now, count)
        more = f" ({count - said - 1} more of this kind since the last line)" if count - said > 1 else ""
        line = f"otel-logging: {hidden.shown(message)}{more}".encode("ascii", "backslashreplace").decode()
        sys.stderr.write("".join(c if c.isprintable() else " " for c in line) + "\n")
        sys.stderr.flush()
    except Exception:
        pass  # stderr may be closed or full; trouble in reporting trouble must end here


def sentence(error: BaseException) -> str:
    """An error in a few words: its type and its text, if it has one. Never raises."""
    try:
        return f"{type(error).__name__}: {error}"[:_MAX_SENTENCE]
    except Exception:
        return f"{type.__dict__['__name__'].__get__(type(error))} (its text cannot be had)"


def count(kind: str) -> None:
    """Count one incident of `kind` without a line."""
    with _lock:
        if kind not in _counts and len(_counts) >= _MAX_KINDS:
            kind = "other"
        _counts[kind] = _counts.get(kind, 0) + 1


def counts() -> dict[str, int]:
    """Incidents by kind since the process began."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Forget everything: for tests and for forked children."""
    global _lock
    _lock = threading.RLock()
    _counts.clear()
    _quiet.clear()
