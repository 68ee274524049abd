"""Steering a process: what its looks at the control folder lead to."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest

from otel_logging import call, settings, stats, trouble
from otel_logging.boot import control, control_file
from otel_logging.boot.configure import configure, configured, shutdown
from otel_logging.boot.control import Control
from otel_logging.boot.policy_files import PolicyFiles
from otel_logging.bridge.overrides import Overrides, Rule
from otel_logging.calls import call as calls
from otel_logging.testing import assert_balanced

NATIVE = logging.Logger.isEnabledFor


def rule(name, seconds=600.0, **what):
    now = time.time()
    return Rule(**{"id": name, "created": now, "expires": now + seconds, **(what or {"everything": True})})


def until(condition):
    """Wait until `condition()` is true, for so long that only a broken product runs out of time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path):
    """Make a control over `tmp_path`, not started: the test does the looking."""
    made = []

    def make(trigger=None):
        overrides = Overrides()
        one = Control(settings.read({"store": tmp_path}, {}), overrides, trigger=trigger)
        overrides.on_claim = one.claimed
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop()
    assert logging.Logger.isEnabledFor is NATIVE


class TestControlFile:
    def test_comes_changes_and_goes(self, make, tmp_path):
        """Rules follow the file: written, replaced, removed."""
        one = make()
        one.look()
        assert not one.overrides.active
        for names in (["a"], ["b", "c"]):
            control_file.write(tmp_path / "control.json", [rule(name) for name in names])
            one.look()
            assert [found.id for found in one.overrides.rules] == names
        (tmp_path / "control.json").unlink()
        one.look()
        assert not one.overrides.active

    def test_bad_content_keeps_the_old_and_is_said_once(self, make, tmp_path, capsys):
        """A broken file, one that others may write, a link: the rules stay, one line names the file and why."""
        path = tmp_path / "control.json"
        one = make()
        control_file.write(path, [rule("a")])
        one.look()
        path.write_text("{broken")
        for _ in range(3):
            one.look()
        assert trouble.counts() == {"control": 1}
        assert f"{path} is no JSON" in capsys.readouterr().err
        control_file.write(path, [rule("b")])
        path.chmod(0o666)
        one.look()
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        one.look()
        assert [found.id for found in one.overrides.rules] == ["a"]
        assert trouble.counts() == {"control": 3}
        path.unlink()
        control_file.write(path, [rule("c")])
        one.look()
        assert [found.id for found in one.overrides.rules] == ["c"]

    def test_a_folder_that_is_put_right(self, make, tmp_path, capsys):
        """A folder that everybody may write to is refused with what to do, once; when it is put right, rules are read."""
        one = make()
        control_file.write(tmp_path / "control.json", [rule("a")])
        tmp_path.chmod(0o777)
        for number in range(3):
            one.announce_trigger(f"room-{number}", "error")
            one.look()
        assert not one.overrides.active
        said = capsys.readouterr().err.splitlines()
        assert f"its folder {tmp_path} may be written by others (mode 0777)" in said[0]
        assert "the rules stay as they are" in said[0]
        assert trouble.counts() == {"control": 1, "control_journal": 1}
        tmp_path.chmod(0o700)
        one.look()
        assert [found.id for found in one.overrides.rules] == ["a"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
    def test_another_user_s_file(self, make, tmp_path, capsys):
        """A control file of another user is refused, with one line that names the file and the user."""
        one = make()
        control_file.write(tmp_path / "control.json", [rule("a")])
        os.chown(tmp_path / "control.json", 12_345, -1)
        for _ in range(3):
            one.look()
        assert not one.overrides.active
        (said,) = capsys.readouterr().err.splitlines()
        assert f"{tmp_path / 'control.json'} belongs to another user (uid 12345)" in said

    def test_rules_end_without_an_edit(self, make, tmp_path):
        """An expired rule is taken out by the next look."""
        one = make()
        control_file.write(tmp_path / "control.json", [rule("a", seconds=0.05)])
        one.look()
        until(lambda: one.look() or not one.overrides.active)
        assert logging.Logger.isEnabledFor is NATIVE

    @pytest.mark.parametrize(
        ("given", "path", "journal"),
        [
            ({}, "s/control.json", "s/control-events.jsonl"),
            ({"control": "/c/x.json"}, "/c/x.json", "/c/x-events.jsonl"),
            ({"control": "https://h/x"}, None, "s/control-events.jsonl"),
        ],
        ids=["store", "file", "url"],
    )
    def test_where_it_is(self, given, path, journal):
        """The control file is in the store or where OTEL_LOGGING_CONTROL says; the journal is beside it."""
        read = settings.read({"store": "s", **given}, {})
        assert [str(found) if found else None for found in (control.path_of(read), control.journal_of(read))] == [
            path,
            journal,
        ]


class TestOtherProcesses:
    def test_a_trigger_reaches_them(self, make):
        """What one process announces, the others are told once; itself not."""
        told = {"one": [], "two": []}
        one = make(lambda *event: told["one"].append(event))
        two = make(lambda *event: told["two"].append(event))
        for _ in range(3):
            one.announce_trigger("room-1", "error")  # said again within a second: once is enough
            one.announce_trigger("no call id", "error")
            one.look()
            two.look()
        assert told == {"one": [], "two": [("room-1", "error")]}

    def test_before_the_process_ends(self, make):
        """A flush writes what waits to be told."""
        told = []
        one, two = make(), make(lambda *event: told.append(event))
        one.announce_trigger("room-1", "SIGTERM")
        assert one.flush(1000)
        two.look()
        assert told == [("room-1", "SIGTERM")]

    def test_a_claim_counts_for_all(self, make, tmp_path):
        """Two processes that both claim a rule's one call end up with the one that was first."""
        control_file.write(tmp_path / "control.json", [rule("w", where=(("k", "v"),))])
        one, two = make(), make()
        ours, theirs = (calls.open_call(name, origin="test", k="v") for name in ("ours", "theirs"))
        one.look()
        two.look()
        assert one.overrides.trigger_for(ours, "app", 10)
        assert two.overrides.trigger_for(theirs, "app", 10)
        for _ in range(2):
            one.look()
            two.look()
        for each in (one, two):
            assert each.overrides.trigger_for(ours, "app", 10)
            assert each.overrides.trigger_for(theirs, "app", 10) is None


class TestInAProcess:
    def test_configure_starts_and_shutdown_ends_it(self, tmp_path):
        """A configured process reads the rules that are there, notices others, and has none after shutdown()."""
        control_file.write(tmp_path / "control.json", [rule("a")])
        configure(store=tmp_path, logs_exporter="local", log_console="off")
        overrides = configured().pipeline.overrides
        assert [found.id for found in overrides.rules] == ["a"]
        control_file.write(tmp_path / "control.json", [rule("b")])
        until(lambda: [found.id for found in overrides.rules] == ["b"])
        shutdown()
        assert not overrides.active
        assert logging.Logger.isEnabledFor is NATIVE

    def test_console_only_without_a_folder_needs_no_thread(self, tmp_path):
        """A process that exports nothing and has no control folder starts no thread for it."""
        configure(store=tmp_path / "none", logs_exporter="console", log_console="off")
        assert "otel-logging-control" not in {thread.name for thread in threading.enumerate()}

    def test_another_process_s_trigger_recovers_our_ring(self, make, tmp_path):
        """What this process remembers of a call is given back when another one says that the call went wrong."""
        configure(store=tmp_path, logs_exporter="local", log_console="off")
        other = make()
        with call("room-1"):
            logging.getLogger("control.test").debug("what led to it")
            other.announce_trigger("room-1", "error")
            other.look()
            until(lambda: stats()["recovered"])
        assert_balanced()

    def test_our_trigger_is_announced(self, make, tmp_path):
        """An ERROR in a call of this process is told to the others."""
        configure(store=tmp_path, logs_exporter="local", log_console="off")
        told = []
        other = make(lambda *event: told.append(event))
        with call("room-2"):
            logging.getLogger("control.test").error("it broke")
        until(lambda: other.look() or told)
        assert told == [("room-2", "error")]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_looks_for_itself(self, tmp_path):
        """A forked child follows changes that come after the fork."""
        configure(store=tmp_path, logs_exporter="local", log_console="off")
        overrides = configured().pipeline.overrides
        child = os.fork()
        if child == 0:
            code = 1
            try:
                until(lambda: overrides.active)
                code = 0
            finally:
                os._exit(code)
        control_file.write(tmp_path / "control.json", [rule("a")])
        assert os.waitpid(child, 0)[1] == 0


class TestPolicyFiles:
    @pytest.fixture
    def files(self, tmp_path):
        """Watched files whose content is their errors: `(files, path, applied)`."""
        path, applied = tmp_path / "rules.yaml", []
        path.write_text("")

        def read():
            return path.read_text(), path.read_text().split()

        return PolicyFiles(["voice", str(path)], read, applied.append), path, applied

    def change(self, path, text, seconds_ago=10.0):
        path.write_text(text)
        at = time.time() - seconds_ago
        os.utime(path, (at, at))

    def test_a_change_is_put_in_force(self, files):
        """Only files are watched; a changed one is read again, once."""
        watched, path, applied = files
        assert watched.paths == [path]
        watched.check()
        assert applied == []
        self.change(path, " ")
        watched.check()
        watched.check()
        assert applied == [" "]

    def test_a_broken_one_is_said_once_and_left(self, files, capsys):
        """Anything wrong leaves the old policies in force, and one sentence says what."""
        watched, path, applied = files
        self.change(path, "wrong worse")
        watched.check()
        watched.check()
        assert applied == []
        assert trouble.counts() == {"policy_reload": 1}
        assert "the policies stay as they were: wrong (and 1 more)" in capsys.readouterr().err

    def test_one_that_is_being_written_waits(self, files):
        """A file that changed this very moment is read at a later look."""
        watched, path, applied = files
        self.change(path, " ", seconds_ago=0.0)
        watched.check()
        assert applied == []
        self.change(path, " ")
        watched.check()
        assert applied == [" "]
