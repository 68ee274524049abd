"""How many machine instructions a record costs: what `valgrind --tool=callgrind` counts, the same on a busy machine.

Each path runs N and 2N times between two marks in one process under callgrind; the difference, through N, is what one
record costs, loop included, start-up and first times not. `benchmarks/instructions.json` is the record: what the paths
cost when it was written, and with which Python; `--write` writes it anew.

Without Python's garbage collector, whose runs are too rare for so few records. Counts are those of the machine's own
code. Another build or version of Python has others; ratios travel better.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import measure
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORD = Path(__file__).with_suffix(".json")
COUNT = 150  # N; with 2N, what is kept stays less than a batch, so that no thread sends while a path is counted
LEARN = 1_000  # times that a path that is not kept is run first: what is learned of such lines is not theirs
MARK = "getpriority"  # a function of libc that nothing else here calls: callgrind writes its counts when it is entered
WAIT = "600000"  # ms until a batch is sent that is not full
SIDES = {
    "ours": ("disabled", "dropped", "remembered", "kept", "kept_in_call"),
    "official": ("official_kept",),
}

# -- what is counted ---------------------------------------------------------------------------------------------------


def _calls(logger: logging.Logger) -> Callable[[int], None]:
    """INFO lines of frames, each new and rendered before it is counted."""
    texts = iter([f"[AUDIO_DELTA] response_id=resp_1, bytes={number}" for number in range(1_000, 9_000)])

    def work(count: int) -> None:
        info = logger.info
        for text in itertools.islice(texts, count):
            info(text)

    return work


def _kept(count: int) -> None:
    info = logging.getLogger("server.media_ws_ai").info
    for number in range(1_000, 1_000 + count):
        info(
            "turn %d of the call has begun",
            number,
            extra={"turn": number, "latency_ms": number * 1.5, "voice": "alloy", "barge_in": False},
        )


def _warned(count: int) -> None:
    """As `_kept`, at WARNING: one place that says so much within one call is held back at INFO."""
    warning = logging.getLogger("server.media_ws_ai").warning
    for number in range(1_000, 1_000 + count):
        warning(
            "turn %d of the call has begun",
            number,
            extra={"turn": number, "latency_ms": number * 1.5, "voice": "alloy", "barge_in": False},
        )


def _count(work: Callable[[int], None], count: int, flush: Callable[[], object] | None = None) -> None:
    """Often enough to learn, then N and 2N times between marks."""
    for times in (2 * count if flush else LEARN, count, 2 * count):
        if flush is not None:
            flush()
        # One collection of everything costs as much as all that is counted, and falls on one path or another.
        gc.collect()
        gc.disable()
        os.getpriority(os.PRIO_PROCESS, 0)
        work(times)
        os.getpriority(os.PRIO_PROCESS, 0)
        gc.enable()


@contextlib.contextmanager
def _configured(**settings: str) -> Iterator[None]:
    import otel_logging

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        otel_logging.configure(store=store, log_console="off", log_level="INFO", **settings)
        try:
            yield
        finally:
            otel_logging.shutdown(5.0)


def _ours(count: int) -> None:
    import otel_logging

    with _configured(logs_exporter="local", recorder="off"):
        _count(_calls(measure.untouched()), count)
        _count(_calls(logging.getLogger("server.media")), count)
    with _configured(logs_exporter="local"), otel_logging.call("CA" + "5" * 32):
        _count(_calls(logging.getLogger("server.media")), count)
    with _configured(logs_exporter="otlp", recorder="off"):
        _count(_kept, count, lambda: otel_logging.force_flush(60.0))
        with otel_logging.call("CA" + "6" * 32):
            _count(_warned, count, lambda: otel_logging.force_flush(60.0))


def _official(count: int) -> None:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    root = logging.getLogger()
    root.addHandler(LoggingHandler(logger_provider=provider))
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    _count(_kept, count, provider.force_flush)
    provider.shutdown()


# -- the counting ------------------------------------------------------------------------------------------------------


def _counted(side: str, count: int, endpoint: str) -> list[int]:
    """What callgrind counted between the marks, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "counts")
        command = ["valgrind", "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={out}"]
        command += [sys.executable, "-m", "benchmarks.instructions", "--side", side, "--count", str(count)]
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BLRP_SCHEDULE_DELAY": WAIT, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env={**os.environ, **settings}, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"counting {side} failed:\n{done.stderr}")
        dumps = sorted(Path(folder).glob("counts.*"), key=lambda path: int(path.suffix[1:]))
        return [_total(dump.read_text("utf-8", "replace")) for dump in dumps]


def _total(dump: str) -> int:
    """The instructions that one of callgrind's files tells of."""
    found = re.search(r"^(?:summary|totals): (\d+)", dump, re.MULTILINE)
    if found is None:
        raise ValueError("a file of callgrind without a sum")
    return int(found[1])


def each(counted: list[int], paths: tuple[str, ...], count: int) -> dict[str, int]:
    """Instructions of one record for each path, from what was counted up to each mark.

    Raises:
        ValueError: if there are not six marks a path.
    """
    if len(counted) != 6 * len(paths):
        raise ValueError(f"{len(counted)} marks for {len(paths)} paths")
    # Of a path's six counts each second one is that of its work: to learn, N times, 2N times.
    return {path: round((counted[6 * at + 5] - counted[6 * at + 3]) / count) for at, path in enumerate(paths)}


def python() -> str:
    """What the counts belong to."""
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"


def figures(found: dict[str, int], record: dict[str, Any]) -> dict[str, float]:
    """The rows: instructions of each path, beside one another, and beside the record if it is of this Python."""
    rows: dict[str, float] = {f"instructions.{path}": count for path, count in found.items()}
    rows["instructions.dropped.ratio"] = found["dropped"] / found["disabled"]
    rows["instructions.remembered.ratio"] = found["remembered"] / found["disabled"]
    rows["instructions.kept.ratio"] = found["kept"] / found["official_kept"]
    rows["instructions.kept_in_call.ratio"] = found["kept_in_call"] / found["official_kept"]
    if record.get("python") == python():
        ours = [path for path in SIDES["ours"] if path != "disabled" and path in record["instructions"]]
        rows["instructions.growth"] = max(found[path] / record["instructions"][path] for path in ours)
    return rows


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="N (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"write {RECORD.name}")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        {"ours": _ours, "official": _official}[options.side](options.count)
        return
    if shutil.which("valgrind") is None:
        print(json.dumps({"instructions.kept": "valgrind is missing"}))
        return
    found: dict[str, int] = {}
    with Sink() as sink:
        for side, paths in SIDES.items():
            found |= each(_counted(side, options.count, sink.endpoint), paths, options.count)
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    if options.write:
        record = {"python": python(), "instructions": found}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(json.dumps(figures(found, record)))


if __name__ == "__main__":
    main()
