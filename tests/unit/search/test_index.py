"""The index: what it saves, who may make it, and that nothing depends on it."""

from __future__ import annotations

import fcntl
import os
import stat

import pytest

from otel_logging.search import index, indexing, keeping, plans, reading, retention
from otel_logging.search.local import Searched, Window, naming, scan
from otel_logging.search.one_call import find_call
from otel_logging.search.overview import overview

CALL = "CA" + "3f" * 16
OWN = "media-1-20240121T193026000000Z"


@pytest.fixture
def large(store, monkeypatch):
    """A store of some parts in one file of a writer of ours, with one call in the middle."""
    monkeypatch.setattr(reading, "WORTH_AN_INDEX", 0)
    store.root.mkdir(mode=0o700)
    for number in range(600):
        call = CALL if number == 300 else f"CA{number:032x}"
        severity = 17 if number == 300 else 9
        store.log(OWN, store.record("x" * 800, at=number, call=call, severity=severity))
    for path in (store.root, store.root / "logs"):
        path.chmod(0o700)
    (store.root / "logs" / f"{OWN}.jsonl").chmod(0o600)
    return store


@pytest.fixture
def read(monkeypatch):
    """Counts the bytes that are read of files."""
    counted = []
    real = plans.Source.read
    monkeypatch.setattr(
        plans.Source, "read", lambda self, a, b: counted.append(len(real(self, a, b))) or real(self, a, b)
    )
    return counted


class TestWhatItSaves:
    def test_one_call(self, large, read):
        """A call is found by reading the parts it occurs in and the lines that are not indexed yet."""
        find_call(large.root, CALL)
        read.clear()
        view = find_call(large.root, CALL)
        assert len(view.records) == 1
        assert view.searched.lines == 600 * 1
        assert sum(read) < 3 * index.PART

    def test_windows(self, large, read):
        """Parts outside of the time, or without a record of the level, are not read."""
        overview(large.root)
        read.clear()
        wanted = Window(worst=3)
        assert [record.call_sid for record in scan(large.root, window=wanted) if record.severity > 13] == [CALL]
        assert sum(read) < 3 * index.PART

    def test_calls_are_counted_without_the_lines(self, large, monkeypatch):
        """`calls` parses only lines that are not indexed yet."""
        first = overview(large.root).as_json()
        parsed = []
        real = reading.parse
        monkeypatch.setattr(reading, "parse", lambda line: parsed.append(line) or real(line))
        assert overview(large.root).as_json() == first
        assert 0 < len(parsed) < 100

    def test_sealing_keeps_it(self, large, monkeypatch):
        """After sealing, no line is indexed again."""
        monkeypatch.setattr(index, "QUIET_SECONDS", -1)
        before = find_call(large.root, CALL).as_json()
        assert keeping.keep(large.root, retention.Limits(2**60, 2**60)).sealed == 1
        monkeypatch.setattr(indexing._File, "_write", lambda *_: pytest.fail("indexed again"))
        assert find_call(large.root, CALL).as_json() == before


class TestWhoMakesIt:
    def test_not_for_little(self, store):
        """A small store gets no index."""
        store.log(OWN, store.record("1", call=CALL))
        find_call(store.root, CALL)
        assert not (store.root / index.NAME).exists()

    def test_private(self, large):
        """It is its owner's alone."""
        find_call(large.root, CALL)
        for path in large.root.glob("index.*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_nobody_waits(self, large):
        """While another one indexes, a reader answers without."""
        lock = large.root / indexing.LOCK
        lock.touch(mode=0o600)
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert len(find_call(large.root, CALL).records) == 1
        assert not (large.root / index.NAME).exists()

    def test_store_that_cannot_be_written(self, large, monkeypatch):
        """Where no index can be made, the answer is the same."""
        real = os.open

        def refuse(path, flags, *args, **more):
            if flags & os.O_CREAT:
                raise PermissionError(13, "Permission denied")
            return real(path, flags, *args, **more)

        monkeypatch.setattr(os, "open", refuse)
        assert len(find_call(large.root, CALL).records) == 1

    def test_refused(self, large):
        """An index that others may write to is not believed."""
        find_call(large.root, CALL)
        (large.root / index.NAME).chmod(0o666)
        with pytest.raises(PermissionError):
            index.Index(large.root)
        assert len(find_call(large.root, CALL).records) == 1

    def test_another_version(self, large):
        """An index of another version is made anew."""
        find_call(large.root, CALL)
        made = index.Index(large.root, write=True)
        made.rows("PRAGMA user_version = 999")
        made.close()
        with pytest.raises(index.Damaged):
            index.Index(large.root)
        assert len(find_call(large.root, CALL).records) == 1
        index.Index(large.root).close()

    def test_one_that_was_cut(self, large):
        """Wherever an index was cut off, it is noticed, and the answers are what they were."""
        before = [(call.call_sid, call.records) for call in overview(large.root).calls]
        whole = (large.root / index.NAME).read_bytes()
        assert len(whole) > 8 * 4096
        for page in range(0, len(whole), 4096):
            for cut in (page + 100, page + 4000):
                (large.root / index.NAME).write_bytes(whole[:cut])
                with pytest.raises(index.Damaged):
                    index.Index(large.root)
                assert [(call.call_sid, call.records) for call in overview(large.root).calls] == before
                assert len(find_call(large.root, CALL).records) == 1

    def test_removed_files_are_forgotten(self, large):
        """What retention has removed is not in the index any more."""
        find_call(large.root, CALL)
        (large.root / "logs" / f"{OWN}.jsonl").unlink()
        large.log("other", *(large.record("y" * 800, call=CALL) for _ in range(200)))
        assert len(find_call(large.root, CALL).records) == 200
        made = index.Index(large.root)
        assert [known.name for known in made.files().values()] == ["logs/other.jsonl"]
        made.close()


class TestIds:
    def test_what_a_prefix_covers(self):
        """A beginning stands for calls and traces that begin with it, in any case."""
        ids = naming("3F3f", prefix=True).ids
        assert ids.fits(CALL, None)
        assert ids.fits(None, "3f" * 16)
        assert ids.fits("3f3Froom", None)
        assert not ids.fits("room", "4f" * 16)

    def test_own_trace(self):
        """A call and its own trace have one key."""
        assert index.key_of_call(CALL) == index.key_of_trace(CALL[2:])

    def test_counts(self, large):
        """What is said about a search is the same with and without the index."""
        with_index, plain = Searched(), Searched()
        find_call(large.root, CALL)
        list(scan(large.root, wanted=naming(CALL), searched=with_index))
        (large.root / index.NAME).unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "WORTH_AN_INDEX", 2**60)
            list(scan(large.root, wanted=naming(CALL), searched=plain))
        assert with_index == plain
