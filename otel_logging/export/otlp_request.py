"""Encoded OTLP log requests as bytes: make one of records, join several, cut a part out, read the answer.

How records become bytes is the business of `wire`. Nothing in here sends or stores. protobuf is imported late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging.export import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

CONTENT_TYPE: Final = "application/x-protobuf"


class Partial(NamedTuple):
    """What an endpoint says besides success: how many records it refused, and why."""

    rejected: int
    message: str


def prepare() -> None:
    """Import what the functions below need, before there is a thread that calls them."""
    import opentelemetry.exporter.otlp.proto.common._log_encoder
    import opentelemetry.proto.collector.logs.v1.logs_service_pb2  # noqa: F401


def encode(batch: Sequence[ReadableLogRecord]) -> bytes:
    """An `ExportLogsServiceRequest` of the records.

    Raises:
        Exception: one of them cannot be encoded.
    """
    return wire.encode(batch)


def _request(blob: bytes) -> Any:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return ExportLogsServiceRequest.FromString(blob)


def join(blobs: Sequence[bytes]) -> bytes:
    """One request of several, their records in the same order. A Resource or scope is not repeated for neighbours."""
    if len(blobs) == 1:
        return blobs[0]
    joined = _request(blobs[0])
    for blob in blobs[1:]:
        for resource in _request(blob).resource_logs:
            last = joined.resource_logs[-1] if joined.resource_logs else None
            if last is None or last.resource != resource.resource or last.schema_url != resource.schema_url:
                joined.resource_logs.append(resource)
                continue
            for scope in resource.scope_logs:
                before = last.scope_logs[-1] if last.scope_logs else None
                if before is None or before.scope != scope.scope or before.schema_url != scope.schema_url:
                    last.scope_logs.append(scope)
                else:
                    before.log_records.extend(scope.log_records)
    encoded: bytes = joined.SerializeToString()
    return encoded


def cut(blob: bytes, start: int, stop: int) -> bytes:
    """The records from `start` up to `stop` of a request, counted in the order they stand in, as a request."""
    request = _request(blob)
    position = 0
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            count = len(scope.log_records)
            kept = scope.log_records[max(start - position, 0) : max(stop - position, 0)]
            del scope.log_records[:]
            scope.log_records.extend(kept)
            position += count
        for index in range(len(resource.scope_logs) - 1, -1, -1):
            if not resource.scope_logs[index].log_records:
                del resource.scope_logs[index]
    for index in range(len(request.resource_logs) - 1, -1, -1):
        if not request.resource_logs[index].scope_logs:
            del request.resource_logs[index]
    encoded: bytes = request.SerializeToString()
    return encoded


def partial_success(answer: bytes) -> Partial:
    """What the body of a 200 says; nothing refused where it cannot be read."""
    if not answer:
        return Partial(0, "")
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    try:
        said = ExportLogsServiceResponse.FromString(answer).partial_success
    except DecodeError:
        return Partial(0, "")
    return Partial(max(said.rejected_log_records, 0), said.error_message)
