"""The control document: what is accepted, what is refused and why, and that editors do not lose each other's edits."""

from __future__ import annotations

import json
import os
import stat
import threading
import time

import pytest

from otel_logging.boot import control_file
from otel_logging.boot.control_file import Refused, document, parse, read, write
from otel_logging.bridge.overrides import Rule

NOW = time.time()
GOOD = {"id": "abc", "expires": NOW + 600, "call": "room-1"}


def text(*rules, **more):
    return json.dumps({"version": 1, "debug": list(rules), **more}).encode()


class TestParse:
    def test_a_document_is_read_as_it_was_written(self):
        """Every kind of rule comes back the same."""
        rules = (
            Rule("a", NOW + 60, NOW, call="room-1", level=20, loggers=("app", "websockets")),
            Rule("b", NOW + 60, NOW, everything=True),
            Rule("c", NOW + 60, NOW, where=(("business_id", "456"), ("שם", "x")), calls=5),
        )
        assert parse(document(rules)) == rules
        assert parse(document(())) == parse(b'{"version": 1}') == ()

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"{broken", "is no JSON"), (b"\xff", "is no JSON"), (b"[" * 100_000, "larger than"), (b"[" * 60_000, "is no JSON"), (b"[]", "JSON object"),
            (b"{}", "version"), (b'{"version": true}', "version"), (b'{"version": 2}', "version"), (text(extra=1), "unknown key 'extra'"),
            (b'{"version": 1, "debug": {}}', "`debug` must be a list"), (text(*[GOOD] * 65), "at most 64"), (text(GOOD, GOOD), "one id twice"),
            (text(7), "debug[0]: must be an object"), (text(GOOD, {**GOOD, "id": "x", "colour": 1}), "debug[1]: unknown key 'colour'"),
            (text({**GOOD, "id": "a/b"}), "`id`"), (text({**GOOD, "id": 7}), "`id`"), (text({"id": "x", "call": "y"}), "`expires`"),
            (text({**GOOD, "expires": "soon"}), "`expires`"), (text({**GOOD, "expires": NOW + 90_000}), "24 hours"), (text({**GOOD, "expires": True}), "`expires`"),
            (b'{"version": 1, "debug": [{"id": "a", "call": "x", "expires": NaN}]}', "NaN"), (text({**GOOD, "created": -1}), "`created`"),
            (text({**GOOD, "call": "a b"}), "`call`"), (text({**GOOD, "call": "97250@s.whatsapp.net"}), "`call`"), (text({**GOOD, "all": True}), "exactly one"),
            (text({"id": "x", "expires": NOW}), "exactly one"), (text({"id": "x", "expires": NOW, "all": 1}), "`all`"),
            (text({"id": "x", "expires": NOW, "where": {}}), "`where`"), (text({"id": "x", "expires": NOW, "where": {"a": 1}}), "`where`"),
            (text({"id": "x", "expires": NOW, "where": {"a": "1"}, "next": 0}), "`next`"), (text({**GOOD, "level": "LOUD"}), "`level`"),
            (text({**GOOD, "logger": "app"}), "`logger`"), (text({**GOOD, "logger": [""]}), "`logger`"),
        ],
        ids=range(33),
    )  # fmt: skip
    def test_what_is_wrong_is_refused(self, data, why):
        """A document with anything wrong in it is refused as a whole, with a sentence that says what and where."""
        with pytest.raises(Refused) as refusal:
            parse(data)
        assert why in str(refusal.value)


class TestRead:
    @pytest.fixture
    def path(self, tmp_path):
        """A good control file."""
        path = tmp_path / "control.json"
        write(path, [Rule("a", NOW + 60, NOW, call="room-1")])
        return path

    def test_a_good_one(self, path):
        """What was written is read, from a file for its owner only; without a file there are no rules."""
        assert [rule.id for rule in read(path)] == ["a"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read(path.with_name("none.json")) == ()
        assert [one.name for one in path.parent.iterdir()] == ["control.json"]

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
    def test_writable_for_others(self, path, mode):
        """A file that group or world may write is refused."""
        path.chmod(mode)
        with pytest.raises(Refused, match="may be written by others"):
            read(path)

    def test_another_user_s(self, path, monkeypatch):
        """A file that is neither ours nor root's is refused."""
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
        if path.stat().st_uid:
            with pytest.raises(Refused, match="belongs to another user"):
                read(path)
        else:
            assert read(path)  # root's
            os.chown(path, 54_321, -1)
            with pytest.raises(Refused, match="belongs to another user"):
                read(path)

    def test_links_and_other_things(self, path):
        """Symbolic links, folders and pipes are refused, without waiting for anything."""
        link, pipe = path.with_name("link"), path.with_name("pipe")
        link.symlink_to(path)
        os.mkfifo(pipe, 0o600)
        for wrong in (link, pipe, path.parent):
            with pytest.raises(Refused):
                read(wrong)

    def test_too_large(self, path):
        """A file beyond the cap is refused before it is read."""
        path.write_bytes(b" " * (control_file.MAX_BYTES + 1))
        with pytest.raises(Refused, match="larger than 64 KiB"):
            read(path)


class TestEdit:
    def test_concurrent_edits_lose_nothing(self, tmp_path):
        """Editors that take the lock do not overwrite each other."""
        path = tmp_path / "control.json"

        def add(name):
            with control_file.locked(path):
                write(path, [*read(path), Rule(name, NOW + 60, NOW, call=name)])

        threads = [threading.Thread(target=add, args=(f"r{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {rule.id for rule in read(path)} == {f"r{number}" for number in range(8)}

    def test_a_lock_that_is_never_released(self, tmp_path):
        """Waiting for another editor is bounded."""
        path = tmp_path / "control.json"
        with control_file.locked(path), pytest.raises(TimeoutError, match="holds"), control_file.locked(path, 0.05):
            pass

    def test_a_write_that_fails_leaves_the_old(self, tmp_path, monkeypatch):
        """When replacing fails, the old file stands and no temporary one is left."""
        path = tmp_path / "control.json"
        write(path, [])
        monkeypatch.setattr(control_file.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk")))
        with pytest.raises(OSError, match="disk"):
            write(path, [Rule("a", NOW + 60, NOW, call="x")])
        assert read(path) == ()
        assert [one.name for one in tmp_path.iterdir()] == ["control.json"]
