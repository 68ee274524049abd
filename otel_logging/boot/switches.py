"""Processors for providers that outlive a set-up: OTel's global ones can be set once, and never lose a processor.

A switch hands what comes to whatever is behind it at the moment, and to nothing after a shutdown of ours. What is put
behind it, and when, is decided in `providers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span


class LogSwitch(LogRecordProcessor):
    """Hands log records to `behind`."""

    def __init__(self) -> None:
        self.behind: tuple[LogRecordProcessor, ...] = ()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand the record on."""
        for processor in self.behind:
            processor.on_emit(log_record)

    def shutdown(self) -> None:
        """What is behind belongs to the set-up that put it there."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what is behind."""
        answers = [processor.force_flush(timeout_millis) for processor in self.behind]
        return all(answers)


class SpanSwitch(SpanProcessor):
    """Hands spans to `behind`."""

    def __init__(self) -> None:
        self.behind: tuple[SpanProcessor, ...] = ()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hand the span on."""
        for processor in self.behind:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand the span on."""
        for processor in self.behind:
            processor.on_end(span)

    def shutdown(self) -> None:
        """What is behind belongs to the set-up that put it there."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what is behind."""
        answers = [processor.force_flush(timeout_millis) for processor in self.behind]
        return all(answers)
