"""`search/source.py`: several places as one, and what they are asked."""

from __future__ import annotations

import pytest

from otel_logging.search.one_call import NotFound, find_call
from otel_logging.search.query import Query, search
from otel_logging.search.record import Record
from otel_logging.search.source import Ask, Asked, BackEndError, Ids, Local, Several

SID, TRACE = "CA" + "a1" * 16, "a1" * 16


class Shelf:
    """A source that holds records and answers with all of them, whatever it is asked; it remembers the questions."""

    def __init__(self, name, *records, error=None):
        self.name, self.held, self.error, self.asked = name, records, error, []

    def records(self, ask, searched):
        self.asked.append(ask)
        yield from ask.kept(iter(self.held), searched)
        if self.error:
            raise BackEndError(self.error)

    def spans(self, ask, searched):
        return iter(())

    def explain(self, ask):
        return [f"{self.name} for {ask.ids}"]


def record(body, at=1, call=SID, **more):
    return Record(time=at * 1_000_000_000, body=body, service="media", call_sid=call, **more)


class TestSeveral:
    def test_merges_by_time(self):
        """Records of several places come in one order."""
        both = Several([Shelf("a", record("one", 1), record("three", 3)), Shelf("b", record("two", 2))])
        assert [item.body for item in find_call(both, SID).records] == ["one", "two", "three"]

    def test_a_record_in_two_places_comes_once(self):
        """A copy with a coarser time is the same record; a real repetition in one place stays."""
        exact = record("one", trace_id=TRACE)
        exact.time += 1234
        both = Several(
            [Shelf("a", exact, record("again", 2), record("again", 2)), Shelf("b", record("one"), record("again", 2))]
        )
        result = search(both, Query(limit=0))
        assert [item.body for block in result.blocks for item in block.records] == ["one", "again", "again"]
        assert result.blocks[0].records[0] is exact

    def test_one_that_fails_hides_nothing(self):
        """What the others have is shown, the failure is told, and the call counts as truncated."""
        view = find_call(Several([Shelf("a", record("one")), Shelf("b", record("two", 2), error="no permission")]), SID)
        assert [item.body for item in view.records] == ["one", "two"]
        assert view.state == "truncated"
        assert view.searched.failed == ["b: no permission"]

    def test_asked_once_if_once_is_enough(self):
        """The ids of a call are often known from the first answer; a back end is not asked the same again."""
        shelf = Shelf("a", record("one", trace_id=TRACE))
        find_call(Several([shelf]), SID)
        assert len(shelf.asked) == 1

    def test_asked_again_for_a_trace_met_on_the_way(self):
        """A trace that was seen with the call is followed, and brings records that do not name the call."""
        other = "b2" * 16
        shelf = Shelf("a", record("one", trace_id=other), record("worker", 2, call=None, trace_id=other))
        assert [item.body for item in find_call(Several([shelf]), SID).records] == ["one", "worker"]

    @pytest.mark.parametrize("pasted", ['CA1" || {', "CA1' OR 1=1", "CA1}", "a b", "x*", "CA1\\", "שלום"])
    def test_odd_ids_are_not_asked_for(self, pasted):
        """What is no id never reaches a back end's query language, and this is told."""
        shelf = Shelf("a", record("one"))
        with pytest.raises(NotFound) as caught:
            find_call(Several([shelf]), pasted)
        assert shelf.asked == []
        assert "is no id" in caught.value.searched.failed[0]

    def test_explain_names_the_place(self):
        """Each line of an explanation says which place it is for."""
        assert Several([Shelf("a"), Shelf("b")]).explain(Ask()) == ["a: a for None", "b: b for None"]


class TestAsk:
    def test_rechecks_everything(self):
        """A place that answers with all it has gives only what was asked for."""
        held = [
            record("in"),
            record("other call", call="CA2"),
            record("early", 0.5),
            record("late", 9),
            record("no", 2),
        ]
        ask = Ask(ids=Ids(calls=(SID,)), since=1_000_000_000, until=5_000_000_000, keep=lambda item: item.body != "no")
        assert [item.body for item in Several([Shelf("a", *held)]).records(ask, Asked())] == ["in"]

    def test_stops_after_the_newest(self):
        """A limit stops a reading, and the totals are then lower bounds."""
        result = search(Several([Shelf("a", *(record(str(9 - n), 9 - n) for n in range(8)))]), Query(limit=3))
        assert [item.body for item in result.blocks[0].records] == ["7", "8", "9"]
        assert result.searched.more

    @pytest.mark.parametrize(
        ("ids", "fits"),
        [
            (Ids(calls=(SID,)), True),
            (Ids(calls=(TRACE,)), False),
            (Ids(traces=(TRACE,)), True),
            (Ids(call_starts=("caA1",)), True),
            (Ids(trace_starts=("a1",)), True),
            (Ids(trace_starts=("b",), call_starts=("a1",)), False),
        ],
    )
    def test_ids(self, ids, fits):
        """Whole ids must be equal, beginnings must begin."""
        assert ids.fits(record("x", trace_id=TRACE)) is fits


class TestLocal:
    def test_reads_the_lines_that_may_fit(self, store):
        """The store passes over lines without the ids, whatever their case."""
        store.log("a", store.record("one", call=SID.lower()), store.record("two", call="CA2"))
        store.log("b", store.record("three", call="CA3"))
        searched = Asked()
        found = list(Local(store.root).records(Ask(ids=Ids(calls=(SID,), traces=(TRACE,))), searched))
        assert [item.body for item in found] == ["one"]
        assert searched.lines == 2

    def test_explains(self, store):
        """What is read, and what a line must contain."""
        assert repr(SID) in Local(store.root).explain(Ask(ids=Ids(calls=(SID,))))[0]
