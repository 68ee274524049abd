"""What the frames of 200 calls cost: 50 a second each, dropped and remembered, as a share of one core.

CPU time of the process, the recorder's own thread included. The calls take turns, as their frames do; what is measured
is the work for ten seconds' worth of frames, as fast as it goes.
"""

from __future__ import annotations

import argparse
import json
import logging
import time

from benchmarks import measure

CALLS = 200
FRAMES = 50  # a second and call
SECONDS = 10
LINES = (
    "[AUDIO_DELTA] response_id=resp_0123456789ab, bytes={}",
    "🔊 audio chunk {} sent to the caller",
    "[MEDIA] frame {} received, 160 bytes",
    "rms={}.5 threshold=200.0",
)


def main() -> None:
    """Print the figure."""
    import otel_logging

    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="worth of frames (default: %(default)s)")
    seconds = parser.parse_args().seconds
    log = logging.getLogger("server.media")
    with measure.configured():
        calls = [otel_logging.call(f"CA{number:032x}") for number in range(CALLS)]
        handles = [call.__enter__() for call in calls]
        texts = [LINES[number % len(LINES)].format(number) for number in range(FRAMES)]
        for handle in handles:
            with handle.activate():
                for text in texts:
                    log.info(text)
        bare = busy = 0
        for second in range(seconds):
            texts = [LINES[number % len(LINES)].format(number + 50 * second) for number in range(FRAMES)]
            for method in (_nothing, log.info):
                began = time.process_time_ns()
                for handle in handles:
                    with handle.activate():
                        for text in texts:
                            method(text)
                spent = time.process_time_ns() - began
                if method is _nothing:
                    bare += spent
                else:
                    busy += spent
    print(json.dumps({"load.frames": (busy - bare) / seconds / 1e9 * 100}))


def _nothing(_text: str) -> None:
    """What the loop and a call cost by themselves."""


if __name__ == "__main__":
    main()
