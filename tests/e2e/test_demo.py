"""`otel-logging demo` as a user runs it: real processes, real websockets, two runs, one answer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import httpx
import pytest

from otel_logging.demo import caller, processes
from otel_logging.search import local

COMMAND = str(Path(sysconfig.get_path("scripts")) / "otel-logging")


def otel_logging(*arguments, **more):
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=180, check=False, **more
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run of the demo for all tests here: its object, and the folder it kept."""
    folder = tmp_path_factory.mktemp("demo")
    # A developer's own settings must not reach the demo's processes.
    done = otel_logging(
        "demo", "--json", "--keep", str(folder), env={**os.environ, "LOG_LEVEL": "ERROR", "OTEL_LOGGING": "off"}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


@pytest.fixture(scope="module")
def stored(demo):
    """What the INFO run left in the store."""
    return list(local.scan(demo[1] / "info"))


class TestResult:
    def test_is_one_object_as_documented(self, demo):
        """`--json` prints one object with exactly the documented keys, for five calls by default."""
        result, _ = demo
        assert list(result) == ["calls", "reduction", "uncorrelated"]
        keys = ["call_sid", "lines_debug", "lines_info", "recovered", "services", "outcome"]
        assert [list(call) for call in result["calls"]] == [keys] * 5

    def test_debug_is_loud_and_info_is_quiet(self, demo):
        """Every call takes 500 console lines or more at DEBUG, and 10 to 30 at INFO."""
        for call in demo[0]["calls"]:
            assert call["lines_debug"] >= 500, call
            assert 10 <= call["lines_info"] <= 30, call

    def test_reduction(self, demo):
        """INFO shows at least 95 % fewer lines than DEBUG."""
        assert 0.95 <= demo[0]["reduction"] < 1

    def test_no_record_without_its_call(self, demo):
        """No record of a call is without its call_sid, in either run."""
        assert demo[0]["uncorrelated"] == 0

    def test_every_call_crosses_processes(self, demo):
        """Every call logged in the voice service and in the worker, which was never told which call it works for."""
        assert [call["services"] for call in demo[0]["calls"]] == [["voice-calls", "voice-worker"]] * 5

    def test_exactly_one_call_failed(self, demo):
        """The caller whose model dies is the one that failed; the others completed."""
        assert Counter(call["outcome"] for call in demo[0]["calls"]) == {"completed": 4, "failed": 1}


def wanted(records):
    """What the rules keep: without what a trigger gave back or let through, and without our own summaries."""
    return [
        record
        for record in records
        if "otel_logging.trigger" not in record.attributes and record.logger != "otel_logging.calls"
    ]


class TestStore:
    def test_lines_and_records_agree(self, demo, stored):
        """At INFO each call has as many records in the store as it has lines on the console."""
        records = Counter(record.call_sid for record in wanted(stored) if record.call_sid)
        assert records == {call["call_sid"]: call["lines_info"] for call in demo[0]["calls"]}

    def test_every_record_of_a_call_has_the_calls_trace(self, stored):
        """A Twilio call's trace id is the digits of its CallSid, in both processes."""
        assert {(record.call_sid, record.trace_id) for record in stored if record.call_sid} == {
            (sid, sid[2:]) for sid in {record.call_sid for record in stored if record.call_sid}
        }

    def test_calls_do_not_mix(self, demo, stored):
        """Each call's own words (who called, what was said) are in no other call."""
        greeted = Counter((record.call_sid, record.body) for record in stored if "[CALL_START]" in record.body)
        assert len(greeted) == 5
        assert all(f"call_sid={sid}" in body for sid, body in greeted)
        hebrew = {record.call_sid for record in stored if "לקבוע תור" in record.body}
        assert len(hebrew) == 1

    def test_lines_before_the_start_message_found_their_call(self, stored):
        """The line printed when the websocket opened, before Twilio named the call, is each call's own."""
        early = [record.call_sid for record in stored if "Twilio media stream connected" in record.body]
        assert len(early) == 5
        assert None not in early
        assert len(set(early)) == 5

    def test_what_the_guide_suppresses_is_gone_and_the_rest_is_there(self, stored):
        """No frame line reached the store on its own; turns, tools, errors and job results did."""
        bodies = "\n".join(record.body for record in wanted(stored))
        assert not re.search(
            r"\[(AUDIO_DELTA|TX_RESPONSE|RMS|VOLUME|QUEUE)\]|stale sessions|payload preview|step \d/4", bodies
        )
        for tag in ("CALL_START", "DB", "REALTIME", "GREETING", "TRANSCRIPT", "RESPONSE_CREATED", "TOOL_CALL"):
            assert f"[{tag}]" in bodies
        for text in ("Found 0 slots", "[BARGE_IN]", "[CALL_END]", "Job enqueued", "Job completed", "[SUMMARY]"):
            assert text in bodies

    def test_modules_the_application_silenced_stay_silent(self, demo):
        """What the application set to WARNING itself is absent even at DEBUG, unless an error gave it back."""
        everything = list(local.scan(demo[1] / "debug"))
        assert not {"server.metrics", "server.crm.cache"} & {record.logger for record in wanted(everything)}
        assert "httpx" not in {record.logger for record in everything}

    def test_the_failure_has_its_traceback(self, demo, stored):
        """The failed call carries the exception with its cause."""
        failed = next(call["call_sid"] for call in demo[0]["calls"] if call["outcome"] == "failed")
        errors = [record for record in stored if record.call_sid == failed and record.level == "ERROR"]
        assert len(errors) == 1
        assert "ConnectionResetError: [Errno 104]" in errors[0].exception
        assert "ModelConnectionLostError" in errors[0].exception

    def test_found_by_its_id(self, demo):
        """`otel-logging call` finds the failed call by its id, in the order in which things happened."""
        result, folder = demo
        failed = next(call for call in result["calls"] if call["outcome"] == "failed")
        done = otel_logging("call", failed["call_sid"], "--json", "--store", str(folder / "info"))
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        lines = [
            line for line in found if line["logger"] != "otel_logging.calls" and not line.get("otel_logging.trigger")
        ]
        assert len(lines) == failed["lines_info"]
        assert "Incoming call" in lines[0]["message"]
        assert [line["relative"] for line in lines] == sorted(line["relative"] for line in lines)


def test_one_call_for_people():
    """Without --json a table is printed for people, and a demo without a failed call ends there."""
    done = otel_logging("demo", "--calls", "1", "--speed", "50")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^CA[0-9a-f]{32}  David \(Hebrew\)  +[\d,]+  +\d+  +voice-calls, voice-worker  completed$",
        done.stdout,
        re.MULTILINE,
    )
    assert "otel-logging call" not in done.stdout
    assert "\x1b" not in done.stdout


