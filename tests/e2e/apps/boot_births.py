"""Processes that an application starts, and the ways in which they and it end. Which of it: the first argument."""

import logging
import multiprocessing
import os
import subprocess
import sys
import time

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("births")


def work(name: str, count: int = 5) -> None:
    for number in range(count):
        logger.info(f"{name} {number};")


def spawn():
    run_children("spawn")


def fork():
    run_children("fork")


def forkserver():
    run_children("forkserver")


def run_children(method: str) -> None:
    work("before")
    context = multiprocessing.get_context(method)
    children = [context.Process(target=work, args=(f"child{number}",)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    work("after")


def os_fork():
    work("before")
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            work(f"child{number}")
            os._exit(0)
        os.waitpid(pid, 0)
    work("after")


def os_exit():
    work("before")
    os._exit(7)


def sys_exit():
    work("before")
    sys.exit(3)


def unhandled():
    work("before")
    raise RuntimeError("nobody handles this")


def program():
    work("before")
    subprocess.run([sys.executable, __file__, "sys_exit"], check=False)
    subprocess.run(["sh", "-c", "echo from the shell"], check=True)
    work("after")


def sleeping():
    work("before", 20)
    sys.stdout.flush()
    time.sleep(60)


def busy():
    work("before", 20)
    while True:
        logger.info("again")
        time.sleep(0)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
