"""What tests of exporting share: books, exporters that behave on demand, records, a decoding OTLP sink."""

from __future__ import annotations

import http.server
import logging
import threading
from collections import Counter

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LogRecordLimits, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

RESOURCE = Resource({"service.name": "calls"})
SCOPE = InstrumentationScope("server.media_ws_ai")
_LIMITS = LogRecordLimits(max_attributes=LogRecordLimits.UNSET)


class Books:
    """Counts like the ledger does."""

    def __init__(self):
        self.out = 0
        self.lost = Counter()

    def exported(self, n=1):
        self.out += n

    def dropped(self, reason, n=1):
        self.lost[reason] += n

    @property
    def total(self):
        return self.out + sum(self.lost.values())


class Exporter(LogRecordExporter):
    """Keeps what it is given; `behave(batch)` may raise, block, or return a result."""

    def __init__(self, behave=None):
        self.batches = []
        self.behave = behave or (lambda batch: None)
        self.stopped = 0

    @property
    def bodies(self):
        return [record.log_record.body for batch in self.batches for record in batch]

    def export(self, batch):
        result = self.behave(batch)
        if result is None or result is LogRecordExportResult.SUCCESS:
            self.batches.append(list(batch))
            return LogRecordExportResult.SUCCESS
        return result

    def shutdown(self):
        self.stopped += 1

    def force_flush(self, timeout_millis=0):
        return True


def api_record(body="hello", **fields):
    fields.setdefault("timestamp", 1_700_000_000_000_000_000)
    fields.setdefault("observed_timestamp", 1_700_000_000_000_000_001)
    fields.setdefault("severity_number", SeverityNumber.INFO)
    fields.setdefault("severity_text", "INFO")
    fields.setdefault("context", Context())
    return LogRecord(body=body, **fields)


def sdk_record(body="hello", resource=RESOURCE, scope=SCOPE, **fields):
    return ReadWriteLogRecord(api_record(body, **fields), resource, scope, _LIMITS)


def std_record(
    message="hello",
    *args,
    level=logging.INFO,
    name="server.media_ws_ai",
    path="/app/media_ws_ai.py",
    exc_info=None,
    **attributes,
):
    record = logging.LogRecord(name, level, path, 7, message, args, exc_info)
    record.__dict__.update(attributes)
    return record


class Sink:
    """An OTLP/HTTP endpoint that decodes what it receives; `answer` may change its status."""

    def __init__(self):
        sink = self
        self.requests = []
        self.status = 200
        self.headers = []
        self.peers = []  # whom each of the requests came from

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as a Collector keeps them

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                kind = ExportTraceServiceRequest if self.path.endswith("traces") else ExportLogsServiceRequest
                if sink.status == 200:
                    sink.requests.append(kind.FromString(data))
                    sink.peers.append(self.client_address)
                sink.headers.append(dict(self.headers))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def bodies(self):
        return [
            record.body.string_value
            for request in self.requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
