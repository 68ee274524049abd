"""The promises of otel_logging.export.batch across forks: nothing twice, nothing lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from batches import PATIENCE, fill
from export_kit import Exporter


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
