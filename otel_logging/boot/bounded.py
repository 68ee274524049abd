"""A flush that is not ours, kept to its time: OpenTelemetry's own providers take a timeout and do not keep to it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def bounded(flush: Callable[[int], Any]) -> Callable[[int], bool]:
    """`flush`, which takes milliseconds, on a thread of its own that is left behind when they are over."""

    def call(millis: int) -> bool:
        outcome: list[bool] = []

        def work() -> None:
            try:
                outcome.append(flush(millis) is not False)
            except Exception:
                outcome.append(False)  # what a stranger's exporter raises is a flush that failed

        thread = threading.Thread(target=work, name="otel-logging-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # late in the interpreter's shutdown
            work()
        else:
            thread.join(millis / 1000)
        return bool(outcome) and outcome[0]

    return call
