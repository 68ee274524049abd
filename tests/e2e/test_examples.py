"""The examples work as their first lines say: unaware of us, started under `otel-logging run`, called for real."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import httpx

from otel_logging.demo import caller, processes
from otel_logging.search import local

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMAND = str(Path(sysconfig.get_path("scripts")) / "otel-logging")


def test_media_stream(tmp_path):
    """Five calls at once: each has its prints and its records, those made before Twilio named the call included."""
    port = processes.free_ports(1)[0]
    output = (tmp_path / "console").open("wb")
    serve = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "media_stream:app"]
    child = subprocess.Popen(
        [COMMAND, "run", "--local", "--store", str(tmp_path), "--", *serve],
        env={**os.environ, "LOG_CAPTURE_PRINT": "1", "PYTHONUNBUFFERED": "1"},
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    webhooks = caller.Webhooks(voice="/incoming-call", status=None)
    try:
        while child.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{port}/docs", trust_env=False, timeout=5)
                break
            except httpx.HTTPError:
                continue
        calls = caller.choose(5)
        url = f"http://127.0.0.1:{port}"
        played = asyncio.run(caller.play_all(url, calls, 20.0, lambda _frames: None, webhooks))
    finally:
        child.terminate()
        child.wait(30)
        output.close()
    assert [call.outcome for call in played] == ["completed"] * 5, (tmp_path / "console").read_text()
    records = Counter((record.call_sid, record.logger, record.body.split(" ", 3)[1]) for record in local.scan(tmp_path))
    for sid, _ in calls:
        assert records[sid, "media_stream", "incoming"] == 1
        assert records[sid, "print", "connected"] == 1
        assert records[sid, "print", "stream"] == 1
        assert records[sid, "media_stream", "stream"] == 1
        assert records[sid, "print", "audio"] == 0
