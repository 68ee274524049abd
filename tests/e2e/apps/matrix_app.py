"""Processes that number what they log, and the ways in which they begin and end. Which of it: the first argument.

Every line is `KIND NUMBER pid=PID;`. The table of the matrix says how many of each kind there are.
"""

import os

if os.environ.get("BOOT_AUTO"):
    import otel_logging.auto  # noqa: F401

import asyncio
import atexit
import concurrent.futures
import logging
import multiprocessing
import signal
import subprocess
import sys
import threading
import time

if os.environ.get("MATRIX_BOOKS"):
    import matrix_books  # noqa: F401

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("matrix")


def say(kind: str, count: int = 5, first: int = 0) -> None:
    for number in range(first, first + count):
        logger.info(f"{kind} {number} pid={os.getpid()};")


def say_one(number: int) -> None:
    say("job", 1, number)


# -- ends --------------------------------------------------------------------------------------------------------------


def normal():
    say("line", 20)


def at_exit():
    atexit.register(say, "hook", 5)
    say("line", 20)


def sys_exit():
    say("line", 20)
    sys.exit(3)


def sys_exit_in_asyncio():
    async def main():
        say("line", 20)
        sys.exit(3)

    asyncio.run(main())


def os_exit():
    say("line", 20)
    os._exit(7)


def abort_by_keyboard():
    say("line", 20)
    try:
        time.sleep(60)
    finally:
        say("goodbye", 1)


def sleeping():
    say("line", 20)
    time.sleep(60)


def sleeping_in_asyncio():
    async def main():
        say("line", 20)
        await asyncio.sleep(60)

    asyncio.run(main())


def joining_a_thread():
    thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)
    thread.start()
    say("line", 20)
    thread.join()


def own_handler():
    def stop(*_):
        say("handler", 5)
        sys.exit(4)

    signal.signal(signal.SIGTERM, stop)
    sleeping()


def own_flag():
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    say("line", 20)
    asked.wait(60)
    say("after", 5)


def own_loop_handler():
    async def main():
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        say("line", 20)
        await asked.wait()
        say("after", 5)

    asyncio.run(main())


def set_back_to_default():
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sleeping()


def daemon_thread():
    """A thread that nobody waits for has logged before the process ends."""
    done = threading.Event()

    def work():
        say("thread", 20)
        done.set()
        time.sleep(60)

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    say("line", 5)


def executes_another():
    say("line", 20)
    os.environ["REPLACED"] = "1"
    os.execv(sys.executable, [sys.executable, "-W", "ignore", __file__, "replacement"])


def replacement():
    say("replacement", 20)


def killed():
    """Lines that have had their time to arrive, and lines that have not."""
    go = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: go.set())
    say("line", 20)
    go.wait(60)
    say("late", 20)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


# -- outages -----------------------------------------------------------------------------------------------------------


def when_told():
    """A function that waits for the next SIGUSR1."""
    told = threading.Semaphore(0)
    signal.signal(signal.SIGUSR1, lambda *_: told.release())
    return lambda: told.acquire(timeout=60)


def in_two_parts():
    wait = when_told()
    say("line", 20)
    wait()
    say("after", 5)


def in_three_parts():
    wait = when_told()
    say("line", 20)
    wait()
    say("during", 20)
    wait()
    say("after", 5)


def next_process():
    wait = when_told()
    say("next", 5)
    wait()


def surrogate_in_a_message():
    bad_record(" caf\udce9")


def surrogate_in_an_extra():
    bad_record(given="caf\udce9")


def integer_beyond_64_bits():
    bad_record(given=2**64)


def bad_record(tail="", **extra):
    say("line", 20)
    logger.info(f"bad 0 pid={os.getpid()};{tail}", extra=extra)
    say("after", 5)


# -- exceptions that nobody handles ------------------------------------------------------------------------------------


def unhandled():
    say("line", 20)
    raise RuntimeError("nobody handles this")


