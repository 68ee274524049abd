"""One record's way: translated, printed, sent, each once; what waits takes its call; what cannot go on is counted."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor

import otel_logging
from otel_logging.bridge import gate, pipeline
from otel_logging.bridge.ledger import Ledger
from otel_logging.bridge.pipeline import Pipeline
from otel_logging.calls.call import open_call
from otel_logging.export.console import Console
from otel_logging.policy.engine import PolicySet
from otel_logging.testing import assert_balanced, capture

LOG = logging.getLogger("pipeline.test")
SID = "CA0123456789abcdef0123456789abcdef"


class Spy(LogRecordProcessor):
    """A processor that runs `action` for each record."""

    def __init__(self, action=lambda _record: None):
        self.action = action
        self.seen = []

    def on_emit(self, log_record):
        self.seen.append(log_record.log_record)
        self.action(log_record)

    def shutdown(self):
        """Nothing to do."""

    def force_flush(self, timeout_millis=30000):
        return True


@pytest.fixture
def alone():
    """A pipeline by itself: `(pipeline, books, processor)`."""
    books, spy = Ledger(), Spy()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(spy)
    yield Pipeline(policies=PolicySet([]), books=books, floor=20, provider=provider), books, spy
    provider.shutdown()


def record(**fields):
    """A stdlib record."""
    return logging.makeLogRecord({"name": "app", "levelno": 20, "levelname": "INFO", "msg": "m", **fields})


class TestWaiting:
    def test_takes_its_name(self):
        """A record made before the call's name waits, is printed at once, and then carries call, trace and span."""
        with capture(policies=[]) as sink:
            call = open_call(origin="websocket")
            with call.activate():
                LOG.info("early")
            assert "early" in sink.console
            assert sink.records == []
            call.name(SID, "test")
            (found,) = sink.records
            assert (found.call_sid, found.trace_id) == (SID, SID[2:])
            assert_balanced()

    def test_what_was_bound_meanwhile(self):
        """Attributes bound before the name reach it too, cleaned and under names that back ends leave alone."""

        class Broken:
            def __str__(self):
                raise RuntimeError("no text")

        with capture(policies=[]) as sink:
            call = open_call(origin="websocket")
            with call.activate():
                LOG.info("early", extra={"mine": "record's"})
                otel_logging.bind(status="ringing", big=2**70, bad=Broken(), name_="caf\udce9", mine="call's")
            call.name(SID, "test")
            attributes = sink.records[0].attributes
        assert attributes["extra.status"] == "ringing"
        assert "status" not in attributes
        assert attributes["big"] == str(2**70)
        assert attributes["bad"] == "[otel-logging: Broken has no text: RuntimeError]"
        assert attributes["name_"] == "caf\\udce9"
        assert attributes["mine"] == "record's"

    def test_a_line_that_states_its_call_does_not_wait(self):
        """A record that names its call itself goes at once."""
        with capture(policies=[]) as sink, open_call(origin="websocket").activate():
            LOG.info("m", extra={"call_sid": "CA7"})
            assert [one.call_sid for one in sink.records] == ["CA7"]

    def test_in_their_order(self):
        """What waited comes before what was logged after the name."""
        with capture(policies=[]) as sink:
            call = open_call(origin="websocket")
            with call.activate():
                LOG.info("1")
                LOG.info("2")
                call.name(SID, "test")
                LOG.info("3")
            assert sink.bodies == ["1", "2", "3"]

    def test_a_call_that_ends_without_a_name(self):
        """Records of a call that never learned its name arrive without one."""
        with capture(policies=[]) as sink:
            call = open_call(origin="websocket")
            with call.activate():
                LOG.info("m")
            call.end()
            assert [(one.body, one.call_sid) for one in sink.records] == [("m", None)]
            assert_balanced()


class TestBoundAttributes:
    def test_on_further_records(self):
        """What is bound goes on every further record of the call, renamed where a back end would misread it."""
        with capture(policies=[]) as sink, otel_logging.call(SID, tenant="t"):
            otel_logging.bind(service="s")
            LOG.info("m")
            assert sink.records[0].attributes["tenant"] == "t"
            assert sink.records[0].attributes["extra.service"] == "s"

    def test_never_reserved_names(self):
        """No record carries an attribute that Datadog would let overwrite the record."""
        names = {"level", "severity", "status", "msg_", "log", "trace_id", "span_id", "service", "hostname"}
        with capture(policies=[]) as sink, otel_logging.call(SID):
            LOG.info("m", extra=dict.fromkeys(names, "x"))
            found = set(sink.records[0].attributes)
        assert not found & (names - {"msg_"})
        assert {f"extra.{name}" for name in names - {"msg_"}} <= found


