"""Exceptions that nobody handles. Each script runs in a process of its own and prints JSON lines."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
import textwrap
import threading

import pytest

from otel_logging.boot import unhandled
from otel_logging.bridge import translate
from otel_logging.calls.call import call

SID = "CA" + "3d" * 16
_PRELUDE = """
import asyncio, logging, os, sys, threading
import otel_logging
otel_logging.configure(log_json=True)

def fail():
    raise ValueError("nobody handles this")

async def fail_in_a_task(*calls):
    if calls:
        with otel_logging.call(*calls):
            fail()
    fail()

async def forget(*calls):
    task = asyncio.create_task(fail_in_a_task(*calls))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
"""


def run(script: str) -> tuple[int, list[dict], str]:
    """Exit code, what was logged beside the boot line, and stderr of a script."""
    code = _PRELUDE + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()[1:]], done.stderr


def told(script: str, count: int = 1) -> list[dict]:
    """The records about the exception: each has its traceback."""
    _, records, err = run(script)
    found = [one for one in records if "nobody handles this" in one.get("exception", "")]
    assert len(found) == count, (records, err)
    return found


class TestMainThread:
    def test_once_with_its_traceback_at_its_place(self):
        """One CRITICAL record with the traceback, named for the module that raised; the exit code and stderr as ever."""
        code, (record,), err = run("fail()")
        assert code == 1
        assert (record["level"], record["logger"]) == ("CRITICAL", unhandled.LOGGER)
        assert record["message"] == "Unhandled exception: ValueError: nobody handles this"
        assert record["exception"].startswith("Traceback (most recent call last):")
        assert record["exception"].endswith("ValueError: nobody handles this")
        assert err.startswith("Traceback (most recent call last):")
        assert err.count("ValueError: nobody handles this") == 1

    def test_the_call_that_it_left(self):
        """An exception that left a call's block belongs to that call; of nested ones, to the inner."""
        script = f"with otel_logging.call('outer'), otel_logging.call('{SID}'): fail()"
        assert told(script)[0]["call_sid"] == SID

    def test_a_hook_from_before(self):
        """A hook that was there before us is called, once."""
        script = """
            otel_logging.shutdown()
            sys.excepthook = lambda kind, error, trace: print("hook:", error, file=sys.stderr)
            otel_logging.configure(log_json=True, log_level="WARNING")
            fail()
        """
        _, (record,), err = run(script)
        assert record["level"] == "CRITICAL"
        assert err == "hook: nobody handles this\n"

    def test_a_hook_that_replaces_ours(self):
        """A hook that knows nothing of ours is all that is called, and the exception is told at the end."""
        script = """
            sys.excepthook = lambda kind, error, trace: print("hook:", error, file=sys.stderr)
            fail()
        """
        _, (record,), err = run(script)
        assert record["level"] == "CRITICAL"
        assert err == "hook: nobody handles this\n"

    @pytest.mark.parametrize("level", ["critical", "error"])
    def test_a_hook_that_logs(self, level):
        """A hook that logs the exception has told it."""
        script = f"""
            sys.excepthook = lambda *info: logging.getLogger("app").{level}("gone", exc_info=info)
            fail()
        """
        assert told(script)[0]["logger"] == "app"

    def test_a_hook_from_before_that_logs(self):
        """The same where ours is on top of it."""
        script = """
            otel_logging.shutdown()
            sys.excepthook = lambda *info: logging.getLogger("app").critical("gone", exc_info=info)
            otel_logging.configure(log_json=True, log_level="WARNING")
            fail()
        """
        assert told(script)[0]["logger"] == "app"

    def test_a_hook_that_calls_the_one_before(self):
        """A hook that hands on to ours: Python still prints, once."""
        script = """
            before = sys.excepthook
            sys.excepthook = lambda *info: before(*info)
            fail()
        """
        _, (record,), err = run(script)
        assert record["level"] == "CRITICAL"
        assert err.count("ValueError: nobody handles this") == 1

    def test_logged_before_and_raised_again(self):
        """An exception that was logged and raised again is told again: that it ended the process is news."""
        script = """
            try:
                fail()
            except ValueError:
                logging.getLogger("app").exception("will be raised again")
                raise
        """
        assert [one["level"] for one in told(script, 2)] == ["ERROR", "CRITICAL"]

    @pytest.mark.parametrize("end", ["sys.exit(3)", "raise KeyboardInterrupt"])
    def test_how_programs_are_ended(self, end):
        """sys.exit and Ctrl-C are no errors."""
        assert run(end)[1] == []

    def test_handled_exceptions(self):
        """What was handled is not told, whatever noted it as the last."""
        script = """
            try:
                fail()
            except ValueError as error:
                sys.last_value = error.with_traceback(None)
        """
        assert run(script)[1] == []

    def test_logging_switched_off(self):
        """An application that disables logging gets no record."""
        code, records, _ = run("logging.disable(logging.CRITICAL); fail()")
        assert (code, records) == (1, [])