def unhandled_with_a_hook():
    def hook(kind, error, traceback):
        say("hook", 1)
        print(f"hook says {error}", file=sys.stderr)

    sys.excepthook = hook
    unhandled()


def unhandled_in_a_call():
    import otel_logging

    with otel_logging.call("CA" + "e1" * 16):
        unhandled()


def unhandled_in_a_thread():
    say("line", 20)
    thread = threading.Thread(target=lambda: 1 / 0, name="divider")
    thread.start()
    thread.join()
    say("after", 5)


def unhandled_in_a_task():
    async def fail():
        raise RuntimeError("nobody handles this")

    async def main():
        say("line", 20)
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        say("after", 5)

    asyncio.run(main())


def unhandled_in_a_thread_with_a_hook():
    def hook(args):
        say("hook", 1)
        print(f"hook says {args.exc_value}", file=sys.stderr)

    threading.excepthook = hook
    unhandled_in_a_thread()


def unhandled_with_a_logging_hook():
    def hook(kind, error, traceback):
        logger.critical("Uncaught exception", exc_info=(kind, error, traceback))

    sys.excepthook = hook
    unhandled()


def unhandled_in_a_task_of_a_call():
    import otel_logging

    async def fail():
        raise RuntimeError("nobody handles this")

    async def main():
        say("line", 20)
        with otel_logging.call("CA" + "e1" * 16):
            task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        say("after", 5)

    asyncio.run(main())


# -- births ------------------------------------------------------------------------------------------------------------


def fork_and_exit_hard():
    forked(lambda: os._exit(0))


def fork_and_exit():
    forked(lambda: sys.exit(0))


def fork_and_raise():
    forked(lambda: 1 / 0)


def forked(end):
    """The parent has used its connection, has records waiting, and goes on using it beside its children."""
    say("before", 5)
    flush()
    say("waiting", 5)
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            say("child", 5, 5 * number)
            end()
        children.append(pid)
        say("beside", 1, number)
    for pid in children:
        os.waitpid(pid, 0)
    say("after", 5)


def flush():
    """Use the connection before there are children, whoever exports."""
    if "otel_logging.boot.configure" in sys.modules and os.environ.get("OTEL_LOGGING") != "off":
        import otel_logging

        otel_logging.force_flush()
    else:
        from opentelemetry import _logs

        _logs.get_logger_provider().force_flush()


def forked_child_is_told_to_stop():
    """The child dies of SIGTERM."""
    say("before", 5)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        say("child", 5)
        os.write(write, b"x")
        time.sleep(60)
    os.read(read, 1)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    say("after", 5)


def mp_fork():
    children("fork")


def mp_spawn():
    children("spawn")


def mp_forkserver():
    children("forkserver")


def children(method):
    say("before", 5)
    context = multiprocessing.get_context(method)
    started = [context.Process(target=say, args=("child", 5, 5 * number)) for number in range(2)]
    for child in started:
        child.start()
    for child in started:
        child.join()
    say("after", 5)


def mp_terminate():
    """Children that are terminated while they wait."""
    context = multiprocessing.get_context("fork")
    ready = context.Semaphore(0)

    def work(number):
        say("child", 5, 5 * number)
        ready.release()
        time.sleep(60)

    started = [context.Process(target=work, args=(number,)) for number in range(2)]
    for child in started:
        child.start()
    for child in started:
        ready.acquire()
    for child in started:
        child.terminate()
        child.join()
    say("after", 5)


def mp_pool():
    """A pool's `with` block ends by terminating its workers."""
    say("before", 5)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(say_one, range(20), chunksize=1)
    say("after", 5)


def executor_fork():
    executor("fork")


def executor_spawn():
    executor("spawn")


def executor(method):
    say("before", 5)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        list(pool.map(say_one, range(20)))
    say("after", 5)


def program():
    """A program that starts another one, and waits for it."""
    say("before", 5)
    subprocess.run([sys.executable, "-W", "ignore", __file__, "normal"], check=True)
    say("after", 5)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
