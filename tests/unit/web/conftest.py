"""The store writer of the search tests."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "search_store_writer", Path(__file__).parent.parent / "search" / "conftest.py"
)
_WRITER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_WRITER)

CALL, TRACE = "CA" + "a1" * 16, "a1" * 16


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store to write into; local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield _WRITER.StoreWriter(tmp_path / "store")
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def view(store):
    """A call that failed: two services, a span, recovered frames, a warning, a gap, a summary."""
    from otel_logging.search.one_call import find_call

    frame = {"otel_logging__recovered": True, "otel_logging__trigger": "error"}
    store.log(
        "media",
        store.record("📞 [START] שלום", at=0, call=CALL, trace=TRACE, span="01" * 8, latency_ms=12),
        store.record("[AUDIO] frame=1", at=0.5, call=CALL, trace=TRACE, severity=5, **frame),
        store.record("slow", at=1, call=CALL, severity=13),
        store.record("it broke", at=6, call=CALL, severity=17, exception__stacktrace="Traceback\nValueError: no"),
    )
    summary = store.record(
        "Call summary", at=7, call=CALL, otel_logging__made=100, otel_logging__kept=3, otel_logging__recovered=1,
        otel_logging__dropped_by={"policy:audio-events": 90, "repeat_guard": 7},
    )  # fmt: skip
    summary["eventName"] = "otel_logging.call.summary"
    store.log("media", summary)
    store.log("worker", store.record("done", at=30, call=CALL), service="worker", scope="jobs")
    store.trace("media", store.span("call", trace=TRACE, span="01" * 8, start=0, end=6.5, call=CALL,
                                    otel_logging__end_reason="stop"))  # fmt: skip
    return find_call(store.root, CALL)
