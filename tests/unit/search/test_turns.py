"""Turns come from turn events only, and their parts add up."""

from __future__ import annotations

import pytest

from otel_logging.search.record import Record
from otel_logging.search.spans import Span
from otel_logging.search.turns import turns_of

TRACE = "a1" * 16


def test_no_events_no_turns():
    """Lines that look like a conversation are no turn events."""
    talk = [Record(time=1, body="[TRANSCRIPT] Customer: hello"), Record(time=2, body="turn 2 user_to_bot=800ms")]
    assert turns_of(talk, [Span(name="call")]) == []


@pytest.mark.parametrize("place", ["event_name", "event.name", "otel.event.name"])
def test_from_a_record(place):
    """A record named `turn` is one, wherever its name stands; what no part explains is the rest."""
    said = {
        "turn.number": 3, "turn.user_text": "שלום", "turn.agent_text": "Good morning", "turn.latency_ms": 1700,
        "turn.latency.endpointing_ms": 240, "turn.latency.llm_ms": 900.5, "turn.interrupted": True,
    }  # fmt: skip
    record = Record(time=5, service="media", attributes=said)
    if place == "event_name":
        record.event_name = "turn"
    else:
        said[place] = "turn"
    (turn,) = turns_of([record], [])
    assert (turn.number, turn.user, turn.agent, turn.interrupted, turn.service) == (
        3,
        "שלום",
        "Good morning",
        True,
        "media",
    )
    assert turn.parts == [("endpointing", 240), ("llm", 900.5)]
    assert turn.unattributed == pytest.approx(1700 - 1140.5)
    assert turn.over_budget
    assert sum(length for _, length in turn.parts) + turn.as_json()["unattributed_ms"] == pytest.approx(turn.latency)


def test_parts_that_overlap():
    """Parts that are longer than the whole leave a negative rest: the sum stays true."""
    said = {"turn.latency_ms": 500, "turn.latency.llm_ms": 400, "turn.latency.tts_ms": 300}
    (turn,) = turns_of([Record(event_name="turn", attributes=said)], [])
    assert turn.unattributed == -200


@pytest.mark.parametrize("bad", [True, "800", None, -1, float("inf"), [1]])
def test_what_is_no_length(bad):
    """A latency that is no number is not told, not zero."""
    (turn,) = turns_of([Record(event_name="turn", attributes={"turn.latency_ms": bad, "turn.latency.llm_ms": bad})], [])
    assert (turn.latency, turn.parts, turn.over_budget) == (None, [], False)


def test_own_budget():
    """A service may say what its callers bear."""
    said = {"turn.latency_ms": 800, "turn.budget_ms": 700}
    (turn,) = turns_of([Record(event_name="turn", attributes=said)], [])
    assert turn.over_budget


def test_from_spans():
    """A `turn` span with services beneath is a turn: texts of each, and the first sound of each as parts."""
    turn = Span(trace_id=TRACE, span_id="1" * 16, name="turn", start=9, service="bot", attributes={
        "turn.number": 1, "turn.was_interrupted": False, "turn.user_bot_latency_seconds": 1.25})  # fmt: skip
    below = [
        Span(trace_id=TRACE, span_id=f"{n:016x}", parent_id="1" * 16, name=name, start=n, attributes=attributes)
        for n, (name, attributes) in enumerate(
            [("stt", {"transcript": "hi", "metrics.ttfb": 0.2}), ("llm", {"output": "no", "metrics.ttfb": 0.5}),
             ("tts", {"text": "one", "metrics.ttfb": 0.3}), ("tts", {"text": "two", "metrics.ttfb": 9})], 2)
    ]  # fmt: skip
    other = Span(trace_id=TRACE, span_id="9" * 16, parent_id="8" * 16, name="tts", attributes={"text": "elsewhere"})
    (made,) = turns_of([], [*below, turn, other])
    assert (made.user, made.agent, made.latency) == ("hi", "one two", 1250)
    assert made.parts == [("stt", 200), ("llm", 500), ("tts", 300)]
    assert made.unattributed == pytest.approx(250)


def test_order():
    """Turns stand in time order, and those without a number get the one of their place."""
    turns = turns_of([Record(time=2, event_name="turn"), Record(time=1, event_name="voice.turn")], [])
    assert [(turn.start, turn.number) for turn in turns] == [(1, 1), (2, 2)]
