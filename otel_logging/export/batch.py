"""From many threads to one exporter: a bounded queue, one worker, batches.

Promises: `on_emit` never blocks on I/O and never raises; the queue is bounded by records and by bytes; every record
that was accepted is counted once, as exported or as dropped with a reason; one record that cannot be encoded costs only
itself; flushing and closing are bounded. What happens to one batch, and where records end that cannot be delivered, is
the business of `deliver`; formats and destinations belong into exporters.

The queue drops its oldest record when it is full: while a destination is down, the newest lines say what is going on
now, and the oldest have had their chance.

Signal handlers may log, and may flush, in the middle of anything the main thread does. Hence no lock that the worker
needs is ever held by a producer: producers take turns with a re-entrant lock, and as a rule only the worker takes
records out.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk._logs import LogRecordProcessor

from otel_logging import trouble
from otel_logging.export import warm
from otel_logging.export.courier import Courier
from otel_logging.export.deliver import Books, Delivery
from otel_logging.export.entry import Entry, entry_of
from otel_logging.export.guard import exporting, inside_export

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter

__all__ = ["BatchingProcessor", "Books", "exporting"]

_BATCH_BYTES: Final = 2 * 1024 * 1024  # estimated; Collectors take 4 MiB over gRPC, and records are 1 MB at most
CLOSE_MILLIS: Final = 5_000
_RESCUE_SECONDS: Final = (
    0.2  # kept back from a flush, to put on disk what is not delivered by then; and for each record
)
_RESCUE_EACH: Final = 0.0001
_PARTING_SECONDS: Final = 2.0  # for an answer at the end of the process, before what waits for it is put on disk
_EXPORTER_GRACE: Final = 1.0  # seconds that a worker gets to come back after its exporter was told to stop


class _Flush:
    """Somebody waits until everything that was queued before has been handed over."""

    def __init__(self, lost: int, mark: int) -> None:
        self.lost_before = lost
        self.mark = mark
        self.done = threading.Event()
        self.delivered = False


class BatchingProcessor(LogRecordProcessor):
    """Queues records and hands them to `exporter` in batches, from one daemon thread started with the first record.

    Args:
        exporter: where batches go. An exception from it means that a record could not be encoded, and the batch is
            halved until the record is alone; FAILURE and network errors concern the batch as a whole. A `Courier` is
            its own delivery, and keeps what cannot be delivered now.
        books: where records are counted.
        schedule_delay_millis: the longest a record waits before its batch is sent.
        max_queue_size: records that may wait.
        max_export_batch_size: records in one export.
        export_timeout_millis: how long halving one batch may go on; a single export is bounded by its exporter.
        max_queue_bytes: estimated bytes that may wait.
    """

    def __init__(
        self,
        exporter: LogRecordExporter | Courier,
        books: Books,
        *,
        schedule_delay_millis: float = 1_000,
        max_queue_size: int = 16_384,
        max_export_batch_size: int = 512,
        export_timeout_millis: float = 30_000,
        max_queue_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._exporter = exporter
        self._books = books
        self._delay = max(schedule_delay_millis, 1) / 1000
        self._max_records = max(max_queue_size, 1)
        self._batch_size = max(min(max_export_batch_size, self._max_records), 1)
        self._max_bytes = max_queue_bytes
        self._export_seconds = export_timeout_millis / 1000
        self._closing = False  # no more records are taken
        self._parting = False  # the process is about to end
        self._abandoned = False  # the time for closing is over: what is left is not exported any more
        self._exporter_stopped = False
        warm.up()
        self._begin()
        _processors.add(self)

    def _begin(self) -> None:
        """Everything that must not be shared with a parent process."""
        self._pid = os.getpid()
        self._queue: deque[Entry] = deque()
        self._put_lock = threading.RLock()  # producers take turns; never taken by the worker
        self._bytes_in = 0  # written by producers, under the lock
        self._bytes_out = 0  # written by whoever exports
        self._delivery = self._delivered_by()
        self._flushes: deque[_Flush] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()  # its put() is safe in signal handlers, an Event's set() is not
        self._idle = False
        self._hurry = False
        self._thread: threading.Thread | None = None
        self._take_lock = threading.Lock()  # one exporting thread at a time
        self._rescuing = threading.Lock()

    def _delivered_by(self) -> Delivery:
        exporter = self._exporter
        if isinstance(exporter, Courier):
            return exporter.bind(self._books, lambda: self._abandoned)
        return Delivery(exporter, self._books, self._export_seconds, lambda: self._abandoned)

    # -- taking records in ---------------------------------------------------------------------------------------------

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue one record; when full, the oldest is dropped as `queue_full`. Never raises, never waits for I/O."""
        try:
            entry = entry_of(log_record)
        except Exception as error:
            self._books.dropped("poison")
            trouble.report("poison", f"a record could not be queued for export ({trouble.sentence(error)})")
            return
        self.put(entry)

    def put(self, entry: Entry) -> None:
        """Queue what `entry_of` has made of a record; as `on_emit`."""
        if self._closing:
            self._books.dropped("shutdown")
            return
        queue = self._queue
        # What has to go by the queue has to go before what is newer.
        if not queue and not self._delivery.in_flight and self._delivery.ahead(entry.record):
            self._came(self._delivery.fresh)
            return
        size = entry[1]
        if size > self._max_bytes:
            self._full()
            return
        with self._put_lock:
            queue.append(entry)
            self._bytes_in += size
            while len(queue) > self._max_records or self._bytes_in - self._bytes_out > self._max_bytes:
                try:
                    oldest = queue.popleft()
                except IndexError:
                    break  # the worker was faster
                self._bytes_in -= oldest.size
                self._full()
        if self._idle or self._thread is None or len(queue) >= self._batch_size:
            self._came(len(queue))
        if self._abandoned:
            self._give_up()  # closed between the first line and here

    def _came(self, waiting: int) -> None:
        """A record was accepted, and `waiting` are: see that the worker comes in time."""
        if self._idle:
            self._idle = False
            self._wake.put(None)
        elif not self._hurry and waiting >= self._batch_size:
            self._hurry = True
            self._wake.put(None)
        if self._thread is None:
            self._start()

    def _full(self) -> None:
        self._books.dropped("queue_full")
        trouble.report(
            "queue_full",
            "the export queue is full and its oldest records are dropped (counted as queue_full); "
            "the destination is too slow, or raise OTEL_BLRP_MAX_QUEUE_SIZE",
        )

    def held(self) -> int:
        """Records that were accepted and are neither exported nor dropped yet, but for those in the spool."""
        return len(self._queue) + self._delivery.in_flight

    # -- the worker ----------------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        with self._put_lock:
            thread = self._thread
            if thread is not None and thread.is_alive():
                return True
            thread = self._thread = threading.Thread(target=self._work, name="otel-logging-export", daemon=True)
            try:
                thread.start()
            except Exception:  # the interpreter is shutting down, or out of memory: force_flush exports then
                self._thread = None
                return False
            return True

    def _work(self) -> None:
        try:
            while not (self._closing and not self._queue and not self._flushes):
                self._round()
        except BaseException as error:
            # An exporter that called sys.exit(), a greenlet that was killed: the next record starts another worker.
            self._thread = None
            trouble.report("export_worker", f"the export worker was ended by {type(error).__name__}")

    def _round(self) -> None:
        try:
            # In this order: a producer that appends after the check sees `_idle` and wakes us.
            self._idle = True
            if not ((self._queue and not self._delivery.blocked) or self._flushes or self._closing):
                with contextlib.suppress(Empty):
                    self._wake.get(timeout=self._delivery.due())
            self._idle = False
            self._linger()
            self._drain()
        except Exception as error:
            trouble.report("export_worker", f"the export worker met {trouble.sentence(error)}; it goes on")
            time.sleep(self._delay)

    def _linger(self) -> None:
        """Let a batch fill up, for the schedule delay at most."""
        until = time.monotonic() + self._delay
        while not (self._flushes or self._closing):
            waiting = len(self._queue) + self._delivery.fresh
            if waiting >= self._batch_size or not waiting:
                break
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                self._wake.get(timeout=left)
            except Empty:
                break
        try:
            while True:
                self._wake.get_nowait()  # these were for what is drained now
        except Empty:
            self._hurry = False

    def _drain(self, until: float | None = None) -> None:
        """Export what is queued now (not what comes meanwhile), then answer those who waited for it."""
        if not self._take_lock.acquire(timeout=-1 if until is None else max(until - time.monotonic(), 0)):
            return
        flushes: list[_Flush] = []
        complete = False
        try:
            while self._flushes:
                flushes.append(self._flushes.popleft())
            remaining = len(self._queue)  # counted after the flushes were taken, so all that they wait for is in it
            self._delivery.resume(force=bool(flushes))
            while remaining > 0 and not self._abandoned and (until is None or time.monotonic() < until):
                batch = [] if self._delivery.blocked else self._take()
                if not batch:
                    break
                remaining -= len(batch)
                self._delivery.send(batch)
            complete = remaining <= 0 or not self._queue
        finally:
            self._take_lock.release()
            if self._abandoned:
                self._give_up()
            for flush in flushes:
                done = complete and self._delivery.reached(flush.mark)
                flush.delivered = done and self._delivery.lost == flush.lost_before
                flush.done.set()

    def _take(self) -> list[ReadableLogRecord]:
        batch: list[ReadableLogRecord] = []
        size = 0
        while len(batch) < self._batch_size and size < _BATCH_BYTES:
            try:
                entry = self._queue.popleft()
            except IndexError:
                break
            self._delivery.taken(1)
            self._bytes_out += entry.size
            size += entry.size
            batch.append(entry.record)
        return batch

    # -- flushing and closing ------------------------------------------------------------------------------------------

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Hand over everything that was queued before this call; True if it was all delivered within the time.

        What was not is in the spool by then, where there is one. The caller only waits, so the time is kept whatever
        the exporter does. Where no worker can run any more (late in an interpreter's shutdown) the calling thread
        exports itself, and one export may take its exporter's time.
        """
        thread = self._thread
        if thread is threading.current_thread() or exporting.active:
            return False  # asked from inside an export: waiting for ourselves would never end
        held = self.held() + self._delivery.backlog
        if (thread is None and not held) or self._abandoned:
            return not held
        seconds = max(timeout_millis, 0) / 1000
        until = time.monotonic() + seconds
        flush = _Flush(self._delivery.lost, self._delivery.mark())
        self._flushes.append(flush)
        if (thread is not None and thread.is_alive()) or self._start():
            self._wake.put(None)
            reserve = min(_RESCUE_SECONDS + len(self._queue) * _RESCUE_EACH, seconds / 2)
            patience = min(seconds, _PARTING_SECONDS) if self._parting else seconds
            if not flush.done.wait(max(patience - reserve, 0)):
                safe = self._rescue(until)
                if not (safe and self._parting):
                    flush.done.wait(max(until - time.monotonic(), 0))
        else:
            self._drain(until)
        return flush.done.is_set() and flush.delivered

    def _rescue(self, until: float) -> bool:
        """Put on disk what the worker, which waits for an answer, will not come to in time. Whether all is safe."""
        if not self._rescuing.acquire(blocking=False):
            return False
        try:
            safe = self._delivery.rescue()
            while safe and self._queue and time.monotonic() < until:
                safe = self._delivery.keep(self._take())
            return safe and not self._queue
        finally:
            self._rescuing.release()

    def part(self) -> None:
        """The process is about to end: an endpoint that does not answer is given little time from now on."""
        self._parting = True
        self._delivery.part()

    def close(self, timeout_millis: float = CLOSE_MILLIS) -> bool:
        """Take no more records, hand over what is queued, stop the exporter; True if all was delivered in time.

        What is still queued when the time is over goes to the spool. Without one, it is dropped as `shutdown`.
        """
        seconds = max(timeout_millis, 0) / 1000
        grace = min(_EXPORTER_GRACE, seconds / 4)
        until = time.monotonic() + seconds - grace
        self._closing = True
        delivered = self.force_flush((seconds - grace) * 1000)
        self._wake.put(None)  # without this, an idle worker would sleep on
        thread = self._thread
        if thread is threading.current_thread():
            thread = None
        if thread is not None:
            thread.join(max(until - time.monotonic(), 0))
        self._abandoned = True
        self._give_up()
        self._stop_exporter()
        if thread is not None:
            # Our exporters stop waiting for a retry when they are told to; the batch in flight is then counted.
            thread.join(grace)
        return delivered and not self.held() and not self._delivery.backlog

    def shutdown(self) -> None:
        """`close()` within its usual time, as the SDK calls it."""
        if not self._abandoned:
            self.close()

    def _give_up(self) -> None:
        self._rescue(time.monotonic() + _RESCUE_SECONDS + len(self._queue) * _RESCUE_EACH)
        self._delivery.give_up()
        left = 0
        while True:
            try:
                self._queue.popleft()
            except IndexError:
                break
            left += 1
        if left:
            self._delivery.lost += left
            self._books.dropped("shutdown", left)
            trouble.report("shutdown", f"{left} records were still queued when the time for closing was over")
        for flush in list(self._flushes):
            flush.done.set()
        self._flushes.clear()

    def _stop_exporter(self) -> None:
        if self._exporter_stopped:
            return
        self._exporter_stopped = True
        try:
            with inside_export():
                self._exporter.shutdown()
        except Exception as error:
            trouble.report(
                "exporter_shutdown", f"{type(self._exporter).__name__} did not stop cleanly ({trouble.sentence(error)})"
            )

    def after_fork_in_child(self, exporter: LogRecordExporter | None = None) -> None:
        """Begin anew in a forked child: what was queued belongs to the parent, which will export it.

        Called by itself after `os.fork()`; calling it again does no harm.

        Args:
            exporter: one made in the child, for exporters that share a connection with the parent otherwise.
        """
        if exporter is not None:
            self._exporter = exporter
            self._exporter_stopped = False
        if self._pid != os.getpid() or exporter is not None:
            self._begin()


_processors: weakref.WeakSet[BatchingProcessor] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for processor in list(_processors):
        processor.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
