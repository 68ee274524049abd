"""The promises of otel_logging.export.batch when time is short: a flush and a close are bounded, and say what became of all."""

from __future__ import annotations

import signal
import threading

import pytest
from batches import PATIENCE, Gate, fill
from export_kit import Exporter, sdk_record
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult


class TestFlush:
    def test_bounded(self, make):
        """A flush returns False in time when the exporter hangs, and the record is still held."""
        gate = Gate()
        processor = make(Exporter(gate))
        fill(processor, [1])
        assert processor.force_flush(20) is False
        assert processor.held() == 1
        gate.go.set()
        assert processor.force_flush(PATIENCE * 1000)
        assert processor.held() == 0

    def test_waits_for_what_is_in_flight(self, make):
        """A flush waits for a batch that is already on its way."""
        gate = Gate()
        exporter = Exporter(gate)
        processor = make(exporter, max_export_batch_size=1)
        fill(processor, [1])
        assert gate.entered.wait(PATIENCE)
        done = []
        flush = threading.Thread(
            target=lambda: done.append((processor.force_flush(PATIENCE * 1000), list(exporter.bodies)))
        )
        flush.start()
        gate.go.set()
        flush.join(PATIENCE)
        assert done == [(True, [1])]

    @pytest.mark.parametrize("outcome", [LogRecordExportResult.FAILURE, "raise"])
    def test_tells_losses(self, make, outcome):
        """A flush whose records were lost says False; the next one starts anew."""

        def fail(batch):
            if outcome == "raise":
                raise ValueError("cannot be encoded")
            return outcome

        exporter = Exporter(fail)
        processor = make(exporter)
        fill(processor, [1])
        assert processor.force_flush(PATIENCE * 1000) is False
        exporter.behave = lambda batch: None
        fill(processor, [2])
        assert processor.force_flush(PATIENCE * 1000) is True

    def test_nothing_to_do(self, make):
        """Flushing an idle processor is true at once, before and after its first record."""
        processor = make(Exporter())
        assert processor.force_flush(0)
        fill(processor, [1])
        assert processor.force_flush(PATIENCE * 1000)
        assert processor.force_flush(PATIENCE * 1000)

    def test_does_not_wait_for_newer_records(self, make):
        """Records that keep coming do not keep a flush from ending."""
        stop = threading.Event()
        processor = make(Exporter(), max_export_batch_size=2)
        fill(processor, range(3))

        def keep_coming():
            while not stop.is_set():
                fill(processor, range(3))

        thread = threading.Thread(target=keep_coming)
        thread.start()
        try:
            assert processor.force_flush(PATIENCE * 1000)
        finally:
            stop.set()
            thread.join()

    def test_from_inside_an_export(self, make):
        """An exporter that asks for a flush gets False and no deadlock."""
        answers = []
        processor = make(Exporter(lambda batch: answers.append(processor.force_flush(PATIENCE * 1000))))
        fill(processor, [1])
        assert processor.force_flush(PATIENCE * 1000)
        assert answers == [False]

    def test_in_a_signal_handler(self, make):
        """A flush from a signal handler works whatever the main thread was doing, emitting included."""
        exporter = Exporter()
        processor = make(exporter)
        answers = []

        def handler(*args):
            processor.on_emit(sdk_record("from the handler"))
            answers.append(processor.force_flush(PATIENCE * 1000))

        before = signal.signal(signal.SIGUSR1, handler)
        real = processor._queue

        class Interrupted(type(real)):
            def append(self, entry):
                super().append(entry)
                if len(answers) == 0 and len(self) == 1:
                    signal.raise_signal(signal.SIGUSR1)  # the main thread holds the producers' lock here

        try:
            processor._queue = Interrupted()
            fill(processor, ["main"])
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert answers == [True]
        assert exporter.bodies == ["main", "from the handler"]

    def test_without_threads(self, make, monkeypatch, books):
        """Where no thread can be started any more, a flush exports by itself."""

        def no_thread(self):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", no_thread)
        exporter = Exporter()
        processor = make(exporter)
        fill(processor, [1, 2])
        assert processor.held() == 2
        assert processor.force_flush(PATIENCE * 1000)
        assert exporter.bodies == [1, 2]
        fill(processor, [3])
        assert processor.close(PATIENCE * 1000)
        assert books.out == 3

    def test_worker_that_died(self, make, books):
        """An exporter that ends its thread costs its batch; the next record starts another worker."""

        def leave(batch):
            raise SystemExit

        exporter = Exporter(leave)
        processor = make(exporter)
        fill(processor, [1])
        assert processor.force_flush(PATIENCE * 1000) is False
        worker = processor._thread
        if worker is not None:
            worker.join(PATIENCE)
        exporter.behave = lambda batch: None
        fill(processor, [2])
        assert processor.force_flush(PATIENCE * 1000)
        assert (books.lost, exporter.bodies) == ({"export_failed": 1}, [2])


