"""Spans to an OTLP endpoint: a few attempts within the exporter's timeout, and one quick one when the process ends.

Spans are not spooled: what cannot be delivered is told as trouble, and lost.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_logging import trouble
from otel_logging.export.answers import Answer, Outcome
from otel_logging.export.guard import inside_export
from otel_logging.export.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from otel_logging.export.sender import Sender

_SECONDS: Final = 10.0  # for all attempts at one batch
_PARTING_SECONDS: Final = 1.0


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """An `ExportTraceServiceRequest` of the spans.

    Raises:
        Exception: one of them cannot be encoded.
    """
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    encoded: bytes = encode_spans(spans).SerializeToString()
    return encoded


class OtlpSpanExporter(SpanExporter):
    """Sends spans by `sender`. Never raises.

    Args:
        sender: makes one request.
        seconds: how long one batch may be tried.
    """

    def __init__(self, sender: Sender, seconds: float = _SECONDS) -> None:
        import opentelemetry.exporter.otlp.proto.common.trace_encoder  # noqa: F401 (not first by the thread that sends)

        self._sender = sender
        self._seconds = seconds
        self._parting = threading.Event()
        self._hopeless = False  # the process ends, and the endpoint did not answer

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch of spans; the SDK's batch processor ignores the result, so a failure is told as trouble."""
        if self._hopeless:
            trouble.count("otlp_spans_lost")
            return SpanExportResult.FAILURE
        try:
            with inside_export():
                answer = self._tried(encode(spans))
        except Exception as error:
            trouble.report("otlp_failed", f"{len(spans)} spans could not be exported ({type(error).__name__}: {error})")
            return SpanExportResult.FAILURE
        if answer.outcome is Outcome.TAKEN:
            if answer.kind:
                trouble.report(
                    answer.kind,
                    f"the OTLP endpoint {self._sender.endpoint} took a batch, but rejected {answer.rejected} spans of "
                    f"it: {answer.why}",
                )
            return SpanExportResult.SUCCESS
        self._hopeless = self._parting.is_set()
        trouble.report(
            answer.kind,
            f"the OTLP endpoint {self._sender.endpoint} {answer.why}; {len(spans)} spans were lost; {answer.cure}",
        )
        return SpanExportResult.FAILURE

    def _tried(self, blob: bytes) -> Answer:
        backoff = Backoff()
        until = time.monotonic() + self._seconds
        while True:
            left = until - time.monotonic()
            answer = self._sender.send(blob, min(left, _PARTING_SECONDS) if self._parting.is_set() else left)
            backoff.failed(answer.pause)
            late = time.monotonic() + backoff.wait() >= until
            if answer.outcome is not Outcome.LATER or late or self._parting.wait(backoff.wait()):
                return answer

    def part(self) -> None:
        """The process is about to end: no more waiting."""
        self._parting.set()

    def after_fork(self) -> None:
        """In a forked child: connections are the parent's."""
        self._sender.after_fork()
        self._parting = threading.Event()

    def shutdown(self) -> None:
        """Stop waiting, and close connections."""
        self._parting.set()
        self._sender.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is buffered here."""
        return True
