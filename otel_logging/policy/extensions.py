"""Extensions of policies: which records each is handed. What an extension does with them is its handler's business.

Delivery is a side-channel: it comes after the outcome is known and before any transform, and cannot change either.
Supported types are listed here; an extension of any other type is skipped, and its policy is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_logging.policy.compiler import Compiled
    from otel_logging.policy.model import Extension
    from otel_logging.policy.view import LogView

FLIGHT_RECORDER: Final = "otel-logging/flight-recorder"
SUPPORTED: Final[Mapping[str, str]] = {FLIGHT_RECORDER: "1.0.0"}  # type -> version

Handler = Callable[["Extension", str, "LogView"], object]
"""Takes the extension as the policy declares it, the policy's id, and the record, which it must not change."""


def wants(extension: Extension, *, matched: bool, keep: bool) -> bool:
    """Whether a record is of the slice that the extension's mode names."""
    mode = extension.mode
    if mode == "all":
        return True
    if not matched:
        return mode == "unmatched"
    return mode in ("matched", "kept" if keep else "dropped")


class Dispatcher:
    """Hands records to the handlers of extensions.

    Args:
        policies: the policies in force.
        handlers: by type.
    """

    def __init__(self, policies: Iterable[Compiled], handlers: Mapping[str, Handler]) -> None:
        self._routes = tuple(
            (one, extension, handlers[extension.type])
            for one in policies
            for extension in one.policy.extensions
            if extension.type in handlers
        )

    def __bool__(self) -> bool:
        return bool(self._routes)

    def deliver(self, matched: Iterable[Compiled], view: LogView, *, keep: bool) -> None:
        """Deliver one record whose outcome is known. A handler that fails is charged to its policy. Never raises."""
        by_identity = {id(one) for one in matched}
        for one, extension, handler in self._routes:
            if wants(extension, matched=id(one) in by_identity, keep=keep):
                try:
                    handler(extension, one.id, view)
                except Exception as error:
                    one.failed(error)
