"""Minutes of load while the OTLP endpoint comes and goes: memory, descriptors, threads, the books, the event loop.

    python benchmarks/soak.py [--minutes N] [--calls N] [--json]

A real uvicorn serves `soak_app` over real websockets, 50 frames a second each. Every frame is logged, and dropped by
the bundled policies; twice a second a line is kept; one call in ten fails and gets its frames back. The endpoint is
up, overloaded (503), gone (refused) and silent (hanging) by turns. The same application runs a second time without
otel-logging, as its own logging prints to a file; load moves to it for a quarter of the time, so that the lateness of
both loops is taken in the same minutes. Exits with 1 if something grew, or the books do not balance.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import http.server
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

FRAME = 0.02  # seconds
TURNS = ("up", "503", "up", "refused", "up", "hanging")
SLOPE = 4.0  # MiB a minute after the warm-up: what counts as growing
SLACK = 3  # descriptors and threads more than after the warm-up, both without calls

# -- the endpoint ------------------------------------------------------------------------------------------------------


class Endpoint:
    """An OTLP endpoint that counts what it took, each record once, and flaps."""

    def __init__(self) -> None:
        self.mode = "up"
        self.answers: Counter[str] = Counter()
        self.received: Counter[tuple[int, str]] = Counter()
        self.lock = threading.Lock()
        self.turn = threading.Condition(self.lock)
        self.busy = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server: Any = None
        self.set("up")

    def set(self, mode: str) -> None:
        """From now on `mode`. An answer that was begun is ended first, so that both sides count alike."""
        with self.turn:
            self.mode = mode
            self.turn.notify_all()
            self.turn.wait_for(lambda: self.busy == 0, 10.0)
        if mode == "refused" and self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        elif mode != "refused" and self.server is None:
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
            self.server.daemon_threads = True
            threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, path: str, data: bytes) -> int:
        """The status to answer with; 0 for none."""
        with self.turn:
            if self.mode == "hanging":
                self.answers["hanging"] += 1
                self.turn.wait_for(lambda: self.mode != "hanging", 30.0)
                return 0
            if self.mode == "refused":
                return 0
            status = 503 if self.mode == "503" else 200
            self.answers[str(status)] += 1
            if status == 200 and path.endswith("/logs"):
                for record in _records(data):
                    self.received[record] += 1
            self.busy += 1
            return status

    def done(self) -> None:
        """An answer was sent."""
        with self.turn:
            self.busy -= 1
            self.turn.notify_all()


def _records(data: bytes) -> list[tuple[int, str]]:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest.FromString(data)
    return [
        (hash((record.observed_time_unix_nano, record.time_unix_nano)), record.body.string_value)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def _handler(endpoint: Endpoint) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            status = endpoint.take(self.path, data)
            if not status:
                self.close_connection = True
                return
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.wfile.flush()
            finally:
                endpoint.done()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


# -- the load ----------------------------------------------------------------------------------------------------------


class Server:
    """The application under uvicorn, with or without otel-logging."""

    def __init__(self, folder: Path, endpoint: Endpoint | None, more: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [
            sys.executable,
            "-m",
            "uvicorn",
            "soak_app:app",
            "--app-dir",
            str(Path(__file__).parent),
            "--no-access-log",
        ]
        words += ["--port", str(self.port), "--log-level", "warning"]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_", "SOAK_"))}
        name = "without"
        if endpoint is not None:
            name = "with"
            words = [sys.executable, "-m", "otel_logging", "run", "--", *words]
            env |= {
                "SOAK_WITH": "1", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{endpoint.port}",
                "OTEL_LOGGING_STORE": str(folder / "store"), **more,
            }  # fmt: skip
        self.errors = folder / f"{name}.err"
        with (folder / f"{name}.out").open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen(words, env=env, stdout=out, stderr=err)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                self.about()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server {name} otel-logging did not start:\n{self.errors.read_text()}")
            time.sleep(0.1)

    def about(self, query: str = "") -> dict[str, Any]:
        """What the server tells of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/about{query}", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Load:
    """Callers, who ring again and again for as long as they are let."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.frames = self.calls = 0
        self.lines: Counter[int] = Counter()  # that the application logged, by the server's port

    async def run(self, server: Server, calls: int, seconds: float) -> None:
        """So many calls at a time for `seconds`; all have ended when this returns."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._caller(server, until, number) for number in range(calls)))

    async def _caller(self, server: Server, until: float, number: int) -> None:
        import websockets

        await asyncio.sleep(number * FRAME / 10)
        while time.monotonic() < until:
            own = next(self.numbers)
            sid = f"CA{own:032x}"
            end = min(until, time.monotonic() + random.uniform(4, 9))
            async with websockets.connect(f"ws://127.0.0.1:{server.port}/media", compression=None) as ws:
                await ws.send(json.dumps({"event": "connected", "protocol": "Call"}))
                await ws.send(json.dumps({"event": "start", "start": {"callSid": sid, "streamSid": f"MZ{own}"}}))
                frame = json.dumps({"event": "media", "media": {"payload": "A" * 213}})
                due, frames = time.monotonic(), 0
                while (now := time.monotonic()) < end:
                    await ws.send(frame)
                    frames += 1
                    due = max(due + FRAME, now - 1.0)
                    await asyncio.sleep(due - time.monotonic())
                fails = own % 10 == 0
                await ws.send(json.dumps({"event": "stop", "stop": {"fails": fails}}))
                with contextlib.suppress(websockets.ConnectionClosed):
                    while True:
                        await ws.recv()
            self.calls += 1
            self.frames += frames
            self.lines[server.port] += 2 + frames + frames // 25 + fails


