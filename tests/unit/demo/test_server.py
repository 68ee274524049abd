"""The demo's service stays what it must be: an application that does not know us."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import pytest

from otel_logging.demo import server
from otel_logging.demo.server import jobs, logging_config, routes_twilio
from otel_logging.demo.server.scripts import SCRIPTS

FILES = sorted(Path(server.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_knows_nothing_of_otel_logging(path):
    """No file of the service imports OpenTelemetry or us: whatever the demo shows works without a code change."""
    lines = path.read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.strip().startswith(("import ", "from "))]
    assert not [line for line in imports if "otel" in line or "opentelemetry" in line]


def test_webhook_answers_with_a_stream():
    """The voice webhook reads Twilio's form and answers TwiML that names the websocket and the parties."""
    form = {"CallSid": "CA" + "1" * 32, "From": "+972501234567", "To": "+97235550101", "CallStatus": "ringing"}
    answer = routes_twilio.flask_app.test_client().post("/webhook/voice", data=form)
    assert answer.status_code == 200
    assert '<Stream url="ws://localhost/media">' in answer.text
    assert "<Parameter name='to' value=\"+97235550101\"/>" in answer.text


def test_webhook_rejects_numbers_it_does_not_serve():
    """A number without a script is rejected, not crashed on."""
    form = {"From": "+1", "To": '"><Hangup/>', "CallStatus": "ringing"}
    assert "<Reject/>" in routes_twilio.flask_app.test_client().post("/webhook/voice", data=form).text


def test_logging_set_up_clears_the_root(monkeypatch):
    """The service clears root.handlers, adds its own StreamHandler and silences modules, as real ones do."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ("server.metrics", "server.crm.cache", "asyncio", "httpx", "httpcore", "websockets")
    levels = {name: logging.getLogger(name).level for name in names}
    monkeypatch.setenv("LOG_LEVEL", "debug")
    try:
        logging_config.setup_logging()
        assert [type(handler) for handler in root.handlers] == [logging.StreamHandler]
        assert root.level == logging.DEBUG
        assert logging.getLogger("server.metrics").level == logging.WARNING
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, old in levels.items():
            logging.getLogger(name).setLevel(old)


def test_a_worker_that_is_away_costs_only_the_summary(monkeypatch, caplog):
    """The service logs that the worker cannot be reached and goes on."""
    from otel_logging.demo.processes import free_ports

    monkeypatch.setenv("WORKER_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    jobs.enqueue_summary(1, 2.0, ["Customer: hi"])
    assert "summary not enqueued" in caplog.text


def test_every_script_can_be_dialled():
    """Each caller dials a number that has a script, and exactly one script loses its model."""
    from otel_logging.demo.caller import CALLERS

    assert {caller.dials for caller in CALLERS} == set(SCRIPTS)
    assert sum(any(turn.dies_at for turn in script.turns) for script in SCRIPTS.values()) == 1
    assert any("\u0590" < letter < "\u05ff" for script in SCRIPTS.values() for letter in script.greeting)


def test_importing_the_scripts_starts_nothing():
    """The modules that tests and the caller import leave the root logger alone."""
    before = list(logging.getLogger().handlers)
    for name in ("agent", "audio", "crm", "jobs", "media_ws_ai", "routes_twilio", "scripts"):
        importlib.import_module(f"otel_logging.demo.server.{name}")
    assert logging.getLogger().handlers == before
    assert "otel_logging.demo.server.asgi" not in sys.modules
