"""`search/missing.py`: what is known to be missing from a call."""

from __future__ import annotations

import json

import pytest

from otel_logging.search.call_view import render_text
from otel_logging.search.one_call import find_call

SID = "CA" + "a1" * 16
BEGIN = 1_705_865_426_000_000_000


def summary(store, *, at, kept, recovered=0, made=None):
    made_record = store.record(
        "Call summary", at=at, call=SID, otel_logging__made=made or kept, otel_logging__kept=kept,
        otel_logging__recovered=recovered,
    )  # fmt: skip
    made_record["eventName"] = "otel_logging.call.summary"
    return made_record


def lines(store, count, *, at=0.0, step=0.1, call=SID, **more):
    return [store.record(f"line {n}", at=at + n * step, call=call, **more) for n in range(count)]


def said(view):
    return [item.sentence() for item in view.missing]


class TestRecords:
    @pytest.mark.parametrize(("kept", "expected"), [
        (5, []), (4, []), (6, ["1 of 6 records that media kept is not here"]), (1205, ["1,200 of 1,205 records that media kept are not here"]),
    ])  # fmt: skip
    def test_fewer_than_were_kept(self, store, kept, expected):
        """As many as the summary says were kept, or more, is whole; fewer is told, with both numbers."""
        store.log("media", *lines(store, 5), summary(store, at=5, kept=kept))
        assert said(find_call(store.root, SID)) == expected

    def test_recovered_ones_count(self, store):
        """Records that were given back were handed on, too."""
        frames = lines(store, 3, at=1, otel_logging__recovered=True)
        store.log("media", *lines(store, 2), *frames, summary(store, at=5, kept=2, recovered=4))
        assert said(find_call(store.root, SID)) == ["1 of 6 records that media kept is not here"]

    def test_recalled_ones_do_not(self, store):
        """What somebody brought back by hand makes up for nothing that was lost."""
        recalled = lines(store, 3, at=1, otel_logging__recovered=True, otel_logging__trigger="recall")
        store.log("media", *lines(store, 2), *recalled, summary(store, at=5, kept=3))
        assert said(find_call(store.root, SID)) == ["1 of 3 records that media kept is not here"]

    def test_after_the_summary(self, store):
        """What comes after the last summary is in none yet; several summaries of a process add up."""
        late = lines(store, 4, at=9)
        store.log(
            "media",
            *lines(store, 2),
            summary(store, at=3, kept=2),
            *lines(store, 2, at=4),
            summary(store, at=5, kept=3),
            *late,
        )
        assert said(find_call(store.root, SID)) == ["1 of 5 records that media kept is not here"]

    def test_each_process_for_itself(self, store):
        """A service's other process, and one that wrote no summary, do not hide what one has lost."""
        store.log("a", *lines(store, 2), summary(store, at=5, kept=3), instance="one")
        store.log("b", *lines(store, 9), instance="two")
        store.log("w", *lines(store, 9), service="worker")
        assert said(find_call(store.root, SID)) == ["1 of 3 records that media kept is not here"]

    def test_nothing_is_claimed_of_a_part(self, store):
        """Where the range may have cut the call, or something could not be read, missing records prove nothing."""
        store.log("media", *lines(store, 2), summary(store, at=5, kept=3))
        assert find_call(store.root, SID, until=BEGIN + 6 * 10**9).missing == []
        assert find_call(store.root, SID, since=BEGIN - 10**9).missing == []
        assert len(find_call(store.root, SID, since=BEGIN - 3600 * 10**9).missing) == 1

    @pytest.mark.parametrize("value", ["many", None, True, -3, 2.5])
    def test_a_summary_that_says_nonsense(self, store, value):
        """Anybody can write such a record; what is no number counts as nothing."""
        store.log("media", *lines(store, 2), summary(store, at=5, kept=value))
        assert find_call(store.root, SID).missing == []


class TestSilence:
    def ended(self, store, service):
        return store.span(
            "call", trace="a1" * 16, span="c1" * 8, start=0, end=40, call=SID, otel_logging__end_reason="stop"
        )

    def test_a_service_that_stops(self, store):
        """It talked, then nothing for ten seconds while others went on, and no end of it is on record: that is told."""
        store.log("media", *lines(store, 6))
        store.log("worker", *lines(store, 8, at=1, step=5), service="worker")
        store.trace("worker", self.ended(store, "worker"), service="worker")
        (item,) = find_call(store.root, SID).missing
        assert item.sentence() == "nothing from media after this, and it has not said that the call ended there"
        assert item.at == BEGIN + 500_000_000

    def test_one_that_said_why(self, store):
        """Its end, by a span or a summary, makes silence natural; so do few records, and neighbours that tell no ends."""
        store.log("media", *lines(store, 6), summary(store, at=1, kept=6))
        store.log("worker", *lines(store, 8, at=1, step=5), service="worker")
        store.log("other", *lines(store, 3), service="other")
        assert find_call(store.root, SID).missing == []
        view = find_call(store.root, SID)
        assert view.services == {"media": 7, "other": 3, "worker": 8}


def test_shown(store):
    """In the terminal's head, and in JSON with its place and numbers; the head says how many of those made were kept."""
    store.log("media", *lines(store, 2), summary(store, at=5, kept=3, made=300))
    view = find_call(store.root, SID)
    text = "\n".join(render_text(view))
    assert "  missing   1 of 3 records that media kept is not here" in text
    assert "; 3 of 300 made were kept" in text
    shown = json.loads(json.dumps(view.as_json()))
    assert shown["books"]["made"] == 300
    assert shown["missing"] == [
        {
            "service": "media",
            "what": "records",
            "at": "2024-01-21T19:30:31.000000000Z",
            "relative": 5.0,
            "kept": 3,
            "here": 2,
        }
    ]
