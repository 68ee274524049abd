"""Which program the tests run as the Collector: one built from `collector/builder.yaml`, never a stand-in.

`.ci/run` builds it before any test. A test run by hand builds it once, which takes many minutes, or names one that is
there already: `OTEL_LOGGING_COLLECTOR=/path/to/otelcol-contrib`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

COLLECTOR = Path(__file__).parents[2] / "collector"
# Read at import: conftest takes every OTEL_ variable out of the environment of a test.
_NAMED = os.environ.get("OTEL_LOGGING_COLLECTOR")


@cache
def collector_program() -> str:
    """The Collector's path; skips the test where there is neither a named program nor Go to build one with."""
    if _NAMED:
        return _NAMED
    if shutil.which("go") is None:
        pytest.skip("no Collector: Go is not installed, and OTEL_LOGGING_COLLECTOR names no program")
    built = subprocess.run([COLLECTOR / "build"], stdout=subprocess.PIPE, text=True, check=True)
    return built.stdout.strip()
