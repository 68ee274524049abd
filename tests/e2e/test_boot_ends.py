"""However a process is born and however it ends, its records arrive once each, and its exit status is its own."""

from __future__ import annotations

import signal
import socket
import sys
from collections import Counter

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")


@pytest.fixture(scope="module")
def run(launch, apps):
    """Start the application in one of its ways."""
    return lambda way, **options: launch([sys.executable, "-W", "ignore", apps / "boot_births.py", way], **options)


def check(process, *names: str, count: int = 5) -> None:
    """Each of the named workers' records is there once, in the store and on the console, and nothing else is."""
    expected = Counter(f"{name} {number};" for name in names for number in range(count))
    exported = Counter(body for body in process.bodies() if body.endswith(";"))
    assert exported == expected, process.describe()
    printed = Counter(line.partition("] ")[2].split("] ")[-1] for line in process.printed if line.endswith(";"))
    assert printed == expected, process.describe()


@pytest.mark.parametrize("way", ["spawn", "fork", "forkserver", "os_fork"])
def test_children(run, way):
    """Forked and spawned children boot, keep to files of their own, and lose nothing when they leave."""
    process = run(way)
    assert process.wait() == 0
    check(process, "before", "after", "child0", "child1")
    files = {record["file"] for record in process.records() if record["body"].startswith(("before", "child"))}
    assert len(files) == 3


@pytest.mark.parametrize(("way", "code"), [("os_exit", 7), ("sys_exit", 3), ("unhandled", 1)])
def test_exits(run, way, code):
    """os._exit, sys.exit and an unhandled exception lose nothing and keep their exit codes."""
    process = run(way)
    assert process.wait() == code
    check(process, "before")


def test_programs(run):
    """A Python program started by the application is booted too; others are as ever."""
    process = run("program")
    assert process.wait() == 0
    names = Counter(body for body in process.bodies() if body == "before 0;")
    assert names["before 0;"] == 2
    assert process.out.count("from the shell") == 1


def test_sigterm(run):
    """SIGTERM without anybody's handler loses nothing, and the process is killed by SIGTERM."""
    process = run("sleeping")
    process.until(lambda: "before 19;" in process.out, "last line")
    assert process.stop() == -signal.SIGTERM
    check(process, "before", count=20)


def test_sigterm_while_logging(run):
    """SIGTERM in the midst of logging: what was printed was exported, and the process ends."""
    process = run("busy", env={"OTEL_BLRP_MAX_QUEUE_SIZE": "1000000"})
    process.until(lambda: process.out.count("again") > 100, "hundred lines")
    assert process.stop() == -signal.SIGTERM
    assert process.bodies().count("again") >= process.out.count("again\n") - 1
    assert "otel-logging:" not in process.err


def test_sigterm_with_a_silent_endpoint(run):
    """An endpoint that accepts and never answers keeps nobody alive: SIGTERM still ends the process, by itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = run("sleeping", how="run-as-told", env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
        process.until(lambda: "before 19;" in process.out, "last line")
        assert process.stop() == -signal.SIGTERM
        (line,) = process.err.splitlines()
        assert "records are kept in" in line
