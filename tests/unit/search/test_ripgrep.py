"""`search/ripgrep.py`: where texts stand in files, and that nothing depends on the program."""

from __future__ import annotations

import json
import shutil

import pytest

from otel_logging.search import indexing, reading, ripgrep
from otel_logging.search.local import LOGS, Searched, needles, scan

OWN = "media-1-20240121T193026000000Z"


@pytest.fixture
def indexed(store, monkeypatch):
    """A store whose files are indexed, with a long line among the short ones."""
    many = [
        store.record("x" * 50 + ("Needle" if number % 7 == 0 else ""), at=number, call=f"room-{number}")
        for number in range(60)
    ]
    store.log(OWN, *[store.record(f"short {number} nEEdle", at=number) for number in range(5)])
    store.log(OWN, *many)
    for path in (store.root, store.root / "logs"):
        path.chmod(0o700)
    (store.root / "logs" / f"{OWN}.jsonl").chmod(0o600)
    monkeypatch.setattr(ripgrep, "WORTH_IT", 0)
    monkeypatch.setattr(indexing.index_module, "QUIET_SECONDS", -1)
    indexing.catch_up(store.root, reading.Reading(store.root).files(LOGS), 2**40)
    return store.root


def found(root):
    searched = Searched()
    records = [
        record.as_dict()
        for record in scan(root, wanted=needles("needle"), searched=searched)
        if "needle" in record.body.lower()
    ]
    return records, searched.lines, searched.bytes


def test_the_same_as_without(indexed, monkeypatch):
    """With the program, records come in the same order, and the same is said about the search."""
    assert shutil.which("rg"), "the machine can run this"
    asked = []
    real = ripgrep._ask
    monkeypatch.setattr(ripgrep, "_ask", lambda *args: asked.append(args) or real(*args))
    with_it = found(indexed)
    assert len(with_it[0]) == 5 + 9
    assert len(asked) == 1
    monkeypatch.setattr(ripgrep, "_program", lambda: None)
    assert found(indexed) == with_it


@pytest.mark.parametrize("trouble", ["fails", "too much", "not there"])
def test_without_it(indexed, monkeypatch, trouble):
    """Where it fails, or finds the text nearly everywhere, the lines are read here."""
    expected = found(indexed)
    if trouble == "fails":
        monkeypatch.setattr(ripgrep, "_OPTIONS", ("--no-such-option",))
    elif trouble == "too much":
        monkeypatch.setattr(ripgrep, "_MOST", 10)
    else:
        monkeypatch.setattr(ripgrep, "_program", lambda: "/nonexistent/rg")
    assert found(indexed) == expected


def test_a_file_that_was_replaced(indexed, monkeypatch):
    """A file that is another one when it is read is not read by the places of the one before."""
    real = ripgrep.hits

    def swapped(paths, wanted):
        hits = real(paths, wanted)
        path = indexed / "logs" / f"{OWN}.jsonl"
        other = path.with_name("other")
        other.write_text(json.dumps({"timestamp": 1, "message": "Needle, another"}) + "\n")
        other.chmod(0o600)
        other.rename(path)
        return hits

    monkeypatch.setattr(ripgrep, "hits", swapped)
    assert [record["body"] for record in found(indexed)[0]] == ["Needle, another"]
