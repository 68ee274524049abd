"""One whole call: what was pasted, what belongs to it, what never does."""

from __future__ import annotations

import json

import pytest

from otel_logging.search.one_call import Ambiguous, NotFound, find_call, own_trace

A, B = "CA" + "a1" * 16, "CA" + "b2" * 16
TA, TB = "a1" * 16, "b2" * 16
SERVER, OTHER = "5e" * 16, "0f" * 16
BEGIN = 1_705_865_426_000_000_000  # the writer's second 0
LATER = BEGIN + 3600 * 10**9


def console_line(call):
    return (
        json.dumps({"timestamp": "2024-01-21T19:30:27Z", "level": "INFO", "message": "line", "call_sid": call}) + "\n"
    )


def bodies(view):
    return [record.body for record in view.records]


@pytest.fixture
def two_calls(store):
    """Two calls in two services, each also in a server's trace."""
    for call, trace, server, name in ((A, TA, SERVER, "a"), (B, TB, OTHER, "b")):
        store.log("media", store.record(f"{name} webhook", at=0, call=call, trace=server))
        store.log("media", store.record(f"{name} start", at=1, call=call, trace=trace), store.record("nobody's", at=1))
        store.log("media", store.record(f"{name} in the request", at=0.5, trace=server))
        store.log("worker", store.record(f"{name} summary", at=9, trace=trace), service="worker", scope="jobs")
    return store


class TestWhatIsPasted:
    WHOLE = ("a webhook", "a in the request", "a start", "a summary")

    @pytest.mark.parametrize(
        "pasted",
        [A, A.upper().replace("CA", "CA", 1), TA, TA.upper(), f"00-{TA}-{'1' * 16}-01", f"00-{SERVER}-{'1' * 16}-01", SERVER, f"  '{A}',", f"call_sid={A}",
         "CAa1a1", "caa1", "a1a1a", "5e5e", "0x" + TA],
    )  # fmt: skip
    def test_whatever_it_is(self, two_calls, pasted):
        """A CallSid, a trace id, a traceparent or a prefix of one gives the same whole call, in any case and any quotes."""
        view = find_call(two_calls.root, pasted, now=LATER)
        assert view.call_sid == A
        assert tuple(bodies(view)) == self.WHOLE
        assert view.trace_ids == (TA, SERVER)
        assert view.services == {"media": 3, "worker": 1}

    def test_any_call_id(self, store):
        """A call id that is no CallSid is found by itself, by its prefix and by the trace that follows from it."""
        store.log(
            "a",
            store.record("1", call="room-17", trace=own_trace("room-17")),
            store.record("2", trace=own_trace("room-17")),
        )
        store.log("b", store.record("x", call="room-18"))
        for pasted in ("room-17", own_trace("room-17"), own_trace("room-17")[:9], "ROOM-17"):
            assert bodies(find_call(store.root, pasted)) == ["1", "2"]

    def test_call_known_only_by_its_trace(self, store):
        """A call of which no record names it is found by its own trace."""
        store.log("a", store.record("1", trace=TA), store.record("2", trace=own_trace("room-17")))
        assert bodies(find_call(store.root, A)) == ["1"]
        assert find_call(store.root, A).call_sid == A
        assert bodies(find_call(store.root, "room-17")) == ["2"]

    def test_exact_wins_over_prefix(self, store):
        """An id that is also the beginning of another means itself."""
        store.log("a", store.record("1", call="room-1"), store.record("2", call="room-12"))
        assert bodies(find_call(store.root, "room-1")) == ["1"]

    def test_ambiguous_prefix(self, two_calls):
        """A prefix of several calls lists them and picks none."""
        with pytest.raises(Ambiguous, match="fits 2 calls") as caught:
            find_call(two_calls.root, "CA")
        assert {candidate.call_sid for candidate in caught.value.candidates} == {A, B}
        assert caught.value.searched.files == 2

    def test_trace_of_several_calls(self, store):
        """A trace that two calls share lists both, unless it is one's own trace."""
        store.log("a", store.record("1", call=A, trace=SERVER), store.record("2", call=B, trace=SERVER))
        store.log("a", store.record("3", call=B, trace=TA))
        with pytest.raises(Ambiguous):
            find_call(store.root, SERVER)
        with pytest.raises(Ambiguous):
            find_call(store.root, SERVER[:8])
        assert find_call(store.root, TA).call_sid == A
        assert find_call(store.root, TA[:8]).call_sid == A

    def test_trace_without_a_call(self, store):
        """A trace that no call was seen with is shown as a trace."""
        store.log("a", store.record("1", trace=OTHER), store.record("2", trace=TB))
        for pasted in (OTHER, OTHER[:6]):
            view = find_call(store.root, pasted)
            assert (view.call_sid, view.trace_ids, bodies(view)) == (None, (OTHER,), ["1"])

    def test_ambiguous_traces(self, store):
        """A prefix of several traces lists the traces."""
        store.log("a", store.record("1", trace="0f" + "1" * 30), store.record("2", trace="0f" + "2" * 30))
        with pytest.raises(Ambiguous) as caught:
            find_call(store.root, "0f")
        assert {candidate.name for candidate in caught.value.candidates} == {"0f" + "1" * 30, "0f" + "2" * 30}

    @pytest.mark.parametrize(
        "pasted", ["CA" + "9" * 32, "9" * 32, "zzz", "שלום", "'; DROP TABLE calls; --", "a1" * 200]
    )
    def test_nothing(self, two_calls, pasted):
        """What fits nothing is said to fit nothing, and how much was searched."""
        with pytest.raises(NotFound) as caught:
            find_call(two_calls.root, pasted)
        assert caught.value.searched.files == 2

    @pytest.mark.parametrize("pasted", ["", "   ", "''"])
    def test_empty(self, two_calls, pasted):
        """An empty text fits nothing rather than everything."""
        with pytest.raises(NotFound):
            find_call(two_calls.root, pasted)


