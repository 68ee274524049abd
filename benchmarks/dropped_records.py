"""What a log call costs that is not kept, as a multiple of a disabled call of the standard library.

    python benchmarks/dropped_records.py [--rounds N] [--json]

Each variant runs in a process of its own, the plain one and ours by turns, so that a busy machine hurts both alike;
every call gets a fresh text or argument, as in a running service; the cost of the bare loop is taken off. Printed are
medians over the rounds. Figures are for one machine at one moment: compare within a run, never between runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time

CALLS = 20_000
CALL_SID = "CA" + "5" * 32

# name: (what, level of the call, text with a place for a number, whether the number is a % argument, inside a call)
CASES = {
    "literal": ("dropped by policy, a constant text", logging.INFO, "[TX_RESPONSE] start of the response", None, True),
    "template": (
        "dropped by policy, a % template",
        logging.INFO,
        "[AUDIO_DELTA] response_id=resp_1, bytes=%d",
        True,
        True,
    ),
    "f-string": (
        "dropped by policy, an f-string (rendered before the clock starts)",
        logging.INFO,
        "[AUDIO_DELTA] response_id=resp_1, bytes={}",
        False,
        True,
    ),
    "below": ("below level, outside a call", logging.DEBUG, "tick {}", False, False),
    "below-in-call": ("below level, inside a call", logging.DEBUG, "tick {}", False, True),
}


def measure(case: str, *, ours: bool) -> float:
    """Nanoseconds a call, in this process: ours, or a disabled call of the standard library with the same text."""
    _, level, text, is_argument, in_call = CASES[case]
    logger = logging.getLogger("benchmark")
    if ours:
        import otel_logging

        otel_logging.configure(logs_exporter="none", log_console="off", log_level="INFO", recorder="off")
        if in_call:
            otel_logging.call(CALL_SID).__enter__()
    else:
        logging.basicConfig(level=logging.WARNING)
    method = logger.info if level == logging.INFO else logger.debug
    if is_argument is None:
        texts, arguments = [text] * CALLS, None
    elif is_argument:
        texts, arguments = [text] * CALLS, list(range(1000, 1000 + CALLS))
    else:
        texts, arguments = [text.format(number) for number in range(1000, 1000 + CALLS)], None
    _loop(method, texts, arguments)  # warm: caches filled, byte code specialised
    costs = []
    for _ in range(5):
        bare = _bare(texts, arguments)
        costs.append((_loop(method, texts, arguments) - bare) / CALLS)
    return min(costs)


def _loop(method: object, texts: list[str], arguments: list[int] | None) -> float:
    assert callable(method)
    began = time.perf_counter_ns()
    if arguments is None:
        for text in texts:
            method(text)
    else:
        for text, argument in zip(texts, arguments):  # noqa: B905 (both are CALLS long)
            method(text, argument)
    return time.perf_counter_ns() - began


def _bare(texts: list[str], arguments: list[int] | None) -> float:
    began = time.perf_counter_ns()
    if arguments is None:
        for _ in texts:
            pass
    else:
        for _, _ in zip(texts, arguments):  # noqa: B905 (both are CALLS long)
            pass
    return time.perf_counter_ns() - began


def compare(case: str, rounds: int) -> tuple[float, float]:
    """Medians of plain and ours in nanoseconds a call, measured by turns."""
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        for who, costs in found.items():
            child = subprocess.run(
                [sys.executable, __file__, "--child", case, who], capture_output=True, text=True, check=True
            )
            costs.append(float(child.stdout))
    return statistics.median(found["plain"]), statistics.median(found["ours"])


def main() -> int:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description="Cost of log calls that are not kept, against a disabled stdlib call.")
    parser.add_argument("--rounds", type=int, default=5, help="processes a variant (default: 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--child", nargs=2, metavar=("CASE", "WHO"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        case, who = options.child
        print(measure(case, ours=who == "ours"))
        return 0
    results = {case: compare(case, options.rounds) for case in CASES}
    if options.json:
        rows = {
            case: {"plain_ns": round(plain, 1), "ours_ns": round(ours, 1), "ratio": round(ours / plain, 2)}
            for case, (plain, ours) in results.items()
        }
        print(json.dumps(rows))
        return 0
    print(f"{'a call that is ...':<66} {'stdlib':>8} {'ours':>8}  ratio")
    for case, (plain, ours) in results.items():
        print(f"{CASES[case][0]:<66} {plain:>5.0f} ns {ours:>5.0f} ns  {ours / plain:>4.1f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
