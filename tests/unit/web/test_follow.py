"""What a page that follows a call is sent."""

from __future__ import annotations

import json
import time

import pytest

from otel_logging.search.one_call import find_call
from otel_logging.search.tail import Tail
from otel_logging.web import follow as follow_module
from otel_logging.web.follow import Follower

CALL, TRACE = "CA" + "a1" * 16, "a1" * 16
BEGIN = 1_705_865_426


@pytest.fixture
def live(store):
    """A call whose last record is a second old, and how many seconds after the store writer's beginning that is."""
    now = time.time() - BEGIN
    store.log("media", store.record("first", at=now - 1, call=CALL, trace=TRACE))
    store.now = now
    return store


def told(follower):
    """The events by name, and the last id."""
    found = {}
    for text in follower.events():
        lines = dict(line.split(": ", 1) for line in text.strip().splitlines())
        found[lines["event"]] = json.loads(lines["data"])
        found["id"] = lines["id"]
    return found


def follow(store):
    return Follower(store.root, CALL, Tail(store.root).place())


def test_nothing_new(live):
    """Where nothing happens nothing is sent."""
    follower = follow(live)
    assert told(follower) == {}
    live.log("media", live.record("another call's", at=live.now, call="CA" + "b2" * 16))
    assert told(follower) == {}


def test_new_record(live):
    """A new record comes as a row, with its details, and the head is made anew; an event's id is where reading goes on."""
    follower = follow(live)
    live.log("worker", live.record("<b>second</b>", at=live.now, trace=TRACE, severity=17, order=7), service="worker")
    events = told(follower)
    assert "&lt;b&gt;second&lt;/b&gt;" in events["rows"]["html"]
    (known,) = events["rows"]["details"]["rows"].values()
    assert ["order", "7"] in known["pairs"]
    assert "worker" in events["top"]["html"]
    assert events["top"]["state"] == "live"
    assert told(follower) == {}
    assert told(Follower(live.root, CALL, events["id"])) == {}


def test_resumes(live):
    """A page that was away gets what it missed: its place says from where."""
    place = Tail(live.root).place()
    live.log("media", live.record("missed", at=live.now, call=CALL))
    assert "missed" in told(Follower(live.root, CALL, place))["rows"]["html"]


def test_a_new_trace_brings_its_older_records(live):
    """When a record ties another trace to the call, the older records of that trace come along."""
    other = "c3" * 16
    live.log("worker", live.record("before it had a name", at=live.now - 0.5, trace=other))
    follower = follow(live)
    assert told(follower) == {}
    live.log("worker", live.record("named", at=live.now, call=CALL, trace=other))
    html = told(follower)["rows"]["html"]
    assert "before it had a name" in html
    assert "named" in html


def test_a_packed_file_loses_nothing(live, monkeypatch):
    """If a file goes, the whole call is read again; rows that the page has are known to it by their keys."""
    follower = follow(live)
    read = []
    monkeypatch.setattr(follow_module, "find_call", lambda *call: read.append(call) or find_call(*call))
    path = live.root / "logs" / "media.jsonl"
    live.log("media", live.record("just before", at=live.now, call=CALL))
    path.rename(path.with_name("packed.jsonl"))
    html = told(follower)["rows"]["html"]
    assert "just before" in html
    assert "first" in html
    assert read == [(live.root, CALL)]


def test_a_filled_gap_goes(live):
    """A gap that late records fill is taken away."""
    live.log("media", live.record("later", at=live.now + 4, call=CALL))
    follower = follow(live)
    live.log("media", live.record("late, between", at=live.now + 1.5, call=CALL))
    (gone,) = told(follower)["rows"]["gone"]
    assert gone.startswith("g")


def test_ends(live):
    """When the call is complete the page is told so, once and for all."""
    long_ago = live.now - 3600
    live.trace("media", live.span("call", trace=TRACE, span="1" * 16, start=long_ago, end=long_ago + 1, call=CALL,
                                  otel_logging__end_reason="stop"))  # fmt: skip
    live.log("media", live.record("old", at=long_ago, call="CA" + "d4" * 16, trace="d4" * 16))
    follower = Follower(live.root, "CA" + "d4" * 16, Tail(live.root).place())
    events = told(follower)
    assert "end" in events
    assert follower.state == "complete"


def test_no_place(live):
    """A place that is none is refused."""
    with pytest.raises(ValueError):
        Follower(live.root, CALL, "nonsense")