class TestWhatBelongs:
    def test_never_another_calls_records(self, store):
        """In a trace that calls share, a record that names another call is left out and the sharing is said."""
        store.log(
            "a",
            store.record("a", call=A, trace=SERVER),
            store.record("b", call=B, trace=SERVER),
            store.record("either", trace=SERVER),
        )
        view = find_call(store.root, A)
        assert bodies(view) == ["a", "either"]
        assert B in view.notes[0]
        assert bodies(find_call(store.root, B)) == ["b", "either"]

    def test_not_even_in_the_calls_own_trace(self, store):
        """A conversation nested into another's trace keeps its own records."""
        store.log("a", store.record("a", call=A, trace=TA), store.record("b", call=B, trace=TA))
        assert bodies(find_call(store.root, A)) == ["a"]
        assert bodies(find_call(store.root, B)) == ["b"]

    def test_the_span_decides_for_a_record_without_a_call(self, store):
        """A record without a call id inside another call's span is that call's."""
        store.trace(
            "a",
            store.span("server", trace=SERVER, span="1" * 16, call=A),
            store.span("nested", trace=SERVER, span="2" * 16, parent="1" * 16, call=B),
            store.span("query", trace=SERVER, span="3" * 16, parent="2" * 16),
        )
        store.log(
            "a",
            store.record("of a", trace=SERVER, span="1" * 16),
            store.record("of b", trace=SERVER, span="3" * 16),
            store.record("either", trace=SERVER),
        )
        assert bodies(find_call(store.root, A)) == ["of a", "either"]
        assert bodies(find_call(store.root, B)) == ["of b", "either"]
        assert [span.name for span in find_call(store.root, B).spans] == ["nested", "query"]

    def test_traces_of_spans_and_their_links(self, store):
        """A trace is the call's if a span in it names the call, or if a span that names the call links to it."""
        store.trace(
            "a",
            store.span("GET /", trace=SERVER, span="1" * 16, call=A),
            store.span("call", trace=TA, span="2" * 16, call=A, links=[OTHER]),
        )
        store.log(
            "a",
            store.record("1", at=1, trace=SERVER),
            store.record("2", at=2, trace=OTHER),
            store.record("x", trace="9" * 32),
        )
        view = find_call(store.root, A)
        assert bodies(view) == ["1", "2"]
        assert set(view.trace_ids) == {TA, SERVER, OTHER}
        assert bodies(find_call(store.root, SERVER)) == ["1", "2"]

    def test_console_lines_join_otlp(self, store):
        """A record that came as a JSON console line stands among those that came as OTLP."""
        store.log("a", store.record("otlp", at=2, call=A))
        store.raw("logs", "b", console_line(A))
        assert bodies(find_call(store.root, A)) == ["line", "otlp"]


class TestOrder:
    def test_time_then_observed_then_file(self, store):
        """Records of one time stand in the order they were observed, then in the order of their files."""
        store.log("b", store.record("4", at=1, call=A, observed=3))
        store.log("a", store.record("3", at=1, call=A, observed=2), store.record("2", at=1, call=A, observed=1.5))
        store.log(
            "a",
            store.record("5", at=1, call=A, observed=3.5),
            store.record("6", at=1, call=A, observed=3.5),
            store.record("1", at=0, call=A, observed=9),
        )
        assert bodies(find_call(store.root, A)) == ["1", "2", "3", "4", "5", "6"]

    def test_relative_times(self, store):
        """Relative times count in seconds from the call's first record, whichever service made it."""
        store.log("a", store.record("2", at=1.5, call=A))
        store.log("b", store.record("1", at=0.25, call=A), service="worker")
        assert [line["relative"] for line in find_call(store.root, A).flat_records()] == [0.0, 1.25]


class TestState:
    def state(self, store, seconds):
        return find_call(store.root, A, now=BEGIN + seconds * 10**9).state

    def test_by_silence(self, store):
        """Without an end on record, a call is live until it has been silent for two minutes."""
        store.log("a", store.record("1", at=0, call=A))
        assert [self.state(store, seconds) for seconds in (1, 119, 121)] == ["live", "live", "complete"]

    def test_by_its_end(self, store):
        """After the hang-up a call settles for a minute, then it is complete; late records prolong that."""
        store.log("a", store.record("1", at=0, call=A))
        store.trace("a", store.span("call", trace=TA, span="2" * 16, call=A, end=10, otel_logging__end_reason="stop"))
        assert [self.state(store, seconds) for seconds in (11, 69, 71)] == ["settling", "settling", "complete"]
        store.log("a", store.record("late", at=40, call=A))
        assert [self.state(store, seconds) for seconds in (99, 101)] == ["settling", "complete"]

    def test_by_a_part_of_it(self, store):
        """A call that ended in one service only, without a hang-up, may still be live in another."""
        store.log("a", store.record("1", at=0, call=A))
        ended = store.span("call", trace=TA, span="2" * 16, call=A, end=1, otel_logging__end_reason="left")
        store.trace("a", ended, service="webhook")
        assert [self.state(store, seconds) for seconds in (100, 121)] == ["live", "complete"]
        assert find_call(store.root, A).ends == {"webhook": "left"}

    def test_truncated(self, store):
        """A broken line that names the call makes its view truncated; one that does not leaves it alone."""
        store.log("a", store.record("1", call=A))
        store.raw("logs", "a", "{broken}\n")
        assert self.state(store, 1000) == "complete"
        store.raw("logs", "a", f"{{broken {A}}}\n")
        assert self.state(store, 1000) == "truncated"
