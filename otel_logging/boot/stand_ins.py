"""What stands in for the world outside the process while an application's own tests run. Data only.

Who makes them is `otel_logging.testing`; where they are used is `configure` and `providers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.trace.export import SpanExporter

    from otel_logging.export.console import Stream


@dataclass(frozen=True)
class StandIns:
    """Where records, spans and console lines go, and what tells the time (seconds, monotonic) to the limits."""

    log_exporter: LogRecordExporter
    span_exporter: SpanExporter
    stream: Stream
    clock: Callable[[], float] | None = None
