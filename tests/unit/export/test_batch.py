"""The promises of otel_logging.export.batch: batches in order, bounded, by a thread that goes on."""

from __future__ import annotations

import gc
import threading
import time
import weakref

from batches import PATIENCE, Gate, fill
from export_kit import Exporter, sdk_record
from opentelemetry.context import Context, set_value

from otel_logging import trouble
from otel_logging.export import batch as batch_module
from otel_logging.export.batch import BatchingProcessor


class TestBatches:
    def test_flush_delivers_in_order_in_batches(self, make, books):
        """A flush hands everything over, in order, no batch larger than told."""
        exporter = Exporter()
        processor = make(exporter, max_export_batch_size=10)
        fill(processor, range(25))
        assert processor.force_flush(PATIENCE * 1000)
        assert exporter.bodies == list(range(25))
        assert max(map(len, exporter.batches)) <= 10
        assert (books.out, processor.held()) == (25, 0)

    def test_full_batch_goes_at_once(self, make):
        """A full batch does not wait for the schedule."""
        gate = Gate()
        gate.go.set()
        processor = make(Exporter(gate), max_export_batch_size=5)
        fill(processor, range(5))
        assert gate.entered.wait(PATIENCE)

    def test_schedule(self, make):
        """A lonely record goes after the schedule delay."""
        gate = Gate()
        gate.go.set()
        processor = make(Exporter(gate), schedule_delay_millis=1)
        fill(processor, [1])
        assert gate.entered.wait(PATIENCE)

    def test_every_round_wakes(self, make):
        """A worker that went to sleep wakes for the next record, again and again."""
        arrived = threading.Semaphore(0)
        processor = make(Exporter(lambda batch: arrived.release(len(batch))), schedule_delay_millis=1)
        for number in range(200):
            fill(processor, [number])
            assert arrived.acquire(timeout=PATIENCE)

    def test_thread_starts_late_and_is_a_daemon(self, make):
        """No record, no thread; the thread never keeps a process alive."""
        processor = make(Exporter())
        assert processor._thread is None
        fill(processor, [1])
        assert processor._thread.daemon

    def test_many_producers(self, make, books):
        """Under many threads every record is delivered exactly once."""
        exporter = Exporter()
        processor = make(exporter, schedule_delay_millis=1, max_export_batch_size=7)
        threads = [threading.Thread(target=fill, args=(processor, range(n * 500, (n + 1) * 500))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert processor.force_flush(PATIENCE * 1000)
        assert sorted(exporter.bodies) == list(range(4000))
        assert (books.out, books.total, processor.held()) == (4000, 4000, 0)

    def test_context_is_not_kept(self, make):
        """A queued record does not keep its context alive."""

        class Request:
            pass

        request = Request()
        ref = weakref.ref(request)
        processor = make(Exporter())
        processor.on_emit(sdk_record("x", context=set_value("request", request, Context())))
        del request
        gc.collect()
        assert ref() is None
        assert processor.held() == 1


class TestBounds:
    def test_full_queue_drops_the_oldest(self, make, books, capsys):
        """A full queue drops its oldest records, counts them and says so once."""
        gate = Gate()
        exporter = Exporter(gate)
        processor = make(exporter, max_queue_size=5, max_export_batch_size=1)
        fill(processor, ["first"])
        assert gate.entered.wait(PATIENCE)
        fill(processor, range(8))
        assert processor.held() == 6
        assert books.lost == {"queue_full": 3}
        gate.go.set()
        assert processor.force_flush(PATIENCE * 1000)
        assert exporter.bodies == ["first", 3, 4, 5, 6, 7]
        assert books.total == 9
        assert capsys.readouterr().err.count("queue is full") == 1

    def test_bounded_by_bytes(self, make, books):
        """Large records are bounded by their bytes, and one larger than the whole queue evicts nobody."""
        exporter = Exporter()
        processor = make(exporter, max_queue_bytes=50_000)
        fill(processor, [f"{n}" + "x" * 10_000 for n in range(10)])
        assert processor.held() == 4
        fill(processor, ["y" * 60_000])
        assert processor.held() == 4
        assert processor.force_flush(PATIENCE * 1000)
        assert [body[0] for body in exporter.bodies] == ["6", "7", "8", "9"]
        assert books.lost == {"queue_full": 7}
        fill(processor, ["z" * 10_000] * 4)
        assert processor.held() == 4

    def test_unqueueable_record(self, make, books):
        """A record that cannot even be queued is counted and costs no exception."""
        processor = make(Exporter())
        processor.on_emit(object())
        assert books.lost == {"poison": 1}

    def test_never_waits_for_the_exporter(self, make):
        """Emitting goes on while an export hangs."""
        gate = Gate()
        processor = make(Exporter(gate), max_export_batch_size=1)
        fill(processor, [0])
        assert gate.entered.wait(PATIENCE)
        fill(processor, range(100))
        assert processor.held() == 101
        gate.go.set()


class TestWorkerTrouble:
    def test_goes_on_after_a_fault_of_its_own(self, make, monkeypatch, books):
        """A fault inside the worker is reported and the worker goes on."""
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        exporter = Exporter()
        processor = make(exporter)
        real, faults = processor._linger, []

        def faulty():
            if not faults:
                faults.append(True)
                raise KeyError("unexpected")
            real()

        monkeypatch.setattr(processor, "_linger", faulty)
        fill(processor, [1])
        assert processor.force_flush(PATIENCE * 1000)
        assert exporter.bodies == [1]
        assert trouble.counts()["export_worker"] == 1


def test_collected_when_dropped(books):
    """A processor that nobody holds and that never worked is collected: the fork hook does not keep it."""
    ref = weakref.ref(BatchingProcessor(Exporter(), books))
    gc.collect()
    assert ref() is None
    batch_module._after_fork_in_child()
