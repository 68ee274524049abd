"""`search/follow.py`: what is new, and nothing twice."""

from __future__ import annotations

import json

import pytest

from otel_logging.search.follow import Follower, Tail
from otel_logging.search.one_call import find_call
from otel_logging.search.query import Query, search
from otel_logging.search.record import Record
from otel_logging.search.source import Asked, Local, Several

SID, TRACE, OTHER = "CA" + "a1" * 16, "a1" * 16, "CA" + "b2" * 16


@pytest.fixture
def tail(store):
    """A tail of a store that holds a record in each of two files."""
    store.log("a", store.record("old a"))
    store.log("b", store.record("old b"))
    made = Tail(store.root)
    yield made
    made.close()


def new(tail):
    return sorted(record.body for record in tail.poll()[0])


class TestTail:
    def test_only_what_is_new(self, store, tail):
        """Lines of known files, new files and spans; what was there before is not given."""
        assert new(tail) == []
        store.log("a", store.record("new a"))
        store.log("c", store.record("new c"))
        store.trace("a", store.span("call", trace=TRACE, span="1" * 16))
        records, spans = tail.poll()
        assert sorted(record.body for record in records) == ["new a", "new c"]
        assert [span.name for span in spans] == ["call"]
        assert new(tail) == []

    def test_half_a_line(self, store, tail):
        """A line is given when its newline is there, and whole."""
        line = json.dumps({"timestamp": 1, "message": "שלום"}, ensure_ascii=False).encode()
        store.raw("logs", "a", line[:-4])
        assert new(tail) == []
        store.raw("logs", "a", line[-4:] + b"\n")
        assert new(tail) == ["שלום"]

    def test_a_line_that_was_half_there_at_first(self, store):
        """The beginning of a line that was there before belongs to it."""
        line = json.dumps({"timestamp": 1, "message": "x" * 200_000})
        store.raw("logs", "a", "{}\n" + line[:150_000])
        made = Tail(store.root)
        store.raw("logs", "a", line[150_000:] + "\n")
        assert [len(body) for body in new(made)] == [200_000]
        made.close()

    def test_a_file_that_is_renamed_or_removed(self, store, tail):
        """Rotation and sealing take nothing away that was written before."""
        store.log("a", store.record("before"))
        (store.root / "logs" / "a.jsonl").rename(store.root / "logs" / "a-2024.jsonl")
        store.log("a", store.record("after"))
        store.log("b", store.record("last"))
        (store.root / "logs" / "b.jsonl").unlink()
        assert new(tail) == ["after", "before", "last"]
        assert new(tail) == []

    def test_broken_lines(self, store, tail):
        """What is no record is passed over."""
        store.raw("logs", "a", 'no json\n[1]\n{"a":\n\n')
        store.log("a", store.record("good"))
        assert new(tail) == ["good"]

    def test_links_are_not_followed(self, store, tail, tmp_path):
        """A link in the store leads nowhere."""
        (tmp_path / "x.jsonl").write_text(json.dumps({"timestamp": 1, "message": "secret"}) + "\n")
        (store.root / "logs" / "x.jsonl").symlink_to(tmp_path / "x.jsonl")
        assert new(tail) == []


class TestFollower:
    def test_filters(self, store):
        """Only what matches comes, in time order."""
        store.log("a", store.record("old", call=SID))
        follower = Follower(Local(store.root), Query(text="yes"))
        store.log("a", store.record("yes 2", at=2), store.record("no"), store.record("yes 1", at=1))
        assert [record.body for record in follower.poll(Asked())] == ["yes 1", "yes 2"]
        follower.close()

    def test_nothing_twice_and_nothing_lost(self, store):
        """What is written between the start and the first answer is in the answer or comes after, never both."""
        store.log("a", store.record("one"))
        follower = Follower(Local(store.root), Query())
        store.log("a", store.record("two"))
        result = search(store.root, Query())
        store.log("a", store.record("three"), store.record("two"))
        follower.shown(record for block in result.blocks for record in block.records)
        assert [record.body for record in follower.poll(Asked())] == ["three", "two"]
        follower.close()

    def test_a_call(self, store):
        """A call's records by its id and by traces that are learnt on the way; those of other calls never."""
        store.log("a", store.record("start", call=SID, trace=TRACE))
        follower = Follower(Local(store.root), Query(call=SID))
        follower.shown([], find_call(store.root, SID))
        store.log(
            "b", store.record("by trace", at=1, trace=TRACE), store.record("not mine", trace="b2" * 16, call=OTHER)
        )
        store.log("b", store.record("start", call=SID, trace=TRACE))
        assert [record.body for record in follower.poll(Asked())] == ["start", "by trace"]
        store.trace("b", store.span("call", trace="d4" * 16, span="1" * 16, call=SID))
        store.log("b", store.record("learnt", trace="d4" * 16))
        assert [record.body for record in follower.poll(Asked())] == ["learnt"]
        follower.close()

    def test_a_back_end(self):
        """A back end is asked again for the time just past, and what it gives again is not shown again."""

        class Shelf:
            name = "shelf"
            held: list = []  # noqa: RUF012
            asked: list = []  # noqa: RUF012

            def records(self, ask, searched):
                self.asked.append(ask)
                yield from ask.kept(iter(self.held), searched)

            def spans(self, ask, searched):
                return iter(())

        from otel_logging.search import clock

        shelf = Shelf()
        late = [Record(time=clock.now(), body=str(number), call_sid=SID) for number in range(3)]
        shelf.held.append(late[0])
        follower = Follower(Several([shelf]), Query(call=SID, since=1))
        follower.shown(late[:1])
        shelf.held.append(late[2])
        assert [record.body for record in follower.poll(Asked())] == ["2"]
        shelf.held.append(late[1])  # indexed later, although made before
        assert [record.body for record in follower.poll(Asked())] == ["1"]
        assert follower.poll(Asked()) == []
        assert all(ask.since for ask in shelf.asked)
        follower.close()
