"""Where OTLP goes and by which means: endpoints, what sends there, and the official log exporter, kept from harm.

The official exporter serves providers that are not ours (`otel_logging` as a plug-in). What is added to it: an error in
its set-up is one line of trouble and not an exception; a batch that cannot be encoded raises, so that the record at
fault can be isolated; what it and urllib3 log while they work comes out as one line that names the endpoint, the reason
and the cure, and no secret; a forked child makes connections of its own. Everything is imported late.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from otel_logging import hidden, trouble
from otel_logging.export import answers, header_reader
from otel_logging.export.guard import exporting, inside_export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from otel_logging.export.sender import Sender
    from otel_logging.export.span_exporter import OtlpSpanExporter

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"
_USER: Final = re.compile(r"//[^/\s]*@")  # user and password in a URL
_DEFAULTS: Final = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}
# Loggers of libraries that speak while they export for us. What they say there is for `_verdict`, not for the
# application.
_TALKERS: Final = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "urllib3.connectionpool",
)


class _Hush(logging.Filter):
    """Takes what a talker logs inside an export as a note, and lets everything else pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not exporting.active:
            return True
        if record.levelno >= logging.WARNING:
            try:
                exporting.note(record.getMessage())
            except Exception:
                exporting.note(str(record.msg))
        return False


_hush = _Hush()


def quieten() -> None:
    """Keep what libraries say inside an export from the application's logging."""
    header_reader.hush()
    for name in _TALKERS:
        filters = logging.getLogger(name).filters
        if _hush not in filters:
            filters.insert(0, _hush)  # before upstream's own filter, which hides repetitions from us


def base_url(signal: str, protocol: str) -> str:
    """The URL that the standard variables name for `signal`, as it stands there."""
    url = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    if url:
        return url
    url = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _DEFAULTS[protocol]
    return f"{url.removesuffix('/')}/v1/{signal}" if protocol == HTTP else url


