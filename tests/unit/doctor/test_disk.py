"""The store and the spool: whether they can be used, what room is left, and what waits since when."""

from __future__ import annotations

import os
import time

import pytest

from otel_logging import settings
from otel_logging.doctor import disk
from otel_logging.doctor.finding import FAILED, OK, SKIPPED, WARNING
from otel_logging.export.spool import KEEP_SECONDS, Spool, folder_of
from otel_logging.export.spool_files import Clock

needs_owners = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no owners")


def read(store, **more):
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    return settings.read({"store": store, **more}, environ=environ)


def only(findings):
    (one,) = findings
    return one


class TestStore:
    def test_one_that_can_be_written(self, tmp_path):
        """A usable store is left as it was found, with mode and room told."""
        store = tmp_path / "store"
        store.mkdir(0o700)
        one = only(disk.store_findings(read(store)))
        assert (one.verdict, "mode 0700" in one.says, " free" in one.says) == (OK, True, True)
        assert not list(store.iterdir())

    def test_one_that_can_be_made(self, tmp_path):
        """A store that a process would make is fine, and not made by looking."""
        one = only(disk.store_findings(read(tmp_path / "a" / "store")))
        assert (one.verdict, "can be made" in one.says) == (OK, True)
        assert not (tmp_path / "a").exists()

    @needs_owners
    def test_one_that_others_may_write_to(self, tmp_path):
        """A store for everybody would not be used by a process either."""
        store = tmp_path / "store"
        store.mkdir()
        store.chmod(0o777)
        one = only(disk.store_findings(read(store)))
        assert (one.verdict, "0777" in one.says, "0700" in one.cure) == (FAILED, True, True)

    def test_a_link(self, tmp_path):
        """A link is not followed."""
        (tmp_path / "store").symlink_to(tmp_path)
        assert only(disk.store_findings(read(tmp_path / "store"))).verdict == FAILED

    def test_a_file(self, tmp_path):
        """A file in its place is told, as it stands in the way of a folder."""
        (tmp_path / "store").write_text("")
        assert only(disk.store_findings(read(tmp_path / "store"))).verdict == FAILED

    def test_one_that_cannot_be_written(self, tmp_path, monkeypatch):
        """A read-only volume is a failure that names the user and the cure."""
        store = tmp_path / "store"
        store.mkdir(0o700)

        def refuse(*_, **__):
            raise OSError(30, "Read-only file system", str(store))

        monkeypatch.setattr("otel_logging.private_files.Folder.create", refuse)
        one = only(disk.store_findings(read(store)))
        assert (one.verdict, "Read-only" in one.says, "OTEL_LOGGING_STORE" in one.cure) == (FAILED, True, True)

    @pytest.mark.parametrize(("free", "verdict"), [(1024, FAILED), (200 * 1024**2, WARNING)])
    def test_little_room(self, tmp_path, monkeypatch, free, verdict):
        """A full file system is a failure, a nearly full one a warning."""
        monkeypatch.setattr(disk, "_free", lambda folder: free)
        first, last = disk.store_findings(read(tmp_path))
        assert (first.verdict, last.verdict) == (verdict, OK)

    def test_in_memory(self, tmp_path, monkeypatch):
        """A store in memory works and is gone with the container."""
        monkeypatch.setattr(disk, "_file_system", lambda folder: "tmpfs")
        first, last = disk.store_findings(read(tmp_path))
        assert (first.verdict, "volume" in first.cure, last.verdict) == (WARNING, True, OK)

    @pytest.mark.skipif(not os.path.exists("/proc/self/mountinfo"), reason="Linux tells its mounts")
    def test_the_kind_of_file_system_is_known(self):
        """The mounts are read as they are: /proc is what it is."""
        assert disk._file_system(disk.Path("/proc/self")) == "proc"

    def test_without_home(self, monkeypatch):
        """No folder at all: said where the spool would need one, skipped where nothing does."""
        otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
        assert only(disk.store_findings(settings.read(environ=otlp))).verdict == WARNING
        assert only(disk.store_findings(settings.read(environ={}))).verdict == SKIPPED


class TestSpool:
    @pytest.fixture
    def waiting(self, tmp_path):
        """A store in whose spool a process has left a request, `age` seconds ago."""
        spools = []

        def make(age):
            made = time.time() - age
            folder = folder_of(tmp_path, "http/protobuf", "http://collector:4318/v1/logs", {})
            spool = Spool(folder, "calls", clock=Clock(wall=lambda: made))
            spool.append(b"x" * 5000, 3)
            spools.append(spool)
            return read(tmp_path)

        yield make
        for spool in spools:
            spool.release()

    def test_nothing_waits(self, tmp_path):
        """An empty spool, or none, is fine."""
        assert only(disk.spool_findings(read(tmp_path))).verdict == OK
        assert only(disk.spool_findings(read(tmp_path / "none"))).verdict == OK

    @pytest.mark.parametrize(
        ("age", "verdict", "says"),
        [
            (5, OK, "being delivered"),
            (3600, WARNING, "60 minutes"),
            (KEEP_SECONDS + 5, FAILED, "are being dropped"),
        ],
    )
    def test_what_waits(self, waiting, age, verdict, says):
        """Bytes, destination and age of what waits; the older, the graver."""
        one = only(disk.spool_findings(waiting(age)))
        assert one.verdict == verdict
        assert says in one.says
        assert "collector_4318" in one.says
        assert one.facts["waiting_bytes"] > 5000
        assert age <= one.facts["oldest_seconds"] <= age + 60

    def test_what_is_delivered_does_not_wait(self, waiting, tmp_path):
        """A file whose records are all done with is not held against anybody, its owner being alive or not."""
        asked = waiting(3600)
        (path,) = tmp_path.glob("spool/*/*.spool")
        from otel_logging.export.spool_files import START

        os.truncate(path, START)
        assert only(disk.spool_findings(asked)).verdict == OK

    def test_looking_takes_no_lock(self, waiting, tmp_path):
        """A process that owns the file goes on as if nobody had looked, and another can look at the same time."""
        asked = waiting(10)
        before = {path: path.read_bytes() for path in tmp_path.glob("spool/*/*")}
        assert list(disk.spool_findings(asked)) == list(disk.spool_findings(asked))
        assert {path: path.read_bytes() for path in tmp_path.glob("spool/*/*")} == before

    def test_switched_off(self, tmp_path):
        """OTEL_LOGGING_SPOOL=off is said and not judged."""
        assert only(disk.spool_findings(read(tmp_path, spool="off"))).verdict == SKIPPED

    @needs_owners
    def test_one_that_others_may_write_to(self, waiting, tmp_path):
        """A spool for everybody is refused, here as by a process."""
        asked = waiting(10)
        (tmp_path / "spool").chmod(0o777)
        assert only(disk.spool_findings(asked)).verdict == FAILED
