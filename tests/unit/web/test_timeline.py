"""The timeline's numbers: lanes, ticks, axis."""

from __future__ import annotations

import pytest

from otel_logging.search.one_call import find_call
from otel_logging.search.spans import Span
from otel_logging.web.timeline import lane_of, timeline_of

CALL, TRACE = "CA" + "a1" * 16, "a1" * 16


def test_lanes(view):
    """The call's span has a lane, each service a strip with ticks by what matters."""
    made = timeline_of(view)
    assert [(lane.name, lane.kind) for lane in made.lanes] == [
        ("calls", "spans"),
        ("media", "records"),
        ("worker", "records"),
    ]
    assert list(made.lanes[1].ticks) == ["t0 rec", "t1 kept", "t5 w", "t9 e"]
    assert (made.start, made.length) == (0, 30_000)
    assert made.lanes[0].bars[0].width == pytest.approx(6.5 / 30 * 100, abs=0.01)


@pytest.mark.parametrize(
    ("span", "lane"),
    [
        (Span(name="call"), "calls"), (Span(name="turn"), "turns"), (Span(name="stt"), "STT"), (Span(name="llm_node"), "LLM"),
        (Span(name="tts"), "TTS"), (Span(name="user_speaking"), "caller"), (Span(name="agent_turn"), "agent"),
        (Span(name="execute_tool find", attributes={"gen_ai.operation.name": "execute_tool"}), "tools"),
        (Span(name="gpt", attributes={"gen_ai.operation.name": "chat"}), "LLM"),
        (Span(name="GET /x", attributes={"http.request.method": "GET"}), "transport"), (Span(name="SELECT"), "spans"),
    ],
)  # fmt: skip
def test_lane_of(span, lane):
    """Spans are sorted into lanes by the names that voice frameworks give them."""
    assert lane_of(span) == lane


def test_overlapping_spans_do_not_hide_each_other(store):
    """Spans of one lane that overlap stand below each other."""
    spans = [store.span("llm", trace=TRACE, span=f"{n:016x}", start=n * 0.1, end=5, call=CALL) for n in range(1, 4)]
    store.trace("a", *spans)
    (lane,) = timeline_of(find_call(store.root, CALL)).lanes
    assert len({bar.y for bar in lane.bars}) == 3
    assert lane.height > max(bar.y for bar in lane.bars)


@pytest.mark.parametrize("seconds", [0, 0.004, 1, 59, 600, 36_000])
def test_axis(store, seconds):
    """Any length has an axis of some labels, all different and inside."""
    store.log("a", store.record("x", at=0, call=CALL), store.record("y", at=seconds, call=CALL))
    axis = timeline_of(find_call(store.root, CALL)).axis
    assert 1 <= len(axis) <= 9
    assert len({label for _, label in axis}) == len(axis)
    assert all(0 <= x <= 100 for x, _ in axis)


def test_nothing_with_a_time(store):
    """Records without any time make no timeline, and no error."""
    record = store.record("x", call=CALL)
    record["timeUnixNano"] = record["observedTimeUnixNano"] = "0"
    store.log("a", record)
    assert timeline_of(find_call(store.root, CALL)).lanes == []
