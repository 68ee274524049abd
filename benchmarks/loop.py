"""How late the frames of 200 calls are while their process logs: with otel-logging, the official way, and with neither.

A process serves 200 calls on one asyncio loop. Twenty tasks wake every 20 ms, a millisecond apart, each for ten calls,
as a loop finds several sockets ready at once. A call logs its frame (10,000 a second, none of which is to be kept), and
in two of five frames a line with four extras (4,000 a second, all of which are), in a context of its own, as its task
has. They go to a real OTLP/HTTP endpoint in another process. What is measured is how late the tasks wake.

    ours       INFO frames, dropped by the bundled policies and remembered for their call; all defaults but the console
    official   the official handler, batch processor and exporter; the frames at DEBUG, below the level: its best case
    filtered   the same, with the frames at INFO, where a filter on the handler drops them
    none       the frames below the level, the lines kept by nobody (a NullHandler)

Each variant runs in a process of its own, one after the other, several rounds. p99 and maximum are of each second, and
figures are medians over the seconds of all rounds: what else the machine does for a second or two does not decide.
Seconds in which the loop's thread waited for a core for more than 50 ms, as Linux tells, are left out: they tell of
other programs. Where few are left the machine is too busy, and there is no figure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import gc
import itertools
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import beyond, median, percentile
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 200
FRAME = 0.02  # seconds
KEPT = 2  # lines of each FIVE frames: 20 a second and call
FIVE = 5
TASKS = 20
BUSY = 50.0  # ms of a second without a core after which it does not count
TOO_BUSY = "the machine is too busy"
VARIANTS = ("none", "ours", "official", "filtered")
# What a voice service says of a turn. Each is a place in the code of its own, as in one, and none is at frame rate.
LINES = (
    "turn of the caller has begun", "end of speech was detected", "transcript is complete", "answer was asked for",
    "first token of the answer", "first audio of the answer", "answer is complete", "caller was heard again",
    "tool was asked for", "tool has answered", "appointment was looked up", "customer was looked up",
    "sentence was handed to speech", "language was detected", "sentiment was told", "intent was told",
    "next question was chosen", "memory of the call was read", "memory of the call was written", "turn has ended",
)  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each variant (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="that each is watched (default: %(default)s)")
    parser.add_argument("--side", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        json.dump(SIDES[options.side](options.endpoint, options.seconds), sys.stdout)
        return
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in VARIANTS}
    with Sink() as sink:
        for turn in range(options.rounds):
            # Each goes first once in a while: what the machine does at the beginning of a round meets all alike.
            for place in range(len(VARIANTS)):
                side = VARIANTS[(turn + place) % len(VARIANTS)]
                found[side].append(_run(side, sink, options.seconds))
    print(json.dumps(_figures(found)))


def _run(side: str, sink: Sink, seconds: float) -> dict[str, Any]:
    sink.counts()
    command = [sys.executable, "-m", "benchmarks.loop", "--side", side, "--endpoint", sink.endpoint]
    done = subprocess.run([*command, "--seconds", str(seconds)], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the loop of {side} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    summaries = CALLS + 1 if side == "ours" else 0  # a record for each call when it ends, and the boot line
    result["delivered"] = 100.0 * (sink.counts()["records"] - summaries) / result["kept"]
    return result


def calm(rounds: list[dict[str, Any]], name: str) -> list[float]:
    """What was found in the seconds in which the loop's thread had a core when it wanted one."""
    return [
        value
        for result in rounds
        for value, waited in zip(result[name], result["waited"], strict=True)
        if waited <= BUSY
    ]


def _figures(found: dict[str, list[dict[str, Any]]]) -> dict[str, float | str]:
    figures: dict[str, float | str] = {}
    for side, rounds in found.items():
        seconds = sum(len(result["waited"]) for result in rounds)
        for name in ("p99", "max"):
            seen = calm(rounds, name)
            figures[f"loop.{name}.{side}"] = median(seen) if len(seen) * 3 >= seconds else TOO_BUSY
        figures[f"loop.cpu.{side}"] = median(result["cpu"] for result in rounds)
        if side != "none":
            figures[f"loop.delivered.{side}"] = min(result["delivered"] for result in rounds)
    for name in ("p99", "max"):
        for side in ("official", "filtered"):
            ours, theirs, none = (figures[f"loop.{name}.{one}"] for one in ("ours", side, "none"))
            figures[f"loop.{name}.beside_{side}"] = _beside(ours, theirs, none)
    return figures


def _beside(ours: float | str, theirs: float | str, none: float | str) -> float | str:
    if isinstance(ours, str) or isinstance(theirs, str) or isinstance(none, str):
        return TOO_BUSY
    more = beyond(ours, theirs, none)
    return "theirs added nothing in this run" if more is None else more


# -- the process that is watched ---------------------------------------------------------------------------------------


