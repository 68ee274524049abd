"""Whether a signal handler is running that has interrupted this thread.

While we work on a record, what is logged by the same thread is our own doing (a processor or a stream that logs) and
must not come back to us; or a signal handler's, which is the application's and has only come at a bad moment.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_DEEPEST: Final = 200  # frames that are looked at


def interrupted() -> bool:
    """Whether one of the frames above is a signal handler's.

    Python calls a handler with the number and the frame that it interrupts, which then is also the frame that it
    returns to. No other call looks like that.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 (documented; there is no other way to see the stack)
    for _ in range(_DEEPEST):
        if frame is None or frame.f_back is None:
            return False
        code, back = frame.f_code, frame.f_back
        if code.co_argcount >= 2 or code.co_flags & 0x04:  # has *args
            for name in code.co_varnames[: code.co_argcount + 1]:
                given = frame.f_locals.get(name)
                if given is back or (type(given) is tuple and any(one is back for one in given)):
                    return True
        frame = back
    return False
