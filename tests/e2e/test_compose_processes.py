"""What docker-compose.yml starts, started as plain processes: its commands and environments, with loopback for its names.

There is no container engine here; all that is changed is what only a container has: host names, ports and folders.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sysconfig
import time
import urllib.request
from pathlib import Path

import deployment_files
import pytest
from collector_program import COLLECTOR, collector_program
from free_ports import free_ports

from otel_logging.search import local

COMMAND = str(Path(sysconfig.get_path("scripts")) / "otel-logging")
SERVICES = deployment_files.compose()["services"]
PATIENCE = 120
TOKEN = "a-token-of-the-test-0123456789"


class Stack:
    """Services by name, each as a process; `tmp_path` has a folder for each volume."""

    def __init__(self, folder, redis_socket):
        self.folder = folder
        names = (
            "collector:4317",
            "collector:4318",
            "collector:13133",
            "collector:8888",
            "demo-voice:5050",
            "page:8321",
        )
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.redis = f"unix://{redis_socket}"
        self.running = []

    def translated(self, text, volumes):
        """A word of a command or an environment, with what this machine has in the place of what the network has."""
        for name, port in self.ports.items():
            text = text.replace(name, f"127.0.0.1:{port}")
        for folder, volume in sorted(volumes.items(), reverse=True):
            text = text.replace(folder, str(volume))
        return re.sub(r"^redis://redis:6379/0$", self.redis, text)

    def start(self, name, *more, **given):
        """Start a service with its variables that come from outside; `more` arguments make a test of it."""
        service = SERVICES[name]
        volumes = {}
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            volumes[target] = COLLECTOR if source == "./collector" else self.folder / source
        words = [self.translated(word, volumes) for word in (*service["command"], *more)]
        variables = {key: deployment_files.plain(value) for key, value in service.get("environment", {}).items()}
        assert {key for key, value in variables.items() if value is None} == given.keys()
        env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LOG_", "DD_", "AWS_"))}
        env |= {key: self.translated(str(value), volumes) for key, value in (variables | given).items()}
        if name.startswith("collector-"):
            program = [collector_program()]
            env |= {"COLLECTOR_METRICS_HOST": "127.0.0.1", "COLLECTOR_METRICS_PORT": str(self.ports["collector:8888"])}
            env |= {"COLLECTOR_STATE_DIR": str(volumes["/var/lib/otelcol"])}
            env |= {"COLLECTOR_OUTPUT_DIR": str(volumes["/var/lib/otelcol/output"])}
        else:
            program = [COMMAND]
            env |= {"HOME": str(self.folder), "OTEL_LOGGING_STORE": str(self.folder / f"{name}-store")}
        # A container's own name is its host name; here the port says which it is.
        for host in ("demo-voice", "page"):
            if host in words:
                words[words.index(host)] = "127.0.0.1"
                words += ["--port", str(next(port for key, port in self.ports.items() if key.startswith(host)))]
        if name == "doctor":
            words += ["--health", f"http://127.0.0.1:{self.ports['collector:13133']}"]
            words += ["--metrics", f"http://127.0.0.1:{self.ports['collector:8888']}/metrics"]
        output = self.folder / f"{name}.log"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [*program, *words], env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        self.running.append((name, process))
        return process

    def said(self, name):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self):
        """As compose does: in the opposite order, with SIGTERM, and a while to end."""
        for name, process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                pytest.fail(f"{name} does not end: {self.said(name)}")
        self.running = []


@pytest.fixture
def stack(tmp_path, redis_socket):
    made = Stack(tmp_path, redis_socket)
    yield made
    with contextlib.ExitStack() as left:
        for _, process in made.running:
            left.callback(process.wait)
            left.callback(process.kill)


def test_profile_local(stack, tmp_path):
    """From the check to the page: all is well, calls run through voice service, Redis, worker and Collector, and are shown."""
    stack.start("collector-local")
    doctor = stack.start("doctor")
    assert doctor.wait(PATIENCE) == 0, stack.said("doctor") + stack.said("collector-local")
    stack.start("demo-worker")
    stack.start("demo-voice")
    stack.start("page", OTEL_LOGGING_SERVE_TOKEN=TOKEN)
    # One round, faster than life; of an option the last one counts.
    caller = stack.start("demo-caller", "--rounds", "1", "--speed", "20")
    assert caller.wait(PATIENCE) == 0, stack.said("demo-caller") + stack.said("demo-voice")
    outcomes = dict(line.split()[:2] for line in stack.said("demo-caller").splitlines())
    assert sorted(outcomes.values()) == ["completed"] * 4 + ["failed"]
    page = f"http://127.0.0.1:{stack.ports['page:8321']}/?token={TOKEN}"
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    failed = next(sid for sid, outcome in outcomes.items() if outcome == "failed")
    shown = b""
    # Records pass through the application's queue and the Collector's before they are in its files.
    deadline = time.monotonic() + PATIENCE
    while failed.encode() not in shown and time.monotonic() < deadline:
        shown = opener.open(page, timeout=PATIENCE).read()
    assert failed.encode() in shown
    stack.stop()
    services = {}
    for record in local.scan(tmp_path / "collector-output"):
        if record.call_sid in outcomes:
            services.setdefault(record.call_sid, set()).add(record.service)
    assert services == {call_sid: {"voice-calls", "voice-worker"} for call_sid in outcomes}


def test_page_without_a_token_says_so(tmp_path):
    """Where nobody set a token, the page shows no call: it ends, and its log says what to set."""
    words = list(SERVICES["page"]["command"])
    place = words.index("--host") + 1
    assert words[place] == SERVICES["page"]["hostname"], "published, it must not look like loopback"
    words[place] = "0.0.0.0"
    env = {**os.environ, "OTEL_LOGGING_SERVE_TOKEN": "", "OTEL_LOGGING_STORE": str(tmp_path)}
    done = subprocess.run(
        [COMMAND, *words, "--store", str(tmp_path), "--port", "0"],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert "OTEL_LOGGING_SERVE_TOKEN" in done.stderr
