"""The official handler's own tests, from its source archive, run against our `LoggingHandler`.

The archive is fetched when this runs and kept in pytest's cache; nothing of it is part of this repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

SUITE = "opentelemetry-instrumentation-logging==0.66b2"
# Its pins are behind what is installed, so it is taken without its dependencies.
UTILITIES = "opentelemetry-test-utils==0.66b1"
TESTS = 71

SWAP = """
from opentelemetry.instrumentation.logging import handler

from otel_logging import LoggingHandler

handler.LoggingHandler = LoggingHandler
"""


def pip(*arguments):
    """Run this interpreter's pip."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"pip {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"


def kept(request, name, make):
    """The folder `name` in pytest's cache, filled by `make(folder)` once."""
    home = Path(request.config.cache.mkdir("otel-logging-upstream"))
    folder = home / name
    if not folder.exists():
        fresh = home / f"{name}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        make(fresh)
        try:
            fresh.rename(folder)  # at once, so that an interrupted download is none
        except OSError:
            shutil.rmtree(fresh)  # another run was faster
    return folder


def fetch_suite(folder):
    """Download and unpack the source archive."""
    pip("download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder), SUITE)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    archive.unlink()


def fetch_utilities(folder):
    """Install the helpers that the suite imports, into a folder of their own."""
    pip("install", "--no-deps", "--target", str(folder), UTILITIES)


@pytest.fixture
def workplace(request, tmp_path):
    """A folder with the suite, a conftest that only swaps the class, and an environment to run it in."""
    (source,) = kept(request, "suite", fetch_suite).iterdir()
    utilities = kept(request, "utilities", fetch_utilities)
    shutil.copytree(source / "tests", tmp_path / "tests")
    (tmp_path / "conftest.py").write_text(textwrap.dedent(SWAP), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path, {**os.environ, "PYTHONPATH": str(utilities)}


def run(workplace, *more):
    """Run the suite; gives what its report says, and what it printed."""
    folder, environ = workplace
    report = folder / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", ".", f"--junitxml={report}", "-q", "tests", *more],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    suite = ET.parse(report).getroot().find("testsuite")
    return {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}, done.stdout


def test_the_official_suite_passes(workplace):
    """All 71 tests of the official handler pass against ours, with nothing but the class exchanged."""
    counts, output = run(workplace)
    assert counts == {"tests": TESTS, "failures": 0, "errors": 0, "skipped": 0}, output[-8000:]


def test_it_is_our_handler_that_is_tested(workplace):
    """The suite really meets our class: with one that emits nothing it fails."""
    with (workplace[0] / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write("\nLoggingHandler.emit = lambda self, record: None\n")
    counts, _ = run(workplace, "tests/test_handler.py")
    assert counts["failures"] > 10
