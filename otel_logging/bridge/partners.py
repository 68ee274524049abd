"""What gate and pipeline need of the parts that decide with them: recorder, guards, overrides. Shapes only, no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.scope import CallScope


class Recorder(Protocol):
    """The flight recorder, as gate and pipeline use it (see `bridge.recorder`)."""

    @property
    def lowest(self) -> float:
        """The lowest level of which a record may make a call go wrong."""

    def roll(self, ring: Any) -> None:
        """A ring's pending entries are to be counted: there are as many as it has room for."""

    def listens(self, logger: logging.Logger) -> bool:
        """Whether messages of this logger that are below its level are to be remembered."""

    def remember(
        self, memory: CallMemory, name: str, level: int, text: str, kwargs: Mapping[str, Any], reason: str | None
    ) -> None:
        """Keep a message that was dropped for `reason`, or that was below its level (None)."""

    def admits(self, memory: CallMemory, text: str) -> bool:
        """Whether a message that is not wanted passes, because its call went wrong a moment ago."""

    def saw(self, memory: CallMemory, record: logging.LogRecord) -> None:
        """A record of the call is about to be sent; it may be one that triggers."""


class Guards(Protocol):
    """The repeat guard and the storm guard, as the gate uses them (see `bridge.guards`)."""

    def check(self, call: CallScope | None, level: int, msg: Any, kwargs: Mapping[str, Any]) -> str | None:
        """None to let the message pass, else the reason it is dropped for. Called two frames below the log call."""

    def known_frame(self, call: CallScope, msg: str, kwargs: Mapping[str, Any]) -> bool:
        """Whether the policies need not look at a line first. Called two frames below the log call."""


class Overrides(Protocol):
    """What lets messages through against every rule: per-call debug (see `bridge.overrides`)."""

    active: bool

    def trigger_for(self, call: CallScope | None, name: str, level: int) -> str | None:
        """The trigger that lets this message through, or None."""
