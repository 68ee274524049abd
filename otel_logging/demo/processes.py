"""The demo's processes: the worker and the voice service, each started under `otel-logging run --local`.

Starting, waiting until they answer, and stopping them. What they log goes into one file each, as a container's would.
What is said to them and what their lines mean stands elsewhere.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

CALLS, WORKER = "voice-calls", "voice-worker"
_APP_DIR = Path(__file__).resolve().parent
_BOOT_SECONDS = 60.0
_STOP_SECONDS = 20.0
_TAIL_LINES = 15
# What the demo sets or leaves unset itself: a developer's own settings must not change what it counts.
_OWN = ("LOG_", "OTEL_", "WORKER_URL", "PYTHONWARNINGS")


class DidNotStartError(RuntimeError):
    """A process of the demo did not come up or did not go down; the text says which and shows its last lines."""


@dataclass(frozen=True)
class Running:
    """The running pair: the voice service's address, and where each service's console goes."""

    url: str
    consoles: dict[str, Path]

    def tails(self) -> str:
        """The last lines of every console, for an error message."""
        return "".join(f"\n{name}: {_tail(path)}" for name, path in self.consoles.items())


@contextmanager
def services(folder: Path, level: str) -> Iterator[Running]:
    """Run worker and voice service at LOG_LEVEL `level`, their consoles and their store in `folder`.

    Raises:
        DidNotStartError: if one of them does not answer in time, or has to be killed at the end.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    environ |= {"LOG_LEVEL": level, "LOG_JSON": "1", "LOG_CAPTURE_PRINT": "1", "PYTHONUNBUFFERED": "1"}
    environ |= {"PYTHONIOENCODING": "utf-8", "NO_PROXY": "127.0.0.1"}
    worker_port, calls_port = free_ports(2)
    environ["WORKER_URL"] = f"http://127.0.0.1:{worker_port}"
    consoles = {CALLS: folder / f"{CALLS}.console", WORKER: folder / f"{WORKER}.console"}
    with ExitStack() as stack:
        pair = [
            stack.enter_context(_process(WORKER, "server.worker:app", worker_port, folder, environ)),
            stack.enter_context(_process(CALLS, "server.asgi:app", calls_port, folder, environ)),
        ]
        for child in pair:
            child.wait_ready()
        yield Running(f"http://127.0.0.1:{calls_port}", consoles)


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]


@dataclass
class _Child:
    name: str
    port: int
    console: Path
    process: subprocess.Popen[bytes]

    def wait_ready(self) -> None:
        """Ask for its health until it answers."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while True:
            if (code := self.process.poll()) is not None:
                raise DidNotStartError(f"{self.name} ended with exit code {code} while starting; {_tail(self.console)}")
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5.0, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass  # not there yet
            if time.monotonic() > deadline:
                raise DidNotStartError(
                    f"{self.name} did not answer within {_BOOT_SECONDS:.0f} s; {_tail(self.console)}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM, as an orchestrator would; SIGKILL and an error if that is not heeded."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise DidNotStartError(
                f"{self.name} ignored SIGTERM for {_STOP_SECONDS:.0f} s; {_tail(self.console)}"
            ) from None


def _tail(console: Path) -> str:
    lines = console.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    return "its last lines:\n" + "\n".join(f"  {line}" for line in lines) if lines else "it printed nothing."


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block is over: a process that was started but not yet noted would be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


@contextmanager
def _process(name: str, app: str, port: int, folder: Path, environ: dict[str, str]) -> Iterator[_Child]:
    console = folder / f"{name}.console"
    ours = [sys.executable, "-m", "otel_logging", "run", "--local", "--store", str(folder), "--"]
    theirs = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(_APP_DIR), "--host", "127.0.0.1"]
    theirs += ["--port", str(port), "--ws", "websockets-sansio", "--log-level", "info", "--timeout-keep-alive", "75"]
    child: _Child | None = None
    try:
        with console.open("wb") as output, _uninterrupted():
            process = subprocess.Popen(  # noqa: S603 (our own interpreter and our own arguments)
                [*ours, *theirs],
                env={**environ, "OTEL_SERVICE_NAME": name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            child = _Child(name, port, console, process)
        yield child
    except BaseException:
        if child is not None:
            child.process.kill()
            child.process.wait()
        raise
    child.stop()
