"""An application under `otel-logging run` that does what a test tells it, one command a line: `apps/outage.py`.

`Told(folder, url)` sends to the OTLP endpoint at `url`. What the commands do stands in the application.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

APP = Path(__file__).parent / "apps" / "outage.py"
BIN = Path(sys.executable).parent
_OURS = ("OTEL_", "LOG_", "PYTHON", "XDG_", "COVERAGE_")


class Told:
    """See the module. Its store is `folder / "store"`, which the next process of that folder has too."""

    def __init__(self, folder, url, **env):
        self.folder = folder
        self.err = (folder / f"stderr-{time.monotonic_ns()}").open("w+b")
        self.process = subprocess.Popen(
            [BIN / "otel-logging", "run", "--", sys.executable, APP],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
                "HOME": str(folder),
                "OTEL_LOGGING_STORE": str(folder / "store"),
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_BLRP_SCHEDULE_DELAY": "20",
                "LOG_CONSOLE": "off",
                **env,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.err,
        )

    def do(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.said()
        return json.loads(answer)

    def tell(self, command):
        """A command that is not answered."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.process.wait(60)

    def end(self):
        """Its input ends, and so does it. Gives the exit code."""
        self.process.stdin.close()
        return self.process.wait(60)

    def terminate(self):
        """SIGTERM, as an orchestrator would send it. Gives the exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def said(self):
        self.err.seek(0)
        return self.err.read().decode()

    def balance(self):
        stats = self.do("stats")
        assert stats["created"] == stats["exported"] + stats["held"] + sum(stats["dropped"].values()), stats
        return stats

    def close(self):
        self.process.kill()
        self.process.wait(60)
        for stream in (self.process.stdin, self.process.stdout, self.err):
            try:
                stream.close()
            except BrokenPipeError:
                pass
