"""Process ends. Most of them happen in a child process whose script reports through its stdout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from otel_logging.boot import ends

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and fork")

_PRELUDE = """
import multiprocessing, os, signal, sys, threading, time
from otel_logging.boot import ends

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def flush(seconds):
    say("flush", seconds)
    return True

def close(seconds):
    say("close", seconds)
    return True

def after_fork():
    say("child")

ends.install(flush, close, after_fork)
"""


def run(script: str, **kwargs) -> tuple[int, list[str], str]:
    """Exit code, stdout lines and stderr of a script in which ends are installed."""
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **kwargs,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture
def installed():
    calls: list[tuple[str, float]] = []

    def note(name):
        return lambda seconds: calls.append((name, seconds)) is None

    before = signal.getsignal(signal.SIGTERM)
    ends.install(note("flush"), note("close"), lambda: None)
    yield calls
    ends.uninstall()
    signal.signal(signal.SIGTERM, before)


class TestNormalEnd:
    def test_atexit(self):
        """A script that runs to its end closes once, with three seconds at most."""
        assert run("say('work')") == (0, ["work", "close 3.0"], "")

    def test_sys_exit(self):
        """sys.exit keeps its code and closes."""
        assert run("sys.exit(3)") == (3, ["close 3.0"], "")

    def test_sigint_is_pythons(self):
        """SIGINT stays KeyboardInterrupt, whose way out closes once."""
        code, lines, _ = run("""
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                say("interrupted")
        """)
        assert (code, lines) == (0, ["interrupted", "close 3.0"])

    def test_a_raising_close_is_reported(self):
        """A close that raises costs one line on stderr, not the exit code."""
        code, _, err = run("""
            def close(seconds): raise RuntimeError("gone")
            ends.install(flush, close, after_fork)
        """)
        assert code == 0
        assert err.count("\n") == 1
        assert "RuntimeError: gone" in err

    @pytest.mark.parametrize("end", ["", "signal.raise_signal(signal.SIGTERM)", "os._exit(0)"])
    def test_undelivered_records_are_counted(self, end):
        """Records that could not be delivered in time are one line with their number, whatever the end."""
        _, _, err = run(f"""
            from otel_logging.bridge.ledger import ledger
            ledger.gauge("queue", lambda: 3)
            ends.install(lambda seconds: False, lambda seconds: False, after_fork)
            {end}
        """)
        assert err.count("\n") == 1
        assert err.startswith("otel-logging: 3 records are lost")

    def test_nothing_held_is_nothing_lost(self):
        """A flush that failed for another reason than records says nothing of records."""
        assert run("ends.install(lambda seconds: False, lambda seconds: False, after_fork)")[2] == ""

    def test_a_close_that_hangs_is_left_behind(self):
        """A close that never returns delays the exit by its bound and no more."""
        code, lines, _ = run("""
            ends.CLOSE_SECONDS = 0.1
            def close(seconds):
                say("hanging")
                threading.Event().wait(9)
            ends.install(flush, close, after_fork)
        """)
        assert (code, lines) == (0, ["hanging"])


class TestSigterm:
    def test_default_disposition(self):
        """SIGTERM closes once and the process still dies of SIGTERM."""
        assert run("signal.raise_signal(signal.SIGTERM); say('unreachable')") == (-signal.SIGTERM, ["close 3.0"], "")

    def test_while_sleeping(self):
        """A main thread in a blocking call is reached."""
        code, lines, _ = run("""
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            time.sleep(50)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["close 3.0"])

    def test_set_back_to_default(self):
        """Worker classes that set SIGTERM to its default get ours, and see what they set."""
        code, lines, _ = run("""
            previous = signal.signal(signal.SIGTERM, lambda *_: say("app"))
            say(previous is signal.SIG_DFL)
            say(signal.signal(signal.SIGTERM, signal.SIG_DFL)(0, None) is None)
            say(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(50)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["True", "app", "True", "True", "close 3.0"])

    def test_raised_again_after_a_servers_own_handler(self):
        """A server that restores the earlier handler and raises the signal again, as uvicorn does, ends in ours."""
        code, lines, _ = run("""
            original = signal.signal(signal.SIGTERM, lambda *_: say("server"))
            signal.raise_signal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, original)
            signal.raise_signal(signal.SIGTERM)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["server", "close 3.0"])

    def test_the_applications_handler_stays(self):
        """A handler that was there before, or is set later, is the one that is called."""
        script = """
            ends.uninstall()
            signal.signal(signal.SIGTERM, lambda *_: say("app"))
            ends.install(flush, close, after_fork)
            signal.raise_signal(signal.SIGTERM)
        """
        assert run(script) == (0, ["app", "close 3.0"], "")

    def test_ignored_stays_ignored(self):
        """A process started with SIGTERM ignored goes on ignoring it."""
        code, lines, _ = run(
            "signal.raise_signal(signal.SIGTERM)",
            preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        )
        assert (code, lines) == (0, ["close 3.0"])

    def test_a_second_signal_while_closing(self):
        """A second SIGTERM does not cut the close short."""
        code, lines, _ = run("""
            def close(seconds):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.05)
                say("closed")
                return True
            ends.install(flush, close, after_fork)
            signal.raise_signal(signal.SIGTERM)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["closed"])

    def test_a_lock_held_by_the_interrupted_code(self):
        """Code interrupted inside logging goes on until it lets its lock go; then everything is delivered."""
        code, lines, _ = run("""
            import logging
            lock = threading.Lock()
            def close(seconds):
                with lock:
                    say("closed")
                return True
            ends.install(flush, close, after_fork)
            class Handler(logging.Handler):
                def emit(self, record):
                    with lock:
                        signal.raise_signal(signal.SIGTERM)
                        time.sleep(0.05)
                    say("handled")
            logging.getLogger().addHandler(Handler())
            logging.warning("x")
            time.sleep(50)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["handled", "closed"])

    @pytest.mark.parametrize("wait", ["threading.Event().wait(50)", "queue.Queue().get()", "thread.join()"])
    def test_a_main_thread_that_waits(self, wait):
        """A main thread that only waits for its threads is reached."""
        code, lines, _ = run(f"""
            import queue
            thread = threading.Thread(target=time.sleep, args=(50,), daemon=True)
            thread.start()
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            {wait}
        """)
        assert (code, lines) == (-signal.SIGTERM, ["close 3.0"])

    def test_a_program_that_ends_meanwhile(self):
        """A program that finishes before its SIGTERM could be dealt with closes once and still dies of SIGTERM."""
        code, lines, _ = run("""
            import logging
            class Handler(logging.Handler):
                def emit(self, record):
                    signal.raise_signal(signal.SIGTERM)
            logging.getLogger().addHandler(Handler())
            ends._MOMENT = 50
            logging.warning("x")
            say("finished")
        """)
        assert (code, lines) == (-signal.SIGTERM, ["finished", "close 3.0"])

    def test_during_atexit(self):
        """SIGTERM in the midst of the last close does not cut it short."""
        code, lines, _ = run("""
            def close(seconds):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.05)
                say("closed")
                return True
            ends.install(flush, close, after_fork)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["closed"])

    def test_a_close_that_hangs(self):
        """An endpoint that never answers cannot keep the process alive."""
        code, lines, _ = run("""
            ends.CLOSE_SECONDS = 0.1
            def close(seconds):
                say("hanging")
                threading.Event().wait(9)
            ends.install(flush, close, after_fork)
            signal.raise_signal(signal.SIGTERM)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["hanging"])

    def test_the_first_process_of_a_container(self):
        """Where the kernel lets nobody die of SIGTERM, the process goes on: flushed, not closed, and handled again."""
        code, lines, _ = run("""
            os.getpid = lambda: 1
            real, raised = signal.raise_signal, []
            signal.raise_signal = raised.append
            real(signal.SIGTERM)
            real(signal.SIGTERM)
            say("alive", len(raised))
        """)
        assert (code, lines) == (0, ["flush 3.0", "flush 3.0", "alive 2", "close 3.0"])


