"""The demonstration's parts as containers run them: each a process of its own, with a real Redis or HTTP between them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from otel_logging.demo import processes
from otel_logging.search import local

COMMAND = str(Path(sysconfig.get_path("scripts")) / "otel-logging")
PATIENCE = 120


@contextlib.contextmanager
def part(name, *arguments, env, log):
    """A part of the demo, ended by SIGTERM as a container is; it must heed that."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "demo", name, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
        process.terminate()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def environment(folder, **more):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_"))}
    return plain | {"OTEL_LOGS_EXPORTER": "local", "OTEL_LOGGING_STORE": str(folder), "LOG_CAPTURE_PRINT": "1"} | more


def play(url, *arguments):
    return subprocess.run(
        [COMMAND, "demo", "caller", "--url", url, "--speed", "20", *arguments],
        capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False,
    )  # fmt: skip


def records_by_service(folder, call_sid):
    found = {}
    for record in local.scan(folder):
        if record.call_sid == call_sid:
            found.setdefault(record.service, []).append(record.body)
    return found


@pytest.mark.parametrize("between", ["redis", "http"])
def test_parts_find_each_other(between, tmp_path, request):
    """Voice service, worker and caller started apart: the call is answered, and both services' records are its own."""
    ports = processes.free_ports(2)
    if between == "redis":
        env = environment(tmp_path, REDIS_URL=f"unix://{request.getfixturevalue('redis_socket')}")
        work_arguments = []
    else:
        env = environment(tmp_path, WORKER_URL=f"http://127.0.0.1:{ports[1]}")
        work_arguments = ["--port", str(ports[1])]
    url = f"http://127.0.0.1:{ports[0]}"
    logs = tmp_path / "worker.log", tmp_path / "voice.log"
    with (
        part("worker", *work_arguments, env=env, log=logs[0]),
        part("voice", "--port", str(ports[0]), env=env, log=logs[1]),
    ):
        done = play(url, "--calls", "1", "--rounds", "2", "--pause", "0")
    said = "\n".join(log.read_text(encoding="utf-8") for log in logs)
    assert done.returncode == 0, done.stderr + said
    rounds = [line.split() for line in done.stdout.splitlines()]
    assert [line[1] for line in rounds] == ["completed"] * 2, done.stdout
    for call_sid, *_ in rounds:
        found = records_by_service(tmp_path, call_sid)
        assert set(found) == {"voice-calls", "voice-worker"}, said
        assert any("[CALL_END]" in body for body in found["voice-calls"])
        assert any("[SUMMARY]" in body for body in found["voice-worker"]), said


def test_a_caller_without_a_service_says_so(tmp_path, monkeypatch):
    """Nobody answers: exit code 1 and one line with the address."""
    port = processes.free_ports(1)[0]
    code = f"from otel_logging.demo import parts; parts._PATIENCE = 0.0; raise SystemExit(parts.main(['caller', '--url', 'http://127.0.0.1:{port}']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port}/health did not answer" in done.stderr


def test_wrong_usage_of_a_part_is_2():
    """An unknown option of a part is wrong usage, as of any verb."""
    done = subprocess.run([COMMAND, "demo", "voice", "--prot", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--prot" in done.stderr
