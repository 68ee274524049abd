"""Sealing and retention: nothing is lost, nothing that is being written is touched, and the bounds are kept."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import time

import pytest

from otel_logging.export.jsonl_file import JsonlFile
from otel_logging.search import files, frames, keeping, retention, sealing
from otel_logging.search.local import Searched, scan

OWN = "media-1-20240121T193026000000Z"
FREE = retention.Limits(2**60, 2**60)


@pytest.fixture(autouse=True)
def private(store):
    (store.root / "logs").mkdir(parents=True, mode=0o700)
    store.root.chmod(0o700)


def fill(store, name, count=300, call=None):
    """A file of some frames."""
    for number in range(count):
        store.log(name, store.record(f"{number} " + "x" * 500, at=number, call=call))
    path = store.root / "logs" / f"{name}.jsonl"
    path.chmod(0o600)
    return path


def names(store):
    return sorted(path.name for path in (store.root / "logs").iterdir())


class TestFrames:
    @pytest.mark.parametrize("suffix", frames.SUFFIXES)
    def test_round_trip(self, store, suffix, monkeypatch):
        """A sealed file gives every byte back, a torn last line included: to us, frame by frame, and to others' tools."""
        monkeypatch.setattr(frames, "best_suffix", lambda: suffix)
        path = fill(store, OWN)
        store.raw("logs", OWN, '{"torn')
        before = path.read_bytes()
        assert keeping.keep(store.root, FREE).sealed == 1
        sealed = path.with_name(path.name + suffix)
        assert names(store) == [sealed.name]
        assert sealed.stat().st_size < len(before) / 4
        with sealed.open("rb") as file:
            walked = list(frames.walk(file, suffix))
            assert b"".join(block for _, block in walked) == before
            assert all(block.endswith(b"\n") and len(block) >= frames.FRAME_BYTES for _, block in walked[:-2])
            source = files.Source(file, suffix, [frame for frame, _ in walked])
            assert source.read(70_000, 140_000) == before[70_000:140_000]
        tool = {".gz": "zcat", ".zst": "zstdcat"}[suffix]
        assert subprocess.run([tool, sealed], capture_output=True, check=True).stdout == before

    @pytest.mark.parametrize("suffix", frames.SUFFIXES)
    def test_damaged(self, store, suffix, monkeypatch):
        """A damaged sealed file is told, what stands before the damage is read, and other files are."""
        monkeypatch.setattr(frames, "best_suffix", lambda: suffix)
        path = fill(store, OWN)
        keeping.keep(store.root, FREE)
        sealed = path.with_name(path.name + suffix)
        data = bytearray(sealed.read_bytes())
        data[len(data) * 3 // 4 :] = bytes(len(data) - len(data) * 3 // 4)
        sealed.write_bytes(data)
        fill(store, "other", 3)
        searched = Searched()
        found = list(scan(store.root, searched=searched))
        assert 3 + 50 < len(found) < 303
        assert searched.missed
        assert "damaged sealed file" in searched.problems[0]

    def test_without_zstd(self, store, monkeypatch):
        """Where Python has no zstd, new files are sealed by gzip, and those in zstd are said to need a package."""
        monkeypatch.setattr(frames, "best_suffix", lambda: ".zst")
        fill(store, OWN)
        keeping.keep(store.root, FREE)
        monkeypatch.undo()
        monkeypatch.setattr(frames, "_zstd", lambda: None)
        assert frames.best_suffix() == ".gz"
        searched = Searched()
        assert list(scan(store.root, searched=searched)) == []
        assert "zstandard" in searched.problems[0]
        assert searched.missed


class TestWhatIsSealed:
    def test_not_while_it_is_written(self, store):
        """A file whose writer lives is left alone, and sealed once the writer has closed it."""
        file = JsonlFile(store.root / "logs", "media")
        for _ in range(20):
            file.append(b'{"timestamp":1,"message":"' + b"x" * 1000 + b'"}\n')
        assert keeping.keep(store.root, FREE).sealed == 0
        file.append(b'{"timestamp":1,"message":"more"}\n')
        file.close()
        assert keeping.keep(store.root, FREE).sealed == 1
        assert len(list(scan(store.root))) == 21

    def test_other_writers_files(self, store):
        """Of the Collector's files only those that it has put aside are sealed; it may go on with the others."""
        fill(store, "collector")
        fill(store, "collector-2024-01-21T19-30-26.123")
        fill(store, "collector-2024-01-22T19-30-26.123-size")
        fill(store, "recalled-x")
        assert keeping.keep(store.root, FREE).sealed == 2
        assert [name for name in names(store) if name.endswith(".jsonl")] == ["collector.jsonl", "recalled-x.jsonl"]

    def test_both_forms(self, store):
        """Where a file is there as written and sealed, it is read once, as written; the next sealing clears it up."""
        path = fill(store, OWN)
        path.with_name(path.name + ".gz").write_bytes(frames.compress(b'{"timestamp":1,"message":"old"}\n', ".gz"))
        assert len(list(scan(store.root))) == 300
        keeping.keep(store.root, FREE)
        assert len(names(store)) == 1
        assert len(list(scan(store.root))) == 300

    def test_sealed_between_listing_and_opening(self, store):
        """A file that is sealed after it was listed is read in its sealed form."""
        fill(store, OWN)
        (listed,) = files.listed(store.root, "logs", Searched())
        keeping.keep(store.root, FREE)
        with files.opened(listed) as (stream, form):
            assert form.sealed == frames.best_suffix()
            assert b"".join(files.Source(stream, form.sealed).pieces(0, 1000)).count(b"\n") == 300

    def test_one_at_a_time(self, store):
        """While somebody seals, nobody else does, and nobody waits."""
        fill(store, OWN)
        with (store.root / sealing.LOCK).open("w") as lock:
            (store.root / sealing.LOCK).chmod(0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert keeping.keep(store.root, FREE) == keeping.Kept()
        assert keeping.keep(store.root, FREE).sealed == 1

    def test_private_and_as_old(self, store):
        """A sealed file is its owner's alone, and as old as its last line."""
        path = fill(store, OWN)
        os.utime(path, (1000, 1000))
        keeping.keep(store.root, FREE)
        about = (store.root / "logs" / names(store)[0]).stat()
        assert stat.S_IMODE(about.st_mode) == 0o600
        assert about.st_mtime == 1000

    def test_what_a_killed_process_left(self, store):
        """A temporary file goes after an hour, an empty one without a writer after a minute; never sooner."""
        logs = store.root / "logs"
        for name in (".x.jsonl.gz.0123.part", f"{OWN}.jsonl"):
            (logs / name).write_bytes(b"")
            (logs / name).chmod(0o600)
        keeping.keep(store.root, FREE)
        assert len(names(store)) == 2
        for path in logs.iterdir():
            os.utime(path, (time.time() - 4000,) * 2)
        keeping.keep(store.root, FREE)
        assert names(store) == []

    def test_pauses(self, store):
        """After each frame, whoever seals may leave the machine to others."""
        fill(store, OWN)
        pauses = []
        keeping.keep(store.root, FREE, pause=pauses.append)
        assert len(pauses) >= 3
        assert all(seconds >= 0 for seconds in pauses)


class TestRetention:
    def test_age(self, store):
        """What is older than seven days goes, sealed or not."""
        old, young = fill(store, OWN), fill(store, OWN.replace("-1-", "-2-"))
        os.utime(old, (time.time() - 8 * 86_400,) * 2)
        assert keeping.keep(store.root).removed == 1
        assert names(store) == [young.name + frames.best_suffix()]
        os.utime(store.root / "logs" / names(store)[0], (time.time() - 8 * 86_400,) * 2)
        assert keeping.keep(store.root).removed == 1
        assert names(store) == []

    def test_size(self, store):
        """Beyond the size the oldest files go, of logs and traces together, until it fits."""
        for number in range(4):
            path = fill(store, OWN.replace("-1-", f"-{number}-"))
            os.utime(path, (time.time() - 1000 + number,) * 2)
        (store.root / "traces").mkdir(mode=0o700)
        shutil.move(path, store.root / "traces")
        size = path.parent.parent.joinpath("traces", path.name).stat().st_size
        assert keeping.keep(store.root, retention.Limits(int(size * 2.5), 2**60)).removed == 2
        assert [name.split("-")[1] for name in names(store)] == ["2"]

    def test_never_what_is_being_written(self, store):
        """Files with a writer stay, however old and large, and those that the Collector has open, too."""
        file = JsonlFile(store.root / "logs", "media")
        file.append(b"{}\n")
        fill(store, "collector")
        for path in (store.root / "logs").iterdir():
            os.utime(path, (0, 0))
        assert keeping.keep(store.root, retention.Limits(1, 1)).removed == 0
        file.close()
        assert keeping.keep(store.root, retention.Limits(1, 1)).removed == 1

    def test_limits(self, tmp_path, monkeypatch):
        """7 days and 4 GB on a disk; on a memory file system 256 MB, or an eighth of it where that is less."""
        monkeypatch.setattr(retention, "_in_memory", lambda _: False)
        assert retention.limits_of(tmp_path / "not" / "yet") == (4 * 1024**3, 7 * 86_400, False)
        monkeypatch.setattr(retention, "_in_memory", lambda _: True)
        limits = retention.limits_of(tmp_path)
        assert limits.in_memory
        assert 0 < limits.max_bytes <= 256 * 1024**2

    def test_memory_is_noticed(self):
        """The system's own tmpfs is told from a disk."""
        assert retention._in_memory(os.stat("/dev/shm").st_dev)
        assert not retention._in_memory(os.stat("/proc/self").st_dev)
