from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import textwrap

import pytest

from otel_logging import trouble
from otel_logging.calls import registry
from otel_logging.calls.call import (
    bind,
    call,
    current_call,
    find,
    held_waiting,
    open_call,
    release_waiting,
)

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class TestBlock:
    def test_is_in_force_within_and_ends_after(self):
        """The block's records belong to the call, and the call ends with the block."""
        with call(TWILIO, tenant="a") as opened:
            assert current_call() is opened
            assert opened.call_sid == TWILIO
            assert opened.attributes == {"tenant": "a"}
            assert not opened.waiting
        assert current_call() is None
        assert opened.end_reason == "block"

    def test_async(self):
        """The same as an asynchronous context manager, for ten calls at once."""

        async def one(number):
            async with call(f"call{number}") as opened:
                await asyncio.sleep(0)
                assert current_call() is opened
                assert current_call().call_sid == f"call{number}"
            assert current_call() is None
            return opened.end_reason

        async def main():
            return await asyncio.gather(*(one(number) for number in range(10)))

        assert asyncio.run(main()) == ["block"] * 10

    def test_nested_calls_restore_the_outer(self):
        """A call within another call: each has its own records, the outer one goes on."""
        with call(TWILIO) as outer:
            with call(OTHER) as inner:
                assert current_call() is inner
            assert current_call() is outer
            assert inner.ended
            assert not outer.ended

    def test_same_call_nested_ends_with_the_outer(self):
        """The inner block joins the call that the outer one opened."""
        with call(TWILIO, one=1) as outer:
            with call(TWILIO, two=2) as inner:
                assert inner.attributes == {"one": 1, "two": 2}
            assert not outer.ended
        assert outer.ended

    def test_one_object_entered_twice(self):
        """Re-entering the same object nests; so does using it again later."""
        block = call(TWILIO)
        with block as first, block as second:
            assert first.call_sid == second.call_sid == TWILIO
        assert current_call() is None
        assert first.ended
        with block as third:
            assert not third.ended

    def test_does_not_end_what_a_middleware_opened(self):
        """Within a request that the middleware knows as this call, the block leaves it open."""
        outer = open_call(TWILIO, origin="websocket")
        with outer.activate(), call(TWILIO):
            pass
        assert not outer.ended

    def test_refused_id_runs_the_block_unnamed(self, capsys):
        """A wrong id costs a line; the block runs, its records do not wait."""
        ran = False
        with call("not a call id") as opened:
            ran = True
            assert opened.call_sid is None
            assert not opened.waiting
            assert current_call() is opened
        assert ran
        assert capsys.readouterr().err.count("\n") == 1
        assert trouble.counts() == {"call_id_rejected": 1}

    @pytest.mark.parametrize("bad", [None, 7, b"CA", object()])
    def test_refuses_other_types_quietly(self, bad, capsys):
        """Even what is no text never raises into the application."""
        with call(bad) as opened:
            assert opened.call_sid is None
        assert capsys.readouterr().err

    def test_exception_goes_on_and_is_the_reason(self):
        """An exception that leaves the block is noted and passes through unchanged."""
        error = ValueError("boom")
        with pytest.raises(ValueError, match="boom") as raised, call(TWILIO) as opened:
            raise error
        assert raised.value is error
        assert opened.end_reason == "error"

    def test_cancelled_is_no_error(self):
        """A cancelled task's call says so."""

        async def main():
            entered = asyncio.Event()
            calls = []

            async def work():
                async with call(TWILIO) as opened:
                    calls.append(opened)
                    entered.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return calls[0]

        assert asyncio.run(main()).end_reason == "cancelled"

    def test_sys_exit_is_no_error(self):
        """Leaving through SystemExit ends the call as an exit."""
        with pytest.raises(SystemExit), call(TWILIO) as opened:
            raise SystemExit(0)
        assert opened.end_reason == "exit"

    def test_async_generator_closed_elsewhere(self):
        """A generator that the loop closes in another context raises nothing."""

        async def lines():
            with call(TWILIO):
                yield 1
                yield 2

        async def main():
            generator = lines()

            async def begin():
                return await generator.__anext__()

            assert await asyncio.create_task(begin()) == 1
            await asyncio.create_task(generator.aclose())
            assert current_call() is None

        asyncio.run(main())
        assert find(TWILIO).ended

    def test_attributes_may_have_any_name(self):
        """Names that are also parameters somewhere inside are just attributes."""
        with call(TWILIO, origin="web", wait=1, attributes=2, name="x") as opened:
            assert opened.attributes == {"origin": "web", "wait": 1, "attributes": 2, "name": "x"}


