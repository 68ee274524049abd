"""The demo's parts: which programs they become, and what a voice service does whose queue is away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otel_logging.boot import run
from otel_logging.demo import main, parts, server

APP_DIR = str(Path(server.__file__).parent.parent)


@pytest.fixture
def became(monkeypatch):
    """What `run` was asked to become, without becoming it; the environment is put back."""
    seen = []
    monkeypatch.setattr(run, "main", lambda argv: seen.append(argv) or 0)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "")
    monkeypatch.delenv("OTEL_SERVICE_NAME")
    monkeypatch.delenv("REDIS_URL", raising=False)
    return seen


def test_voice_is_a_plain_uvicorn(became, monkeypatch):
    """The voice service runs under `run`, at the address that it was told, under the name that it has by default."""
    assert main.main(["voice", "--host", "demo-voice", "--port", "7"]) == 0
    (words,) = became
    assert words[:5] == ["--", sys.executable, "-m", "uvicorn", "server.asgi:app"]
    assert words[words.index("--app-dir") + 1] == APP_DIR
    assert (words[words.index("--host") + 1], words[words.index("--port") + 1]) == ("demo-voice", "7")
    assert parts.os.environ["OTEL_SERVICE_NAME"] == "voice-calls"


def test_a_name_from_outside_stays(became, monkeypatch):
    """A service name that is set already is kept."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    main.main(["worker"])
    assert parts.os.environ["OTEL_SERVICE_NAME"] == "mine"


def test_worker_by_http_or_by_redis(became, monkeypatch):
    """Without a Redis the worker takes jobs by HTTP; with one it is RQ's own worker for the demo's queues."""
    main.main(["worker"])
    monkeypatch.setenv("REDIS_URL", "redis://redis:6379/0")
    main.main(["worker"])
    by_http, by_redis = became
    assert "server.worker:app" in by_http
    assert by_redis[1:5] == [sys.executable, "-m", "rq.cli", "worker"]
    assert by_redis[by_redis.index("--url") + 1] == "redis://redis:6379/0"
    assert by_redis[-2:] == ["default", "summaries"]


@pytest.mark.parametrize("words", [["caller", "--calls", "0"], ["caller", "--speed", "0"], ["voice", "--port", "x"]])
def test_wrong_usage(words, capsys):
    """A value out of range is wrong usage: 2, and nothing is started."""
    assert main.main(words) == 2
    assert words[1] in capsys.readouterr().err


def test_a_queue_that_is_away_costs_the_summary_only(tmp_path):
    """A Redis that does not answer is one ERROR line of the voice service, and no exception in the call."""
    code = "from server import jobs; jobs.enqueue_summary(1, 2.0, ['Customer: hi']); print('the call goes on')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=APP_DIR, env={"REDIS_URL": f"unix://{tmp_path}/none", "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "the call goes on\n"
    assert "summary not enqueued" in done.stderr
