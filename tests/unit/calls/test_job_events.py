"""What workers and queues say, as events with names and figures."""

from __future__ import annotations

import datetime as dt
import logging
import os

import pytest

from otel_logging import trouble
from otel_logging.calls import job_events


@pytest.fixture
def log(caplog):
    """A logger that is looked at, and what it made."""
    logger = logging.getLogger("test.rq.worker")
    logger.addFilter(job_events.look)
    caplog.set_level(logging.DEBUG)
    yield logger
    logger.removeFilter(job_events.look)


def events(caplog):
    return [(one.getMessage(), getattr(one, "otel.event.name", None)) for one in caplog.records]


def test_a_start(log, caplog):
    """The line that holds the process's PID is the event, with the queues and the PID; the others are left alone."""
    with job_events.marking(job_events.of_a_start("rq", ["high", "low"])):
        log.info("subscribing to %s", "channel")
        log.info("Worker %s: started with PID %d", "w", os.getpid())
        log.info("again %d", os.getpid())
    log.info("later %d", os.getpid())
    (found,) = [one for one in caplog.records if hasattr(one, "otel.event.name")]
    assert found.getMessage().startswith("Worker w: started")
    assert getattr(found, "otel_logging.worker.queues") == ["high", "low"]
    assert getattr(found, "process.pid") == os.getpid()


def test_a_success(log, caplog):
    """The line that says how long the job took is the event, with the seconds as a number."""
    with job_events.marking(job_events.of_a_success("rq", "high", "id-1")):
        log.info("done with %s in %ss", "job", dt.timedelta(seconds=1.5))
        log.info("Job OK")
    first, second = caplog.records
    assert vars(first)["otel_logging.job.duration"] == 1.5
    assert vars(first)["messaging.destination.name"] == "high"
    assert vars(first)["messaging.message.id"] == "id-1"
    assert not hasattr(second, "otel.event.name")


@pytest.mark.parametrize("known", [False, True])
def test_a_failure(log, caplog, known):
    """The error's line gets the exception, and its text is not there twice; a line that has one keeps it."""
    error, other = ValueError("x"), KeyError("y")
    with job_events.marking(job_events.of_a_failure("rq", "high", "id-1", error, 2.0)):
        log.warning("not yet")
        if known:
            log.error("job %s failed", "id-1", exc_info=other)
        else:
            log.error("job %s failed\n%s", "id-1", "Traceback ... ValueError: x")
    _, found = caplog.records
    assert found.getMessage() == "job id-1 failed"
    assert found.exc_info[1] is (other if known else error)
    assert vars(found)["otel.event.name"] == job_events.FAILED
    assert vars(found)["otel_logging.job.duration"] == 2.0


def test_nothing_is_raised(log, caplog):
    """A mark that fails costs a line of trouble, and the record is as it was."""
    with job_events.marking(lambda record: 1 / 0):
        log.info("a line")
    assert events(caplog) == [("a line", None)]
    assert trouble.counts()["job_event_failed"] == 1


def test_what_is_said_here(caplog):
    """A worker's start and a job that was enqueued are one INFO line each, named for where they happened."""
    caplog.set_level(logging.INFO)
    job_events.worker_started("celery", ["celery", "slow"])
    job_events.enqueued("rq", "high", "id-1", "jobs.transcribe")
    assert events(caplog) == [
        (f"Worker started: queues=celery,slow, pid={os.getpid()}", job_events.STARTED),
        ("Job enqueued: jobs.transcribe, queue=high, job_id=id-1", job_events.ENQUEUED),
    ]
