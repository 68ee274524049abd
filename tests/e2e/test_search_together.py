"""`--from` several times, by the command as people type it: all asked at once, and the reader may leave."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading

import pytest

PATIENCE = 60  # seconds, of what must happen


class Silent:
    """A server that takes connections and says nothing."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked = threading.Event()
        self._open = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            if connection.recv(1):
                self.asked.set()

    def close(self):
        self._listener.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def silent():
    """Two of them."""
    servers = [Silent(), Silent()]
    yield servers
    for server in servers:
        server.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt(silent, tmp_path):
    """While neither of two back ends answers, both have been asked, and Ctrl C ends the command at once and quietly."""
    places = [word for one in silent for word in ("--from", f"clickhouse:http://127.0.0.1:{one.port}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_logging", "search", "x", *places],
        env={"HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert all(one.asked.wait(PATIENCE) for one in silent)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert (out, err) == ("", "")


def test_each_error(tmp_path):
    """Two back ends that nobody listens for: each is named with its own error, and the command fails."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ports.append(listener.getsockname()[1])
    places = [word for port in ports for word in ("--from", f"clickhouse:http://127.0.0.1:{port}")]
    done = subprocess.run(
        [sys.executable, "-m", "otel_logging", "search", "x", *places],
        env={"HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    first, second = (done.stderr.index(f"clickhouse:http://127.0.0.1:{port}: ") for port in ports)
    assert first < second