def _flap(endpoint: Endpoint, each: float, stop: threading.Event) -> None:
    for mode in itertools.cycle(TURNS):
        endpoint.set(mode)
        if stop.wait(each):
            break
    endpoint.set("up")


def _watch(server: Server, samples: list[dict[str, Any]], stop: threading.Event) -> None:
    while not stop.wait(1.0):
        samples.append({"at": time.monotonic(), **server.about()})


def soak(minutes: float, calls: int) -> dict[str, Any]:
    """Run it all; what was measured, and under `checks` what had to hold."""
    seconds = minutes * 60
    short = seconds < 150
    # A ring's memory is full only after a minute; a short run has smaller ones, to get past that.
    more = {"OTEL_LOGGING_RECORDER": "call=32KiB,process=2MiB"} if short else {}
    endpoint, load, samples, stop = Endpoint(), Load(), [], threading.Event()
    lateness: dict[str, list[float]] = {"with": [], "without": []}
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        ours, theirs = Server(Path(name), endpoint, more), Server(Path(name), None, {})
        try:
            first = ours.about()
            flapping = threading.Thread(target=_flap, args=(endpoint, 3.0 if short else 7.0, stop))
            watching = threading.Thread(target=_watch, args=(ours, samples, stop))
            flapping.start()
            watching.start()
            warm_up = max(8.0, min(75.0, seconds / 3))
            asyncio.run(load.run(ours, calls, warm_up))
            warm, begun = ours.about(), time.monotonic()
            while (left := seconds - warm_up - (time.monotonic() - begun)) > 1:
                for server, share, kind in ((ours, 0.75, "with"), (theirs, 0.25, "without")):
                    server.about("?late=1")  # what it idled through does not count
                    asyncio.run(load.run(server, calls, min(40.0, left) * share))
                    lateness[kind] += server.about("?late=1")["late"]
            stop.set()
            flapping.join()
            watching.join()
            last = ours.about("?flush=1")
            said = [line for line in ours.errors.read_text("utf-8", "replace").splitlines() if line.strip()]
        finally:
            stop.set()
            ours.stop()
            theirs.stop()
            endpoint.set("refused")
    lines = load.lines[ours.port]
    about = {"calls": calls, "seconds": seconds, "calls_made": load.calls, "frames": load.frames, "lines": lines}
    return _result(endpoint, samples, lateness, (first, warm, last), begun, said, about)


def _result(
    endpoint: Endpoint, samples: list[dict[str, Any]], lateness: dict[str, list[float]],
    points: tuple[dict[str, Any], dict[str, Any], dict[str, Any]], begun: float, said: list[str], about: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    first, warm, last = points
    later = [one for one in samples if one["at"] >= begun]
    books = last["books"]
    dropped = books["dropped"]
    accounted = books["exported"] + books["held"] + sum(dropped.values())
    unique, all_of_them = len(endpoint.received), sum(endpoint.received.values())
    slope = _slope([(one["at"] / 60, one["rss"] / 2**20) for one in later])
    middle = later[len(later) // 2] if later else warm
    checks = {
        "memory is flat": slope <= SLOPE or last["rss"] - warm["rss"] <= 4 * 2**20,
        "descriptors are flat": last["descriptors"] <= warm["descriptors"] + SLACK,
        "threads are flat": last["threads"] <= warm["threads"] + SLACK,
        # Beside the application's lines there are the boot's, and a summary of each call.
        "every line is in the books": 0 <= books["created"] - about["lines"] <= about["calls_made"] + 50,
        "the books balance": books["created"] == accounted,
        "what is exported was received": unique == books["exported"],
    }
    return {
        **about,
        "answers": dict(endpoint.answers),
        "rss_mib": {
            when: round(one["rss"] / 2**20, 1)
            for when, one in (("start", first), ("warm", warm), ("middle", middle), ("end", last))
        },
        "rss_slope_mib_per_minute": round(slope, 2),
        "descriptors": {"start": first["descriptors"], "warm": warm["descriptors"], "end": last["descriptors"],
                        "most": max((one["descriptors"] for one in samples), default=0)},
        "threads": {"start": first["threads"], "warm": warm["threads"], "end": last["threads"],
                    "most": max((one["threads"] for one in samples), default=0)},
        "books": books,
        "unaccounted": books["created"] - accounted,
        "received": unique,
        "received_twice": all_of_them - unique,
        "lost_in_outages": dropped.get("export_failed", 0),
        "lateness_ms": {kind: _percentiles(found) for kind, found in lateness.items()},
        "trouble": said[:20],
        "checks": checks,
    }  # fmt: skip


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line nearest to the points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _percentiles(found: list[float]) -> dict[str, float]:
    ordered = sorted(found) or [0.0]
    return {
        "ticks": len(found),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[len(ordered) * 99 // 100],
        "max": ordered[-1],
    }


def main() -> int:
    """Run, print, and say by the exit code whether all checks held."""
    parser = argparse.ArgumentParser(description="A load test of minutes against a flapping OTLP endpoint.")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = soak(args.minutes, args.calls)
    if args.json:
        print(json.dumps(result, ensure_ascii=False, indent=1))
    else:
        for name, value in result.items():
            print(f"{name.replace('_', ' '):>26}  {json.dumps(value, ensure_ascii=False)}")
    return 0 if all(result["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