class TestThreads:
    def test_once_with_its_call(self):
        """A thread's exception names the thread, and has the call in which the thread was started."""
        script = f"""
            with otel_logging.call("{SID}"):
                thread = threading.Thread(target=fail, name="media")
                thread.start()
                thread.join()
        """
        _, (record,), err = run(script)
        assert (record["level"], record["call_sid"]) == ("CRITICAL", SID)
        assert record["message"] == "Unhandled exception in thread media: ValueError: nobody handles this"
        assert err.startswith("Exception in thread media:")

    @pytest.mark.parametrize(
        ("hook", "level", "err"),
        [
            ("print('hook:', args.exc_value, file=sys.stderr)", "CRITICAL", "hook: nobody handles this\n"),
            ("logging.getLogger('app').error('x', exc_info=args.exc_value)", "ERROR", ""),
            ("before(args)", "CRITICAL", None),
        ],
    )
    def test_the_applications_hook(self, hook, level, err):
        """A hook that is set later is called, once, whether it logs, prints or hands on to the one before."""
        script = f"""
            before = threading.excepthook
            def hook(args): {hook}
            threading.excepthook = hook
            for _ in range(2):
                thread = threading.Thread(target=fail)
                thread.start()
                thread.join()
        """
        code, records, said = run(script)
        assert (code, [one["level"] for one in records]) == (0, [level] * 2)
        assert said.count("ValueError: nobody handles this") == 2 if err is None else said == err * 2

    def test_sys_exit(self):
        """sys.exit in a thread is silent, as ever."""
        script = "thread = threading.Thread(target=sys.exit); thread.start(); thread.join()"
        assert run(script) == (0, [], "")


class TestAsyncio:
    def test_a_task_with_the_call_it_left(self):
        """Asyncio's own record becomes the one CRITICAL record, with the call that the exception left."""
        (record,) = told(f"asyncio.run(forget('{SID}'))")
        assert (record["level"], record["logger"], record["call_sid"]) == ("CRITICAL", "asyncio", SID)
        assert record["message"].startswith("Task exception was never retrieved")

    def test_a_task_within_a_call(self):
        """A task that was made in a call belongs to it, though it is found to have failed outside."""
        script = f"""
            async def main():
                with otel_logging.call("{SID}"):
                    task = asyncio.create_task(fail_in_a_task())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            asyncio.run(main())
        """
        (record,) = told(script)
        assert (record["level"], record["call_sid"]) == ("CRITICAL", SID)

    def test_a_callback(self):
        """A callback that raises is the same."""
        script = f"""
            async def main():
                with otel_logging.call("{SID}"):
                    asyncio.get_running_loop().call_soon(fail)
                await asyncio.sleep(0)
            asyncio.run(main())
        """
        (record,) = told(script)
        assert (record["level"], record["call_sid"]) == ("CRITICAL", SID)

    @pytest.mark.parametrize(
        ("handler", "logger"),
        [
            ("logging.getLogger('app').error('x', exc_info=context['exception'])", "app"),
            ("None", unhandled.LOGGER),
        ],
    )
    def test_the_applications_handler(self, handler, logger):
        """A handler of the loop's that logs has told it; one that does not is no reason to be silent."""
        script = f"""
            async def main():
                asyncio.get_running_loop().set_exception_handler(lambda loop, context: {handler})
                await forget()
            asyncio.run(main())
        """
        assert told(script)[0]["logger"] == logger

    def test_a_broken_connection(self):
        """What a transport reports stays the ERROR that asyncio makes of it."""
        script = """
            async def main():
                try:
                    fail()
                except ValueError as error:
                    about = {"message": "Fatal error", "exception": error, "transport": None, "protocol": None}
                    asyncio.get_running_loop().call_exception_handler(about)
            asyncio.run(main())
        """
        assert told(script)[0]["level"] == "ERROR"

    def test_through_the_main_thread(self):
        """An exception that leaves asyncio.run is the main thread's."""
        assert told("asyncio.run(fail_in_a_task())")[0]["logger"] == unhandled.LOGGER


class TestUndo:
    def test_all_is_as_before(self):
        """Uninstalling gives every hook back, and installing twice is installing once."""
        import asyncio

        def state():
            return (
                sys.excepthook,
                threading.excepthook,
                threading.Thread.start,
                asyncio.base_events.BaseEventLoop.call_exception_handler,
                list(logging.getLogger("asyncio").filters),
                translate.on_exception,
            )

        before = state()
        unhandled.install()
        installed = state()
        unhandled.install()
        assert state() == installed
        assert not set(map(id, before[:4])) & set(map(id, installed[:4]))
        unhandled.uninstall()
        assert state() == before

    def test_an_exception_can_still_be_sent_to_another_process(self):
        """What is noted on an exception that left a call travels with it."""
        error = ValueError("x")
        try:
            with call(SID):
                raise error
        except ValueError:
            pass
        assert pickle.loads(pickle.dumps(error)).args == ("x",)
