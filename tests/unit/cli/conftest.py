"""The store writer of the search tests, and `main()` with what it printed."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from otel_logging.cli import main

_SPEC = importlib.util.spec_from_file_location(
    "search_store_writer", Path(__file__).parent.parent / "search" / "conftest.py"
)
_WRITER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_WRITER)

A, B, TA = "CA" + "a1" * 16, "CA" + "b2" * 16, "a1" * 16


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with two calls in two services, set as OTEL_LOGGING_STORE; local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    made = _WRITER.StoreWriter(tmp_path / "store")
    monkeypatch.setenv("OTEL_LOGGING_STORE", str(made.root))
    made.log(
        "media",
        made.record("📞 [START] שלום", at=0, call=A, trace=TA),
        made.record("slow", at=1.5, call=A, severity=13, latency_ms=812),
        made.record("other", at=2, call=B),
        made.record("it broke", at=3, call=A, severity=17, exception__stacktrace="Traceback\nValueError: no"),
    )
    made.log("worker", made.record("summary", at=9, trace=TA), service="worker", scope="jobs")
    yield made
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def run(capsys):
    """Run the command; returns its exit code and what it wrote."""

    def run(*argv):
        code = main([str(part) for part in argv])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err, lines=out.splitlines())

    return run
