"""The attic: private files, bounded in age and size, brought back once."""

from __future__ import annotations

import json
import os
import stat
import time

import pytest

from otel_logging import trouble
from otel_logging.export import attic
from otel_logging.private_files import NotPrivate
from otel_logging.search import local

A = "CA" + "a" * 32


def page(call_sid=A, number=3, text="frame"):
    rows = [
        [10**18 + n, 5, "DEBUG", "server.media", f"{text} {n}", "a" * 32, "b" * 16, {"n": n}] for n in range(number)
    ]
    return {
        "call_sid": call_sid,
        "attributes": {"business_id": 7},
        "resource": {"service.name": "media"},
        "records": rows,
    }


class TestFiles:
    """What lies in the folder."""

    def test_private(self, tmp_path):
        """Folders have mode 0700 and files 0600, in whatever umask."""
        before = os.umask(0)
        try:
            assert attic.Attic(tmp_path / "store", "media").put(page())
        finally:
            os.umask(before)
        (path,) = attic.kept(tmp_path / "store")[A]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}

    def test_one_file_for_a_call(self, tmp_path):
        """A call that ends again replaces what was kept of it; discarding takes it away."""
        store = attic.Attic(tmp_path, "media")
        store.put(page(number=1))
        store.put(page(number=2))
        (path,) = attic.kept(tmp_path)[A]
        assert attic.bring_back(tmp_path, path) == (2, True)
        store.discard(A)
        store.discard(A)
        assert attic.kept(tmp_path) == {}

    @pytest.mark.parametrize("call_sid", ["a:b@c", "..", "a.b-c_d", "x" * 128])
    def test_any_call_id(self, tmp_path, call_sid):
        """Any call id is a file name and comes back as it was; none leads out of the folder."""
        attic.Attic(tmp_path, "media").put(page(call_sid))
        assert list(attic.kept(tmp_path)) == [call_sid]
        assert all(path.parent == tmp_path / "attic" for path in attic.kept(tmp_path)[call_sid])

    def test_what_is_old_goes(self, tmp_path):
        """After 24 hours a call is forgotten."""
        store = attic.Attic(tmp_path, "media")
        for call_sid, age in (("old", 25), ("young", 23)):
            store.put(page(call_sid))
            then = time.time() - age * 60 * 60
            os.utime(attic.kept(tmp_path)[call_sid][0], (then, then))
        attic.Attic(tmp_path, "media").put(page("new"))
        assert list(attic.kept(tmp_path)) == ["new", "young"]

    def test_what_is_too_much_goes(self, tmp_path):
        """Beyond the size the oldest go first."""
        store = attic.Attic(tmp_path, "media", max_bytes=2000)
        for number in range(20):
            store.put(page(f"call-{number:02}", 10))
            os.utime(attic.kept(tmp_path)[f"call-{number:02}"][0], (number, number + 10**9))
        store.put(page("call-99", 10))
        found = attic.kept(tmp_path)
        assert "call-99" in found
        assert "call-00" not in found
        assert sum(path.stat().st_size for paths in found.values() for path in paths) <= 2000

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        """One line of trouble, and nothing raises."""
        (tmp_path / "file").write_text("")
        assert not attic.Attic(tmp_path / "file", "media").put(page())
        assert not attic.Attic(tmp_path / "file", "media").to_store(page(), "error")
        assert trouble.counts()["attic"] >= 2

    def test_links_are_not_followed(self, tmp_path):
        """Neither the folder nor a file that is a link is written, read, tidied or taken away through."""
        target = tmp_path / "target"
        target.mkdir()
        (target / "old").write_text("precious")
        os.utime(target / "old", (1, 1))
        linked = tmp_path / "linked"
        linked.mkdir()
        (linked / "attic").symlink_to(target)
        one = attic.Attic(linked, "media")
        assert not one.put(page())
        one.discard(A)
        assert [path.name for path in target.iterdir()] == ["old"]
        store = attic.Attic(tmp_path / "store", "media")
        store.put(page())
        (path,) = attic.kept(tmp_path / "store")[A]
        content = path.read_bytes()
        path.unlink()
        (target / "page").write_bytes(content)
        path.symlink_to(target / "page")
        with pytest.raises(NotPrivate, match="symbolic link"):
            attic.bring_back(tmp_path / "store", path)
        assert store.put(page())
        assert not path.is_symlink()
        assert (target / "page").read_bytes() == content

    @pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
    def test_root_recalls_for_a_service(self, tmp_path):
        """What root brings back in a service's store is the service user's."""
        store = tmp_path / "store"
        attic.Attic(store, "media").put(page())
        for path in (store, store / "attic", *(store / "attic").iterdir()):
            os.chown(path, 12_345, 12_345)
        attic.bring_back(store, attic.kept(store)[A][0])
        assert {path.stat().st_uid for path in (store / "logs", *(store / "logs").iterdir())} == {12_345}


class TestBringingBack:
    """Records become part of the store's logs."""

    def test_records_are_whole(self, tmp_path):
        """Time, level, logger, ids, attributes and resource come back; the record is marked."""
        attic.Attic(tmp_path, "media").put(page(number=1))
        attic.bring_back(tmp_path, attic.kept(tmp_path)[A][0])
        (record,) = local.scan(tmp_path)
        assert (record.time, record.level, record.logger, record.body) == (10**18, "DEBUG", "server.media", "frame 0")
        assert (record.call_sid, record.trace_id, record.span_id, record.service) == (A, "a" * 32, "b" * 16, "media")
        assert record.recovered
        assert {record.attributes[key] for key in ("n", "business_id")} == {0, 7}
        assert record.attributes["otel_logging.trigger"] == "recall"

    def test_surrogates_survive(self, tmp_path):
        """A lone surrogate does not cost the call."""
        attic.Attic(tmp_path, "media").put(page(number=1, text="\ud800"))
        assert attic.bring_back(tmp_path, attic.kept(tmp_path)[A][0]) == (1, True)
        assert len(list(local.scan(tmp_path))) == 1

    def test_twice(self, tmp_path):
        """Bringing a call back twice leaves each record in the store once."""
        attic.Attic(tmp_path, "media").put(page(number=1200))
        path = attic.kept(tmp_path)[A][0]
        assert attic.bring_back(tmp_path, path) == (1200, True)
        assert attic.bring_back(tmp_path, path) == (1200, False)
        assert len(list(local.scan(tmp_path))) == 1200

    def test_what_is_no_page(self, tmp_path):
        """A file that is something else is refused."""
        import gzip

        path = tmp_path / "attic" / f"{A}~x-1-1.json.gz"
        path.parent.mkdir()
        path.write_bytes(gzip.compress(json.dumps([1]).encode()))
        with pytest.raises(ValueError, match="no page"):
            attic.bring_back(tmp_path, path)