class TestHandle:
    def test_once(self, alone):
        """A record is marked as taken, printed nowhere, sent once and counted."""
        one, books, spy = alone
        made = record()
        one.handle(made)
        assert made.__dict__[pipeline.translate.MARK] is True
        assert [found.body for found in spy.seen] == ["m"]
        assert books.snapshot()["created"] == 1

    def test_below_the_floor(self, alone):
        """A record below LOG_LEVEL is no record, and is not counted."""
        one, books, spy = alone
        one.handle(record(levelno=10))
        assert (spy.seen, books.snapshot()["created"]) == ([], 0)

    @pytest.mark.parametrize("level", [None, "INFO", [], 10**30])
    def test_levels_of_any_kind(self, alone, level):
        """A level that is no number is no reason to lose the record."""
        one, _, spy = alone
        one.handle(record(levelno=level))
        assert len(spy.seen) == 1

    def test_a_provider_that_breaks(self, alone, capsys):
        """What cannot be sent is counted, and raises nothing."""
        one, books, _ = alone
        one.provider = object()
        one.handle(record())
        assert books.snapshot()["dropped"] == {"internal_error": 1}
        assert "AttributeError" in capsys.readouterr().err

    def test_nowhere_to_go(self, alone):
        """Without provider and console a record is counted as such."""
        one, books, _ = alone
        one.provider = None
        one.handle(record())
        assert books.snapshot()["dropped"] == {"no_destination": 1}

    def test_names_without_end(self, alone, monkeypatch):
        """An application that names a logger per call does not grow the SDK's cache for ever; records keep their name."""
        monkeypatch.setattr(pipeline, "_MAX_LOGGERS", 3)
        one, _, spy = alone
        for number in range(10):
            one.handle(record(name=f"call.{number}"))
        assert len(one._loggers) <= 4
        assert [found.attributes["logger.name"] for found in spy.seen] == [f"call.{number}" for number in range(10)]

    def test_what_our_own_work_logs(self, alone):
        """A processor that logs through the same logging while it works for us does not feed itself."""
        with capture(policies=[]) as sink:
            spy = Spy(lambda _record: LOG.warning("from a processor"))
            gate._pipeline.provider.add_log_record_processor(spy)
            LOG.info("m")
            assert sink.bodies == ["m"]
            assert otel_logging.stats()["dropped"] == {"internal": 1}
            assert_balanced()

    def test_what_exporting_libraries_log(self):
        """What an HTTP library says inside an export is not exported in turn; the application's own lines there are."""
        from otel_logging.export.guard import inside_export

        with capture(log_level="DEBUG", policies=[]) as sink:
            with inside_export() as notes:
                logging.getLogger("httpcore.http11").debug("POST /v1/logs")
                LOG.info("mine")
            assert sink.bodies == ["mine"]
            assert notes == ["POST /v1/logs"]
            assert_balanced()


class TestThreads:
    def test_one_threads_work_is_not_anothers(self):
        """While one thread is inside the pipeline, another thread's records go their usual way."""
        inside, go_on = threading.Event(), threading.Event()

        def wait(found):
            if found.log_record.body == "slow":
                inside.set()
                go_on.wait(10)

        with capture(policies=[]) as sink:
            gate._pipeline.provider.add_log_record_processor(Spy(wait))
            thread = threading.Thread(target=LOG.info, args=("slow",))
            thread.start()
            assert inside.wait(10)
            LOG.info("other")
            go_on.set()
            thread.join()
            assert sorted(sink.bodies) == ["other", "slow"]
            assert_balanced()


class TestStdoutThatLogs:
    def test_lines_are_printed_and_the_books_balance(self, tmp_path):
        """An application that turned sys.stdout into a logger still prints each record once, and nothing goes round."""
        script = tmp_path / "stdout_logs.py"
        script.write_text(
            "import sys, logging\n"
            "import otel_logging, otel_logging.auto\n"
            "class Stdout:\n"
            "    def write(self, text):\n"
            "        if text.strip(): logging.getLogger('stdout').info(text.strip())\n"
            "    def flush(self): pass\n"
            "sys.stdout = Stdout()\n"
            "logging.getLogger('a').info('first')\n"
            "logging.getLogger('a').info('second')\n"
            "books = otel_logging.stats()\n"
            "assert books['created'] == books['exported'] + books['held'] + sum(books['dropped'].values()), books\n"
        )
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
        assert [line.partition("] ")[2].split()[-1] for line in done.stdout.splitlines()[1:]] == ["first", "second"]


class TestSignals:
    """A signal handler that logs, and then ends the program, in the middle of a line that is being printed."""

    class Interrupted:
        """A stream in whose middle a signal arrives."""

        def __init__(self, handler):
            self.handler = handler
            self.text = ""

        def write(self, text):
            self.text += text
            if self.handler is not None:
                signal.signal(signal.SIGUSR1, self.handler)
                self.handler = None
                signal.raise_signal(signal.SIGUSR1)
            return len(text)

        def flush(self):
            """Nothing to do."""

    @pytest.mark.parametrize("ends", [False, True])
    def test_all_lines_arrive(self, alone, ends):
        """The interrupted line and those of the handler are sent, whether it returns or raises SystemExit."""
        made, books, spy = alone

        def handler(_number, _frame):
            for number in range(3):
                made.handle(record(msg=f"late {number}"))
            if ends:
                raise SystemExit(4)

        before = signal.getsignal(signal.SIGUSR1)
        made.console = Console(False, "on", "app", lambda: stream)
        stream = self.Interrupted(handler)
        try:
            with pytest.raises(SystemExit) if ends else nullcontext():
                made.handle(record(msg="line 19"))
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert [one.body for one in spy.seen] == ["line 19", "late 0", "late 1", "late 2"]
        found = books.snapshot()
        assert (found["created"], found["dropped"]) == (4, {})