def test_interrupted_demo_leaves_nothing_behind():
    """Ctrl-C stops the demo's processes and removes its folder."""
    temp = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [COMMAND, "demo", "--speed", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=temp
    )
    assert process.stderr is not None
    assert "DEBUG" in process.stderr.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(started := children.read_text().split()) < 2:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_the_service_is_an_application_of_its_own():
    """Without otel-logging the same service and worker serve the same call: it is not made for us."""
    worker, service = processes.free_ports(2)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_"))}
    environ |= {"WORKER_URL": f"http://127.0.0.1:{worker}", "PYTHONIOENCODING": "utf-8", "NO_PROXY": "127.0.0.1"}
    start = [sys.executable, "-m", "uvicorn", "--app-dir", str(Path(processes.__file__).parent), "--port"]
    children = [
        subprocess.Popen([*start, str(port), app], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for port, app in ((worker, "server.worker:app"), (service, "server.asgi:app"))
    ]
    try:
        for child, port in zip(children, (worker, service), strict=True):
            _until_healthy(child, port)
        calls = [(caller.new_call_sid(), caller.CALLERS[0])]
        played = asyncio.run(caller.play_all(f"http://127.0.0.1:{service}", calls, 50.0, lambda _frames: None))
    finally:
        for child in children:
            child.terminate()
        outputs = [child.communicate(timeout=30)[0].decode() for child in children]
    assert [call.outcome for call in played] == ["completed"]
    assert "[SUMMARY]" in outputs[0]
    assert outputs[1].count("[AUDIO_DELTA]") == played[0].heard > 200


def _until_healthy(child, port):
    while True:
        assert child.poll() is None, child.stdout.read().decode()
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=5)
            return
        except httpx.HTTPError:
            continue
