"""What all handles of one named call share within this process, and the one lock over everything in `calls`.

Only data. Who may change it and when is decided in `registry` and `handle`.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from otel_logging import ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, SpanContext

    from otel_logging.bridge.memory import CallMemory

# One lock for all calls: its sections are a few lines, and nothing outside `calls` is ever called within one.
# Re-entrant, as a signal handler or a finalizer may log within any line of ours.
# Always used as `state.lock`, never imported by name: a forked child gets a new one.
lock = threading.RLock()


class State:
    """A named call in this process. Read freely; changed under `lock` only."""

    __slots__ = (
        "attributes",
        "call_sid",
        "end_reason",
        "ended_at",
        "grace_until",
        "last_touch",
        "limits",
        "links",
        "memory",
        "openers",
        "span",
        "span_context",
        "span_id",
        "span_starting",
        "touched",
        "trace_id",
    )

    def __init__(self, call_sid: str, now: float) -> None:
        self.call_sid = call_sid
        self.trace_id = ids.trace_id_for(call_sid)
        self.span_id = 0
        self.span: Span | None = None  # only while it is open
        self.span_starting = False  # a thread is starting it, outside the lock
        self.span_context: SpanContext | None = None  # also after its end
        self.links: list[SpanContext] = []  # spans of other traces that the call met
        self.attributes: Mapping[str, Any] = {}  # replaced, never changed: readers take no lock
        self.limits: OrderedDict[Any, Any] = OrderedDict()  # what `limits` remembers for this call
        self.memory: CallMemory | None = None  # the bridge's page, brought by the first handle
        self.openers = 0  # handles that keep the call open
        self.grace_until = 0.0  # until then a call without openers stays open
        self.end_reason: str | None = None
        self.ended_at: float | None = None
        self.last_touch = now
        self.touched = False  # set by whoever reads the call; turned into `last_touch` by the sweep

    @property
    def ended(self) -> bool:
        """True from the call's end on."""
        return self.ended_at is not None


def _after_fork_in_child() -> None:
    global lock
    lock = threading.RLock()  # a thread that did not come along may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