class TestBind:
    def test_binds_to_the_call_in_force(self):
        """Attributes go to the call in force, and are seen by all who hold it."""
        with call(TWILIO) as opened:
            contextvars.copy_context().run(bind, seat=1)
            assert opened.attributes == {"seat": 1}

    def test_without_a_call_is_counted(self):
        """Outside of calls nothing happens, and it is counted."""
        bind(seat=1)
        assert trouble.counts() == {"bind_without_call": 1}


class TestFlush:
    def test_release_waiting(self, time):
        """A flush delivers what waits, and says how much waited."""
        seen = []
        waits = open_call(origin="a")
        waits.hold(lambda _: seen.append(1), 1)
        assert held_waiting() == 1
        release_waiting()
        assert (seen, held_waiting()) == ([1], 0)


def test_importing_is_light():
    """The room's face imports neither OTel's SDK nor HTTP libraries."""
    code = """
        import sys
        import otel_logging.calls.call, otel_logging.calls.limits, otel_logging.calls.threads, otel_logging.calls.outgoing
        heavy = [name for name in sys.modules if name.startswith(("opentelemetry", "httpx", "http.client", "aiohttp", "asyncio"))]
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
class TestFork:
    CODE = """
        import os, sys, threading, warnings
        from otel_logging.calls import registry, spans, timer, waiting
        from otel_logging.calls.call import call, find, held_waiting, open_call, release_waiting
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

        class Printing(SpanExporter):
            def export(self, spans):
                for span in spans:
                    print(role, "span", flush=True)
                return SpanExportResult.SUCCESS

        role = "parent"
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(Printing()))
        spans.use_tracer(provider)
        waits = open_call(origin="a")
        waits.hold(lambda _: print(role, "held", flush=True), 1)
        named = open_call("CA1", origin="b")
        busy = threading.Event(); done = threading.Event()
        def hold_the_lock():
            from otel_logging.calls import state
            with state.lock, timer._timer._wake:
                busy.set(); done.wait(30)
        holder = threading.Thread(target=hold_the_lock); holder.start(); busy.wait(30)
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            role = "child"
            assert held_waiting() == 0
            assert named.call_sid == "CA1" and find("CA1") is not None
            fired = threading.Event()
            waits.hold(lambda _: (print(role, "own", flush=True), fired.set()), 1)
            waiting.WAIT_SECONDS = 0.01
            assert fired.wait(30), "the timer did not start in the child"
            named.end("stop")
            with call("CA2"):
                pass
            os._exit(0)
        done.set(); holder.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        release_waiting()
        named.end("stop")
    """

    def test_child_has_no_part_of_the_parent(self):
        """A forked child delivers no record and ends no span of its parent, and has a lock and a timer of its own."""
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(self.CODE)], check=True, timeout=120, capture_output=True, text=True
        )
        assert done.stderr == ""
        assert sorted(done.stdout.splitlines()) == sorted(["child own", "child span", "parent held", "parent span"])


def test_registry_forgets_blocks(time):
    """A worker that runs a thousand jobs keeps none of them for longer than the linger."""
    for number in range(1000):
        with call(f"job{number}"):
            pass
    time.advance(70)
    assert registry.snapshot() == []
