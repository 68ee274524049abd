"""Other logging libraries side by side: the same six shapes, dropped two ways, as JSON lines, and by OTLP.

    below      DEBUG lines of a logger at INFO
    filtered   INFO lines that begin as frames do, and are dropped by policies, a filter or a processor
    json       kept, one JSON line each to the null device, written through at once
    in_call    the same with the id of the call on each line; a new call for each five lines
    otlp       kept, to an OTLP/HTTP endpoint in another process, sending included

Each library is in a process of its own, and they take turns. Figures are microseconds of a record's CPU time, rendering
included: of the thread that logs for what is dropped, of the whole process for what is kept. Before it is measured,
each shows that its lines are there when the call returns (`json`), and that what it sends arrives (`otlp`).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import json
import os
import tempfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks import turns
from benchmarks.compare_sides import LIBRARIES, SHAPES, in_call
from benchmarks.figures import median, paired
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

# fmt: off
WAYS = {
    "below": ("ours", "stdlib", "structlog", "loguru", "picologging"),
    "filtered": ("ours", "ours_remembered", "stdlib", "official", "structlog", "loguru", "picologging", "logfire"),
    "json": (
        "ours", "stdlib", "structlog", "structlog_fastest", "structlog_stdlib", "loguru", "picologging",
        "python_json_logger", "python_json_logger_msgspec", "ddtrace",
    ),
    "in_call": ("ours", "structlog", "structlog_fastest", "structlog_stdlib", "python_json_logger"),
    "otlp": ("ours", "official", "logfire", "ddtrace"),
}
# fmt: on
DROPPED = ("constant", "f_string", "template", "extras")
PRINTED = ("json", "in_call")
OF_A_CALL = 5  # lines; the next ones of the same line of code would be taken for frames
TEXT_ONLY = ("stdlib", "picologging")  # they have no JSON of their own: what they print is a line of text
MODULES = {
    "structlog": "structlog", "structlog_fastest": "structlog", "structlog_stdlib": "structlog",
    "loguru": "loguru", "picologging": "picologging",
    "logfire": "logfire", "python_json_logger": "pythonjsonlogger", "python_json_logger_msgspec": "pythonjsonlogger",
    "ddtrace": "ddtrace",
}  # fmt: skip
COUNTS = {"below": 2_000, "filtered": 1_000, "json": 400, "in_call": 400, "otlp": 400}


def shapes_of(way: str) -> tuple[str, ...]:
    """Nobody drops exceptions below a level, so those are measured where records are kept."""
    return SHAPES if way in {*PRINTED, "otlp"} else DROPPED


def installed(library: str) -> bool:
    """Whether it can be measured here."""
    return library not in MODULES or importlib.util.find_spec(MODULES[library]) is not None


# -- one library in its process ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _side(way: str, library: str) -> Iterator[Any]:
    clock = time.thread_time_ns if way in {"below", "filtered"} else time.process_time_ns
    flush = _flush(library) if way == "otlp" else _nothing
    with LIBRARIES[library](way) as says:

        def measured(request: Any) -> Any:
            if request == "check":
                return _written_through(says, library)
            shape, count = request
            if way == "in_call":
                return sum(_of_a_call(says[shape], library, clock) for _ in range(0, count, OF_A_CALL)) / count / 1e3
            began = clock()
            says[shape](count)
            flush()
            return (clock() - began) / count / 1e3

        yield measured


def _of_a_call(say: Any, library: str, clock: Any) -> int:
    """What the lines of one call took. What the call itself takes, beginning and end, is not in there."""
    with in_call(library, f"CA{next(_calls):032x}"):
        began: int = clock()
        say(OF_A_CALL)
        return clock() - began


_calls = itertools.count(1)


def _written_through(says: Any, library: str) -> str:
    """Whether each line is in the file when the call returns, and what it is; a text says what is wrong."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            for shape in SHAPES:
                before = os.fstat(1).st_size
                says[shape](1)
                size = os.fstat(1).st_size - before
                if size == 0:
                    return f"its lines are not there when the call returns ({shape})"
                line = os.pread(1, size, before).decode()
                if library not in TEXT_ONLY and "call has begun" not in json.dumps(json.loads(line)):
                    return f"its line is not the message ({shape})"
        except ValueError:
            return f"its line is no JSON ({shape})"
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    return ""


