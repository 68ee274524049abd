"""What every test can rely on: no settings from outside, books at zero, no call in force, `logging` as it was."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

_OURS = ("OTEL_", "LOG_LEVEL", "LOG_JSON", "LOG_CONSOLE", "LOG_CAPTURE_PRINT")


@pytest.fixture(autouse=True)
def clean_process(monkeypatch, tmp_path_factory):
    """Each test starts as a fresh process would, and what it set up is taken down again."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(_state_home(tmp_path_factory)))
    _forget()
    token = None
    scope = sys.modules.get("otel_logging.bridge.scope")
    if scope is not None:
        token = scope.current.set(None)
    # A span that an earlier test left active would be every later record's trace.
    context = sys.modules.get("opentelemetry.context")
    if context is not None:
        context.attach(context.Context())
    root_level = logging.getLogger().level
    yield
    if token is not None:
        scope.current.set(None)
    configure = sys.modules.get("otel_logging.boot.configure")
    if configure is not None:
        configure.shutdown(5.0)
    assert logging.getLogger().level == root_level, "the test left the root logger's level changed"
    _forget()
    for name in list(os.environ):
        if name.startswith("OTEL_LOGGING"):
            del os.environ[name]


def _forget():
    ledger = sys.modules.get("otel_logging.bridge.ledger")
    if ledger is not None:
        ledger.ledger.reset()
    trouble = sys.modules.get("otel_logging.trouble")
    if trouble is not None:
        trouble.reset()


def _state_home(tmp_path_factory):
    home = tmp_path_factory.getbasetemp() / "state"
    home.mkdir(exist_ok=True)
    return home


@pytest.fixture(scope="session")
def redis_socket():
    """The path of a socket on which a real Redis of our own listens."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    import redis

    # Not below pytest's folders: the path of a Unix socket has room for about 100 characters.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = f"{folder}/socket"
        command = [binary, "--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--daemonize", "no"]
        server = subprocess.Popen([*command, "--logfile", f"{folder}/log"])
        try:
            with redis.Redis(unix_socket_path=path) as client:
                while True:
                    with contextlib.suppress(redis.exceptions.ConnectionError):
                        client.ping()
                        break
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        server.wait(0.05)
                        pytest.fail(f"redis-server ended with {server.returncode}")
            yield path
        finally:
            server.terminate()
            server.wait()
