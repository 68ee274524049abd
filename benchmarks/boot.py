"""What otel-logging adds to a process's start and to an installation.

Start-up: whole processes by the CPU time that they take, by turns: a bare Python that logs one line; the same under
`opentelemetry-instrument` with otel-logging switched off, which is that command's own time; and under `otel-logging
run`. The endpoint is a real one. The figure is what `run` takes more than `opentelemetry-instrument`, as a part of what
that takes more than the bare Python.

Installation: the files of otel-logging and of what it needs, without those of the packages of OpenTelemetry that every
such set-up names, as they are on this disk.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import py_compile
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import median
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PROGRAM = "import logging; logging.getLogger('server').warning('the service has started')"
NAMED = (
    "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp", "opentelemetry-instrumentation-logging",
)  # fmt: skip
OURS = "otel-logging"


def cpu(command: list[str], environ: dict[str, str]) -> float:
    """Seconds of CPU that a whole process takes.

    Raises:
        RuntimeError: if it fails.
    """
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    _, status, used = os.wait4(os.posix_spawn(command[0], command, environ, file_actions=nothing), 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def beside(bare: float, instrument: float, run: float) -> float:
    """What `run` takes more than `opentelemetry-instrument`, as a part of what that takes more than the bare Python."""
    return (run - instrument) / (instrument - bare)


def started(turns: int) -> dict[str, float | str]:
    """The rows of start-up."""
    python = [sys.executable, "-c", PROGRAM]
    scripts = Path(sys.executable).parent
    if importlib.util.find_spec("opentelemetry.distro") is None:
        return {"boot.run": "opentelemetry-distro is not installed"}
    instrument = [str(scripts / "opentelemetry-instrument"), *python]
    costs: dict[str, list[float]] = {"bare": [], "instrument": [], "run": []}
    with Sink() as sink, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_"))}
        environ = {
            **kept, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none", "OTEL_SERVICE_NAME": "benchmark", "OTEL_LOGGING_STORE": store,
        }  # fmt: skip
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        variants: dict[str, tuple[list[str], dict[str, str]]] = {
            "bare": (python, kept),
            "instrument": (instrument, {**environ, "OTEL_LOGGING": "off"}),
            "run": ([str(scripts / "otel-logging"), "run", "--", *python], environ),
        }
        for turn in range(turns + 1):  # the first reads files that are in memory then
            for name, (command, environment) in variants.items():
                cost = cpu(command, environment)
                if turn:
                    costs[name].append(cost)
        seen = sink.counts()
    if not seen["records"]:
        return {"boot.run": "no record of the started processes has arrived"}
    least = {name: min(found) for name, found in costs.items()}
    return {
        "boot.run": beside(least["bare"], least["instrument"], least["run"]),
        **{f"boot.ms.{name}": 1e3 * median(found) for name, found in costs.items()},
    }


# -- the installation --------------------------------------------------------------------------------------------------


def needed(names: Iterable[str], requires: Callable[[str], Iterable[str]]) -> set[str]:
    """The packages, and all that they need, by their normal names."""
    found: set[str] = set()
    waiting = [normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [normal(other) for other in requires(name)]
    return found


def normal(name: str) -> str:
    """A package's name as comparisons want it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name: str) -> list[str]:
    """The names of the packages that an installed one needs here, extras left out."""
    found = []
    for line in importlib.metadata.requires(name) or ():
        needs, _, marker = line.partition(";")
        match = re.match(r"[A-Za-z0-9._-]+", needs)
        if match is None or "extra ==" in marker:
            continue
        try:
            importlib.metadata.version(match[0])
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or Python: what this one needs is installed
        found.append(match[0])
    return found


def size_of(name: str) -> int:
    """Bytes of the files of an installed package, compiled ones included."""
    if name == OURS:
        return _our_size()
    files = importlib.metadata.files(name) or ()
    return sum(path.stat().st_size for path in (Path(str(file.locate())) for file in files) if path.is_file())


def _our_size() -> int:
    """Ours may be installed from a checkout, whose compiled files nobody has listed: they are made and weighed."""
    spec = importlib.util.find_spec("otel_logging")
    assert spec is not None
    assert spec.origin is not None
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        compiled = str(Path(folder, "compiled.pyc"))
        for path in Path(spec.origin).parent.rglob("*"):
            if "__pycache__" in path.parts or not path.is_file():
                continue
            total += path.stat().st_size
            if path.suffix == ".py":
                py_compile.compile(str(path), compiled, doraise=True)
                total += Path(compiled).stat().st_size
    return total


def installation() -> dict[str, float]:
    """The rows of the installation, in megabytes."""
    named = needed(NAMED, requirements)
    more = needed([OURS], requirements) - named
    return {
        "boot.installation": sum(map(size_of, more)) / 1e6,
        "boot.installation.named": sum(map(size_of, named)) / 1e6,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.boot", description=__doc__)
    parser.add_argument("--turns", type=int, default=15, help="of each process (default: %(default)s)")
    options = parser.parse_args()
    if shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent)) is None:
        rows: dict[str, float | str] = {"boot.run": "opentelemetry-instrument is not installed"}
    else:
        rows = started(options.turns)
    print(json.dumps({**rows, **installation()}))


if __name__ == "__main__":
    main()
