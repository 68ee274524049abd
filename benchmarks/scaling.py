"""What a record costs as all else grows: calls 1 to 500, policies 10 to 10,000, attributes 0 to 64, threads 1 to 8.

Figures are multiples of what it costs at the small end, taken by turns; CPU time of the thread that logs, of the whole
process where threads grow. Kept records go to a real OTLP/HTTP endpoint in another process, between the turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import turns
from benchmarks.figures import median, paired
from benchmarks.measure import clock
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DROPPED, KEPT = 4_000, 400  # records a turn; those that are kept are fewer than a batch
CALLS, POLICIES, ATTRIBUTES, THREADS = (1, 50, 500), (10, 1_000, 10_000), (0, 4, 16, 64), (1, 2, 8)


# -- what is measured --------------------------------------------------------------------------------------------------


def policy_file(count: int) -> str:
    """So many policies, as JSON: a third each begin with, hold and match by an expression what only they name.

    The tenth drops the frames that are logged here.
    """

    def match(number: int) -> dict[str, str]:
        if number == 9:
            return {"starts_with": "[AUDIO_DELTA]"}
        if number % 3 == 0:
            return {"starts_with": f"[STATE_{number:05}]"}
        if number % 3 == 1:
            return {"contains": f"state of part {number:05} is"}
        return {"regex": rf"^\W*\[PART_{number:05}\] (?:ready|busy|level=\d+)"}

    return json.dumps({
        "policies": [
            {"id": f"rule-{number}", "name": f"Rule {number}",
             "log": {"match": [{"log_field": "LOG_FIELD_BODY", **match(number)}], "keep": "none"}}
            for number in range(count)
        ]
    })  # fmt: skip


def literal(count: int, method: Any) -> None:
    """A constant text that is dropped."""
    for _ in range(count):
        method("[AUDIO_DELTA] of the response")


def template(count: int, method: Any) -> None:
    """A template that is dropped."""
    for number in range(1_000, 1_000 + count):
        method("[AUDIO_DELTA] response_id=resp_1, bytes=%d", number)


def f_string(count: int, method: Any) -> None:
    """A text that is new each time, and dropped."""
    for number in range(1_000, 1_000 + count):
        method(f"[AUDIO_DELTA] response_id=resp_1, bytes={number}")


def unnamed(count: int, method: Any) -> None:
    """A text that is new each time, that no policy names, and that is kept."""
    for number in range(1_000, 1_000 + count):
        method(f"state of the call: {number}")


def novel(count: int, method: Any) -> None:
    """A text of which nothing has been seen before but how it begins, and that is dropped."""
    for text in _texts("[AUDIO_DELTA] ", count):
        method(text)


def novel_kept(count: int, method: Any) -> None:
    """A text of which nothing has been seen before, as a transcript; no policy names it, and it is kept."""
    for text in _texts("caller said: ", count):
        method(text)


def _texts(head: str, count: int) -> Iterator[str]:
    for _ in range(count):
        yield head + " ".join(_RANDOM.choices(WORDS, k=8))


_RANDOM = random.Random(1)
WORDS = [
    a + b + c
    for a in ("ba", "ke", "li", "mo", "tu", "sha")
    for b in ("n", "r", "st", "l")
    for c in ("a", "en", "it", "or")
]
SHAPES = {
    "literal": literal, "template": template, "f_string": f_string, "novel": novel, "kept": unnamed,
    "novel_kept": novel_kept,
}  # fmt: skip


def _nothing(*_: object, **__: object) -> None:
    """What the loop costs by itself."""


def _each(work: Callable[[Any], None], count: int, method: Any) -> float:
    began = clock()
    work(method)
    spent = clock() - began
    began = clock()
    work(_nothing)
    return (spent - (clock() - began)) / count


class _Process:
    """One process with otel-logging set up, and what it is asked for."""

    def __init__(self) -> None:
        import otel_logging

        self._flush = lambda: otel_logging.force_flush(20.0)
        self._calls: list[Any] = []
        self._otel_logging = otel_logging

    def __call__(self, request: dict[str, Any]) -> float:
        """Nanoseconds of one record."""
        found: float = getattr(self, "_" + request["what"])(request["of"], request.get("size", 0))
        if request["of"].endswith("kept"):
            self._flush()
        return found

    def _policies(self, shape: str, _: int) -> float:
        count = KEPT if shape.endswith("kept") else DROPPED
        method = logging.getLogger(f"server.{shape}").info
        return _each(lambda each: SHAPES[shape](count, each), count, method)

    def _of_calls(self, of: str, calls: int) -> float:
        """By turns in so many calls; kept ones at WARNING, which no guard holds back."""
        while len(self._calls) < calls:
            self._calls.append(self._otel_logging.call(f"CA{len(self._calls):032x}").__enter__())
        handles = self._calls[:calls]
        logger = logging.getLogger(f"server.calls.{of}")
        total = KEPT if of == "kept" else DROPPED
        here = 1 if of == "kept" else 8  # records of a call at a time
        rounds = max(1, total // (calls * here))

        def work(method: Any) -> None:
            number = 1_000
            for _ in range(rounds):
                for handle in handles:
                    with handle.activate():
                        for _ in range(here):
                            number += 1
                            method(f"[AUDIO_DELTA] response_id=resp_1, bytes={number}")

        return _each(work, rounds * calls * here, logger.warning if of == "kept" else logger.info)

    def _of_attributes(self, of: str, attributes: int) -> float:
        extra = {f"measured.part_{number}": number * 3 for number in range(attributes)}
        count = KEPT if of == "kept" else DROPPED
        head = "state of the call:" if of == "kept" else "[AUDIO_DELTA] bytes="

        def work(method: Any) -> None:
            for number in range(1_000, 1_000 + count):
                method(f"{head} {number}", extra=extra)

        return _each(work, count, logging.getLogger(f"server.attributes.{of}").info)

    def _of_threads(self, of: str, threads: int) -> float:
        count = (KEPT if of == "kept" else DROPPED) // threads
        head = "state of the call:" if of == "kept" else "[AUDIO_DELTA] bytes="
        ready = threading.Barrier(threads + 1)

        def work(number: int) -> None:
            method = logging.getLogger(f"server.threads.{of}.{number}").info
            ready.wait()
            for text in range(1_000, 1_000 + count):
                method(f"{head} {text}")

        running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        began = time.process_time_ns()
        ready.wait()
        for thread in running:
            thread.join()
        return (time.process_time_ns() - began) / count / threads


@contextlib.contextmanager
def _process(policies: int) -> Iterator[_Process]:
    import otel_logging

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings: dict[str, Any] = {"logs_exporter": "otlp", "store": folder, "log_console": "off", "log_level": "INFO"}
        if policies:
            path = Path(folder, "policies.json")
            path.write_text(policy_file(policies), "utf-8")
            settings |= {"policies": str(path), "recorder": "off"}
        otel_logging.configure(**settings)
        yield _Process()
        otel_logging.shutdown(5.0)


# -- the turns ---------------------------------------------------------------------------------------------------------


def _requests() -> dict[str, tuple[str, dict[str, Any]]]:
    """What is asked of which process, by the name of its figure."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {}
    for policies in POLICIES:
        for shape in SHAPES:
            asked[f"policies.{shape}.{policies}"] = (f"policies.{policies}", {"what": "policies", "of": shape})
    for grows, sizes in (("calls", CALLS), ("attributes", ATTRIBUTES), ("threads", THREADS)):
        for size in sizes:
            for of in ("dropped", "kept"):
                asked[f"{grows}.{of}.{size}"] = ("bundled", {"what": f"of_{grows}", "of": of, "size": size})
    return asked


