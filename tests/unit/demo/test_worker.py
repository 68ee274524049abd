"""The worker's job, run by hand. The module sets logging up when imported, so it runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from otel_logging.demo import server

CODE = """
from server import worker
job = {"type": "call_summary", "business_id": 1, "duration": 9.7, "transcript": %s}
worker.run_job("j1", job)
"""


def run(transcript):
    folder = str(Path(server.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", CODE % transcript], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_a_job_writes_the_summary():
    """The summary counts the customer's turns, and the job is reported as completed with its duration."""
    out = run("['Customer: hi', 'AI: hello']")
    assert "[SUMMARY] 1 customer turns in 10s; last: AI: hello" in out
    assert "Job completed: job_id=j1, duration=" in out


def test_a_silent_call_has_a_summary_too():
    """A call in which nothing was said still gets its summary."""
    assert "nothing was said" in run("[]")


def test_a_job_that_fails_is_logged_with_its_traceback():
    """A job with broken input fails loudly and the worker lives on."""
    out = run("None")
    assert "Job failed: job_id=j1" in out
    assert "Traceback" in out
