from __future__ import annotations

import asyncio
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from otel_logging.calls import threads
from otel_logging.calls.call import call, current_call

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


@pytest.fixture(autouse=True)
def carried():
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    threads.install()
    yield
    threads.uninstall()
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit


def sid():
    known = current_call()
    return known.call_sid if known is not None else None


def in_thread(make):
    """Start what `make(target)` gives and return what the target saw."""
    seen = []
    thread = make(lambda: seen.append(sid()))
    thread.start()
    thread.join(10)
    return seen


class TestThread:
    def test_has_the_call(self):
        """A thread started within a call works for it."""
        with call(TWILIO):
            assert in_thread(lambda target: threading.Thread(target=target)) == [TWILIO]
        assert in_thread(lambda target: threading.Thread(target=target)) == [None]

    def test_timer_has_the_call(self):
        """So does a Timer, whenever it fires."""
        with call(TWILIO):
            assert in_thread(lambda target: threading.Timer(0, target)) == [TWILIO]

    def test_made_in_one_call_started_in_another(self):
        """What counts is where the thread is started."""
        with call(OTHER):
            made = []
            thread = threading.Thread(target=lambda: made.append(sid()))
        with call(TWILIO):
            thread.start()
        thread.join(10)
        assert made == [TWILIO]

    def test_subclass_with_its_own_run(self):
        """An overridden `run` works, with the call and with its own attributes; nothing is left on the instance."""

        class Worker(threading.Thread):
            def __init__(self):
                super().__init__(daemon=True, name="worker")
                self.seen = None

            def run(self):
                self.seen = (sid(), threading.current_thread() is self, "run" in vars(self), self.daemon, self.name)

        with call(TWILIO):
            worker = Worker()
            worker.start()
            worker.join(10)
        assert worker.seen == (TWILIO, True, False, True, "worker")
        assert "run" not in vars(worker)

    def test_subclass_with_its_own_start(self):
        """An overridden `start` that calls ours works."""

        class Worker(threading.Thread):
            def start(self):
                self.started_by = sid()
                super().start()

        with call(TWILIO):
            assert in_thread(lambda target: Worker(target=target)) == [TWILIO]

    def test_run_set_on_the_instance(self):
        """A `run` that another library put on the instance is run, and stays there."""
        seen = []
        thread = threading.Thread()

        def own(*_):
            return seen.append(sid())

        thread.run = own
        with call(TWILIO):
            thread.start()
            thread.join(10)
        assert seen == [TWILIO]
        assert thread.run is own

    @pytest.mark.parametrize("theirs_first", [True, False])
    def test_beside_another_library_that_wraps_run(self, theirs_first):
        """A library that wraps `run` on the instance and passes the thread, as sentry_sdk does, works before and after us."""
        seen = []
        if not theirs_first:
            threads.uninstall()
        below = threading.Thread.start

        def start(thread):
            inner = getattr(thread.run, "__func__", thread.run)
            thread.run = lambda: inner(threading.current_thread())
            below(thread)

        threading.Thread.start = start
        try:
            threads.install()
            with call(TWILIO):
                thread = threading.Thread(target=lambda: seen.append(sid()))
                thread.start()
                thread.join(10)
            if not theirs_first:
                threads.uninstall()
        finally:
            threading.Thread.start = below
        assert seen == [TWILIO]

    def test_two_calls_at_once_never_mix(self):
        """Threads of twenty calls, all at once, each see their own."""
        barrier, seen = threading.Barrier(20), {}

        def work(expected):
            barrier.wait(10)
            seen[expected] = sid()

        running = []
        for number in range(20):
            with call(f"call{number}"):
                thread = threading.Thread(target=work, args=(f"call{number}",))
                thread.start()
                running.append(thread)
        for thread in running:
            thread.join(10)
        assert seen == {f"call{number}": f"call{number}" for number in range(20)}

    def test_exception_reaches_the_excepthook(self, monkeypatch):
        """An exception in the thread is reported as always, with the application's frames."""
        got = []
        monkeypatch.setattr(threading, "excepthook", got.append)

        def fail():
            raise ValueError("boom")

        with call(TWILIO):
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join(10)
        assert got[0].exc_type is ValueError
        assert traceback.extract_tb(got[0].exc_traceback)[-1].name == "fail"

    def test_started_twice_fails_as_always(self):
        """The error for starting a thread twice is the standard one, and nothing is left on the thread."""
        with call(TWILIO):
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join(10)
            with pytest.raises(RuntimeError, match="once"):
                thread.start()
        assert "run" not in vars(thread)

    def test_thread_that_cannot_start_is_left_clean(self, monkeypatch):
        """If no thread can be started, the next try carries the call of that moment."""
        thread = threading.Thread(target=lambda: None)

        def refuse(*_, **__):
            raise RuntimeError("can't start new thread")

        threads.uninstall()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        threads.install()
        with call(TWILIO), pytest.raises(RuntimeError, match="can't start"):
            thread.start()
        assert "run" not in vars(thread)
        threads.uninstall()
        monkeypatch.undo()

    def test_threads_that_serve_the_process_have_no_call(self):
        """A library's own worker, started by the first call that came, does not belong to that call."""

        def worker():
            seen.append(sid())

        worker.__module__ = "opentelemetry.sdk._shared_internal"
        seen = []
        with call(TWILIO):
            thread = threading.Thread(target=worker)
            thread.start()
            thread.join(10)
        assert seen == [None]


