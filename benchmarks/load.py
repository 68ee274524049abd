"""What the frames of 200 calls cost: 50 a second each, dropped and remembered, as a share of one core.

CPU time of the process, the recorder's own thread included. The calls take turns, as their frames do; what is measured
is the work for five seconds' worth of frames, as fast as it goes, again and again, and the least of these counts, with
and without the log calls: a busy machine makes single turns longer, never shorter. Before that, the calls have logged
until the process may remember no more, and are of different ages: rolling and giving up is in each turn.

It is a share of a core, and so one of this core, and of this build of Python: one without profile-guided optimisation,
as pyenv makes it, takes a tenth longer than those of distributions and images.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from typing import Any

from benchmarks import measure

CALLS = 200
FRAMES = 50  # a second and call
SECONDS = 100
TURN = 5  # seconds
FULL = 2_900  # frames of each call, of about 60 bytes, are more than what a process remembers
AGES = 256  # frames by which calls are of different ages
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
        for number, handle in enumerate(handles):
            with handle.activate():
                for frame in range(FULL + number * 37 % AGES):
                    log.info(LINES[frame % len(LINES)].format(frame))
        turns: dict[Any, list[int]] = {_nothing: [], log.info: []}
        for turn in range(max(seconds // TURN, 1)):
            for method, spent in turns.items():
                began = time.process_time_ns()
                for second in range(TURN):
                    first = FULL + FRAMES * (TURN * turn + second)
                    texts = [LINES[frame % len(LINES)].format(frame) for frame in range(first, first + FRAMES)]
                    for handle in handles:
                        with handle.activate():
                            for text in texts:
                                method(text)
                spent.append(time.process_time_ns() - began)
    bare, busy = map(min, turns.values())
    print(json.dumps({"load.frames": (busy - bare) / TURN / 1e9 * 100}))


def _nothing(_text: str) -> None:
    """What the loop and a call cost by themselves."""


if __name__ == "__main__":
    main()
