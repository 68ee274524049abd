"""An exception as text: as Python prints it, but of a bounded size, and whatever the exception's own code does.

Of a stack with very many frames the first and the last ones are kept: where it began and where it broke. A marker
stands for what was left out between them. Nothing here knows of log records.
"""

from __future__ import annotations

import traceback
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

MAX_FRAMES: Final = 100  # of one stack: half of them its first ones, half of them its last
MAX_CHARS: Final = 65_536  # of the whole text: half of them its first ones, half of them its last
_MAX_PARTS: Final = 20_000  # frames and lines of all stacks together: an exception's notes may have no end
_HALF: Final = MAX_FRAMES // 2
_DEEP: Final = 2_000  # frames from which on even looking at all of them takes too long


def qualified(kind: Any) -> str:
    """The name of an exception's type, with its module where that says something."""
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", None) or kind.__name__
    return str(name) if module in {None, "builtins"} else f"{module}.{name}"


def stacktrace(error: BaseException, trace: TracebackType | None) -> str:
    """The traceback of `error`, its chain and its groups included. Raises only what is to end the process."""
    try:
        text = "".join(islice(_told(error, trace).format(), _MAX_PARTS))
    except BaseException as failure:
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            raise
        text = _without_its_text(error, trace, failure)
    return shortened(text)


def _told(error: BaseException, trace: TracebackType | None) -> traceback.TracebackException:
    deep = _count(trace) > _DEEP
    # Without a limit all frames of its chain are read too: their number is known only then.
    told = traceback.TracebackException(type(error), error, trace, limit=-_HALF if deep else None, compact=True)
    if deep:
        told.stack[:0] = [*traceback.extract_tb(trace, limit=_HALF), _gap(_count(trace) - MAX_FRAMES)]
    waiting, seen = [told], {id(told)}
    while waiting:
        one = waiting.pop()
        if len(one.stack) > MAX_FRAMES + 1:
            one.stack[_HALF:-_HALF] = [_gap(len(one.stack) - MAX_FRAMES)]
        for other in (one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)
    return told


def _count(trace: TracebackType | None) -> int:
    count = 0
    while trace is not None:
        count, trace = count + 1, trace.tb_next
    return count


def _gap(count: int) -> traceback.FrameSummary:
    """What stands for frames that were left out; a frame itself, as the library formats nothing else."""
    return traceback.FrameSummary(f"[otel-logging: {count} frames left out]", 0, "...", lookup_line=False, line="")


def _without_its_text(error: BaseException, trace: Any, failure: BaseException) -> str:
    # Formatting an exception calls its own code; formatting its frames never does.
    why = type(failure).__name__
    try:
        frames = "".join(traceback.format_tb(trace, limit=-MAX_FRAMES))
        return f"Traceback (most recent call last):\n{frames}{qualified(type(error))}: [{why} while formatting]\n"
    except Exception:
        return f"[otel-logging: traceback cannot be formatted: {why}]"


def shortened(text: str, most: int = MAX_CHARS) -> str:
    """`text`, or its beginning and its end with a marker for what was left out; whole lines where they are short."""
    if len(text) <= most:
        return text
    half = most // 2
    head, tail = text[:half], text[-half:]
    if (end := head.rfind("\n")) > half // 2:
        head = head[: end + 1]
    if -1 < (begin := tail.find("\n")) < half // 2:
        tail = tail[begin + 1 :]
    left_out = len(text) - len(head) - len(tail)
    gap = "" if head.endswith("\n") else "\n"
    return f"{head}{gap}  [otel-logging: {left_out} characters left out]\n{tail}"
