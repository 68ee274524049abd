"""The turns of a call and where each turn's time went, read from turn events and from nothing else.

A turn that is guessed from silence or from the order of lines is worse than none, so a call without turn events has no
turns. Two kinds of event are understood: a record whose event name is `turn` (with `turn.*` attributes, see
docs/reference/turns.md), and a span named `turn` with its `stt`, `llm` and `tts` spans beneath, as Pipecat makes them.
"""

from __future__ import annotations

from otel_logging.plain import field, plain
from otel_logging.search.record import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

BUDGET_MS = 1500.0  # a caller notices a longer wait; `turn.budget_ms` says otherwise
_EVENTS = frozenset({"turn", "voice.turn", "conversation.turn"})
_EVENT_KEYS = ("event.name", "otel.event.name")
_PART = "turn.latency."
_SERVICES = ("stt", "llm", "tts")


@plain(slots=True)
class Turn:
    """One exchange. Times are nanoseconds since 1970 UTC, lengths milliseconds.

    `latency` is what the caller waited from the end of their speech to the agent's first sound, None where the event
    does not say. `parts` are its named contributions.
    """

    number: int
    start: int
    user: str = ""
    agent: str = ""
    latency: float | None = None
    parts: list[tuple[str, float]] = field(default_factory=list)
    interrupted: bool = False
    budget: float = BUDGET_MS
    service: str = ""

    @property
    def unattributed(self) -> float:
        """What no part explains; negative where the parts overlap, so that parts and this always add up."""
        return (self.latency or 0.0) - sum(length for _, length in self.parts)

    @property
    def over_budget(self) -> bool:
        """Whether the caller waited longer than allowed."""
        return self.latency is not None and self.latency > self.budget

    def as_json(self) -> dict[str, Any]:
        """For `--format json`."""
        return {
            "number": self.number,
            "service": self.service,
            "user": self.user,
            "agent": self.agent,
            "latency_ms": self.latency,
            "parts_ms": dict(self.parts),
            "unattributed_ms": None if self.latency is None else round(self.unattributed, 3),
            "over_budget": self.over_budget,
            "interrupted": self.interrupted,
        }


def turns_of(records: Iterable[Record], spans: Iterable[Span]) -> list[Turn]:
    """The turns in time order; numbered as their events say, else by their order."""
    found = [_from_record(record) for record in records if is_turn(record)]
    listed = list(spans)
    found += [_from_span(span, listed) for span in listed if span.name == "turn"]
    found.sort(key=lambda turn: turn.start)
    for number, turn in enumerate(found, 1):
        turn.number = turn.number or number
    return found


def is_turn(record: Record) -> bool:
    """Whether the record is a turn event."""
    if record.event_name in _EVENTS:
        return True
    if record.dull:
        return False
    return any(record.attributes.get(key) in tuple(_EVENTS) for key in _EVENT_KEYS)


def _from_record(record: Record) -> Turn:
    said = record.attributes
    parts = [(key[len(_PART) :].removesuffix("_ms"), length) for key, length in _numbers(said) if key.startswith(_PART)]
    return Turn(
        number=int(_number(said.get("turn.number")) or 0),
        start=record.time,
        user=as_text(said.get("turn.user_text")),
        agent=as_text(said.get("turn.agent_text")),
        latency=_number(said.get("turn.latency_ms")),
        parts=parts,
        interrupted=said.get("turn.interrupted") in (True, "true"),
        budget=_number(said.get("turn.budget_ms")) or BUDGET_MS,
        service=record.service,
    )


def _from_span(span: Span, spans: list[Span]) -> Turn:
    said = span.attributes
    seconds = _number(said.get("turn.user_bot_latency_seconds"))
    beneath = [child for child in spans if child.parent_id == span.span_id and child.trace_id == span.trace_id]
    texts: dict[str, list[str]] = {name: [] for name in _SERVICES}
    parts: dict[str, float] = {}
    for child in sorted(beneath, key=lambda child: child.start):
        if child.name not in texts:
            continue
        spoken = child.attributes.get({"stt": "transcript", "llm": "output", "tts": "text"}[child.name])
        texts[child.name].append(as_text(spoken))
        first = _number(child.attributes.get("metrics.ttfb"))
        if first is not None and child.name not in parts:  # what the caller waits for is the first of each
            parts[child.name] = first * 1000
    return Turn(
        number=int(_number(said.get("turn.number")) or 0),
        start=span.start,
        user=" ".join(filter(None, texts["stt"])),
        agent=" ".join(filter(None, texts["tts"] or texts["llm"])),
        latency=None if seconds is None else seconds * 1000,
        parts=list(parts.items()) if seconds is not None else [],
        interrupted=said.get("turn.was_interrupted") in (True, "true"),
        service=span.service,
    )


def _numbers(said: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for key, value in said.items():
        number = _number(value)
        if number is not None:
            yield key, number


def _number(value: Any) -> float | None:
    """A finite number that is not negative, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        return None
    return float(value)
