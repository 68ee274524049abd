"""Putting a call in force for a block, and putting back what was before.

The slot itself is the bridge's (`bridge.scope`). Opening and ending calls is not done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_logging.bridge import scope

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from otel_logging.bridge.scope import CallScope
    from otel_logging.calls.handle import Call


_LEFT: Final = "_otel_logging_call_sid"


class Activation:
    """Makes a call the one in force within a block, and restores what was before. May be entered again and again."""

    __slots__ = ("_call", "_tokens")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._tokens: list[Token[CallScope | None]] = []

    def __enter__(self) -> Call:
        self._tokens.append(scope.current.set(self._call))
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tokens:
            restore(self._tokens.pop(), self._call)
            if error is not None:
                leaves(error, self._call)

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def restore(token: Token[CallScope | None], call: Call) -> bool:
    """Put back what was in force before `call`; False if the block ended in another context than it began.

    An async generator that is closed by the event loop does that: there, nothing of ours is to be undone.
    """
    try:
        scope.current.reset(token)
    except (ValueError, RuntimeError):
        if scope.current.get() is call:
            scope.current.set(None if token.old_value is token.MISSING else token.old_value)
        return False
    return True


def leaves(error: BaseException, call: Call) -> None:
    """`error` leaves the block of `call`. The innermost call is noted, for whoever tells of the exception outside.

    By its id: exceptions are pickled on their way between processes, and a call cannot be.
    """
    sid = call.call_sid
    if sid is not None and _LEFT not in error.__dict__:
        error.__dict__[_LEFT] = sid


def left_by(error: BaseException) -> str | None:
    """The id of the call that `error` has left, None without one."""
    sid = error.__dict__.get(_LEFT)
    return sid if isinstance(sid, str) else None