class TestClose:
    def test_delivers_the_rest(self, make, books):
        """Closing delivers what is queued, stops exporter and thread, and counts what comes later."""
        exporter = Exporter()
        processor = make(exporter)
        fill(processor, range(5))
        worker = processor._thread
        assert processor.close(PATIENCE * 1000)
        assert exporter.bodies == list(range(5))
        assert exporter.stopped == 1
        assert not worker.is_alive()
        fill(processor, [6])
        assert (books.out, books.lost, processor.held()) == (5, {"shutdown": 1}, 0)
        assert processor.force_flush(0)
        processor.shutdown()
        assert exporter.stopped == 1

    def test_bounded(self, make, books):
        """Closing against a dead destination ends in time; what is left is counted, the rest when it comes back."""
        gate = Gate(LogRecordExportResult.FAILURE)
        exporter = Exporter(gate)
        processor = make(exporter, max_export_batch_size=1)
        fill(processor, range(4))
        worker = processor._thread
        assert gate.entered.wait(PATIENCE)
        assert processor.close(40) is False
        assert books.lost == {"shutdown": 3}
        assert (processor.held(), exporter.stopped) == (1, 1)
        gate.go.set()
        worker.join(PATIENCE)
        assert (processor.held(), books.lost) == (0, {"shutdown": 3, "export_failed": 1})

    def test_exporter_is_told_before_the_last_wait(self, make, books):
        """An exporter that waits for a retry is told to stop, and its batch is counted within the time."""
        gate = Gate(LogRecordExportResult.FAILURE)
        exporter = Exporter(gate)
        exporter.shutdown = gate.go.set
        processor = make(exporter)
        fill(processor, [1])
        processor.close(200)
        processor._thread.join(PATIENCE)
        assert (processor.held(), books.lost) == (0, {"export_failed": 1})

    def test_record_that_comes_while_closing(self, make, books):
        """A record that slips in while another thread closes is counted, never stuck."""
        processor = make(Exporter())
        fill(processor, [0])
        assert processor.force_flush(PATIENCE * 1000)

        class Late(type(processor._queue)):
            def append(self, entry):
                assert processor.close(PATIENCE * 1000)
                super().append(entry)

        processor._queue = Late()
        fill(processor, [1])
        assert (processor.held(), books.lost) == (0, {"shutdown": 1})

    def test_exporter_that_fails_to_stop(self, make, capsys):
        """An exporter whose shutdown raises is reported."""
        exporter = Exporter()
        exporter.shutdown = lambda: 1 / 0
        assert make(exporter).close(1000)
        assert "did not stop cleanly" in capsys.readouterr().err

    def test_under_the_sdks_provider(self, make):
        """A LoggerProvider drives it: emit, flush, shutdown."""
        exporter = Exporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(make(exporter))
        provider.get_logger("x").emit(body="hello", attributes={"a": 1})
        assert provider.force_flush(PATIENCE * 1000)
        provider.shutdown()
        assert exporter.bodies == ["hello"]
        assert exporter.stopped == 1
