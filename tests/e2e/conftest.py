"""Real processes under otel-logging, started as an operator would, and what they left behind."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path

import pytest
import zstandard

BIN = Path(sys.executable).parent
APPS = Path(__file__).parent / "apps"
DEADLINE = 60.0  # seconds for anything that happens in well under one on an idle machine

# How a process can get otel-logging, as words before its command and variables around it.
QUIET_OTEL = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
HOWS = {
    "run": ([str(BIN / "otel-logging"), "run", "--local", "--"], {}),
    "instrument": ([str(BIN / "opentelemetry-instrument")], {"OTEL_LOGS_EXPORTER": "local", **QUIET_OTEL}),
    # Names that nothing has: OTel then loads no distro and no configurator, as if none were installed.
    "instrument-bare": (
        [str(BIN / "opentelemetry-instrument")],
        {"OTEL_LOGS_EXPORTER": "local", "OTEL_PYTHON_DISTRO": "no-such", "OTEL_PYTHON_CONFIGURATOR": "no-such"},
    ),
    "auto": ([], {"OTEL_LOGS_EXPORTER": "local", "BOOT_AUTO": "1"}),
    "run-as-told": ([str(BIN / "otel-logging"), "run", "--"], {}),
    "none": ([], {}),
}


def clean_environ() -> dict[str, str]:
    """This process's environment without anything that would configure logging."""
    drop = ("OTEL_", "LOG_", "PYTHON", "XDG_", "COVERAGE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    env["PATH"] = os.pathsep.join([str(BIN), env.get("PATH", "")])
    return env


class Started:
    """One process and everything it printed and exported. Its output goes to files: no pipe can fill up."""

    def __init__(self, folder: Path, argv: list[str], how: str, env: dict[str, str | None], cwd: Path | None) -> None:
        self.folder = folder
        self.store = folder / "store"
        prefix, settings = HOWS[how]
        merged: dict[str, str | None] = {
            **clean_environ(),
            "HOME": str(folder),
            "OTEL_LOGGING_STORE": str(self.store),
            **settings,
            **env,
        }
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, *argv],
                env={name: value for name, value in merged.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or folder,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8", "replace")

    @property
    def printed(self) -> list[str]:
        """Lines of both streams."""
        return [*self.out.splitlines(), *self.err.splitlines()]

    def wait(self) -> int:
        """The exit code; negative for a signal."""
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running; {self.describe()}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send one signal to the first process only, as a container runtime does, and wait for its end."""
        self.process.send_signal(number)
        return self.wait()

    def until(self, condition, what: str):
        """Wait until `condition()` is true, and return that."""
        deadline = time.monotonic() + DEADLINE
        while True:
            found = condition()
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"ended before {what}; {self.describe()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what}; {self.describe()}")
            time.sleep(0.02)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)

    def describe(self) -> str:
        return f"exit code {self.process.poll()}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def records(self) -> list[dict]:
        """What was exported to the local store, flat: body, logger, level, attributes, resource, pid."""
        found = []
        for name, lines in _stored(self.store / "logs"):
            for line in lines:
                for resource in json.loads(line)["resourceLogs"]:
                    about = _attributes(resource.get("resource", {}))
                    for scope in resource["scopeLogs"]:
                        for record in scope["logRecords"]:
                            found.append(
                                {
                                    "body": record.get("body", {}).get("stringValue"),
                                    "level": record.get("severityText"),
                                    "logger": scope.get("scope", {}).get("name"),
                                    "attributes": _attributes(record),
                                    "trace_id": record.get("traceId"),
                                    "resource": about,
                                    "file": name,
                                }
                            )
        return found

    def spans(self) -> list[dict]:
        """The spans that were exported to the local store, flat: name, trace_id, attributes."""
        found = []
        for _, lines in _stored(self.store / "traces"):
            for line in lines:
                for resource in json.loads(line)["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        for span in scope["spans"]:
                            about = {"name": span["name"], "trace_id": span["traceId"]}
                            found.append({**about, "attributes": _attributes(span)})
        return found

    def bodies(self) -> list[str]:
        return [record["body"] for record in self.records()]


def _stored(folder: Path) -> list[tuple[str, list[str]]]:
    """The lines of each file of the local store, by its name.

    A process that lives on seals the files of those that ended, after some seconds: on a slow machine some are.
    """
    found: dict[str, bytes] = {}
    for path in [path for ending in ("", ".zst", ".gz") for path in folder.glob(f"*.jsonl{ending}")]:
        with contextlib.suppress(FileNotFoundError):  # sealed since it was listed: once more
            if path.suffix == ".zst":
                with path.open("rb") as sealed:
                    data = zstandard.ZstdDecompressor().stream_reader(sealed, read_across_frames=True).read()
            else:
                data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            found[path.name.removesuffix(path.suffix) if path.suffix != ".jsonl" else path.name] = data
            continue
        return _stored(folder)
    return [(name, data.decode().splitlines()) for name, data in sorted(found.items())]


def _attributes(holder: dict) -> dict:
    return {item["key"]: next(iter(item["value"].values()), None) for item in holder.get("attributes", [])}


class Web(Started):
    """A server process with an address."""

    port: int

    def get(self, path: str) -> int:
        """Status of a GET, on a connection of its own."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def ready(self) -> Web:
        def answers() -> bool:
            try:
                return self.get("/ready") == 200
            except OSError:
                return False

        self.until(answers, "answer")
        return self


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Start a program: `launch(argv, how="run", env={}, cwd=None)`. What is still running at the end is killed."""
    started: list[Started] = []

    def start(argv, how="run", env=None, cwd=None, kind=Started):
        words = [str(word) for word in argv]
        process = kind(tmp_path_factory.mktemp("process"), words, how, dict(env or {}), cwd)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def serve(launch):
    """Start a server whose command line holds `PORT`, and wait until it answers."""

    def start(argv, how="run", env=None, cwd=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = [str(word).replace("PORT", str(port)) for word in argv]
        process = launch(words, how, env, cwd, kind=Web)
        process.port = port
        return process.ready()

    return start


@pytest.fixture(scope="session")
def apps() -> Path:
    """The folder of the applications that are run here."""
    return APPS


# -- the matrix --------------------------------------------------------------------------------------------------------


def pytest_addoption(parser):
    """`--official`: run the matrix against the official handler too. See `tests/e2e/comparison.py`."""
    parser.addoption("--official", action="store_true", help="run the matrix against the official handler too")
    parser.addoption("--write-comparison", action="store_true", help="the same, and write the table of the docs")


@pytest.fixture
def run_case(launch, tmp_path, request):
    """Run a row of the matrix: with otel-logging and, if asked for, with the official handler."""
    import matrix_run
    from otlp_sink import OtlpSink

    def run(case, redis_socket=None):
        with OtlpSink() as sink:
            ours = matrix_run.run(case, launch, sink, redis_socket, tmp_path)
        if request.config.getoption("--official", default=False) or request.config.getoption(
            "--write-comparison", default=False
        ):
            with OtlpSink() as sink:
                official = matrix_run.run_official(case, launch, sink, redis_socket)
            request.node.user_properties.append(("matrix", [case.name, asdict(ours), asdict(official)]))

    return run


def pytest_terminal_summary(terminalreporter, config):
    """Print what the official handler and we received, and write it down if asked to."""
    import comparison

    reports = terminalreporter.stats.get("passed", [])
    rows = [value for report in reports for name, value in report.user_properties if name == "matrix"]
    if rows:
        table = comparison.table(rows)
        terminalreporter.write_line(table)
        if config.getoption("--write-comparison", default=False):
            comparison.write(table, rows)
