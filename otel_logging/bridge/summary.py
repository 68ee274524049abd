"""One record at the end of each call that says what became of its records: made, kept, dropped and why, recovered.

It goes to the exporters, never to the console, and is in the books like any other. It also tells of what limits and
guards held back and no later line could tell; where there is no call, a record of its own does, once the run is over.
Counting is done elsewhere (gate, pipeline, recorder), on the call's page.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import TraceFlags

from otel_logging.bridge import fates, suppressed
from otel_logging.bridge.translate import SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.pipeline import Pipeline

LOGGER: Final = "otel_logging.calls"
EVENT: Final = "otel_logging.call.summary"
LIMITS_LOGGER: Final = "otel_logging.limits"
LIMITS_EVENT: Final = "otel_logging.suppressed.summary"
SWEEP_SECONDS: Final = 60.0  # a run outside of any call that has not grown for so long is over

KEPT: Final = "kept"
RECOVERED: Final = "recovered"
_SUMMED: Final = "summed"  # among a page's guards: the counts that a summary has told
_SHOWN: Final = 5  # reasons named in the sentence; the attribute has all


class Summaries:
    """Tells of calls as they end. A listener of `bridge.memory`.

    Args:
        pipeline: where the records go.
        later: runs something in so many seconds, such as `calls.timer.schedule`.
    """

    def __init__(self, pipeline: Pipeline, later: Callable[[float, Callable[[], object]], object]) -> None:
        self._pipeline = pipeline
        self._later = later
        self._before: Mapping[str, int] = {}  # the untold counts outside of calls when we last looked
        self._waiting = False
        self._closed = False
        suppressed.first_outside = self._watch

    def __call__(self, event: str, memory: CallMemory, argument: Any) -> None:
        """What has become of a call; see `memory.listen`."""
        if event == "absorbed":
            _merge(memory, argument)
        elif event == "ended":
            self._tell_call(memory, argument)
        elif event == "forgotten" and _since(memory).keys() - {KEPT}:
            self._tell_call(memory, None)

    def _tell_call(self, memory: CallMemory, reason: str | None) -> None:
        counts = _since(memory)
        recovered = counts.pop(RECOVERED, 0)
        made = sum(counts.values())
        if not made and not recovered:
            return
        held_back = suppressed.untold(memory)
        settle(memory)
        kept = counts.pop(KEPT, 0)
        attributes: dict[str, Any] = {
            "otel_logging.made": made,
            "otel_logging.kept": kept,
            "otel_logging.dropped": made - kept,
            "otel_logging.recovered": recovered,
            SUPPRESSED: sum(held_back.values()),
        }
        if counts:
            attributes["otel_logging.dropped_by"] = dict(sorted(counts.items()))
        if memory.call_sid is not None:
            attributes["call_sid"] = memory.call_sid
        if reason is not None:
            attributes["otel_logging.end_reason"] = reason
        dropped = f"{made - kept} dropped{_shown(counts)}"
        body = f"Call summary: {made} records made, {kept} kept, {dropped}, {recovered} recovered"
        self._tell(LOGGER, EVENT, body, attributes, memory.trace_id)

    def _watch(self) -> None:
        """Something was held back outside of any call: have a look when the run may be over."""
        if not self._waiting and not self._closed:
            self._waiting = True
            self._waiting = self._later(SWEEP_SECONDS, self._sweep) is not None

    def _sweep(self) -> None:
        self._waiting = False
        untold = suppressed.untold(suppressed.outside)
        self._tell_outside({reason: n for reason, n in untold.items() if self._before.get(reason) == n})
        self._before = suppressed.untold(suppressed.outside)
        if self._before:
            self._watch()

    def _tell_outside(self, untold: Mapping[str, int]) -> None:
        if not untold:
            return
        for reason, n in untold.items():
            suppressed.tell(suppressed.outside, reason, n)
        total = sum(untold.values())
        body = f"Limits summary: {total} records were held back outside of any call{_shown(untold)}"
        attributes = {SUPPRESSED: total, "otel_logging.dropped_by": dict(sorted(untold.items()))}
        self._tell(LIMITS_LOGGER, LIMITS_EVENT, body, attributes, 0)

    def _tell(self, logger: str, event: str, body: str, attributes: dict[str, Any], trace_id: int) -> None:
        now = time_ns()
        record = LogRecord(
            timestamp=now,
            observed_timestamp=now,
            trace_id=trace_id,
            trace_flags=TraceFlags(TraceFlags.SAMPLED if trace_id else TraceFlags.DEFAULT),
            severity_text="INFO",
            severity_number=SeverityNumber.INFO,
            body=body,
            attributes={**attributes, "logger.name": logger},
        )
        record.event_name = event
        self._pipeline.tell(logger, record)

    def close(self) -> None:
        """Tell now what is untold outside of calls: the process is about to end."""
        self._tell_outside(suppressed.untold(suppressed.outside))

    def uninstall(self) -> None:
        """Tell no more."""
        self._closed = True
        if suppressed.first_outside == self._watch:
            suppressed.first_outside = None


def settle(memory: CallMemory) -> None:
    """All that was counted on this page has been told: by a summary, or by the process that we were forked from."""
    fates.settle(memory)
    counts = dict(memory.counts)
    memory.guards[_SUMMED] = counts
    suppressed.told_of(memory).update({reason: n for reason, n in counts.items() if reason not in {KEPT, RECOVERED}})


def _since(memory: CallMemory) -> dict[str, int]:
    """What was counted on a page since its last summary."""
    fates.settle(memory)
    summed = memory.guards.get(_SUMMED) or {}
    found = {key: n - summed.get(key, 0) for key, n in list(memory.counts.items())}
    return {key: n for key, n in found.items() if n > 0}


def _merge(memory: CallMemory, other: CallMemory) -> None:
    """A handle that counted on its own turns out to be the same call."""
    for key, n in _since(other).items():
        memory.counts[key] = memory.counts.get(key, 0) + n
    for reason, n in suppressed.told_of(other).items():
        suppressed.tell(memory, reason, n)
    for name, table in other.guards.items():
        memory.guards.setdefault(name, table)
    other.counts = {}


def _shown(counts: Mapping[str, int]) -> str:
    """The most frequent reasons in brackets."""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    more = ", …" if len(counts) > _SHOWN else ""
    return f" ({', '.join(f'{reason} {n}' for reason, n in most)}{more})" if most else ""
