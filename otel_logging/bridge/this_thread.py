"""What this thread is at: within our own work, within nested log calls, with a message that the gate has let pass.

State only, for `gate`, `methods`, `pipeline` and `late`, which share it; no behaviour beyond a key belongs in here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from otel_logging.bridge import scope

if TYPE_CHECKING:
    import logging

MAX_DEPTH: Final = 4
"""Nested log calls of one thread: an object that logs itself while it is rendered would go on for ever, by powers."""


class _Thread(threading.local):
    """This thread's state: are we inside `_keep`, for which logger has the gate just let a message pass, how nested?"""

    inside: bool = False
    depth: int = 0
    passed: logging.Logger | None = None
    trigger: str | None = None  # why that message passes although it would not otherwise
    suppressed: int = 0  # how many of that message's kind were held back before it
    rescued: logging.LogRecord | None = None  # it has been sent although its log call is about to raise
    late: list[tuple[logging.LogRecord, str | None]] | None = None  # made by a signal handler while we were inside


thread = _Thread()


def call_key() -> str | None:
    """The key under which per-call limits of the call in force are kept, None outside a call."""
    call = scope.current.get()
    if call is None:
        return None
    return call.call_sid or f"#{id(call)}"
