"""The store as a whole."""

from __future__ import annotations

from otel_logging.search.one_call import find_call
from otel_logging.search.overview import overview

A, B, TA, TB = "CA" + "a1" * 16, "CA" + "b2" * 16, "a1" * 16, "b2" * 16
SHARED = "5e" * 16
BEGIN = 1_705_865_426_000_000_000


def test_counts(store):
    """Files, records, levels, services, calls, oldest and newest are those of the store."""
    store.log(
        "a", store.record("1", at=0, call=A), store.record("2", at=7, severity=17, call=A), store.record("3", at=3)
    )
    store.log("b", store.record("4", at=2, trace=TA), service="worker")
    store.raw("logs", "b", "broken\n")
    view = overview(store.root)
    figures = view.as_json()
    assert (view.records, view.without_call, len(view.calls), figures["files"], figures["broken"]) == (4, 1, 1, 2, 1)
    assert figures["levels"] == {"INFO": 3, "ERROR": 1}
    assert figures["services"] == {"media": 3, "worker": 1}
    assert (figures["oldest"], figures["newest"]) == (
        "2024-01-21T19:30:26.000000000Z",
        "2024-01-21T19:30:33.000000000Z",
    )
    call = view.calls[0].as_json(BEGIN + 10**12)
    assert (call["call_sid"], call["records"], call["errors"], call["services"], call["seconds"], call["state"]) == (
        A,
        3,
        1,
        ["media", "worker"],
        7.0,
        "complete",
    )


def test_same_records_as_the_call_itself(store):
    """A call's summary counts exactly what `find_call` collects, shared traces and spans included."""
    store.trace(
        "a", store.span("s", trace=SHARED, span="1" * 16, call=A), store.span("n", trace=SHARED, span="2" * 16, parent="1" * 16, call=B),
        store.span("call", trace=TB, span="3" * 16, call=B, links=["7" * 32], end=20),
    )  # fmt: skip
    store.log(
        "a",
        store.record("a", at=1, call=A, trace=SHARED),
        store.record("b", at=2, call=B, trace=SHARED),
        store.record("either", at=3, trace=SHARED),
    )
    store.log(
        "a",
        store.record("a's", at=4, trace=SHARED, span="1" * 16),
        store.record("b's", at=5, trace=SHARED, span="2" * 16),
        store.record("linked", at=6, trace="7" * 32),
    )
    store.log(
        "b",
        store.record("own", at=7, trace=TB, severity=21),
        store.record("nobody's", at=8, trace="8" * 32),
        service="worker",
    )
    view = overview(store.root)
    assert view.without_call == 1
    for call in view.calls:
        whole = find_call(store.root, call.call_sid)
        assert (call.records, dict(call.levels), call.first, call.last) == (
            len(whole.records),
            whole.levels,
            whole.first,
            whole.last,
        )
        assert call.services == set(whole.services)
        assert call.traces == set(whole.trace_ids)
        assert call.state(BEGIN + 30 * 10**9) == find_call(store.root, call.call_sid, now=BEGIN + 30 * 10**9).state


def test_newest_first_and_spans_alone(store):
    """Calls are listed newest first; one of which only spans were kept has their times."""
    store.log("a", store.record("1", at=0, call=A))
    store.trace("a", store.span("call", trace=TB, span="1" * 16, call=B, start=5, end=9))
    calls = overview(store.root).calls
    assert [call.call_sid for call in calls] == [B, A]
    assert calls[0].as_json(0)["seconds"] == 4.0


def test_hostile_call_ids(store):
    """Call ids that no service of ours would accept are counted and found like any other."""
    for call in ("\ud800", "a b", "trace x", "x" * 5000, "\x1b[2J"):
        store.log("a", store.record("1", call=call))
        assert [summary.call_sid for summary in overview(store.root).calls].count(call) == 1
        assert len(find_call(store.root, call).records) == 1


def test_nothing(tmp_path):
    """A store that does not exist is an empty one."""
    view = overview(tmp_path / "none")
    assert (view.records, view.calls, view.as_json()["oldest"]) == (0, [], None)