def endpoint_of(signal: str, protocol: str, endpoint: str | None = None) -> str:
    """Where the exporter of `signal` (`logs`, `traces`) sends to, for people to read: without user or password."""
    url = endpoint or base_url(signal, protocol)
    try:
        parts = urlsplit(url)
        return _USER.sub("//", urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")))
    except ValueError:
        return "(not a URL)"


class _Guarded:
    """An official exporter, made anew in a forked child, with its failures told in one sentence."""

    def __init__(self, make: Callable[[], Any], check: Callable[[Any], None], signal: str, endpoint: str) -> None:
        self._make = make
        self._check = check
        self._signal = signal
        self._endpoint = endpoint
        self._lock = threading.Lock()  # around making anew only
        self._pid = os.getpid()
        self._closed = False
        self._exporter = make()
        self.failure: str | None = None

    def _current(self) -> Any:
        if self._pid != os.getpid():
            # The parent's connection is shared with it on the wire. It is left alone, not closed: closing would speak
            # to the server in the parent's name.
            self._lock = threading.Lock()
            self._pid = os.getpid()
            self._exporter = self._make()
        return self._exporter

    def export(self, batch: Sequence[Any], what: str) -> bool:
        """Send a batch.

        Raises:
            Exception: a record of the batch cannot be encoded.
        """
        if self._closed:
            self.failure = "the OTLP exporter was closed"
            return False
        with inside_export() as notes:
            try:
                result: Any = self._current().export(batch)
            except OSError as error:  # the network; upstream answers with FAILURE, but its transports may change
                notes.append(trouble.sentence(error))
                result = None
        if result is LogRecordExportResult.SUCCESS:
            self.failure = None
            unencoded = [note for note in notes if note.startswith("Failed to encode key")]
            if unencoded:
                said = hidden.shown(unencoded[-1])[:200]
                trouble.report("otlp_attribute", f"attributes of exported records were lost: {said}")
            return True
        with inside_export():
            self._check(batch)  # upstream answers with FAILURE to a record that it cannot encode, too
        self._report(notes, len(batch), what)
        return False

    def _report(self, notes: list[str], count: int, what: str) -> None:
        kind, sentence, cure = _verdict(notes, self._endpoint)
        self.failure = sentence
        trouble.report(f"otlp_{kind}", f"{sentence}; {count} {what} were lost; {cure}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._pid == os.getpid():
                with inside_export():
                    self._exporter.shutdown()


def _verdict(notes: list[str], endpoint: str) -> tuple[str, str, str]:
    """The kind of failure, a sentence about it and the cure, from what was logged during the export."""
    kind, does, cure = answers.told("; ".join(notes))
    if kind == "failed" and notes:
        does = f"did not take a batch ({answers.printable(notes[-1])})"
    return kind, f"the OTLP endpoint {endpoint} {does}", cure


class GuardedLogExporter(LogRecordExporter):
    """The official OTLP log exporter, guarded. Made by `build_log_exporter`."""

    def __init__(self, make: Callable[[], LogRecordExporter], endpoint: str) -> None:
        self._inner = _Guarded(make, _check_logs, "logs", endpoint)

    @property
    def failure(self) -> str | None:
        """What went wrong with the last batch; None when it arrived."""
        return self._inner.failure

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send a batch; the official exporter retries for up to its timeout (10 s by default).

        Raises:
            Exception: a record of the batch cannot be encoded; other failures are FAILURE and a line of trouble.
        """
        sent = self._inner.export(batch, "records")
        return LogRecordExportResult.SUCCESS if sent else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Stop waiting for retries and close connections."""
        self._inner.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is buffered here."""
        return True


def _check_logs(batch: Sequence[ReadableLogRecord]) -> None:
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    encode_logs(batch).SerializeToString()


def build_log_exporter(
    protocol: str = HTTP, *, endpoint: str | None = None, headers: Mapping[str, str] | None = None
) -> LogRecordExporter | None:
    """The official OTLP log exporter for `http/protobuf` or `grpc`; None, and a line of trouble, if it cannot be made.

    Args:
        protocol: `http/protobuf` (also for values that are neither) or `grpc`.
        endpoint: the whole URL; by default OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, localhost.
        headers: added to those of OTEL_EXPORTER_OTLP_HEADERS.
    """
    protocol = GRPC if protocol == GRPC else HTTP

    def make() -> LogRecordExporter:
        kind: Any
        if protocol == GRPC:
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as kind  # noqa: N813
        else:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as kind  # noqa: N813
        exporter: LogRecordExporter = kind(endpoint=endpoint, headers=headers, **_transport("logs", protocol))
        return exporter

    _hide(endpoint, headers)
    return _built(lambda: GuardedLogExporter(make, endpoint_of("logs", protocol, endpoint)), "logs")


def build_sender(
    signal: str, protocol: str = HTTP, *, endpoint: str | None = None, headers: Mapping[str, str] | None = None
) -> Sender | None:
    """What makes one request to the OTLP endpoint of `logs` or `traces`; None, and a line of trouble, if it cannot be.

    Args:
        signal: OTEL_EXPORTER_OTLP_LOGS_… or OTEL_EXPORTER_OTLP_TRACES_… are its variables.
        protocol: `http/protobuf` (also for values that are neither) or `grpc`.
        endpoint: the whole URL, instead of the variables.
        headers: added to those of the variables.
    """

    def build() -> Sender:
        if protocol == GRPC:
            from otel_logging.export.grpc_sender import GrpcSender

            return GrpcSender(signal, endpoint, headers)
        from otel_logging.export.sender import HttpSender

        return HttpSender(signal, endpoint, headers)

    _hide(endpoint, headers)
    return _built(build, "spans" if signal == "traces" else "logs")


def build_span_exporter(
    protocol: str = HTTP, *, endpoint: str | None = None, headers: Mapping[str, str] | None = None
) -> OtlpSpanExporter | None:
    """An OTLP span exporter, as `build_sender`; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is its variable."""
    from otel_logging.export.span_exporter import OtlpSpanExporter

    sender = build_sender("traces", protocol, endpoint=endpoint, headers=headers)
    return None if sender is None else OtlpSpanExporter(sender)


def _transport(signal: str, protocol: str) -> dict[str, Any]:
    if protocol == GRPC:
        return {}
    from otel_logging.export.http_session import session

    return {"session": session(signal)}


def _hide(endpoint: str | None, headers: Mapping[str, str] | None) -> None:
    """What came as an argument is as secret as what came in a variable."""
    for value in (headers or {}).values():
        hidden.hide(value)
    if endpoint:
        hidden.hide_url(endpoint)


_BuiltT = TypeVar("_BuiltT")


def _built(build: Callable[[], _BuiltT], what: str) -> _BuiltT | None:
    quieten()
    try:
        with inside_export() as notes:
            built = build()
    except Exception as error:
        trouble.report(
            "otlp_setup",
            f"the OTLP exporter for {what} cannot be set up ({trouble.sentence(error)}); check the "
            "OTEL_EXPORTER_OTLP_* variables; nothing is sent",
        )
        return None
    if notes:
        trouble.report("otlp_setup", f"the OTLP exporter for {what}: {notes[-1][:200]}")
    return built
