"""The promises of otel_logging.export.console."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from export_kit import std_record

from otel_logging import trouble
from otel_logging.export.console import Console


class Stream:
    """Remembers every call; `on_write` is what else its write() does."""

    def __init__(self, on_write=None):
        self.calls = []
        self.on_write = on_write or (lambda text: None)

    def write(self, text):
        self.calls.append(text)
        self.on_write(text)

    def flush(self):
        self.calls.append("<flush>")

    @property
    def lines(self):
        return [call for call in self.calls if call != "<flush>"]


def console(stream, json_lines=False, mode="on"):
    return Console(json_lines, mode, "calls", lambda: stream)


class TestWriting:
    @pytest.mark.parametrize("json_lines", [False, True])
    def test_one_write_and_a_flush(self, json_lines):
        """A record is one write of a whole line, passed on at once."""
        stream = Stream()
        assert console(stream, json_lines).write(std_record("a\nb"))
        assert len(stream.calls) == 2
        assert stream.calls[0].endswith("\n")
        assert stream.calls[0].count("\n") == 1
        assert stream.calls[1] == "<flush>"

    def test_looked_up_at_each_write(self):
        """Standard output is looked up at each write, so that it can be exchanged."""
        here = Console(False, "on", "calls")
        for _ in range(2):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                here.write(std_record("hello"))
            assert out.getvalue().endswith("[media_ws_ai] hello\n")

    @pytest.mark.parametrize(("mode", "levels"), [("on", [10, 20, 40, 50]), ("errors", [40, 50]), ("off", [])])
    def test_modes(self, mode, levels):
        """`on` prints everything, `errors` only ERROR and above, `off` nothing; the answer says which."""
        stream = Stream()
        here = console(stream, mode=mode)
        assert [level for level in (10, 20, 40, 50) if here.write(std_record(level=level))] == levels
        assert len(stream.lines) == len(levels)

    def test_ids_reach_the_json_line(self):
        """What is given about the call stands in the JSON line."""
        stream = Stream()
        console(stream, True).write(std_record(), "CA1", 1, 2, {"x": 3})
        fields = json.loads(stream.lines[0])
        assert (fields["call_sid"], fields["service"], fields["x"]) == ("CA1", "calls", 3)

    def test_threads_do_not_interleave(self):
        """Lines of many threads stay whole, even on a stream that writes letter by letter."""
        letters = []

        class Slow(Stream):
            def write(self, text):
                for letter in text:
                    letters.append(letter)
                    time.sleep(0)  # let others run in the middle of a line

            def flush(self):
                pass

        here = console(Slow())
        threads = [
            threading.Thread(target=lambda n=n: [here.write(std_record(f"{n}" * 50)) for _ in range(20)])
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = "".join(letters).splitlines()
        assert len(lines) == 120
        assert all(line[-50:] == line[-1] * 50 for line in lines)

    def test_no_lock_while_formatting(self):
        """A record whose text takes its time, or logs itself, keeps nobody from writing."""
        stream = Stream()
        here = console(stream)

        class Slow:
            def __str__(self):
                other = threading.Thread(target=here.write, args=(std_record("other"),))
                other.start()
                other.join(10)
                assert not other.is_alive()
                here.write(std_record("nested"))
                return "slow"

        here.write(std_record("%s", Slow()))
        assert [line.split("] ")[-1] for line in stream.lines] == ["other\n", "nested\n", "slow\n"]


class TestTogether:
    def test_waiting_threads_share_a_write(self):
        """Lines of threads that wait for a slow write go out in one, each whole, and every thread learns of it."""
        inside, leave = threading.Event(), threading.Event()

        def slow(text):
            inside.set()
            leave.wait(30)

        stream = Stream(slow)
        here = console(stream)
        answers = []
        first = threading.Thread(target=lambda: answers.append(here.write(std_record("first"))))
        first.start()
        assert inside.wait(30)
        others = [
            threading.Thread(target=lambda n=n: answers.append(here.write(std_record(f"other {n}")))) for n in range(5)
        ]
        for thread in others:
            thread.start()
        while len(here._waiting) < len(others):
            time.sleep(0.001)
        assert answers == []
        leave.set()
        for thread in [first, *others]:
            thread.join(30)
        assert answers == [True] * 6
        assert len(stream.lines) == 2
        texts = [line.split("] ")[-1] for line in "".join(stream.lines).splitlines()]
        assert texts[0] == "first"
        assert sorted(texts[1:]) == [f"other {n}" for n in range(5)]
        assert stream.calls[-1] == "<flush>"

    def test_a_shared_write_that_fails(self, capsys):
        """When a shared write fails, every thread whose line was in it is told, and each line is counted."""
        inside, leave = threading.Event(), threading.Event()

        def fail(text):
            inside.set()
            leave.wait(30)
            raise BrokenPipeError(32, "Broken pipe")

        here = console(Stream(fail))
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(here.write(std_record()))) for _ in range(4)]
        threads[0].start()
        assert inside.wait(30)
        for thread in threads[1:]:
            thread.start()
        while len(here._waiting) < 3:
            time.sleep(0.001)
        leave.set()
        for thread in threads:
            thread.join(30)
        assert answers == [False] * 4
        assert capsys.readouterr().err.count("standard output cannot be written") == 1
        assert trouble.counts()["console"] == 4

    def test_nobody_is_forgotten(self):
        """Many threads on a stream that gives way in the middle: every line arrives once, and is passed on."""

        class Yielding(Stream):
            def write(self, text):
                super().write(text)
                time.sleep(0)

        stream = Yielding()
        here = console(stream)

        def work(n):
            for i in range(200):
                assert here.write(std_record(f"{n}:{i}"))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        texts = [line.split("] ")[-1] for line in "".join(stream.lines).splitlines()]
        assert sorted(texts) == sorted(f"{n}:{i}" for n in range(6) for i in range(200))
        for n in range(6):
            assert [text for text in texts if text.startswith(f"{n}:")] == [f"{n}:{i}" for i in range(200)]
        assert len(here._waiting) == 0

    def test_written_through(self):
        """When the call returns, the line has left the process, without PYTHONUNBUFFERED too."""
        code = (
            "import logging, os, sys\n"
            "from otel_logging.export.console import Console\n"
            "c = Console(True, 'on', 'calls')\n"
            "c.write(logging.LogRecord('a', 20, 'b.py', 1, 'hello', (), None))\n"
            "os._exit(0)\n"
        )
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env, timeout=60)
        assert json.loads(done.stdout)["message"] == "hello"


class TestWithoutMsgspec:
    def test_same_bytes(self):
        """Where msgspec does not import, the same line comes out, and nothing is said of it."""
        code = (
            "import logging, sys\n"
            "if sys.argv[1] == 'without': sys.modules['msgspec'] = None\n"
            "from otel_logging.export.console import Console\n"
            "r = logging.LogRecord('server.a', 20, 'b.py', 1, 'שלום \U0001f525', (), None)\n"
            "r.created = 1705865426.123\n"
            "Console(True, 'on', 'calls').write(r, 'CA1', 1, 2, {'n': 1, 'x': 1.5, 'ok': True, 'to': None, 's': 'é'})\n"
            "sys.stderr.write(type(sys.modules.get('msgspec')).__name__)\n"
        )
        env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        found = [
            subprocess.run([sys.executable, "-c", code, how], capture_output=True, check=True, env=env, timeout=60)
            for how in ("with", "without")
        ]
        assert [one.stderr for one in found] == [b"module", b"NoneType"]
        assert found[0].stdout == found[1].stdout
        assert json.loads(found[0].stdout)["s"] == "é"

    def test_human_lines_load_no_encoder(self):
        """A console for people does not load msgspec: it costs start-up time."""
        code = (
            "import sys\n"
            "from otel_logging.export.console import Console\n"
            "Console(False, 'on', 'calls')\n"
            "assert 'msgspec' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_a_name_that_is_no_text(self):
        """A service's name that cannot be encoded costs the short way, not the line."""
        stream = Stream()
        assert Console(True, "on", "calls \ud800", lambda: stream).write(std_record())
        assert json.loads(stream.lines[0])["service"] == "calls \\ud800"


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1255"])
    @pytest.mark.parametrize("json_lines", [False, True])
    def test_stream_that_lacks_letters(self, encoding, json_lines):
        """A stdout that is not UTF-8 still gets the line, with escapes; JSON stays JSON."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        console(stream, json_lines).write(std_record("שלום é 🔥 ok"))
        text = raw.getvalue().decode(encoding)
        assert text.count("\n") == 1
        if json_lines:
            assert json.loads(text)["message"] == "שלום é 🔥 ok"
        else:
            assert "\\U0001f525" in text
            assert text.endswith("ok\n")

    def test_strict_utf8_and_surrogates(self):
        """A lone surrogate does not break a strict UTF-8 stream."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="utf-8")
        console(stream).write(std_record("file \udcff.wav"))
        assert raw.getvalue().endswith(b"file \\udcff.wav\n")


