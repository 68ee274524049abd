"""The real Collector as a process of a test: with the configurations that people deploy, on free loopback ports.

`Collector(folder, "config.yaml", "datadog.yaml", env={...})` names files of `collector/` (or paths, or dictionaries),
merged as several `--config` are. What must be a test's own, ports and the folders for queues and files, it is told by
the variables that `collector/config.yaml` reads. The rest is as deployed. `start`, `stop`, `kill` and `start` again keep
ports and queues; `said` is all that it printed. What is sent to it, and what it makes of that, does not belong in here.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from collector_program import COLLECTOR, collector_program
from free_ports import free_ports

DEADLINE = 60.0  # seconds for anything that happens in well under one on an idle machine
_GRACE = 0.5  # seconds from healthy to the first SIGTERM
Config = str | Path | Mapping[str, Any]


class Collector:
    """See the module. It is not started by being made; `with` starts it, and ends it at the end."""

    def __init__(self, folder: Path, *configs: Config, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.files = folder / "files"
        for path in (folder, self.storage, self.files):
            path.mkdir(parents=True, exist_ok=True)
        self.grpc_port, self.http_port, self._health_port, self._metrics_port = free_ports(4)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.grpc_url = f"http://127.0.0.1:{self.grpc_port}"
        self.env = {
            "COLLECTOR_STATE_DIR": str(self.storage),
            "COLLECTOR_OUTPUT_DIR": str(self.files),
            "COLLECTOR_HEALTH_ENDPOINT": f"127.0.0.1:{self._health_port}",
            "COLLECTOR_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{self.grpc_port}",
            "COLLECTOR_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self.http_port}",
            "COLLECTOR_METRICS_HOST": "127.0.0.1",
            "COLLECTOR_METRICS_PORT": str(self._metrics_port),
            **(env or {}),
        }
        self.configs = [self._written(number, one) for number, one in enumerate(configs)]
        self.output = folder / "collector.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._ready = 0.0

    def _written(self, number: int, config: Config) -> Path:
        if isinstance(config, Mapping):
            path = self.folder / f"config-{number}.yaml"
            path.write_text(yaml.safe_dump(dict(config), allow_unicode=True), "utf-8")
            return path
        return COLLECTOR / config

    # Its life.

    def command(self, *words: str) -> list[str]:
        """The program with `words` and the configurations."""
        return [collector_program(), *words, *(f"--config={path}" for path in self.configs)]

    def environ(self) -> dict[str, str]:
        """Nothing of ours, no cloud's credentials but the test's, no proxy between it and loopback."""
        drop = ("OTEL_", "AWS_", "DD_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
        kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
        return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **self.env}

    def validate(self) -> subprocess.CompletedProcess[str]:
        """What the Collector says of its configurations without starting."""
        return subprocess.run(
            self.command("validate"), env=self.environ(), capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def launch(self) -> Collector:
        """Start, or start again, without waiting for anything."""
        assert self.process is None or self.process.poll() is not None, "it is running"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(), env=self.environ(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        return self

    def start(self) -> Collector:
        """Start, or start again, and wait until it says that it is ready."""
        self.launch()
        self.until(self.healthy, "health")
        self._ready = time.monotonic()
        return self

    def healthy(self) -> bool:
        """Whether its health check says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._health_port}/", timeout=DEADLINE) as answer:
                return answer.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> int:
        """SIGTERM, as an orchestrator would; gives the exit code."""
        # It is healthy a moment before it takes SIGTERM over from its runtime, which just ends; nothing tells when.
        time.sleep(max(0.0, self._ready + _GRACE - time.monotonic()))
        return self.signal(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL: nothing in memory survives."""
        return self.signal(signal.SIGKILL)

    def signal(self, number: int) -> int:
        """Send a signal that ends it, and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running; {self.describe()}") from None

    def close(self) -> None:
        """End it however it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)

    def __enter__(self) -> Collector:  # noqa: PYI034 (nobody derives from it)
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it tells.

    @property
    def said(self) -> str:
        """All that it printed, over all its lives."""
        return self.output.read_text("utf-8", "replace")

    def metrics(self) -> dict[str, float]:
        """Its own metrics, those of one name summed, such as `otelcol_exporter_send_failed_log_records`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=DEADLINE) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for name, value in re.findall(r"^(\w+?)(?:_total)?(?:{[^\n]*})? (\S+)$", text, re.MULTILINE):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def metric(self, name: str) -> float:
        """One of them; 0 if it was never counted."""
        return self.metrics().get(name, 0.0)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
        """Wait until `condition()` is true, and return that."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"the Collector ended before {what}; {self.describe()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what}; {self.describe()}")
            time.sleep(0.05)

    def until_said(self, text: str) -> None:
        """Wait until it has printed `text`."""
        self.until(lambda: text in self.said, f"{text!r} in its output")

    def describe(self) -> str:
        """How it is, for an assertion's message."""
        code = None if self.process is None else self.process.poll()
        return f"Collector: exit code {code}\n{self.said[-6000:]}"
