"""`search/together.py`: several back ends asked at the same time."""

from __future__ import annotations

import threading

import pytest

from otel_logging.search.one_call import find_call
from otel_logging.search.record import Record
from otel_logging.search.source import Ask, Asked, BackEndError, Ids, Local, Several

SID = "CA" + "a1" * 16
PATIENCE = 60  # seconds, of what must happen


class Shelf:
    """A source that says one thing, does what it is told between that and another, and counts its questions."""

    def __init__(self, name, *bodies, meanwhile=lambda: None, error=""):
        self.name, self.bodies, self.meanwhile, self.error, self.asked = name, bodies, meanwhile, error, 0

    def records(self, ask, searched):
        self.asked += 1
        yield from ask.kept(iter([record(body) for body in self.bodies[:1]]), searched)
        self.meanwhile()
        searched.asked.append(self.name)
        yield from ask.kept(iter([record(body) for body in self.bodies[1:]]), searched)
        if self.error:
            raise BackEndError(self.error)

    def spans(self, ask, searched):
        return iter(())

    def explain(self, ask):
        return []


def record(body):
    return Record(time=1_000_000_000, body=body, service="media", call_sid=SID, trace_id="b2" * 16)


def bodies(source, searched=None):
    return [item.body for item in source.records(Ask(ids=Ids(calls=(SID,))), Asked() if searched is None else searched)]


def test_all_are_asked_before_one_has_answered(store):
    """Back ends wait for each other here, so that one after the other would never end; the local store joins them."""
    store.log("a", store.record("here", call=SID))
    together = threading.Barrier(3)
    shelves = [Shelf(name, name, meanwhile=lambda: together.wait(PATIENCE)) for name in "abc"]
    assert bodies(Several([shelves[0], Local(store.root), *shelves[1:]])) == ["a", "here", "b", "c"]


def test_the_order_is_that_of_the_names():
    """Who answers first changes nothing: not the order of records of the same time, not that of what is said."""
    for first in "ab":
        other = threading.Event()
        shelves = [
            Shelf(name, f"{name}1", f"{name}2", meanwhile=other.set if name == first else lambda: other.wait(PATIENCE))
            for name in "ab"
        ]
        searched = Asked()
        assert bodies(Several(shelves), searched) == ["a1", "a2", "b1", "b2"]
        assert searched.asked == ["a", "b"]
        assert searched.records == 4


def test_each_tells_its_own_error():
    """Of three, two fail: each says why, under its name, and what they had found before counts."""
    shelves = [Shelf("a", "1", error="no permission"), Shelf("b", "2"), Shelf("c", "3", error="throttled")]
    searched = Asked()
    assert bodies(Several(shelves), searched) == ["1", "2", "3"]
    assert searched.failed == ["a: no permission", "c: throttled"]
    assert searched.missed


def test_one_that_never_answers_holds_up_nobody():
    """When patience ends, what it had found is shown, the call is truncated, and it is not asked again."""
    never = threading.Event()
    hangs = Shelf("slow", "found before", "never", meanwhile=lambda: never.wait(PATIENCE))
    quick = Shelf("quick", "one", "two")
    several = Several([hangs, quick], patience=0.3)
    view = find_call(several, SID)
    assert sorted(item.body for item in view.records) == ["found before", "one", "two"]
    assert view.state == "truncated"
    assert view.searched.failed == ["slow: gave no whole answer in time; what it had found is shown"]
    assert hangs.asked == 1
    never.set()
    several.forget()
    assert bodies(several) == ["found before", "never", "one", "two"]


def test_what_is_no_answer_comes_out():
    """An error that is ours is not hidden by the thread it happened in."""

    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bodies(Several([Shelf("a", "1", meanwhile=broken), Shelf("b", "2")]))


def test_who_stops_listening_is_not_served_on():
    """A reader that goes away ends the other readings with the next thing they find."""
    gone, ended = threading.Event(), threading.Event()

    class Endless(Shelf):
        def records(self, ask, searched):
            try:
                yield record("first")
                gone.wait(PATIENCE)
                while True:
                    yield record("more")
            finally:
                ended.set()

    listening = Several([Shelf("a", "1"), Endless("b")]).records(Ask(), Asked())
    next(listening)
    listening.close()
    gone.set()
    assert ended.wait(PATIENCE)
