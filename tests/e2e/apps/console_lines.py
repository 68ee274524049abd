"""A service that only prints: calls, levels, an exception, extras with awkward names, and very long lines."""

import asyncio
import logging
import sys

from opentelemetry import trace

import otel_logging

log = logging.getLogger("server.media_ws_ai")
CALL = "CA" + "3f" * 16


async def one_call(long: int) -> None:
    async with otel_logging.call(CALL, business_id=456):
        log.info("🚀 [CALL_START] שלום %s", "David")
        log.info("[AUDIO_DELTA] response_id=resp_1, bytes=320")
        log.warning("slow", extra={"status": "completed", "host": "db-7", "severity": "low"})
        log.info("transcript: %s", "word " * (long // 5))
        try:
            raise ValueError("no CRM match")
        except ValueError:
            log.exception("tool failed")
        log.critical("model gone")
        with trace.get_tracer(__name__).start_as_current_span("inside"):
            log.info("within a span")
    logging.getLogger("app").info("of no call\nand of two lines")


asyncio.run(one_call(int(sys.argv[1])))
