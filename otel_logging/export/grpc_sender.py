"""One attempt to send encoded records by OTLP over gRPC: the official exporter, given requests instead of records.

It is told not to retry, as waiting is its caller's business, and what it says of a failure is made an `Answer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_logging.export import answers
from otel_logging.export.answers import Answer, Outcome
from otel_logging.export.guard import inside_export
from otel_logging.export.otlp import GRPC, endpoint_of, quieten
from otel_logging.export.otlp_request import prepare
from otel_logging.export.sender import timeout_of, variable

if TYPE_CHECKING:
    from collections.abc import Mapping


class GrpcSender:
    """Sends to the endpoint that the standard variables name; see `otel_logging.export.sender.Sender`.

    Args:
        signal: `logs` or `traces`.
        endpoint: instead of the variables.
        headers: instead of those of the variables.

    Raises:
        Exception: the settings cannot be used, or the official exporter is not as it was.
    """

    def __init__(
        self, signal: str = "logs", endpoint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        from opentelemetry.util.re import parse_env_headers

        prepare()
        quieten()
        self.endpoint = endpoint_of(signal, GRPC, endpoint)
        self._signal = signal
        self.headers: Mapping[str, str] = dict(headers or parse_env_headers(variable(signal, "HEADERS"), liberal=True))
        self._given: dict[str, Any] = {"endpoint": endpoint, "headers": dict(headers) if headers else None}
        self._timeout = timeout_of(variable(signal, "TIMEOUT"))
        self._closed = False
        self._exporter: Any = self._make()

    def _make(self) -> Any:
        import grpc

        kind: Any
        request: Any
        if self._signal == "traces":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

            kind, request = OTLPSpanExporter, ExportTraceServiceRequest
        else:
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
            from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

            kind, request = OTLPLogExporter, ExportLogsServiceRequest
        if not callable(getattr(kind, "_translate_data", None)):
            raise TypeError("the installed exporter takes no encoded requests")

        class Exporter(kind):  # type: ignore[misc]
            """Takes bytes where upstream's takes records."""

            def _translate_data(self, data: Any) -> Any:
                return request.FromString(data)

            def _count_data(self, data: Any) -> int:  # noqa: ARG002 (upstream's signature)
                return 0

        return Exporter(
            **self._given,
            timeout=self._timeout,
            # An empty set would mean upstream's own: this is one that no failure is in.
            retryable_error_codes=(grpc.StatusCode.OK,),
        )

    def send(self, blob: bytes, seconds: float | None = None) -> Answer:
        """One attempt. It takes the exporter's timeout at most; `seconds` can only shorten that."""
        if self._closed:
            return Answer(Outcome.LATER, "otlp_closed", "is not asked any more, as the exporter was closed")
        with inside_export() as notes:
            if self._exporter is None:
                self._exporter = self._make()
            exporter = self._exporter
            exporter._timeout = self._timeout if seconds is None else min(seconds, self._timeout)  # noqa: SLF001
            try:
                result = exporter.export(blob)
            except Exception as error:
                notes.append(f"{type(error).__name__}: {error}")
                result = None
        return answers.TAKEN if getattr(result, "name", "") == "SUCCESS" else answers.of_words("; ".join(notes))

    def close(self) -> None:
        """Close the channel. A later `send` fails."""
        if not self._closed:
            self._closed = True
            if self._exporter is not None:
                with inside_export():
                    self._exporter.shutdown()

    def after_fork(self) -> None:
        """In a forked child: the parent's channel is left alone."""
        _left_alone.append(self._exporter)
        self._exporter = None


_left_alone: list[Any] = []  # parents' exporters: collecting one would close its channel
