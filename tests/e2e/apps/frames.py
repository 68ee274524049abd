"""One call with 2,000 frame lines, of which the first 500 are logged within a span; its first argument says how it ends.

What it logged, with the time before and after each line and the ids in force, goes to the file `made` as JSON.
"""

import json
import logging
import sys
import time
from pathlib import Path

from opentelemetry import trace

import otel_logging

otel_logging.configure()
log = logging.getLogger("server.media_ws_ai")
made = []


def frame(number):
    span = trace.get_current_span().get_span_context()
    text = f"[AUDIO_DELTA] response_id=resp_{number // 50}, bytes={number}"
    before = time.time_ns()
    if number % 2:
        log.info(text)
    else:
        log.debug("[AUDIO_DELTA] response_id=resp_%d, bytes=%d", number // 50, number)
    ids = [f"{span.trace_id:032x}", f"{span.span_id:016x}"] if span.is_valid else None
    made.append([text, before, time.time_ns(), ids])


with otel_logging.call("CA" + "0f" * 16, business_id=456):
    with trace.get_tracer("app").start_as_current_span("greeting"):
        for number in range(500):
            frame(number)
    for number in range(500, 2000):
        frame(number)
    if sys.argv[1] == "error":
        log.error("the model does not answer")
Path("made").write_text(json.dumps(made), encoding="utf-8")
otel_logging.shutdown()
