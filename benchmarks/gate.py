"""What a log call costs that is not kept, as a multiple of a disabled call of the standard library.

Each call gets a fresh text or number, as in a running service; constant texts are constants.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import tracemalloc
from typing import Any

from benchmarks import measure
from benchmarks.measure import clock

CALLS = 4_000
SID = "CA" + "5" * 32


def literal(method: Any) -> int:
    """A constant text."""
    began = clock()
    for _ in range(CALLS):
        method("[TX_RESPONSE] start of the response")
    return clock() - began


def template(method: Any) -> int:
    """A template with a number that is new each time."""
    began = clock()
    for number in range(1_000, 1_000 + CALLS):
        method("[AUDIO_DELTA] response_id=resp_1, bytes=%d", number)
    return clock() - began


def f_string(method: Any) -> int:
    """A text that is new each time; rendered before the clock starts."""
    texts = [f"[AUDIO_DELTA] response_id=resp_1, bytes={number}" for number in range(1_000, 1_000 + CALLS)]
    began = clock()
    for text in texts:
        method(text)
    return clock() - began


def limited(method: Any) -> int:
    """A text that is new each time, of which a policy lets one pass in three seconds."""
    texts = [f"[WATCHDOG] tick {number}" for number in range(1_000, 1_000 + CALLS)]
    began = clock()
    for text in texts:
        method(text)
    return clock() - began


def unnamed(method: Any) -> int:
    """A text that is new each time, and that no policy names."""
    texts = [f"state of the call: {number}" for number in range(1_000, 1_000 + CALLS)]
    began = clock()
    for text in texts:
        method(text)
    return clock() - began


def bare() -> int:
    """The loop alone."""
    began = clock()
    for _ in range(CALLS):
        pass
    return clock() - began


def remembered_bytes() -> float:
    """Memory that one remembered record takes."""
    import otel_logging

    log = logging.getLogger("server.media")
    with otel_logging.call("CA" + "6" * 32) as call:
        for number in range(500):  # what is learned about such lines is not theirs
            log.info(f"[AUDIO_DELTA] response_id=resp_0123456789ab, seq={number:>8}, bytes=1234, queue=0123")
    with otel_logging.call("CA" + "7" * 32) as call:
        log.info("[AUDIO_DELTA] response_id=resp_0123456789ab, seq=1, bytes=1234, queue=0123")
        otel_logging.force_flush()  # the other call's way into the attic is not this one's memory
        gc.collect()
        tracemalloc.start()
        before, records = tracemalloc.get_traced_memory()[0], len(call.memory.ring)
        for number in range(1_500):
            log.info(f"[AUDIO_DELTA] response_id=resp_0123456789ab, seq={number:>8}, bytes=1234, queue=0123")
        size = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return size / (len(call.memory.ring) - records)


def main() -> None:
    """Print the figures."""
    import otel_logging

    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--turns", type=int, default=measure.TURNS, help="of each variant (default: %(default)s)")
    turns = parser.parse_args().turns
    plain, figures = measure.untouched(), dict[str, float]()

    def row(name: str, work: Any, level: str = "info") -> None:
        # A logger of its own for each row, as modules have.
        ours = getattr(logging.getLogger(f"server.{name}"), level)
        figures[name] = measure.ratio(work, getattr(plain, level), ours, bare, turns)

    with measure.configured(recorder="off"):
        row("gate.below.outside", unnamed, "debug")
        with otel_logging.call(SID):
            row("gate.dropped.literal", literal)
            row("gate.dropped.template", template)
            row("gate.dropped.f_string", f_string)
            row("gate.rate_limited", limited)
    with measure.configured():
        with otel_logging.call(SID):
            row("gate.remembered.literal", literal)
            row("gate.remembered.template", template)
            row("gate.remembered.f_string", f_string)
            row("gate.below.inside", unnamed, "debug")
        figures["memory.remembered"] = remembered_bytes()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
