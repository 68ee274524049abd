"""Hands work to the worker process: one HTTP POST a job. The job says what to do, not for which call."""

from __future__ import annotations

import logging
import os

import httpx

logger = logging.getLogger(__name__)


def enqueue_summary(business_id: int, duration: float, transcript: list[str]) -> None:
    """Ask the worker for a summary of what was said; a worker that is away costs the call nothing but the summary."""
    url = os.environ.get("WORKER_URL", "http://127.0.0.1:5051")
    job = {"type": "call_summary", "business_id": business_id, "duration": duration, "transcript": transcript}
    try:
        answer = httpx.post(f"{url}/jobs", json=job, timeout=5.0)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        logger.error(f"❌ [JOB] summary not enqueued: {error!r}")
        return
    logger.debug(f"📮 [JOB] posted, job_id={answer.json()['job_id']}")
