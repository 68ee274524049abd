"""Logs the same lines through our handler or the official one, as its first argument says: for what they take up.

The call's id is among the extras either way: the official handler is told it with each line, ours once. The lines stand
in a file of a usual name, because that name is part of what is stored.
"""

from __future__ import annotations

import logging
import sys

SIDS = [f"CA{number:032x}" for number in range(0xF000, 0xF014)]
log = logging.getLogger("server.media_ws_ai")
log.setLevel(logging.INFO)

SOURCE = """
def answer(log, turn, more):
    extra = {"business_id": 456, "stage": "answer", "duration_ms": 12.5, "is_hebrew": True, **more}
    log.info(f"[TURN] turn {turn} took 12.5 ms", extra=extra)
    log.warning("[LATENCY] slow answer in turn %d", turn, extra=extra)
    try:
        raise ConnectionResetError("the model is gone")
    except ConnectionResetError:
        log.error("[MODEL] no answer", exc_info=turn % 10 == 0, extra=extra)
"""
names: dict = {}
exec(compile(SOURCE, "/app/server/media_ws_ai.py", "exec"), names)
answer = names["answer"]


def ours():
    import otel_logging

    otel_logging.configure(log_console="off")
    for turn, sid in enumerate(SIDS):
        with otel_logging.call(sid):
            answer(log, turn, {})
    assert otel_logging.shutdown(30)


def official(code=False):
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    log.addHandler(LoggingHandler(logger_provider=provider, log_code_attributes=code))
    tracer = TracerProvider().get_tracer("app")
    for turn, sid in enumerate(SIDS):
        # Within a span, as ours are: ids take their room too.
        with tracer.start_as_current_span("call"):
            answer(log, turn, {"call_sid": sid})
    provider.shutdown()


{"ours": ours, "official": official, "official-with-code": lambda: official(code=True)}[sys.argv[1]]()
