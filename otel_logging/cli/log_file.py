"""Log files as people have them: OTLP/JSON, JSON console lines, console lines for people, or any text. As records.

What a verb does with them is its own business; the local store is `search`'s.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_logging.search.record import Record

_HUMAN: Final = re.compile(
    r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (?P<level>[A-Z]+) +\[(?P<module>[^\]]*)\] (?P<text>.*)"
)
# What begins a traceback below a line, or goes on with it.
_TRACEBACK: Final = re.compile(
    r"[ +|]*(?:Exception Group )?Traceback \(most recent call last\):|Stack \(most recent call last\):"
    r"|[ |]*(?:During handling of the above exception|The above exception was the direct cause)"
)


def records(name: str) -> Iterator[Record]:
    """The records of a file: OTLP/JSON or console lines, JSON or for people; `-` is stdin.

    Raises:
        OSError: it cannot be read.
    """
    from otel_logging.search import otlp
    from otel_logging.search.record import Record

    text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8", errors="replace")
    whole = _json(text)
    if whole is not None:  # one request, perhaps over many lines
        yield from otlp.records(whole, name)
        return
    traceback = False
    for line in text.splitlines():
        payload = _json(line)
        if payload is not None:
            yield from otlp.records(payload, name)
        elif found := _HUMAN.fullmatch(line):
            level = found["level"]
            severity = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}.get(level, 9)
            yield Record(
                time=_nanoseconds(found["time"]), severity=severity, severity_text=level, body=found["text"],
                logger=found["module"], source=name,
            )  # fmt: skip
        elif _TRACEBACK.match(line):
            traceback = True  # it belongs to the line before
            continue
        elif traceback and (not line.strip() or line[0] in " |+"):
            continue
        elif traceback:  # its last line says what the exception is
            traceback = False
            continue
        elif line.strip() and not line.startswith("    "):
            yield Record(severity=9, severity_text="INFO", body=line, source=name)
        traceback = False


def _nanoseconds(local: str) -> int:
    """A time of the human format, by which rates are told."""
    try:
        return int(dt.datetime.strptime(local, "%Y-%m-%d %H:%M:%S").timestamp()) * 10**9  # noqa: DTZ007 (local time)
    except (ValueError, OverflowError, OSError):
        return 0


def _json(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