class TestForksAndHardExits:
    def test_os_exit(self):
        """os._exit flushes for two seconds at most and keeps its code."""
        assert run("os._exit(7)") == (7, ["flush 2.0"], "")

    def test_os_exit_when_flushing_fails(self):
        """A flush that raises does not keep os._exit from exiting."""
        code, _, err = run("""
            def flush(seconds): raise ValueError("x")
            ends.install(flush, close, after_fork)
            os._exit(7)
        """)
        assert code == 7
        assert "ValueError: x" in err

    def test_fork(self):
        """A forked child is told so before its own code, and flushes when it leaves through os._exit."""
        code, lines, _ = run("""
            pid = os.fork()
            if pid == 0:
                say("in child")
                os._exit(4)
            say("waited", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
        assert (code, lines) == (0, ["child", "in child", "flush 2.0", "waited 4", "close 3.0"])

    def test_sigterm_in_a_forked_child(self):
        """A child that its parent terminates closes, and its parent sees it killed by SIGTERM."""
        code, lines, _ = run("""
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(write, b"x")
                time.sleep(50)
            os.read(read, 1)
            os.kill(pid, signal.SIGTERM)
            say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
        assert (code, lines) == (0, ["child", "close 3.0", str(-signal.SIGTERM), "close 3.0"])

    def test_multiprocessing_fork(self):
        """A multiprocessing child, which runs no atexit, flushes."""
        code, lines, _ = run("""
            import warnings; warnings.simplefilter("ignore")
            child = multiprocessing.get_context("fork").Process(target=say, args=("job",))
            child.start(); child.join()
        """)
        assert (code, lines) == (0, ["child", "job", "flush 2.0", "close 3.0"])

    def test_a_raising_after_fork(self):
        """A failing after_fork is reported and the child runs on."""
        code, lines, err = run("""
            def after_fork(): raise ValueError("x")
            ends.install(flush, close, after_fork)
            pid = os.fork()
            if pid == 0:
                os._exit(4)
            os.waitpid(pid, 0)
        """)
        assert (code, lines) == (0, ["flush 2.0", "close 3.0"])
        assert "ValueError: x" in err

    def test_exec(self):
        """A process that replaces itself flushes first."""
        code, lines, _ = run("os.execlp(sys.executable, sys.executable, '-c', 'print(1)')")
        assert (code, lines) == (0, ["flush 2.0", "1"])


class TestPatches:
    def test_undone(self, installed):
        """Uninstalling gives back signal.signal, getsignal, os._exit and the disposition."""
        patched = (signal.signal, signal.getsignal, os._exit)
        ends.uninstall()
        assert not {signal.signal, signal.getsignal, os._exit} & set(patched)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_idempotent(self, installed):
        """A second install patches nothing a second time and takes the new callbacks."""
        patched, calls = signal.signal, []
        ends.install(lambda s: True, lambda s: calls.append(s) is None, lambda: None)
        assert signal.signal is patched
        ends._at_exit()
        assert calls == [3.0]

    def test_wrapped_by_a_stranger(self, installed):
        """What somebody wrapped around ours survives uninstall and a new install, without recursion."""
        ours = signal.signal

        def stranger(*args):
            return ours(*args)

        signal.signal = stranger
        try:
            ends.uninstall()
            assert signal.signal is stranger
            ends.install(lambda s: True, lambda s: True, lambda: None)
            assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is signal.SIG_DFL
        finally:
            signal.signal = ours
            ends.uninstall()

    def test_other_threads(self, installed):
        """signal.signal outside of the main thread raises ValueError, as ever."""
        errors: list[Exception] = []

        def attempt():
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            except ValueError as error:
                errors.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        assert len(errors) == 1

    def test_installed_from_another_thread(self):
        """Installing outside of the main thread works, and SIGTERM is taken when the main thread sets its default."""
        code, lines, _ = run("""
            ends.uninstall()
            thread = threading.Thread(target=ends.install, args=(flush, close, after_fork))
            thread.start(); thread.join()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        """)
        assert (code, lines) == (-signal.SIGTERM, ["close 3.0"])

    def test_other_signals(self, installed):
        """Other signals pass through as they are."""
        before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        try:
            assert ends._GETSIGNAL.real(signal.SIGUSR1) is signal.SIG_DFL
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_keywords(self, installed):
        """signal.signal takes its arguments by name, as the original does."""
        assert signal.signal(signalnum=signal.SIGTERM, handler=signal.SIG_DFL) is signal.SIG_DFL


class TestNoThreads:
    def test_without_threads_the_caller_works(self, installed, monkeypatch):
        """Where no thread can be started, as at interpreter shutdown, the flush runs in the calling thread."""

        def refuse(*_args):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(ends._thread, "start_new_thread", refuse)
        ends._at_exit()
        assert installed == [("close", 3.0)]