def _places(logger: logging.Logger) -> list[Callable[[int, float], None]]:
    """A function for each line, each with code of its own: a call does not say twenty things at one place."""
    extra = "dict(turn=turn, latency_ms=took, voice='alloy', barge_in=False)"
    source = "def say(turn, took):\n    info({!r}, turn, extra=" + extra + ")"
    places = []
    for number, line in enumerate(LINES):
        names: dict[str, Any] = {"info": logger.info}
        exec(compile(source.format(line + ": turn %d"), f"turns_{number}.py", "exec"), names)
        places.append(names["say"])
    return places


class _Call:
    """One call: what it has said, and the context that its task has, in all variants alike."""

    def __init__(self, number: int, frame: Callable[[str], None], places: list[Callable[[int, float], None]]) -> None:
        self.number, self.turn, self.kept = number, number, number  # so that not all say the same at the same time
        self.frame, self.places = frame, places
        self.context = contextvars.copy_context()

    def step(self) -> int:
        """What 20 ms bring: a frame, and sometimes a line to keep. How many of those."""
        turn = self.turn
        self.turn += 1
        self.frame(f"[AUDIO_DELTA] response_id=resp_{self.number:04}, seq={turn}, bytes=216")
        if turn % FIVE >= KEPT:
            return 0
        self.kept += 1
        self.places[self.kept % len(self.places)](turn, turn * 1.5)
        return 1


def _delay() -> float:
    """How many ms this thread has waited for a core in all its life; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]) / 1e6
    except OSError:
        return 0.0


async def _serve(frame: Callable[[str], None], seconds: float, enter: Callable[[str], Any] | None) -> dict[str, Any]:
    """All calls until the time is up; how late they woke, in ms, after a second that is not watched."""
    places = _places(logging.getLogger("server.media_ws_ai"))
    calls = [_Call(number, frame, places) for number in range(CALLS)]
    entered = []
    if enter is not None:
        for call in calls:
            manager = enter(f"CA{call.number:032x}")
            call.context.run(manager.__enter__)
            entered.append((call.context, manager))
    gc.collect()
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.2
    watched = begin + 1.0
    end = watched + seconds
    late: list[list[float]] = [[] for _ in range(math.ceil(seconds))]  # of each second
    kept = 0

    async def sockets(number: int) -> None:
        nonlocal kept
        mine = calls[number::TASKS]
        due = begin + number * FRAME / TASKS
        while due < end:
            await asyncio.sleep(due - loop.time())
            if due > watched:
                late[int(due - watched)].append((loop.time() - due) * 1e3)
            for call in mine:
                kept += call.context.run(call.step)
            due += FRAME

    tasks = [asyncio.create_task(sockets(number)) for number in range(TASKS)]
    await asyncio.sleep(watched - loop.time())
    used = time.process_time()
    delays = [_delay()]
    for second in range(1, len(late) + 1):
        await asyncio.sleep(min(watched + second, end) - loop.time())
        delays.append(_delay())
    used = time.process_time() - used
    await asyncio.gather(*tasks)
    for context, manager in entered:
        context.run(manager.__exit__, None, None, None)
    return {
        "p99": [percentile(second, 0.99) for second in late], "max": [max(second) for second in late],
        "waited": [after - before for before, after in itertools.pairwise(delays)],
        "cpu": used / seconds * 100, "kept": kept,
    }  # fmt: skip


def _none(_: str, seconds: float) -> dict[str, Any]:
    root = logging.getLogger()
    root.addHandler(logging.NullHandler())
    root.setLevel(logging.INFO)
    return asyncio.run(_serve(logging.getLogger("server.media").debug, seconds, None))


def _ours(endpoint: str, seconds: float) -> dict[str, Any]:
    import otel_logging

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        settings = {"logs_exporter": "otlp", "store": store, "log_console": "off", "log_level": "INFO"}
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        otel_logging.configure(**settings)
        found = asyncio.run(_serve(logging.getLogger("server.media").info, seconds, otel_logging.call))
        otel_logging.force_flush(20.0)
        otel_logging.shutdown(5.0)
    return found


def _official(endpoint: str, seconds: float, *, filtered: bool = False) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint + "/v1/logs")))
    handler = LoggingHandler(logger_provider=provider)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    media = logging.getLogger("server.media")
    if filtered:
        handler.addFilter(lambda record: not str(record.msg).startswith("[AUDIO_DELTA]"))
    found = asyncio.run(_serve(media.info if filtered else media.debug, seconds, None))
    provider.force_flush()
    provider.shutdown()
    return found


SIDES: dict[str, Callable[[str, float], dict[str, Any]]] = {
    "none": _none,
    "ours": _ours,
    "official": _official,
    "filtered": lambda endpoint, seconds: _official(endpoint, seconds, filtered=True),
}

if __name__ == "__main__":
    main()
