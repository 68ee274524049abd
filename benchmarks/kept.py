"""What a record costs that is kept, beside the official handler, batch processor and encoder.

Two processes that take turns, each with a real exporter to a sink that answers at once: ours set up by `configure()`
with all defaults but the console, redaction of secrets included, the other as the official instrumentation sets itself
up. `emit` is CPU time of the thread that logs, `encode` that of turning a batch into bytes. Figures are ours as a part
of the official way's.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from typing import Any

from benchmarks.measure import clock

RECORDS = 400  # fewer than a batch: the exporting thread sleeps while a turn is measured
TURNS = 40
SHAPES = ("extras", "plain")


class _Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _emit(logger: logging.Logger, shape: str) -> int:
    began = clock()
    if shape == "plain":
        for number in range(RECORDS):
            logger.info("turn %d of the call has begun", number)
    else:
        for number in range(RECORDS):
            logger.info(
                "turn %d of the call has begun",
                number,
                extra={"turn": number, "latency_ms": number * 1.5, "voice": "alloy", "barge_in": False},
            )
    return (clock() - began) // RECORDS


def _turns(encode: Any, flush: Any) -> None:
    """Answer each line of stdin, a shape, with the nanoseconds of one record: to emit and to encode it."""
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("benchmark")
    logger = logging.getLogger("server.media_ws_ai")
    for line in sys.stdin:
        shape = line.strip()
        with contextlib.ExitStack() as stack:
            stack.enter_context(tracer.start_as_current_span("turn"))
            emitted = _emit(logger, shape)
        flush()
        print(json.dumps([emitted, encode()]), flush=True)


def _encoding(module: Any, name: str) -> Any:
    """Watch `module.name`, through which batches are encoded, and give a function that measures the last of them."""
    original = getattr(module, name)
    last: list[Any] = []

    def watched(batch: Any, *args: Any) -> Any:
        last[:] = batch
        return original(batch, *args)

    setattr(module, name, watched)

    def measured() -> int:
        began = clock()
        made = original(last)
        if not isinstance(made, bytes):
            made.SerializeToString()
        return (clock() - began) // len(last)

    return measured


def ours(endpoint: str) -> None:
    """This side: `configure()` with all defaults but the console."""
    import otel_logging
    from otel_logging.export import otlp_request

    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        otel_logging.configure(logs_exporter="otlp", store=store, log_console="off", log_level="INFO")
        _turns(_encoding(otlp_request, "encode"), lambda: otel_logging.force_flush(20))
        otel_logging.shutdown(2.0)


def official(endpoint: str) -> None:
    """The other side: the handler, the batch processor and the exporter of OpenTelemetry."""
    from opentelemetry.exporter.otlp.proto.http import _log_exporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    encode = _encoding(_log_exporter, "encode_logs")
    provider.add_log_record_processor(
        BatchLogRecordProcessor(_log_exporter.OTLPLogExporter(endpoint=endpoint + "/v1/logs"))
    )
    root = logging.getLogger()
    root.addHandler(LoggingHandler(logger_provider=provider))
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    _turns(encode, provider.force_flush)
    provider.shutdown()


def main() -> None:
    """Print the ratios as JSON."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    sides = {
        side: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kept", side, endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side in ("ours", "official")
    }
    costs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for turn in range(TURNS + 2):  # the first ones fill caches
        for shape in SHAPES:
            for side, process in sides.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(shape + "\n")
                process.stdin.flush()
                emitted, encoded = json.loads(process.stdout.readline())
                if turn > 1:
                    costs.setdefault((shape, side), []).append((emitted, encoded))
    for process in sides.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
    server.shutdown()
    found = {}
    for shape in SHAPES:
        ours_emit, official_emit = (min(turn[0] for turn in costs[shape, side]) for side in ("ours", "official"))
        ours_encode, official_encode = (min(turn[1] for turn in costs[shape, side]) for side in ("ours", "official"))
        found[f"kept.{shape}.emit"] = ours_emit / official_emit
        found[f"kept.{shape}.encode"] = ours_encode / official_encode
        found[f"kept.{shape}.both"] = (ours_emit + ours_encode) / (official_emit + official_encode)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": ours, "official": official}[sys.argv[1]](sys.argv[2])
    else:
        main()
