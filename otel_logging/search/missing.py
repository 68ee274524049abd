"""What is known to be missing from a call: records that were kept and are not here, and services that fell silent.

Records carry no numbers, so a gap in the middle cannot be seen. What can: the summary in which each process says how
many of a call's records it handed to its exporters. Whatever was lost behind that (a full queue, a refusal, retention)
shows as the difference. Processes that wrote no summary, or killed before they could, are known by their silence only.
"""

from __future__ import annotations

from collections import Counter

from otel_logging.search import clock
from otel_logging.search.books import SUMMARY_EVENT, whole
from otel_logging.search.text import harmless
from otel_logging.search.timing import DEAD_AIR

TYPE_CHECKING = False  # `call` waits for this module: it loads nothing that it can do without
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

_TRIGGER = "otel_logging.trigger"
_RECALLED = "recall"  # brought back by hand later: no summary knows of it
_TALKING = 5  # records that make a service one of which more was to be expected


class Missing:
    """Something that is known not to be here.

    `kept` of a service's records were handed on and only `here` of them have come; or, where `kept` is 0, the service
    stopped talking at `at` without a word on its end. `at` is in nanoseconds since 1970 UTC: behind it nothing of this
    kind is known.
    """

    __slots__ = ("at", "here", "kept", "service")

    def __init__(self, service: str, at: int, kept: int = 0, here: int = 0) -> None:
        self.service = service
        self.at = at
        self.kept = kept
        self.here = here

    def sentence(self) -> str:
        """For people."""
        name = harmless(self.service) or "(no name)"
        if not self.kept:
            return f"nothing from {name} after this, and it has not said that the call ended there"
        lost = self.kept - self.here
        return f"{lost:,} of {self.kept:,} records that {name} kept {'is' if lost == 1 else 'are'} not here"

    def as_json(self, first: int) -> dict[str, Any]:
        """For `--format json`; `first` is the call's first time."""
        shown: dict[str, Any] = {
            "service": self.service,
            "what": "records" if self.kept else "silent",
            "at": clock.rfc3339(self.at),
            "relative": round((self.at - first) / clock.NANOS, 6),
        }
        if self.kept:
            shown.update(kept=self.kept, here=self.here)
        return shown


def missing_of(records: Iterable[Record], spans: Iterable[Span]) -> list[Missing]:
    """What is known to be missing from a call of which these are all records and spans, in time order."""
    listed = list(records)
    return sorted([*_untold(listed), *_silent(listed, spans)], key=lambda item: (item.at, item.service))


def _untold(records: list[Record]) -> Iterable[Missing]:
    """Where fewer records have come than the summaries of a process say were handed on."""
    told: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], int] = {}
    for record in records:
        if record.event_name == SUMMARY_EVENT:
            process = _process(record)
            figures = (whole(record.attributes.get(f"otel_logging.{name}")) for name in ("kept", "recovered"))
            told[process] += sum(max(figure, 0) for figure in figures)
            last[process] = max(last.get(process, 0), record.time)
    if not last:
        return []
    here = Counter(
        process
        for record in records
        if record.event_name != SUMMARY_EVENT
        and record.attribute(_TRIGGER) != _RECALLED
        and (process := _process(record)) in last
        and record.time <= last[process]
    )
    by_service: dict[str, Missing] = {}
    for process, kept in told.items():
        if here[process] < kept:
            name = process[0]
            before = by_service.get(name, Missing(name, 0))
            at = max(before.at, last[process])
            by_service[name] = Missing(name, at, before.kept + kept, before.here + here[process])
    return by_service.values()


def _process(record: Record) -> tuple[str, str]:
    return record.service, str(record.resource.get("service.instance.id", ""))


def _silent(records: list[Record], spans: Iterable[Span]) -> Iterable[Missing]:
    """Services that talked, fell silent ten seconds or more before the call's last record, and told no end."""
    times: dict[str, list[int]] = {}
    ended = {span.service for span in spans if span.end_reason}
    for record in records:
        if record.event_name == SUMMARY_EVENT:
            ended.add(record.service)
        elif record.time:
            times.setdefault(record.service, []).append(record.time)
    if not ended:  # nobody here tells ends: silence means nothing
        return
    latest = max((max(mine) for mine in times.values()), default=0)
    for service, mine in times.items():
        if service not in ended and len(mine) >= _TALKING and latest - max(mine) >= DEAD_AIR:
            yield Missing(service, max(mine))
