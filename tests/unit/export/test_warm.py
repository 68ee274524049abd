"""A forked child never finds a module half-imported by the thread that exports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import logging, sys, threading
import otel_logging
otel_logging.configure()
before = set(sys.modules)
with otel_logging.call("CA" + "1" * 32):
    logging.getLogger("x").error("one")
otel_logging.force_flush()
print("imported", sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("status", [200, 503, 400])
def test_an_export_imports_nothing(sink, status):
    """Whether the first export arrives, is put off or refused: all that it needs had been imported before."""
    sink.status = status
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_"))}
    env |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url.replace("127.0.0.1", "localhost"),
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    done = subprocess.run([sys.executable, "-c", _PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported []", done.stderr
