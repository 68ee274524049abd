"""The promises of otel_logging.export.guard."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel_logging.export.guard import exporting, inside_export


class TestInsideExport:
    def test_marks_only_this_thread(self):
        """The mark is on the exporting thread only, and is gone after the block, also after an exception."""
        elsewhere = []
        with pytest.raises(ValueError, match="x"), inside_export():
            assert exporting.active
            thread = threading.Thread(target=lambda: elsewhere.append(exporting.active))
            thread.start()
            thread.join()
            raise ValueError("x")
        assert elsewhere == [False]
        assert not exporting.active

    def test_suppresses_instrumentation(self):
        """HTTP clients' instrumentations make no spans of exports."""
        assert is_instrumentation_enabled()
        with inside_export():
            assert not is_instrumentation_enabled()
        assert is_instrumentation_enabled()

    def test_notes(self):
        """Notes belong to the innermost export, and only the last ones are kept."""
        exporting.note("nobody listens")
        with inside_export() as outer:
            exporting.note("outer")
            with inside_export() as inner:
                for number in range(100):
                    exporting.note(str(number))
            exporting.note("again")
        assert outer == ["outer", "again"]
        assert inner[-1] == "99"
        assert len(inner) == 32


def test_light():
    """Importing it brings no part of the SDK."""
    code = "import sys, otel_logging.export.guard, otel_logging.export.console\nassert not any(m.startswith('opentelemetry.sdk') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
