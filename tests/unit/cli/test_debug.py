"""`otel-logging debug`."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from otel_logging.boot import control_file

A = "CA" + "a1" * 16


@pytest.fixture
def control(tmp_path, monkeypatch):
    """The control file in a store of the test's own, which is there."""
    monkeypatch.setenv("OTEL_LOGGING_STORE", str(tmp_path))
    return tmp_path / "control.json"


def rules(path):
    return json.loads(path.read_text())["debug"]


class TestAdd:
    def test_a_call(self, run, control):
        """One call for ten minutes: the rule is in the file, and the command says which, where and what happens."""
        result = run("debug", A)
        assert result.code == 0
        (rule,) = rules(control)
        assert (rule["call"], rule["level"]) == (A, "DEBUG")
        assert round(rule["expires"] - rule["created"]) == 600
        assert abs(rule["created"] - time.time()) < 60
        assert A in result.lines[0]
        assert str(control) in result.out
        assert "within 2 seconds" in result.out
        assert f"otel_logging.trigger=debug:{rule['id']}" in result.out

    def test_every_option(self, run, control):
        """Time, level, loggers, attributes and number arrive in the rule."""
        assert run("debug", "--where", "business_id=456", "--where", "a=b=c", "--next", "5", "--for", "1h30m", "--level", "info", "--logger", "websockets").code == 0  # fmt: skip
        (rule,) = rules(control)
        created, expires, _ = rule.pop("created"), rule.pop("expires"), rule.pop("id")
        assert round(expires - created) == 5400
        assert rule == {"where": {"a": "b=c", "business_id": "456"}, "next": 5, "level": "INFO", "logger": ["websockets"]}  # fmt: skip

    @pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
    def test_root_for_a_service(self, run, control):
        """What root tells a service that runs as somebody else is that user's file, and root can change it again."""
        os.chown(control.parent, 12_345, 12_345)
        for _ in range(2):
            assert run("debug", A).code == 0
            assert control.stat().st_uid == 12_345
        assert run("debug", "--list").code == 0
        assert run("debug", "--off").code == 0
        assert rules(control) == []

    def test_a_folder_that_is_open_to_all(self, run, control):
        """A store that everybody may write to is refused, with what to do; nothing is written."""
        control.parent.chmod(0o777)
        result = run("debug", A)
        assert result.code == 1
        assert "may be written by others (mode 0777)" in result.err
        assert "--off" not in result.err
        assert list(control.parent.iterdir()) == []

    def test_said_again(self, run, control):
        """The same rule again only changes its time; another one joins it; the next calls are counted anew."""
        run("debug", A)
        (first,) = rules(control)
        assert "changed" in run("debug", A, "--for", "1h").out
        assert [rule["id"] for rule in rules(control)] == [first["id"]]
        assert rules(control)[0]["expires"] > first["expires"] + 2000
        run("debug", "--all", "--level", "WARNING")
        run("debug", "--where", "k=v")
        before = rules(control)[-1]["id"]
        run("debug", "--where", "k=v")
        assert len(rules(control)) == 3
        assert rules(control)[-1]["id"] != before

    def test_expired_rules_are_cleared_away(self, run, control):
        """An edit leaves out what is over."""
        now = time.time()
        control_file.write(control, [control_file.Rule("old", now - 1, now - 10, call="x")])
        run("debug", A)
        assert [rule.get("call") for rule in rules(control)] == [A]

    def test_at_the_same_time(self, run, control):
        """Commands at the same time do not lose each other's rules."""
        threads = [threading.Thread(target=run, args=("debug", f"room-{number}")) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {rule["call"] for rule in rules(control)} == {f"room-{number}" for number in range(6)}

    def test_a_store_that_is_not_there(self, run, tmp_path):
        """The folder is made for its owner only, and the command asks whether it is the right one."""
        result = run("debug", A, "--store", tmp_path / "new" / "store")
        assert result.code == 0
        assert "did not exist; is it the folder that the service uses?" in result.err
        assert (tmp_path / "new" / "store").stat().st_mode & 0o777 == 0o700

    def test_json(self, run, control):
        """One object: the file, what was added, and the rules in force."""
        found = json.loads(run("debug", A, "--json").out)
        assert found["control"] == str(control)
        assert [rule["id"] for rule in found["debug"]] == [found["added"]]


class TestOffAndList:
    def test_list(self, run, control):
        """The rules in force, a line each; without any it exits with 1."""
        assert run("debug", "--list").code == 1
        run("debug", A)
        run("debug", "--all", "--logger", "app")
        result = run("debug", "--list")
        assert (result.code, len(result.lines)) == (0, 2)
        assert "everything, loggers app" in result.lines[1]
        assert len(json.loads(run("debug", "--list", "--json").out)["debug"]) == 2

    @pytest.mark.parametrize("how", ["call", "trace", "id"])
    def test_off_for_one(self, run, control, how):
        """`--off` takes out the rules of a call, however it is pasted, or one by its id."""
        run("debug", A)
        run("debug", "room-2")
        text = {"call": A, "trace": "a1" * 16, "id": rules(control)[0]["id"]}[how]
        assert run("debug", "--off", text).code == 0
        assert [rule["call"] for rule in rules(control)] == ["room-2"]

    def test_off_for_all(self, run, control):
        """`--off` alone takes out everything; with nothing there it exits with 1."""
        run("debug", A)
        run("debug", "--all")
        assert len(json.loads(run("debug", "--off", "--json").out)["removed"]) == 2
        assert rules(control) == []
        result = run("debug", "--off")
        assert (result.code, result.out) == (1, "")
        assert "no such rule" in result.err


class TestTrouble:
    @pytest.mark.parametrize(
        "argv",
        [
            [], ["bad/id"], ["97250@s.whatsapp.net"], [A, "--all"], [A, "--where", "a=b"], ["--next", "3"], ["--all", "--next", "3"], ["--where", "a"],
            ["--where", "=b"], ["--where", "a=b", "--next", "0"], [A, "--for", "10"], [A, "--for", "25h"], [A, "--for", "0s"], [A, "--level", "LOUD"],
            ["--list", A], ["--list", "--off"], ["--off", "--all"], [A, "--off", "--for", "5m"], [A, "--logger", ""],
        ],
        ids=range(19),
    )  # fmt: skip
    def test_wrong_usage(self, run, control, argv):
        """Wrong usage exits with 2, says why, and leaves no file."""
        result = run("debug", *argv)
        assert (result.code, result.out) == (2, "")
        assert "error:" in result.err
        assert not control.exists()

    def test_a_broken_file(self, run, control):
        """A file that makes no sense is left alone, with a way out: `--off` puts an empty one in its place."""
        control.write_text("{broken")
        result = run("debug", A)
        assert (result.code, control.read_text()) == (1, "{broken")
        assert "--off" in result.err
        assert run("debug", "--off").code == 0
        assert run("debug", A).code == 0

    def test_a_folder_that_cannot_be_used(self, run, tmp_path):
        """What the system refuses is one sentence and exit code 1."""
        (tmp_path / "file").write_text("")
        result = run("debug", A, "--store", tmp_path / "file")
        assert result.code == 1
        assert "cannot be used" in result.err

    def test_a_url(self, run, monkeypatch):
        """Where processes are steered by a URL, the command gives the document to put there and exits with 2."""
        monkeypatch.setenv("OTEL_LOGGING_CONTROL", "https://host/control.json")
        result = run("debug", A)
        assert result.code == 2
        assert control_file.parse(result.out.encode())[0].call == A
        assert "URL" in result.err
