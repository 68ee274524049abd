"""The worker process: takes jobs over HTTP, queues them, and writes each call's summary after hang-up.

Run as `uvicorn server.worker:app`. It is never told which call a job belongs to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .logging_config import setup_logging

setup_logging()
logger = logging.getLogger(__name__)
boot_logger = logging.getLogger("server.boot")

QUEUES = ("default", "summaries")
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="job")


def _summary(job: dict[str, Any]) -> str:
    lines = job["transcript"]
    turns = sum(line.startswith("Customer:") for line in lines)
    last = lines[-1] if lines else "nothing was said"
    return f"{turns} customer turns in {job['duration']:.0f}s; last: {last}"


def run_job(job_id: str, job: dict[str, Any]) -> None:
    """Do one job; a job that fails is logged and forgotten."""
    began = time.perf_counter()
    try:
        for number, step in enumerate(("load transcript", "clean up", "summarise", "save"), 1):
            logger.info(f"▶️ [JOB] step {number}/4: {step}")
        print(f"📝 [SUMMARY] {_summary(job)}")
        logger.info(f"✅ [JOB] Job completed: job_id={job_id}, duration={(time.perf_counter() - began) * 1000:.0f}ms")
    except Exception:
        logger.exception(f"❌ [JOB] Job failed: job_id={job_id}")


async def enqueue(request: Request) -> JSONResponse:
    """Take a job in and answer at once."""
    job = await request.json()
    job_id = uuid.uuid4().hex[:12]
    logger.info(f"📮 [JOB] Job enqueued: job_id={job_id}, type={job['type']}, queue=summaries")
    _pool.submit(run_job, job_id, job)
    return JSONResponse({"job_id": job_id}, status_code=202)


async def health(_request: Request) -> JSONResponse:
    """For whoever waits for the worker to be there."""
    return JSONResponse({"status": "ok"})


@contextlib.asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    boot_logger.info(f"👷 [WORKER] Worker started: queues={','.join(QUEUES)}, PID={os.getpid()}")
    boot_logger.debug("💤 [WORKER] idle, queue size=0")
    yield
    _pool.shutdown(wait=True)
    boot_logger.info("👷 [WORKER] Worker stops")


app = Starlette(
    routes=[Route("/jobs", enqueue, methods=["POST"]), Route("/health", health)],
    lifespan=_lifespan,
)
