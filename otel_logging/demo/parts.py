"""`otel-logging demo voice|worker|caller`: one part of the demonstration, as a process of its own.

For containers: the parts run until they are stopped, and are told everything by arguments and the environment, as any
service is. The whole demonstration in one command is `main`; it uses nothing of this.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging.demo.main import how_fast, how_many

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS_PORT: Final = 5050
WORKER_PORT: Final = 5051
QUEUES: Final = ("default", "summaries")
_APP_DIR: Final = str(Path(__file__).resolve().parent)
_PATIENCE: Final = 120.0  # seconds that the caller waits for the voice service to come up
_LOOK_AGAIN: Final = 0.2


def main(argv: Sequence[str]) -> int:
    """Run the part that the first argument names. `voice` and `worker` replace this process; see `boot.run`."""
    part, *rest = argv
    try:
        options = parser(part).parse_args(rest)
    except SystemExit as stop:
        return int(stop.code or 0)
    if part == "caller":
        return _call(options)
    return _become(part, voice(options) if part == "voice" else worker(options))


def parser(part: str) -> argparse.ArgumentParser:
    """The command line of one part."""
    told = {
        "voice": "The voice service, under otel-logging. REDIS_URL or WORKER_URL says where its worker is.",
        "worker": "The worker, under otel-logging: of the queues in REDIS_URL if that is set, else by HTTP.",
        "caller": "Callers who ring the voice service, over real websockets with real audio frames.",
    }
    made = argparse.ArgumentParser(prog=f"otel-logging demo {part}", description=told[part], allow_abbrev=False)
    if part == "caller":
        made.add_argument(
            "--url", default=f"http://127.0.0.1:{CALLS_PORT}", help="the voice service (default: %(default)s)"
        )
        made.add_argument("--calls", type=how_many, default=5, metavar="N", help="calls at once (default: 5)")
        made.add_argument("--speed", type=how_fast, default=1.0, metavar="X", help="1 is real time (default: 1)")
        made.add_argument("--rounds", type=int, default=1, metavar="N", help="how often; 0: until stopped (default: 1)")
        made.add_argument("--pause", type=float, default=30.0, metavar="S", help="seconds between rounds (default: 30)")
    else:
        port = CALLS_PORT if part == "voice" else WORKER_PORT
        made.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
        made.add_argument("--port", type=int, default=port, help="(default: %(default)s)")
    return made


def voice(options: argparse.Namespace) -> list[str]:
    """The voice service's command, as its author would start it."""
    return _uvicorn("server.asgi:app", options, "--ws", "websockets-sansio", "--timeout-keep-alive", "75")


def worker(options: argparse.Namespace) -> list[str]:
    """The worker's command: RQ's own worker where there is a Redis."""
    if url := os.environ.get("REDIS_URL", ""):
        return [sys.executable, "-m", "rq.cli", "worker", "--url", url, "--path", _APP_DIR, *QUEUES]
    return _uvicorn("server.worker:app", options)


def _uvicorn(app: str, options: argparse.Namespace, *more: str) -> list[str]:
    ours = [sys.executable, "-m", "uvicorn", app, "--app-dir", _APP_DIR, "--log-level", "info"]
    return [*ours, "--host", options.host, "--port", str(options.port), *more]


def _become(part: str, command: list[str]) -> int:
    from otel_logging.boot import run

    os.environ.setdefault("OTEL_SERVICE_NAME", {"voice": "voice-calls", "worker": "voice-worker"}[part])
    return run.main(["--", *command])


def _call(options: argparse.Namespace) -> int:
    """Play rounds of calls; 1 if the voice service is not there, or one of its calls could not be played."""
    from otel_logging.demo import caller

    played = 0
    try:
        _wait_for(options.url)
        while True:
            calls = caller.choose(options.calls)
            for one in asyncio.run(caller.play_all(options.url, calls, options.speed, _ignore)):
                print(f"{one.call_sid}  {one.outcome:<9}  {one.caller.name}", flush=True)
            played += 1
            if options.rounds and played >= options.rounds:
                return 0
            time.sleep(options.pause)
    except caller.CallFailedError as error:
        print(f"otel-logging demo caller: {error}", file=sys.stderr)
        return 1


def _wait_for(url: str) -> None:
    import httpx

    from otel_logging.demo.caller import CallFailedError

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=5.0, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass  # not there yet
        if time.monotonic() > deadline:
            raise CallFailedError(f"{url}/health did not answer within {_PATIENCE:.0f} s")
        time.sleep(_LOOK_AGAIN)


def _ignore(_frames: int) -> None:
    """Nobody watches the progress."""
