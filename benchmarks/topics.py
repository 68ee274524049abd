"""The benchmarks there are, and how each is run: in processes of its own, the medians of which count."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.figures import median

Figures = dict[str, "float | str"]
"""Figures by the name of their row; a text says why a row was not measured."""


class Topic(NamedTuple):
    """One benchmark: a module that prints figures as JSON.

    Attributes:
        what: it in a few words.
        quick: its arguments where seconds are to be enough, and the figures worth little.
        once: whether one process is enough, as it takes turns and medians of its own.
    """

    what: str
    quick: tuple[str, ...] = ()
    once: bool = False


TOPICS: Final = {
    "gate": Topic("records that are not kept, beside a disabled call of the standard library", ("--turns", "2")),
    "kept": Topic("kept records, beside the official handler, processor and encoder", ("--turns", "2")),
    "load": Topic("200 calls with 50 dropped frames a second", ("--seconds", "1")),
    "loop": Topic("how late frames are while the process logs", ("--rounds", "1", "--seconds", "1"), once=True),
    "compare": Topic("other logging libraries, side by side", ("--turns", "2"), once=True),
    "scaling": Topic("a record's cost as calls, policies, attributes and threads grow", ("--turns", "2"), once=True),
    "instructions": Topic("machine instructions of a record, by callgrind", ("--count", "5"), once=True),
    "boot": Topic("start-up and the size of the installation", ("--turns", "1"), once=True),
    "page": Topic("how soon a call can be seen", ("--loads", "1"), once=True),
    "store": Topic("finding a call in a large store", ("--records", "20000", "--turns", "1"), once=True),
}  # fmt: skip


def run(name: str, rounds: int, *, quick: bool = False) -> Figures:
    """The figures of one topic, medians over `rounds` processes where one is not enough.

    Raises:
        RuntimeError: if its process fails; the text is what it said.
    """
    topic = TOPICS[name]
    answers = [_answer(name, topic.quick if quick else ()) for _ in range(1 if topic.once or quick else rounds)]
    return together(answers)


def _answer(name: str, arguments: tuple[str, ...]) -> Figures:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    root = Path(__file__).parents[1]
    child = subprocess.run(command, check=False, cwd=root, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"benchmarks.{name} failed:\n{child.stderr}")
    answer: Figures = json.loads(child.stdout)
    return answer


def together(answers: list[Figures]) -> Figures:
    """Medians of the answers; a row that was not measured every time was not measured."""
    found: Figures = {}
    for name in dict.fromkeys(name for answer in answers for name in answer):
        values = [answer.get(name, "not measured every time") for answer in answers]
        why = next((value for value in values if isinstance(value, str)), None)
        found[name] = why if why is not None else median(value for value in values if not isinstance(value, str))
    return found
