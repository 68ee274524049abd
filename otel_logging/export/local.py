"""The local store's writers: one OTLP/JSON request a line, as the Collector's file exporter writes them.

`<store>/logs/<service>-<pid>-<start>.jsonl` for log records, `<store>/traces/…` for spans. The files are the only
truth; sealing and retention are the keeper's, the index is the readers'. Nothing here raises: what cannot be written
is said in one line of trouble.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_logging import trouble
from otel_logging.export import keeper
from otel_logging.export.jsonl_file import MAX_FILE_BYTES, JsonlFile
from otel_logging.export.otlp_json import encode_logs, encode_spans, line
from otel_logging.private_files import NotPrivate
from otel_logging.search.retention import limits_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan


class _Store:
    """What both writers share: a file, and the sentence for when it cannot be written."""

    def __init__(self, folder: Path, service: str, max_file_bytes: int) -> None:
        self._folder = folder
        self._file = JsonlFile(folder, service, max_file_bytes)
        self._path: Path | None = None
        self._closed = False
        self.failure: str | None = None

    def put(self, batch: Sequence[Any], encode: Callable[[Sequence[Any]], dict[str, Any]], what: str) -> bool:
        if not batch:
            return True
        try:
            if self._closed:
                self.failure = "the local store's writer was closed"
            else:
                self._file.append(line(encode(batch)))
                self.failure = None
                self._written()
                return True
        except NotPrivate as error:
            self.failure = f"the local store is not written: {error}"
            trouble.report("local_store", f"{self.failure}; {len(batch)} {what} were lost; see OTEL_LOGGING_STORE")
            return False
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.failure = f"the local store {self._folder} cannot be written ({reason})"
        except Exception as error:
            self.failure = f"the local store {self._folder} cannot be written ({trouble.sentence(error)})"
        trouble.report(
            "local_store",
            f"{self.failure}; {len(batch)} {what} were lost; make the folder writable, free space on its disk, "
            "or set OTEL_LOGGING_STORE to another one",
        )
        return False

    def _written(self) -> None:
        path = self._file.path
        if path != self._path:
            if self._path is None:
                # A full file is what can be removed: where there is little room, files are small.
                self._file.max_bytes = min(self._file.max_bytes, limits_of(self._folder.parent).max_bytes // 8)
            keeper.written(self._folder.parent, now=self._path is not None)
            self._path = path
        else:
            keeper.written(self._folder.parent)

    def close(self) -> None:
        self._closed = True
        self._file.close()


class LocalLogExporter(LogRecordExporter):
    """Appends log records to the local store; each batch is one line and one write.

    Args:
        store: the store's folder; `logs` is made in it when first needed.
        service: the service's name, for the file's name; what readers see is the resource of the records.
        max_file_bytes: when to begin another file.
    """

    def __init__(self, store: str | os.PathLike[str], service: str, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._store = _Store(Path(store) / "logs", service, max_file_bytes)

    @property
    def failure(self) -> str | None:
        """What went wrong with the last batch; None when it was written."""
        return self._store.failure

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Write a batch. FAILURE when nothing of it is in the store; the next batch tries again. Never raises."""
        written = self._store.put(batch, encode_logs, "records")
        return LogRecordExportResult.SUCCESS if written else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the file."""
        self._store.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is buffered here."""
        return True


class LocalSpanExporter(SpanExporter):
    """Appends spans to the local store, as `LocalLogExporter` does for log records, under `traces`."""

    def __init__(self, store: str | os.PathLike[str], service: str, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._store = _Store(Path(store) / "traces", service, max_file_bytes)

    @property
    def failure(self) -> str | None:
        """What went wrong with the last batch; None when it was written."""
        return self._store.failure

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch. FAILURE when nothing of it is in the store. Never raises."""
        written = self._store.put(spans, encode_spans, "spans")
        return SpanExportResult.SUCCESS if written else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the file."""
        self._store.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is buffered here."""
        return True
