"""Batches to an OTLP endpoint, through its outages: in order, each record counted once, nothing given up that may pass.

What the endpoint does not take now goes to the spool, and from there to the endpoint when it answers again: first what
this process has there, then what is new, so that its records keep their order; what other processes have left goes in
between, one request at a time, so that a large legacy does not hold up the living. Without a spool, or while its disk
is full, requests wait in memory, and the queue behind them.

What an answer means is the business of `attempts`, how one request is made that of senders, where files lie that of
`spool`, the queue and its thread belong to `batch`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from otel_logging import trouble
from otel_logging.export import otlp_request
from otel_logging.export.attempts import Attempts
from otel_logging.export.deliver import Delivery
from otel_logging.export.guard import exporting, inside_export
from otel_logging.export.parcel import Parcel
from otel_logging.export.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from otel_logging.export.deliver import Books
    from otel_logging.export.sender import Sender
    from otel_logging.export.spool import Spool

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024  # what is sent from the spool at once: Collectors take 20 MiB, by gRPC 4
LOOK_SECONDS: Final = 30.0  # between two looks for what other processes have left
PARTING_SECONDS: Final = 1.0  # for one attempt when the process ends and its records are safe on disk


class Courier(Delivery):
    """See the module. Takes the place of `Delivery` in a `BatchingProcessor`, and of its exporter.

    Args:
        sender: makes one request.
        spool: where records wait on disk; None for memory only.
        write_ahead: every record goes to disk before the application goes on, and is sent from there.
        batch_size: records in one request that is sent from the spool.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        spool: Spool | None = None,
        write_ahead: bool = False,
        batch_size: int = 512,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self.spool = spool
        self._write_ahead = write_ahead and spool is not None
        self._batch_size = batch_size
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._hurry: Callable[[], bool] = lambda: False
        if spool is not None:
            fate = f"records are kept in {spool.folder} until it takes them"
        else:
            fate = "records are kept in memory until it takes them, as far as the queue has room"
        self._attempts = Attempts(sender, self._backoff, self._settled, self._time_for, fate)
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # which records are on their way, and where they are
        self._stuck: deque[Parcel] = deque()  # wait in memory, as there is no disk that takes them
        self._flying: Parcel | None = None  # is being sent, and in memory only
        self._look_at = 0.0
        self._closed = False
        self._parting = False
        self.in_flight = 0
        self.lost = 0
        self.fresh = 0  # about how many were written ahead since the last `resume`

    def bind(self, books: Books, hurry: Callable[[], bool]) -> Courier:
        """Belong to a processor: count in `books`; `hurry` says that there is no time left. In a child, begin anew."""
        self._books = books
        self._hurry = hurry
        if self.spool is not None:
            self.spool.lost = self._count
        if self._pid != os.getpid():  # connections, files and records are the parent's
            self._sender.after_fork()
            if self.spool is not None:
                self.spool.after_fork()
            self._backoff.succeeded()
            self._begin()
        return self

    # -- what the processor asks ---------------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:  # type: ignore[override]
        """Records of this process that wait on disk."""
        return self.spool.held if self.spool is not None else 0

    @property
    def blocked(self) -> bool:  # type: ignore[override]
        """Whether there is no room for another batch, so that it had better wait in the queue."""
        return bool(self._stuck)

    def taken(self, n: int) -> None:
        """`n` records were taken from the queue, and are on their way."""
        with self._lock:
            self.in_flight += n

    def due(self) -> float | None:
        """Seconds until `resume` has something to do; None if it has nothing."""
        spool = self.spool
        if self._stuck or (spool is not None and (spool.held or (spool.has_adopted and not self._parting))):
            return self._backoff.wait()
        return None if spool is None else max(self._look_at - self._clock(), 0.0)

    def mark(self) -> int:
        """Where the records stand that have been accepted until now; see `reached`."""
        return self.spool.written if self.spool is not None and self._write_ahead else 0

    def reached(self, mark: int) -> bool:
        """Whether all that was accepted before `mark` has been settled."""
        if self._stuck:
            return False
        if self.spool is None:
            return True
        return self.spool.settled >= mark if self._write_ahead else not self.spool.held

    # -- taking records ------------------------------------------------------------------------------------------------

    def ahead(self, record: ReadableLogRecord) -> bool:
        """Write one record to disk before it goes on its way; False if it has to go by the queue.

        For any thread. No network, no thread: one write, which the operating system takes into its memory.
        """
        spool = self.spool
        if not self._write_ahead or spool is None or self._closed:
            return False
        before = (exporting.active, exporting.notes)
        exporting.active, exporting.notes = True, []  # what the encoder says of a record is no record
        try:
            blob = otlp_request.encode([record])
        except Exception as error:
            self._books.dropped("poison")
            trouble.report("poison", f"a record cannot be exported and was dropped ({trouble.sentence(error)})")
            return True
        finally:
            exporting.active, exporting.notes = before
        try:
            spool.append(blob, 1)
        except OSError as error:
            self._disk_failed(error)
            return False
        self.fresh += 1
        return True

    def send(self, batch: Sequence[ReadableLogRecord]) -> None:
        """Deliver a batch, or put it on disk. Its records are `taken` already."""
        left_after = self.in_flight - len(batch) - self._waiting()
        try:
            with inside_export():
                for parcel in self._encoded(batch):
                    self._live(parcel)
        finally:
            left_after += self._waiting()
            if self.in_flight > left_after:  # something that is no Exception went through
                self._drop(self.in_flight - left_after, "export_failed")

    def _waiting(self) -> int:
        return sum(parcel.left for parcel in list(self._stuck))

    def keep(self, batch: Sequence[ReadableLogRecord]) -> bool:
        """Put a batch on disk without trying to send it; False if that is not possible."""
        with inside_export():
            self._stuck.extend(self._encoded(batch))
            return self._shelve()

    def _encoded(self, batch: Sequence[ReadableLogRecord]) -> list[Parcel]:
        """Requests of the batch, in order; a record that cannot be encoded costs only itself."""
        if not batch:
            return []
        notes = exporting.notes
        try:
            parcel = Parcel(otlp_request.encode(batch), len(batch))
        except Exception as error:
            if len(batch) == 1:
                self._drop(1, "poison")
                trouble.report("poison", f"a record cannot be exported and was dropped ({trouble.sentence(error)})")
                return []
        else:
            if notes and (unencoded := [note for note in notes if note.startswith("Failed to encode key")]):
                trouble.report("otlp_attribute", f"attributes of exported records were lost: {unencoded[-1][:200]}")
                notes.clear()
            return [parcel]
        middle = len(batch) // 2
        return [*self._encoded(batch[:middle]), *self._encoded(batch[middle:])]

    def _live(self, parcel: Parcel) -> None:
        if not (self._backoff.wait() or self._stuck or self.backlog):
            with self._lock:
                self._flying = parcel
            try:
                if self._attempts.at(parcel):
                    return
            finally:
                with self._lock:
                    self._flying = None
        if parcel.file is None:
            self._stuck.append(parcel)
            self._shelve()

    def _shelve(self) -> bool:
        """Put what waits in memory on disk, as far as that takes it. Whether it took all."""
        spool = self.spool
        with self._lock:
            while self._stuck and spool is not None:
                parcel = self._stuck[0]
                if spool.full:
                    spool.look_round(adopt=False)
                try:
                    spool.append(parcel.rest(), parcel.left)
                except OSError as error:
                    self._disk_failed(error)
                    break
                self._stuck.popleft()
                self.in_flight -= parcel.left
            return not self._stuck

    def rescue(self) -> bool:
        """From another thread, when time is short: put on disk what has no answer yet. Whether that worked.

        If the endpoint takes it after all, it is taken from disk again; if the process ends first, it arrives twice.
        """
        spool = self.spool
        if spool is None or not self._lock.acquire(timeout=0.2):
            return False
        try:
            parcel = self._flying
            if parcel is not None and parcel.file is None and parcel.left:
                if spool.held:
                    return False  # it would come behind newer ones
                place = spool.append(parcel.rest(), parcel.left)
                self.in_flight -= parcel.left
                parcel.stored(*place)
        except OSError as error:
            self._disk_failed(error)
            return False
        else:
            return True
        finally:
            self._lock.release()

    # -- sending what waits --------------------------------------------------------------------------------------------

    def resume(self, *, force: bool = False) -> None:
        """Send what waits, as far as the endpoint takes it. `force`: also within a pause that it did not ask for."""
        with inside_export():
            self._resume(force=force)

    def _resume(self, *, force: bool) -> None:
        spool = self.spool
        self.fresh = 0
        if spool is not None and self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_SECONDS
            spool.look_round(adopt=not self._parting)
        paused = self._backoff.wait() and (self._backoff.asked or not force)
        if paused or not self._send_backlog():
            self._shelve()  # the disk may have room again
        elif spool is not None and spool.has_adopted and not self._parting:
            legacy = spool.next(self._batch_size, MAX_REQUEST_BYTES, adopted=True)
            if legacy is not None:
                self._attempts.at(legacy)

    def _send_backlog(self) -> bool:
        """Send what this process has on disk, and then what it has in memory. Whether it is all gone."""
        spool = self.spool
        if spool is not None:
            target = spool.written
            while spool.settled < target:
                parcel = spool.next(self._batch_size, MAX_REQUEST_BYTES)
                if parcel is None:
                    break
                if not self._attempts.at(parcel):
                    return False
            spool.retire(keep_last=self._write_ahead and not self._parting)
        while self._stuck:
            if not self._attempts.at(self._stuck[0]):
                return False
            self._stuck.popleft()
        return True

    def _time_for(self, parcel: Parcel) -> float | None:
        if self._closed or self._hurry():
            return 0
        if self._parting and self.spool is not None:
            return PARTING_SECONDS if parcel.file is not None else 2 * PARTING_SECONDS
        return None

    # -- counting ------------------------------------------------------------------------------------------------------

    def _settled(self, parcel: Parcel, count: int, reason: str | None) -> None:
        if not count:
            return
        with self._lock:
            if parcel.file is None:
                parcel.done += count
                self.in_flight -= count
            elif self.spool is not None:
                self.spool.settle(parcel, count, dropped=reason is not None)
        if not parcel.own:
            return
        if reason is None:
            self._books.exported(count)
        else:
            self._count(reason, count)

    def _drop(self, count: int, reason: str) -> None:
        with self._lock:
            self.in_flight -= count
        self._count(reason, count)

    def _count(self, reason: str, count: int) -> None:
        self._books.dropped(reason, count)
        self.lost += count

    def _disk_failed(self, error: OSError) -> None:
        folder = self.spool.folder if self.spool is not None else ""
        trouble.report(
            "spool",
            f"the spool {folder} cannot be written ({error.strerror or error}); records wait in memory until the "
            "endpoint takes them; make the folder writable, free space on its disk, or set OTEL_LOGGING_STORE",
        )

    # -- the end -------------------------------------------------------------------------------------------------------

    def part(self) -> None:
        """The process is about to end: what is on disk is safe, so the endpoint gets little time for it."""
        self._parting = True

    def give_up(self) -> None:
        """The time for closing is over: what waits in memory and finds no place on disk is dropped."""
        if not self._shelve():
            while self._stuck:
                parcel = self._stuck.popleft()
                self._settled(parcel, parcel.left, "shutdown")

    def shutdown(self) -> None:
        """Close connections and files; what is on disk stays there."""
        self._closed = True
        self._sender.close()
        if self.spool is not None:
            self.spool.close()