class TestBrokenOutput:
    @pytest.mark.parametrize(
        "error", [BrokenPipeError(32, "Broken pipe"), ValueError("I/O operation on closed file"), RuntimeError("odd")]
    )
    def test_told_once_and_no_exception(self, error, capsys):
        """A stdout that broke is said once, costs no exception, and is used again when it works again."""

        def fail(text):
            raise error

        stream = Stream(fail)
        here = console(stream)
        assert [here.write(std_record()) for _ in range(3)] == [False] * 3
        assert capsys.readouterr().err.count("standard output cannot be written") == 1
        assert trouble.counts()["console"] == 3
        stream.on_write = lambda text: None
        assert here.write(std_record())

    def test_no_stdout_at_all(self, capsys):
        """A process without stdout goes on."""
        assert not Console(False, "on", "calls", lambda: None).write(std_record())
        assert "standard output is closed" in capsys.readouterr().err

    def test_getter_that_fails(self, capsys):
        """A stream getter that raises is no exception for the application."""
        assert not Console(False, "on", "calls", lambda: 1 / 0).write(std_record())
        assert "ZeroDivisionError" in capsys.readouterr().err

    def test_real_broken_pipe(self):
        """A process whose reader went away runs to its end."""
        code = (
            "import logging, sys\n"
            "from otel_logging.export.console import Console\n"
            "c = Console(False, 'on', 'calls')\n"
            "r = logging.LogRecord('a', 20, 'b.py', 1, 'x' * 1000, (), None)\n"
            "for _ in range(1000): c.write(r)\n"
            "sys.stderr.write('reached the end')\n"
        )
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as out:
            done = subprocess.run(
                [sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, check=False, text=True
            )
        assert "reached the end" in done.stderr
        assert done.stderr.count("standard output cannot be written") == 1
        assert "Traceback" not in done.stderr


class TestReentry:
    def test_stdout_that_is_a_logger(self, monkeypatch):
        """An application that made a logger of sys.stdout gets each line once, on the real stdout, without a loop."""
        real = Stream()
        monkeypatch.setattr(sys, "__stdout__", real)
        into_logger = Stream(lambda text: here.write(std_record(text)))
        here = console(into_logger)
        here.write(std_record("one"))
        here.write(std_record("two"))
        assert [line.split("] ")[-1] for line in real.lines] == ["one\n", "two\n"]
        assert len(into_logger.lines) == 1

    def test_stdout_that_says_it_is_a_logger(self, monkeypatch):
        """A stream with a logger in it, such as Celery's, is never written to: not one line comes back."""
        real = Stream()
        monkeypatch.setattr(sys, "__stdout__", real)
        into_logger = Stream()
        into_logger.logger = logging.getLogger("celery.redirected")
        console(into_logger).write(std_record("one"))
        assert [line.split("] ")[-1] for line in real.lines] == ["one\n"]
        assert into_logger.lines == []

    def test_echo_can_be_recognised(self):
        """While a thread writes, `writing` says so there and nowhere else."""
        seen = []
        here = console(Stream(lambda text: seen.append(here.writing)))
        here.write(std_record())
        assert seen == [True]
        assert not here.writing

    def test_signal_handler_that_logs(self, monkeypatch):
        """What a signal handler logs in the middle of a write comes right after it."""
        stream = Stream()
        monkeypatch.setattr(sys, "__stdout__", stream)
        here = console(stream)
        fired = []

        def interrupt(text):
            if not fired:
                fired.append(True)
                signal.raise_signal(signal.SIGUSR1)

        stream.on_write = interrupt
        before = signal.signal(signal.SIGUSR1, lambda *args: here.write(std_record("from the handler")))
        try:
            here.write(std_record("main"))
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert [line.split("] ")[-1] for line in stream.lines] == ["main\n", "from the handler\n"]

    def test_endless_echo_ends(self, monkeypatch):
        """A real stdout that logs each write is bounded and counted."""
        stream = Stream(lambda text: here.write(std_record("echo")))
        monkeypatch.setattr(sys, "__stdout__", stream)
        here = console(stream)
        here.write(std_record("one"))
        assert len(stream.lines) == 2
        assert trouble.counts()["console_reentered"] == 1


class TestFork:
    def test_child_of_a_writing_parent(self):
        """A child forked while another thread was in the middle of a line can print."""
        code = (
            "import logging, os, sys, threading\n"
            "from otel_logging.export.console import Console\n"
            "inside, leave = threading.Event(), threading.Event()\n"
            "class Slow:\n"
            "    def write(self, text): inside.set(); leave.wait(30)\n"
            "    def flush(self): pass\n"
            "stream = Slow()\n"
            "c = Console(False, 'on', 'calls', lambda: stream)\n"
            "r = logging.LogRecord('a', 20, 'b.py', 1, 'hello', (), None)\n"
            "t = threading.Thread(target=c.write, args=(r,)); t.start(); inside.wait(30)\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    stream = sys.stdout\n"
            "    c.write(r)\n"
            "    os._exit(0)\n"
            "_, status = os.waitpid(pid, 0)\n"
            "leave.set(); t.join(); sys.exit(status)\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, check=True, text=True, timeout=60
        )
        assert done.stdout.endswith("[b] hello\n")


def test_handler_like_use_never_raises():
    """A record broken in every field costs no exception."""
    record = logging.makeLogRecord({"msg": None, "args": 5, "levelno": "x", "created": None, "exc_info": 3})
    for json_lines in (False, True):
        console(Stream(), json_lines).write(record)
