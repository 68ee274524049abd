"""The journal: what processes tell each other arrives once, in order, and stays small."""

from __future__ import annotations

import json
import time

import pytest

from otel_logging.boot import journal as module
from otel_logging.boot.control_file import Refused
from otel_logging.boot.journal import Event, Journal


def trigger(call, at=None):
    return Event("trigger", call, "error", time.time() if at is None else at)


@pytest.fixture
def path(tmp_path):
    """Where the journal is."""
    return tmp_path / "events.jsonl"


class TestJournal:
    def test_each_process_hears_the_others_once(self, path):
        """A trigger reaches every other process once, and not the one that told it; a claim reaches all, in order."""
        one, two = Journal(path), Journal(path)
        one.append([trigger("a"), Event("claim", "a", "rule", time.time())])
        two.append([Event("claim", "b", "rule", time.time())])
        assert [(e.kind, e.call) for e in one.news()] == [("claim", "a"), ("claim", "b")]
        assert [(e.kind, e.call) for e in two.news()] == [("trigger", "a"), ("claim", "a"), ("claim", "b")]
        assert one.news() == two.news() == []

    def test_what_is_old_is_no_news(self, path):
        """Triggers from before the linger, and from a future that is no clock's difference, are left out."""
        Journal(path).append([trigger("old", time.time() - 200), trigger("future", time.time() + 200), trigger("now")])
        assert [event.call for event in Journal(path).news()] == ["now"]

    def test_it_stays_small(self, path, monkeypatch):
        """Beyond its size it is written anew with what is news; readers hear everything once all the same."""
        monkeypatch.setattr(module, "MAX_BYTES", 4000)
        writer, reader = Journal(path), Journal(path)
        heard = []
        for number in range(200):
            writer.append([trigger(f"call-{number}")])
            heard += reader.news()
            assert path.stat().st_size <= 4000
        assert [event.call for event in heard] == [f"call-{number}" for number in range(200)]

    def test_nonsense_is_left_out(self, path):
        """Lines that are no events are skipped: half lines, wrong types, call ids that are none."""
        good = {"at": time.time(), "by": "x", "n": 1, "kind": "trigger", "call": "a", "about": "error"}
        wrong = [{**good, "call": "a b"}, {**good, "at": "now"}, {**good, "kind": "shell"}, {**good, "n": None}, [], 7]
        path.write_text("\n".join(["{half", *map(json.dumps, [*wrong, good])]) + '\n{"at": 1')
        path.chmod(0o600)
        assert [event.call for event in Journal(path).news()] == ["a"]

    def test_a_file_of_somebody_else_s_making(self, path):
        """A journal that others may write is refused, for reading and for writing."""
        path.write_text("")
        path.chmod(0o666)
        with pytest.raises(Refused):
            Journal(path).append([trigger("a")])
        path.write_text("{}\n")
        with pytest.raises(Refused):
            Journal(path).news()

    def test_without_a_folder(self, tmp_path):
        """Where the control folder does not exist, nothing is written and nothing made."""
        journal = Journal(tmp_path / "none" / "events.jsonl")
        journal.append([trigger("a")])
        assert journal.news() == []
        assert not (tmp_path / "none").exists()