def figures(costs: dict[str, list[float]]) -> dict[str, float]:
    """For all sizes but the smallest of a kind, how many times as much a record costs as with that."""
    found, smallest = {}, dict[str, str]()
    for name, these in costs.items():
        kind = name.rpartition(".")[0]
        first = smallest.setdefault(kind, name)
        if first != name:
            found[f"scaling.{name}"] = paired(these, costs[first])
    found["scaling.us.dropped"] = median(costs["calls.dropped.1"]) / 1e3
    found["scaling.us.kept"] = median(costs["attributes.kept.4"]) / 1e3
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--turns", type=int, default=25, help="medians are over so many (default: %(default)s)")
    parser.add_argument("--policies", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.policies is not None:
        turns.serve(lambda: _process(options.policies))
        return
    commands = {f"policies.{count}": ("benchmarks.scaling", "--policies", str(count)) for count in POLICIES}
    commands["bundled"] = ("benchmarks.scaling", "--policies", "0")
    requests = _requests()
    costs: dict[str, list[float]] = {name: [] for name in requests}
    with Sink() as sink:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_BLRP_SCHEDULE_DELAY": "600000"}
        with turns.Sides(commands, environ) as sides:
            for turn in range(options.turns + 1):  # the first fills caches
                for name, (side, request) in requests.items():
                    cost = sides.ask(side, request)
                    if turn:
                        costs[name].append(cost)
    print(json.dumps(figures(costs)))


if __name__ == "__main__":
    main()
