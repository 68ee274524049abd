"""Logs the same lines through our handler or the official one, as its first argument says: for what they take up.

The call's id is among the extras either way: the official handler is told it with each line, ours once.
"""

from __future__ import annotations

import logging
import sys

SID = "CA" + "0f" * 16
COUNT = 50
log = logging.getLogger("server.media_ws_ai")
log.setLevel(logging.INFO)


def lines(more):
    for number in range(COUNT):
        extra = {"business_id": 456, "stage": "answer", "duration_ms": 12.5, "is_hebrew": True, **more}
        log.info(f"[TURN] turn {number} took 12.5 ms", extra=extra)
        log.warning("[LATENCY] slow answer in turn %d", number, extra=extra)
    try:
        raise ConnectionResetError(104, "the model is gone")
    except ConnectionResetError:
        log.exception("[MODEL] no answer", extra=extra)


def ours():
    import otel_logging

    otel_logging.configure(log_console="off")
    with otel_logging.call(SID):
        lines({})
    assert otel_logging.shutdown(30)


def official():
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    log.addHandler(LoggingHandler(logger_provider=provider))
    # Within a span, as ours are: a trace id takes its room too.
    span = SpanContext(int.from_bytes(bytes.fromhex(SID[2:]), "big"), 0x0F0F, is_remote=True, trace_flags=TraceFlags(1))
    with use_span(NonRecordingSpan(span)):
        lines({"call_sid": SID})
    provider.shutdown()


{"ours": ours, "official": official}[sys.argv[1]]()
