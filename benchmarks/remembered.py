"""What remembering a dropped record costs: time as a multiple of a disabled stdlib call, and bytes of memory.

    python benchmarks/remembered.py [--json]

The recorder alone: what the gate costs before it is measured in dropped_records.py. Every record has a fresh f-string
of 80 characters, and rings are evicted from all the time, as in a long call. Thread time, so that a busy machine hurts
little; minima over the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.bridge.memory import CallMemory

RECORDS = 3_000
ROUNDS = 40


def texts(number: int) -> list[str]:
    """Fresh texts of 80 characters, as f-strings make them."""
    return [
        f"[AUDIO_DELTA] response_id=resp_0123456789ab, seq={one:>8}, bytes=1234, queue=0123" for one in range(number)
    ]


def measure() -> dict[str, float]:
    """Nanoseconds of a disabled call and of one remembered record, their ratio, and bytes a remembered record."""
    import otel_logging
    from otel_logging.boot.configure import configured
    from otel_logging.calls.call import open_call

    plain = logging.getLogger("benchmark.plain")
    plain.setLevel(logging.CRITICAL)
    lines = texts(RECORDS)
    disabled = min(_time(plain.info, lines) for _ in range(ROUNDS))
    bare = min(_time(None, lines) for _ in range(ROUNDS))
    otel_logging.configure(logs_exporter="otlp", log_console="off")
    active = configured()
    assert active is not None
    assert active.pipeline is not None
    recorder = active.pipeline.recorder
    assert recorder is not None
    call = open_call("CA" + "5" * 32, origin="benchmark")
    remember, no_kwargs = recorder.remember, dict[str, object]()

    def remember_one(line: str, memory: CallMemory = call.memory) -> None:
        remember(memory, "benchmark", 20, line, no_kwargs, "policy:x")

    wrapper = min(_time(_nothing, lines) for _ in range(ROUNDS)) - bare
    remembered = min(_time(remember_one, texts(RECORDS)) for _ in range(ROUNDS)) - wrapper
    other = open_call("CA" + "6" * 32, origin="benchmark")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1_000):
        line = f"[AUDIO_DELTA] response_id=resp_0123456789ab, seq={number:>8}, bytes=1234, queue=0123"
        remember_one(line, other.memory)
    del line
    size = (tracemalloc.get_traced_memory()[0] - before) / len(other.memory.ring)
    tracemalloc.stop()
    otel_logging.shutdown(1.0)
    plain_ns, ours_ns = (disabled - bare) / RECORDS, (remembered - bare) / RECORDS
    return {"plain_ns": plain_ns, "ours_ns": ours_ns, "ratio": ours_ns / plain_ns, "bytes": size}


def _nothing(line: str, memory: object = None) -> None:
    """What is called costs by itself."""


def _time(work: Callable[[str], object] | None, lines: list[str]) -> int:
    began = time.thread_time_ns()
    if work is None:
        for _ in lines:
            pass
    else:
        for line in lines:
            work(line)
    return time.thread_time_ns() - began


def main() -> int:
    """Print one line, or one JSON object."""
    parser = argparse.ArgumentParser(description="Cost of remembering a record, in time and memory.")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    found = measure()
    if options.json:
        print(json.dumps({key: round(value, 2) for key, value in found.items()}))
    else:
        times = f"{found['ours_ns']:.0f} ns, {found['ratio']:.1f}x a disabled call of {found['plain_ns']:.0f} ns"
        print(f"remembered: {times}; {found['bytes']:.0f} bytes a record")
    return 0


if __name__ == "__main__":
    sys.exit(main())
