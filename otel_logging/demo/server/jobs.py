"""Hands work to the worker process: through Redis if there is one, else by an HTTP POST. Not told: for which call."""

from __future__ import annotations

import logging
import os
import uuid
from typing import Any

import httpx

logger = logging.getLogger(__name__)


def enqueue_summary(business_id: int, duration: float, transcript: list[str]) -> None:
    """Ask the worker for a summary of what was said; a worker that is away costs the call nothing but the summary."""
    job = {"type": "call_summary", "business_id": business_id, "duration": duration, "transcript": transcript}
    redis_url = os.environ.get("REDIS_URL", "")
    try:
        job_id = _through_redis(redis_url, job) if redis_url else _by_http(job)
    except Exception as error:
        logger.error(f"❌ [JOB] summary not enqueued: {error!r}")
        return
    logger.debug(f"📮 [JOB] posted, job_id={job_id}")


def _through_redis(url: str, job: dict[str, Any]) -> str:
    import redis
    import rq

    job_id = uuid.uuid4().hex[:12]
    with redis.Redis.from_url(url, socket_timeout=5.0) as connection:
        rq.Queue("summaries", connection=connection).enqueue("server.worker.run_job", job_id, job)
    return job_id


def _by_http(job: dict[str, Any]) -> str:
    url = os.environ.get("WORKER_URL", "http://127.0.0.1:5051")
    answer = httpx.post(f"{url}/jobs", json=job, timeout=5.0)
    answer.raise_for_status()
    return str(answer.json()["job_id"])
