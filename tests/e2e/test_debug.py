"""`otel-logging debug` and changed policies, noticed by real processes while they run."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
DEADLINE = 30.0  # seconds for anything that happens in well under one on an idle machine
A, B, C = ("CA" + digits * 16 for digits in ("a1", "b2", "c3"))
UVICORN = ["uvicorn", "debug_web:app", "--port", "PORT"]


def debug(process, *words):
    """The command, as an operator on the same machine gives it."""
    done = subprocess.run(
        [str(BIN / "otel-logging"), "debug", "--store", str(process.store), *words],
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(server, call):
    """Have one call served; returns the worker's pid and whether DEBUG was on in it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/call/{call}", timeout=DEADLINE) as answer:
        pid, enabled = answer.read().decode().split()
    return pid, enabled == "1"


def until_all(server, call, enabled, workers):
    """Ask until each of `workers` processes has said `enabled`; returns their pids."""
    said = set()

    def all_said():
        pid, found = ask(server, call)
        if found is enabled:
            said.add(pid)
        return len(said) == workers

    server.until(all_said, f"DEBUG {'on' if enabled else 'off'} in {workers} processes")
    return said


@pytest.fixture(scope="module")
def server(serve, apps):
    """Two workers, through everything that the tests of `TestOneCall` look at; it has ended."""
    server = serve([*UVICORN, "--workers", "2"], cwd=apps)
    pids = until_all(server, A, False, 2)
    debug(server, A, "--for", "5m")
    assert until_all(server, A, True, 2) == pids
    server.other_calls = [ask(server, B) for _ in range(6)]
    debug(server, A, "--for", "1s")  # now it runs out
    until_all(server, A, False, 2)
    (server.store / "control.json").write_text("{broken")
    debug_after = {ask(server, C)[1]}
    server.until(lambda: "control.json is no JSON" in server.err, "word of the broken file")
    debug(server, "--off")
    debug(server, "--where", "business_id=456", "--next", "1", "--for", "5m")
    server.until(lambda: ask(server, f"{C}?business_id=456")[1], "a claim")
    until_all(server, C, True, 2)  # the other worker learns which call it is, without the attribute
    server.later_calls = [ask(server, f"{B}?business_id=456") for _ in range(6)]
    server.stop()
    server.debug_after = debug_after
    return server


class TestOneCall:
    def test_others_are_not_touched(self, server):
        """While one call is debugged, isEnabledFor(DEBUG) stays False in others."""
        assert {enabled for _, enabled in server.other_calls} == {False}
        assert server.debug_after == {False}

    def test_its_debug_records_are_in_the_store(self, server):
        """The call's DEBUG records of both workers are exported, with the trigger; nobody else's are."""
        records = [record for record in server.records() if record["level"] == "DEBUG"]
        assert {record["attributes"]["call_sid"] for record in records} == {A, C}
        mine = [record for record in records if record["attributes"]["call_sid"] == A]
        assert len({record["body"] for record in mine}) == 2
        assert all(record["attributes"]["otel_logging.trigger"].startswith("debug:") for record in records)

    def test_what_passes_anyway_has_no_trigger(self, server):
        """INFO records of the debugged call that pass anyway do so without a trigger, and are on the console."""
        infos = [record for record in server.records() if record["body"] == "answered;"]
        plain = [record for record in infos if "otel_logging.trigger" not in record["attributes"]]
        assert A in {record["attributes"]["call_sid"] for record in plain}
        assert sum("answered;" in line for line in server.printed) == len(plain)

    def test_the_console_shows_none(self, server):
        """No DEBUG line reaches the console."""
        assert "thinking" not in server.out + server.err

    def test_libraries_stay_muted(self, server):
        """A library's DEBUG records, which show headers, are nowhere."""
        assert "canary" not in server.out + server.err + json.dumps(server.records())

    def test_a_call_that_had_not_begun(self, server):
        """`--where --next 1` lets one call with the attribute through, in both workers, and no second one."""
        found = {record["attributes"]["call_sid"] for record in server.records() if record["level"] == "DEBUG"}
        assert found == {A, C}
        assert {enabled for _, enabled in server.later_calls} == {False}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_notices(launch, apps, tmp_path):
    """Parent and forked child both follow a command that was given after the fork."""
    process = launch([sys.executable, apps / "debug_fork.py"], cwd=tmp_path)
    process.until(lambda: process.store.is_dir() or "LOGGING CONFIGURED" in process.out, "start")
    debug(process, "room-1", "--for", "5m")
    process.until(lambda: {"tick parent;", "tick child;"} <= set(process.bodies()), "DEBUG records of both")
    (tmp_path / "stop").touch()
    assert process.wait() == 0
    assert "tick" not in process.out + process.err


def test_policies_are_reloaded(serve, apps, tmp_path):
    """A changed policy file is in force without a restart; a broken one is not, and is said."""
    rules = tmp_path / "rules.yaml"
    rule = "policies:\n- id: x\n  name: x\n  log:\n    match: [{log_field: body, exact: 'answered;'}]\n    keep: "
    rules.write_text(rule + "all\n")
    server = serve(UVICORN, cwd=apps, env={"OTEL_LOGGING_POLICIES": str(rules)})
    before = tmp_path / "new.yaml"
    before.write_text(rule + "none\n")
    before.replace(rules)

    numbers = itertools.count()

    def answered():
        known = server.out.count("answered;")
        ask(server, f"room-{next(numbers)}")
        return server.out.count("answered;") > known

    server.until(lambda: not answered(), "end of the line")
    rules.write_text("policies: [")
    server.until(lambda: "the policies stay as they were: rules.yaml" in server.err, "word of the broken file")
    assert not answered()
