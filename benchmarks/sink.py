"""A light OTLP/HTTP endpoint in a process of its own: takes what comes, counts the log records, and answers at once.

It decodes each request of logs, so that what was lost or could not be read is noticed. What it costs is paid in its own
process, by every variant alike.
"""

from __future__ import annotations

import gzip
import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType


class Sink:
    """The endpoint as its user sees it; a context manager that starts and ends its process."""

    def __enter__(self) -> Sink:  # noqa: PYI034 (nobody derives from it)
        """Start it."""
        command = [sys.executable, "-m", "benchmarks.sink"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it; it ends by itself, too, when its input does."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)

    def counts(self) -> dict[str, int]:
        """What arrived since it was asked last: `requests` of any signal, log `records`, spans as `spans`, `bytes`."""
        with urllib.request.urlopen(self.endpoint + "/counts", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
            return found


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lock = threading.Lock()
    seen: dict[str, int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        size = len(body)
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        records, spans = _records(self.path, body), _spans(self.path, body)
        with self.lock:
            for name, more in (("requests", 1), ("records", records), ("spans", spans), ("bytes", size)):
                self.seen[name] += more
        self._answer(b"")

    def do_GET(self) -> None:
        with self.lock:
            seen = dict(self.seen)
            self.seen.update(dict.fromkeys(self.seen, 0))
        self._answer(json.dumps(seen).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _records(path: str, body: bytes) -> int:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    if not path.endswith("/v1/logs"):
        return 0
    request = ExportLogsServiceRequest.FromString(body)
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)


def _spans(path: str, body: bytes) -> int:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    if not path.endswith("/v1/traces"):
        return 0
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def main() -> None:
    """Serve until the input ends; the first line of the output is the port."""
    _Handler.seen = dict.fromkeys(("requests", "records", "spans", "bytes"), 0)
    _records("/v1/logs", b"")  # imported before the first request
    _spans("/v1/traces", b"")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
