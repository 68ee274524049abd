"""The promises of otel_logging.export.batch."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest
from export_kit import Exporter, sdk_record
from opentelemetry.context import Context, set_value
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult

from otel_logging import trouble
from otel_logging.export import batch as batch_module
from otel_logging.export.batch import BatchingProcessor

PATIENCE = 30  # seconds an event may take on a busy machine; never waited for in full when all is well


@pytest.fixture
def make(books):
    """Makes processors that wait for nothing unless told to, and closes them."""
    made = []

    def processor(exporter, **limits):
        limits.setdefault("schedule_delay_millis", 3_600_000)
        made.append(BatchingProcessor(exporter, books, **limits))
        return made[-1]

    yield processor
    for one in made:
        one.close(1000)


class Gate:
    """An exporter's behaviour: waits inside its first export until let go."""

    def __init__(self, result=None):
        self.entered = threading.Event()
        self.go = threading.Event()
        self.result = result

    def __call__(self, batch):
        self.entered.set()
        assert self.go.wait(PATIENCE)
        return self.result


def fill(processor, bodies):
    for body in bodies:
        processor.on_emit(sdk_record(body))


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


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(code)],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PRELUDE = """
import os, sys, threading
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from otel_logging.bridge.ledger import Ledger
from otel_logging.export.batch import BatchingProcessor

class Print(LogRecordExporter):
    def export(self, batch):
        for r in batch: os.write(1, f"{'child' if os.getpid() != parent else 'parent'} {r.log_record.body}\\n".encode())
        return LogRecordExportResult.SUCCESS
    def shutdown(self): pass
    def force_flush(self, timeout_millis=0): return True

parent = os.getpid()
books = Ledger()
processor = BatchingProcessor(Print(), books, schedule_delay_millis=3_600_000)
books.gauge("queue", processor.held)
provider = LoggerProvider(shutdown_on_exit=False)
provider.add_log_record_processor(processor)
log = provider.get_logger("x")
def say(text): log.emit(body=text, severity_number=SeverityNumber.INFO)
"""


class TestFork:
    def test_nothing_twice_and_nothing_lost(self):
        """What is queued at a fork is exported by the parent only; the child exports its own, also through os._exit."""
        out = run("""
            say("before")
            pid = os.fork()
            if pid == 0:
                assert processor.held() == 0, processor.held()
                say("in the child")
                assert processor.force_flush(30000)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert processor.force_flush(30000)
        """)
        assert sorted(out.splitlines()) == ["child in the child", "parent before"]

    def test_forked_in_mid_export_and_mid_emit(self):
        """A child forked while the worker exports and another thread emits works on."""
        out = run("""
            inside, go = threading.Event(), threading.Event()
            real = Print.export
            def slow(self, batch):
                if os.getpid() == parent:
                    inside.set(); go.wait(60)
                return real(self, batch)
            Print.export = slow
            say("before")
            threading.Thread(target=processor.force_flush, daemon=True).start()
            inside.wait(60)
            holder = threading.Thread(target=lambda: (processor._put_lock.acquire(), go.wait(60), processor._put_lock.release()))
            holder.start()
            while processor._put_lock.acquire(blocking=False): processor._put_lock.release()
            pid = os.fork()
            if pid == 0:
                say("in the child")
                assert processor.close(30000)
                assert books.snapshot()["held"] == 0
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            go.set(); holder.join()
            assert processor.force_flush(30000)
        """)
        assert out.splitlines() == ["child in the child", "parent before"]

    def test_multiprocessing(self):
        """A multiprocessing child that flushes loses nothing."""
        out = run("""
            import multiprocessing
            def work():
                say("from the child")
                assert processor.force_flush(30000)
            say("parent first")
            child = multiprocessing.get_context("fork").Process(target=work)
            child.start(); child.join()
            assert child.exitcode == 0
            assert processor.close(30000)
        """)
        assert sorted(out.splitlines()) == ["child from the child", "parent parent first"]

    def test_flush_at_exit(self):
        """A flush in an exit handler delivers, on every Python."""
        assert (
            run("import atexit\natexit.register(lambda: processor.close(30000))\nsay('last words')\n")
            == "parent last words\n"
        )

    def test_first_flush_at_exit(self):
        """A record made in an exit handler, the first of the process, is delivered too."""
        assert (
            run("import atexit\natexit.register(lambda: (say('only words'), processor.close(30000)))\n")
            == "parent only words\n"
        )

    def test_new_exporter_for_a_child(self, make, books):
        """A renewed processor has a new exporter and an empty queue; without one and in the same process nothing changes."""
        old, new = Exporter(), Exporter()
        processor = make(old)
        fill(processor, [1])
        processor.after_fork_in_child()
        assert processor.held() == 1
        processor.after_fork_in_child(new)
        fill(processor, [2])
        assert processor.force_flush(PATIENCE * 1000)
        assert (old.bodies, new.bodies) == ([], [2])


def test_collected_when_dropped(books):
    """A processor that nobody holds and that never worked is collected: the fork hook does not keep it."""
    ref = weakref.ref(BatchingProcessor(Exporter(), books))
    gc.collect()
    assert ref() is None
    batch_module._after_fork_in_child()
