"""Counts what the demo's processes logged: lines on the console for each call, and records that found no call.

How a console line finds its call: a JSON line carries `call_sid`, except one printed before the call had a name, as
the console never waits. Such a line is counted for the call that the store has for the same text of the same logger
and service; the store's records waited for the name. Playing calls and printing tables do not belong here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otel_logging.search.record import Record, from_flat

# Loggers that speak for a process and not for a call: ours, the web server's, the demo service's own background work.
PROCESS_LOGGERS = (
    *("otel_logging", "uvicorn", "asyncio", "py.warnings"),
    *("server.boot", "server.health", "server.whatsapp_sessions"),
)

_Key = tuple[str, str, str]


@dataclass
class Run:
    """One run of the demo: what the consoles showed, and what the store holds."""

    console: list[Record]
    stored: list[Record]


@dataclass
class Line:
    """One row of the demo's result, keyed as in `--json`."""

    call_sid: str
    lines_debug: int
    lines_info: int
    recovered: int
    services: list[str] = field(default_factory=list)
    outcome: str = ""


def read_console(path: Path, service: str) -> list[Record]:
    """The lines of one console file; a line that is no JSON is a line of no logger."""
    records = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line: Any = json.loads(text)
        except ValueError:
            line = None
        record = from_flat(line) if isinstance(line, dict) else Record(body=text)
        record.service = record.service or service
        records.append(record)
    return records


def lines_per_call(run: Run) -> Counter[str]:
    """How many console lines each call took, by the method that this module's text describes."""
    named: Counter[str] = Counter()
    shown: dict[_Key, Counter[str]] = {}
    unnamed: Counter[_Key] = Counter()
    for line in run.console:
        if line.call_sid:
            named[line.call_sid] += 1
            shown.setdefault(_key(line), Counter())[line.call_sid] += 1
        else:
            unnamed[_key(line)] += 1
    waited: dict[_Key, Counter[str]] = {}
    for record in run.stored:
        if record.call_sid and not record.recovered and (key := _key(record)) in unnamed:
            waited.setdefault(key, Counter())[record.call_sid] += 1
    for key, calls in waited.items():
        left = calls - shown.get(key, Counter())
        for call_sid in list(left.elements())[: unnamed[key]]:
            named[call_sid] += 1
    return named


def _key(record: Record) -> _Key:
    return record.service, record.logger, record.body


def services_per_call(stored: Iterable[Record]) -> dict[str, list[str]]:
    """The services that logged for each call, in the order in which they first did."""
    result: dict[str, list[str]] = {}
    for record in sorted(stored, key=lambda item: item.order):
        if record.call_sid and record.service not in (seen := result.setdefault(record.call_sid, [])):
            seen.append(record.service)
    return result


def uncorrelated(run: Run) -> list[Record]:
    """Records that belong to no call although they should: all but those of loggers that speak for a process."""
    return [
        record
        for record in run.stored
        if not record.call_sid
        and not any(record.logger == name or record.logger.startswith(name + ".") for name in PROCESS_LOGGERS)
    ]


def build(outcomes: Mapping[str, str], debug: Run, info: Run) -> dict[str, Any]:
    """The object that `--json` prints.

    Args:
        outcomes: call id to how the call went, as its caller saw it in the INFO run.
        debug: the run at LOG_LEVEL=DEBUG.
        info: the run at LOG_LEVEL=INFO.
    """
    lines_debug, lines_info = lines_per_call(debug), lines_per_call(info)
    recovered = Counter(record.call_sid for record in info.stored if record.recovered)
    services = services_per_call(info.stored)
    calls = [
        Line(sid, lines_debug[sid], lines_info[sid], recovered[sid], services.get(sid, []), outcome)
        for sid, outcome in outcomes.items()
    ]
    before, after = sum(call.lines_debug for call in calls), sum(call.lines_info for call in calls)
    return {
        "calls": [vars(call) for call in calls],
        "reduction": round(1 - after / before, 4) if before else 0.0,
        "uncorrelated": len(uncorrelated(debug)) + len(uncorrelated(info)),
    }
