"""What comes of records that are kept: an exporter that keeps their bytes, what these say, and records of odd kinds.

For tests that hold one way of a record to another. What the ways are is the tests' own business.
"""

from __future__ import annotations

import logging
import sys

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs.export import LogRecordExportResult

from otel_logging.export import wire


class Kept:
    """An exporter that keeps what it would send."""

    def __init__(self):
        self.bytes = []

    def export(self, batch):
        self.bytes.append(wire.encode(list(batch)))
        return LogRecordExportResult.SUCCESS

    def shutdown(self):
        """Nothing to do."""


def records_of(kept):
    """What arrived, in order: of each record all that it says, but for when it was logged and when we saw it."""
    found = []
    for blob in kept.bytes:
        for resource in ExportLogsServiceRequest.FromString(blob).resource_logs:
            for group in resource.scope_logs:
                for record in group.log_records:
                    assert record.observed_time_unix_nano > 0
                    record.observed_time_unix_nano = record.time_unix_nano = 0
                    record.attributes.sort(key=lambda pair: pair.key)
                    found.append((str(resource.resource), str(group.scope), str(record)))
    return found


def odd_record(name, level, message, extras, odd):
    """A record of the standard library's with something odd about it, or with nothing where that is no name of it."""
    msg, args = message
    path = "/app/server/média.py" if odd == "path" else "/app/media.py"
    record = logging.LogRecord(name, level, path, 12, msg, args, None, "f")
    record.__dict__.update(extras)
    if odd == "exception":
        try:
            raise ValueError("bad")
        except ValueError:
            record.exc_info = sys.exc_info()
    elif odd == "stack":
        record.stack_info = "Stack (most recent call last):"
    elif odd == "exc_text":
        record.exc_text = "Traceback"
    elif odd == "time":
        record.created = -1.0
    elif odd == "level":
        record.levelno = "high"
    elif odd == "fields":
        del record.__dict__["process"]
    return record
