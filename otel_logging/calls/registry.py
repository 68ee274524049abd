"""The named calls of this process: who shares a state, and when a call ends and is forgotten.

A call stays findable for 60 seconds after its end, so that late records still find it. Handles are `handle`'s
business; records are not known here.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from otel_logging import trouble
from otel_logging.calls import spans, state, timer
from otel_logging.calls.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from otel_logging.bridge.memory import CallMemory

LINGER_SECONDS = 60.0  # an ended call can still be found
GRACE_SECONDS = 60.0  # a call that nobody holds open waits for its next part: a webhook is followed by a stream
IDLE_SECONDS = 2 * 60 * 60.0  # nothing heard of a call: it is over, its end was missed
SWEEP_SECONDS = 5.0  # how often ended and idle calls are looked for, while there are calls
MAX_CALLS = 10_000  # ended ones go first, then the one not heard of for longest

# What a carrier says when it has hung up. Whoever asks for such a call within the linger finds it, but does not open
# it again; any other end may be followed by more of the same call.
FINAL = frozenset({"stop", "completed", "busy", "failed", "no-answer", "canceled"})

PROCESS_END = "process_end"  # why calls end with their process

clock = time.monotonic

_calls: dict[str, State] = {}
_sweeping: timer.Scheduled | None = None


def join(call_sid: str, *, opener: bool) -> State:
    """The state of a valid call id, a new one if it is not known (any more). `state.lock` is held by the caller."""
    now = clock()
    found = _calls.get(call_sid)
    if found is not None and found.ended_at is not None and now - found.ended_at > LINGER_SECONDS:
        found = None
    if found is None:
        found = _calls[call_sid] = State(call_sid, now)
    elif opener and found.end_reason is not None and found.end_reason not in FINAL:
        found.ended_at = found.end_reason = None
        found.grace_until = 0.0
        if found.memory is not None:
            found.memory.ended = False
    found.touched = True
    if opener:
        found.openers += 1
    return found


def find(call_sid: str) -> State | None:
    """The state of a call that is open or ended less than 60 seconds ago."""
    with state.lock:
        found = _calls.get(call_sid)
        if found is not None and found.ended_at is not None and clock() - found.ended_at > LINGER_SECONDS:
            return None
        return found


def memory_of(call_sid: str) -> CallMemory | None:
    """The bridge's page about a call that `find` finds."""
    found = find(call_sid)
    return None if found is None else found.memory


def about(call_sid: str) -> tuple[int, Mapping[str, Any]] | None:
    """The span id and the attributes of a call that `find` finds."""
    found = find(call_sid)
    return None if found is None else (found.span_id, found.attributes)


def tidy() -> None:
    """After a `join`, outside the lock: keep the number of calls bounded and the sweep going."""
    global _sweeping
    evicted: list[State] = []
    with state.lock:
        if len(_calls) > MAX_CALLS:
            oldest = sorted(_calls.values(), key=lambda one: (not one.ended, one.touched, one.last_touch))
            evicted = oldest[: len(_calls) - MAX_CALLS + MAX_CALLS // 100]  # some more, so as not to sort each time
            for one in evicted:
                _calls.pop(one.call_sid, None)
        sweep_now = _sweeping is None and bool(_calls)
    for one in evicted:
        if end(one, "evicted"):
            trouble.report("call_evicted", f"more than {MAX_CALLS} calls are open; the one idle for longest was ended")
        if one.memory is not None:
            one.memory.forget()
    if sweep_now:
        entry = timer.schedule(SWEEP_SECONDS, _sweep)
        with state.lock:
            _sweeping, spare = (entry, None) if _sweeping is None else (_sweeping, entry)
        if spare is not None:
            spare.cancel()


def end(one: State, reason: str) -> bool:
    """End a call for everyone in this process; False if it had ended."""
    with state.lock:
        if one.ended_at is not None:
            return False
        one.ended_at = clock()
        one.end_reason = reason
        span, one.span = one.span, None
        attributes: Mapping[str, Any] = one.attributes
        memory = one.memory
    if span is not None:
        spans.end(span, reason, attributes)
    if memory is not None:
        memory.end(reason)
    return True


def leave(one: State, reason: str, grace: float, *, whole: bool) -> None:
    """One opener is done; `whole`: and the call is over.

    Else the last one's leaving ends the call, after `grace` seconds without a new opener.
    """
    with state.lock:
        one.openers = max(0, one.openers - 1)
        one.grace_until = max(one.grace_until, clock() + grace)
        over = whole or (one.openers == 0 and one.grace_until <= clock())
    if over:
        end(one, reason)


def end_all(reason: str) -> None:
    """End every open call: the process is about to."""
    for one in snapshot():
        if one.openers and not one.ended and reason == PROCESS_END and one.memory is not None:
            one.memory.went_wrong(reason)  # in mid-call; one that nobody holds open may go on elsewhere
        end(one, reason)


def snapshot() -> list[State]:
    """The calls that are open or linger."""
    with state.lock:
        return list(_calls.values())


def sweep() -> None:
    """End calls that nobody holds open or that are idle, forget those that ended long enough ago."""
    now = clock()
    over: list[tuple[State, str]] = []
    gone: list[State] = []
    with state.lock:
        for one in list(_calls.values()):
            if one.touched:
                one.touched = False
                one.last_touch = now
            if one.ended_at is not None:
                if now - one.ended_at > LINGER_SECONDS:
                    del _calls[one.call_sid]
                    gone.append(one)
            elif now - one.last_touch > IDLE_SECONDS:
                del _calls[one.call_sid]
                over.append((one, "idle"))
                gone.append(one)
            elif one.openers == 0 and one.grace_until <= now:
                over.append((one, "left"))
    for one, reason in over:
        end(one, reason)
    for one in gone:
        if one.memory is not None:
            one.memory.forget()


def _sweep() -> None:
    global _sweeping
    try:
        sweep()
    finally:
        with state.lock:
            _sweeping = None
        tidy()


def reset() -> None:
    """Forget every call: for tests."""
    global _sweeping
    with state.lock:
        _calls.clear()
        entry, _sweeping = _sweeping, None
    if entry is not None:
        entry.cancel()


def _after_fork_in_child() -> None:
    """The calls came along; their spans are the parent's to end, and the sweep has to be started anew."""
    global _sweeping
    _sweeping = None
    for one in _calls.values():
        one.span = None
        one.span_starting = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
