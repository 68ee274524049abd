"""The slot that holds the call in force, and what the bridge needs to know of a call.

`calls` puts its `Call` objects into `current`; the bridge only reads them. The slot lives here so that nothing below
has to import anything above it. No behaviour belongs in this module.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_logging.bridge.memory import CallMemory


class CallScope(Protocol):
    """A call as the bridge sees it. Mutable on purpose: every task that holds it learns its name at once."""

    @property
    def call_sid(self) -> str | None:
        """The call's id; None until it is named."""

    @property
    def trace_id(self) -> int:
        """The call's trace id, 0 while it has no name."""

    @property
    def span_id(self) -> int:
        """The span id of this process's `call` span, 0 without one."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What `bind()` and `call()` added: goes on every further record."""

    @property
    def memory(self) -> CallMemory:
        """What the bridge remembers of the call; all handles of a named call share one."""

    @property
    def waiting(self) -> bool:
        """True while records are to wait for the call's name."""

    def hold(self, deliver: Callable[[CallScope], None], size: int) -> bool:
        """Keep one record of `size` bytes until the call is named or the wait is over; `deliver` is then called once.

        Returns False, keeping nothing, when the wait is over or its budget is spent.
        """


current: ContextVar[CallScope | None] = ContextVar("otel_logging_call", default=None)