def _flush(library: str) -> Any:
    if library == "ours":
        import otel_logging

        return lambda: otel_logging.force_flush(30.0)
    if library == "logfire":
        import logfire

        return logfire.force_flush

    def provider() -> None:
        from opentelemetry._logs import get_logger_provider

        get_logger_provider().force_flush()  # type: ignore[attr-defined]

    return provider


def _nothing() -> None:
    """Lines that are written through need no flushing."""


# -- the turns ---------------------------------------------------------------------------------------------------------


def _way(way: str, turns_wanted: int, found: dict[str, float | str]) -> dict[tuple[str, str], list[float]]:
    """Microseconds of a record, a figure a turn, by library and shape; what cannot be measured goes to `found`."""
    there = [library for library in WAYS[way] if installed(library)]
    why = dict.fromkeys(set(WAYS[way]) - set(there), "not installed")
    costs: dict[tuple[str, str], list[float]] = {}
    commands = {library: ("benchmarks.compare", "--side", library, "--way", way) for library in there}
    with Sink() as sink:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_BLRP_SCHEDULE_DELAY": "600000",
                   "OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BLRP_MAX_QUEUE_SIZE": "4096"}  # fmt: skip
        with turns.Sides(commands, environ) as sides:
            for library in there:
                if way in PRINTED and (wrong := sides.ask(library, "check")):
                    why[library] = wrong
                if way == "otlp":
                    sides.ask(library, ("constant", COUNTS[way]))
                    seen = sink.counts()
                    if seen["records"] + seen["spans"] < COUNTS[way]:
                        why[library] = f"{seen['records'] + seen['spans']} of {COUNTS[way]} records arrived"
            for turn in range(turns_wanted + 1):  # the first fills caches
                for shape in shapes_of(way):
                    for library in there:
                        cost = sides.ask(library, (shape, COUNTS[way]))
                        if turn and library not in why:
                            costs.setdefault((library, shape), []).append(cost)
    found |= {f"compare.{way}.{shape}.{library}": why[library] for library in why for shape in shapes_of(way)}
    return costs


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--turns", type=int, default=25, help="medians are over so many (default: %(default)s)")
    parser.add_argument("--way", choices=WAYS, action="append", help="one of them only")
    parser.add_argument("--side", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        turns.serve(lambda: _side(options.way[0], options.side))
        return
    found: dict[str, float | str] = {}
    for way in options.way or WAYS:
        costs = _way(way, options.turns, found)
        for (library, shape), turn in sorted(
            costs.items(), key=lambda item: (SHAPES.index(item[0][1]), WAYS[way].index(item[0][0]))
        ):
            found[f"compare.{way}.{shape}.{library}"] = median(turn)
        found |= _ratios(way, costs)
    print(json.dumps(found))


def _ratios(way: str, costs: dict[tuple[str, str], list[float]]) -> dict[str, float | str]:
    """Ours as a part of theirs, for the rows that have budgets or are talked of."""
    # fmt: off
    beside = {
        "json": (
            "python_json_logger",
            "python_json_logger_msgspec",
            "structlog_stdlib",
            "structlog",
            "structlog_fastest",
        ),
        "in_call": ("python_json_logger", "structlog_stdlib", "structlog", "structlog_fastest"),
        "otlp": ("official",),
        "below": ("stdlib",),
        "filtered": ("stdlib",),
    }
    # fmt: on
    name = {"json": "console.json", "in_call": "console.in_call"}.get(way, f"compare.{way}")
    rows: dict[str, float | str] = {}
    for other in beside[way]:
        for shape in shapes_of(way):
            row = f"{name}.beside_{other}.{shape}"
            if ("ours", shape) in costs and (other, shape) in costs:
                rows[row] = paired(costs["ours", shape], costs[other, shape])
            else:
                rows[row] = "not installed" if not installed(other) else "one of the two was not measured"
    return rows


if __name__ == "__main__":
    main()
