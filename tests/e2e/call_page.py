"""The call page served by the real command: its calls, its process, and how a test waits for what a reader sees."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

_SPEC = importlib.util.spec_from_file_location(
    "search_store_writer", Path(__file__).parent.parent / "unit" / "search" / "conftest.py"
)
WRITER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(WRITER)
A, B, TA = "CA" + "a1" * 16, "CA" + "b2" * 16, "a1" * 16
PATIENCE = 60_000  # milliseconds
expect.set_options(timeout=PATIENCE)
EVIL = "</script><script>hacked=1</script><img src=x onerror=hacked=1><b>bold</b>\"'>"


class Served:
    """The running command."""

    def __init__(self, store, *options):
        command = [sys.executable, "-m", "otel_logging.cli", "serve", "--port", "0", "--json", "--store", str(store)]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        self.url = self.told()
        self.base = self.url.partition("?")[0]
        self.port = int(self.base.rstrip("/").rpartition(":")[2])

    def told(self):
        """The address that the command prints next."""
        return json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()

    def raw(self, text):
        """Send bytes as they are, past every client's good manners; returns the whole answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(text.encode("latin-1"))
            answer = b""
            while data := connection.recv(65_536):
                answer += data
        return answer.decode("utf-8", "replace")


def ready(page):
    """Wait until the page's script has done its work."""
    page.wait_for_selector("[data-ready=yes]", state="attached")
    return page


def shown(page):
    """What the counter says."""
    return page.locator("#shown").text_content()