class TestPool:
    def test_work_item_has_the_call_and_the_thread_forgets_it(self):
        """A pool's thread works for the call of each item, and for none in between, however it was started."""
        with ThreadPoolExecutor(1) as pool:
            with call(TWILIO):
                first = pool.submit(sid)
            assert first.result(10) == TWILIO
            assert pool.submit(sid).result(10) is None
            with call(OTHER):
                assert pool.submit(sid).result(10) == OTHER
            assert pool.submit(sid).result(10) is None

    def test_map_arguments_and_results(self):
        """`map`, arguments, keywords and results work as before."""
        with ThreadPoolExecutor(2) as pool, call(TWILIO):
            assert list(pool.map(lambda number: (number, sid()), range(4))) == [(n, TWILIO) for n in range(4)]
            assert pool.submit(lambda *a, **k: (a, k), 1, call=2, function=3, original=4).result(10) == (
                (1,),
                {"call": 2, "function": 3, "original": 4},
            )

    def test_exception_comes_back(self):
        """An exception in the item is the future's, and the thread forgets the call."""
        with ThreadPoolExecutor(1) as pool:
            with call(TWILIO):
                failed = pool.submit(int, "x")
            with pytest.raises(ValueError, match="invalid literal"):
                failed.result(10)
            assert pool.submit(sid).result(10) is None

    def test_subclass(self):
        """A subclass with its own `submit` works."""

        class Pool(ThreadPoolExecutor):
            def submit(self, fn, /, *args, **kwargs):
                return super().submit(fn, *args, **kwargs)

        with Pool(1) as pool, call(TWILIO):
            assert pool.submit(sid).result(10) == TWILIO

    def test_what_a_pool_starts_belongs_to_no_call(self):
        """While an item is submitted, a pool may start threads of its own: they do not begin with the item's call."""
        seen = []

        class Pool(ThreadPoolExecutor):
            def _adjust_thread_count(self):
                seen.append(sid())
                super()._adjust_thread_count()

        with Pool(1) as pool, call(TWILIO):
            assert pool.submit(sid).result(10) == TWILIO
            assert sid() == TWILIO
        assert seen == [None]

    def test_wrong_use_fails_as_always(self):
        """`submit()` without a function is the standard TypeError."""
        with ThreadPoolExecutor(1) as pool, call(TWILIO), pytest.raises(TypeError):
            pool.submit()

    def test_two_calls_at_once_never_mix(self):
        """Items of fifty calls on four threads each see their own."""
        futures = {}
        with ThreadPoolExecutor(4) as pool:
            for number in range(50):
                with call(f"call{number}"):
                    futures[f"call{number}"] = pool.submit(sid)
            assert {name: future.result(10) for name, future in futures.items()} == {name: name for name in futures}


class TestAsyncio:
    def test_everywhere_at_once(self):
        """Tasks, to_thread, run_in_executor (default and own pool) and thread-safe callbacks of two calls, mixed."""

        async def one(expected, pool):
            loop = asyncio.get_running_loop()
            with call(expected):
                called = loop.create_future()
                from_thread = asyncio.to_thread(
                    loop.call_soon_threadsafe, lambda: called.set_result(sid()) if not called.done() else None
                )
                results = await asyncio.gather(
                    asyncio.create_task(self.task()),
                    asyncio.to_thread(sid),
                    loop.run_in_executor(None, sid),
                    loop.run_in_executor(pool, sid),
                )
                await from_thread
                return {*results, await called}

        async def main():
            with ThreadPoolExecutor(2) as pool:
                return await asyncio.gather(*(one(f"call{number}", pool) for number in range(20)))

        assert asyncio.run(main()) == [{f"call{number}"} for number in range(20)]

    @staticmethod
    async def task():
        await asyncio.sleep(0)
        return sid()


class TestInstall:
    def test_twice_is_once(self):
        """Installing again changes nothing."""
        before = threading.Thread.start
        threads.install()
        assert threading.Thread.start is before

    def test_somebody_patched_on_top(self, monkeypatch):
        """Where somebody wrapped our wrapper, uninstalling makes ours inert and leaves theirs."""
        ours = threading.Thread.start

        def theirs(self):
            return ours(self)

        threading.Thread.start = theirs
        threads.uninstall()
        try:
            assert threading.Thread.start is theirs
            with call(TWILIO):
                assert in_thread(lambda target: threading.Thread(target=target)) == [None]
        finally:
            threading.Thread.start = ours.__wrapped__
