"""One batch to one exporter: each record is counted exactly once, and one that cannot be encoded costs only itself.

An exception from the exporter means that a record cannot be encoded: the batch is halved until that record is alone.
FAILURE, and errors of the network, concern the batch as a whole. What waits for an endpoint to answer again, and how,
is the business of `courier`, which takes the place of this class for OTLP. Queues and threads belong elsewhere.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from otel_logging import trouble
from otel_logging.export.guard import inside_export

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord


class Books(Protocol):
    """Where records are counted; `otel_logging.bridge.ledger` in real life."""

    def exported(self, n: int = 1) -> None:
        """`n` records reached their destination."""

    def dropped(self, reason: str, n: int = 1) -> None:
        """`n` records will not arrive."""


class Delivery:
    """Hands batches to `exporter` and counts their records in `books`. For one thread at a time.

    Args:
        exporter: where batches go.
        books: where records are counted.
        seconds: how long halving one batch may go on; a single export is bounded by its exporter.
        hurry: asked between two attempts; True means that there is no time left for halving.
    """

    def __init__(self, exporter: LogRecordExporter, books: Books, seconds: float, hurry: Callable[[], bool]) -> None:
        self._exporter = exporter
        self._books = books
        self._seconds = seconds
        self._hurry = hurry
        self.in_flight = 0
        self.lost = 0

    # What only a delivery with a backlog has more to say about: see `courier`.
    blocked = False
    backlog = 0
    fresh = 0

    def due(self) -> float | None:
        """Seconds until `resume` has something to do; None if it has nothing."""
        return None

    def resume(self, *, force: bool = False) -> None:
        """Try again to deliver what waits."""

    def mark(self) -> int:
        """Where the records stand that have been accepted until now."""
        return 0

    def reached(self, mark: int) -> bool:  # noqa: ARG002 (the interface's)
        """Whether all that was accepted before `mark` has been settled."""
        return True

    def ahead(self, record: ReadableLogRecord) -> bool:  # noqa: ARG002 (the interface's)
        """Write a record to disk before it goes on its way; False if it has to go by the queue."""
        return False

    def rescue(self) -> bool:
        """Put on disk what is on its way, when time is short. Whether there is such a place."""
        return False

    def keep(self, batch: Sequence[ReadableLogRecord]) -> bool:  # noqa: ARG002 (the interface's)
        """Put a batch on disk; whether that worked."""
        return False

    def part(self) -> None:
        """The process is about to end."""

    def give_up(self) -> None:
        """The time for closing is over."""

    def taken(self, n: int) -> None:
        """`n` records were taken from the queue, and are on their way."""
        self.in_flight += n

    def send(self, batch: Sequence[ReadableLogRecord]) -> None:
        """Hand a batch over, whatever it takes. `in_flight` must count its records already."""
        left_after = self.in_flight - len(batch)
        try:
            with inside_export():
                self._deliver(batch, time.monotonic() + self._seconds)
        finally:
            if self.in_flight > left_after:  # something that is no Exception went through
                self._settle(self.in_flight - left_after, "export_failed")

    def _deliver(self, batch: Sequence[ReadableLogRecord], until: float) -> None:
        try:
            result = self._exporter.export(batch)
        except OSError as error:  # the network, and every exception of `requests`: not a record's fault
            self._undelivered(batch, error)
        except Exception as error:
            if len(batch) == 1:
                self._settle(1, "poison")
                trouble.report("poison", f"a record cannot be exported and was dropped ({trouble.sentence(error)})")
            elif self._hurry() or time.monotonic() > until:
                self._undelivered(batch, error)
            else:
                middle = len(batch) // 2
                self._deliver(batch[:middle], until)
                self._deliver(batch[middle:], until)
        else:
            if result is LogRecordExportResult.SUCCESS:
                self._settle(len(batch), None)
            else:
                self._undelivered(batch, None)

    def _undelivered(self, batch: Sequence[ReadableLogRecord], error: Exception | None) -> None:
        """Where records end that could not be handed over, for no fault of their own."""
        self._settle(len(batch), "export_failed")
        if error is not None or not hasattr(self._exporter, "failure"):  # ours tell their story themselves
            why = trouble.sentence(error) if error is not None else "it said no more"
            name = type(self._exporter).__name__
            trouble.report("export_failed", f"{name} could not deliver a batch ({why}); {len(batch)} records were lost")

    def _settle(self, n: int, reason: str | None) -> None:
        if reason is None:
            self._books.exported(n)
        else:
            self._books.dropped(reason, n)
            self.lost += n
        self.in_flight -= n
