"""What the bridge remembers of one call: its ring of dropped records, its guards, its counts, its open window.

One `CallMemory` belongs to one call of this process; `calls` makes it, shares it between the handles of a named call
and says when the call is named, ended and forgotten. The bridge fills it. Plain data with hooks: what is remembered
and when it is given back is decided in `recorder`, `guards` and `overrides`, never in here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from otel_logging import trouble

_NO_LINES: Final[dict[Any, Any]] = {}  # never written to


class CallMemory:
    """The bridge's own page about one call.

    Attributes:
        began: when this process first met the call, in seconds since 1970.
        call_sid: the call's id, None until it is named.
        trace_id: the call's trace id, 0 until it is named.
        ring: what the recorder keeps here, None before the first record.
        guards: what the guards keep here, by guard.
        counts: records of this call by outcome (`made`, `kept`, `policy:…`, `recovered`), for its summary. What the
            gate's short way counts is in here only after `fates.settle`.
        tallies: where the gate's short way counts, None before the first such line (see `fates`).
        page: the same while lines of this call may go the short way, else None.
        constants: of the short way: constant texts, with what counts them; written to only where it is not empty.
        templates: the same for templates with one number.
        shapes: the same for texts that differ from one another in their digits only.
        open_until: monotonic seconds; until then everything of this call passes, because of `open_reason`.
    """

    __slots__ = (
        "__weakref__",
        "began",
        "call_sid",
        "constants",
        "counts",
        "ended",
        "guards",
        "lock",
        "open_reason",
        "open_until",
        "page",
        "ring",
        "shapes",
        "tallies",
        "templates",
        "trace_id",
    )

    def __init__(self) -> None:
        self.began = time.time()
        self.call_sid: str | None = None
        self.trace_id = 0
        self.ring: Any = None
        self.guards: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.tallies: Any = None
        self.page: Any = None
        self.constants = self.templates = self.shapes = _NO_LINES
        self.open_until = 0.0
        self.open_reason = ""
        self.ended = False
        self.lock = threading.RLock()  # for changes of several fields at once; never held while exporting

    def named(self, call_sid: str, trace_id: int) -> None:
        """The call has got its name."""
        self.call_sid = call_sid
        self.trace_id = trace_id
        _tell("named", self, call_sid)

    def open(self, until: float, reason: str) -> None:
        """Let everything of this call pass until then, in monotonic seconds."""
        with self.lock:
            self.open_until, self.open_reason = until, reason
            self.shut()

    def shut(self) -> None:
        """Nothing goes the short way any more."""
        self.page = None
        self.constants = self.templates = self.shapes = _NO_LINES

    def went_wrong(self, how: str) -> None:
        """Something went wrong with the call that no record tells of: an exception left it, its stream broke off."""
        _tell("failed", self, how)

    def absorb(self, other: CallMemory) -> None:
        """A handle that remembered on its own turns out to be this call: take over what it remembered."""
        self.began = min(self.began, other.began)
        _tell("absorbed", self, other)

    def end(self, reason: str) -> None:
        """The call has ended in this process; it lingers, so that a late error still finds what it remembered."""
        self.ended = True
        _tell("ended", self, reason)

    def forget(self) -> None:
        """The call is forgotten: nothing can trigger its recovery any more."""
        _tell("forgotten", self, None)


Listener = Callable[[str, CallMemory, Any], None]
"""Called as `listener(event, memory, argument)` with events `named`, `absorbed`, `failed`, `ended` and `forgotten`."""

_listeners: Final[list[Listener]] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Have `listener` told of what happens to calls; returns what ends that. Listeners must be quick and not raise."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener) if listener in _listeners else None


def _tell(event: str, memory: CallMemory, argument: Any) -> None:
    for listener in tuple(_listeners):
        try:
            listener(event, memory, argument)
        except Exception as error:  # noqa: PERF203 (one listener's failure is not the next one's)
            trouble.report("internal_error", f"a call's {event} was not noted: {trouble.sentence(error)}")
