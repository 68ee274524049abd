"""What is said of workers and jobs, as events: a worker started, a job was enqueued, completed or failed.

Where RQ or Celery says it itself, its own record becomes the event: it gets the name and the figures as attributes, and
a failure its exception. Only what they do not say at INFO is said here, by the logger `otel_logging.jobs`. Each is told
once. Which function of which library is patched for it is the business of `jobs_rq` and `jobs_celery`.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOGGER: Final = "otel_logging.jobs"

STARTED: Final = "otel_logging.worker.started"
ENQUEUED: Final = "otel_logging.job.enqueued"
COMPLETED: Final = "otel_logging.job.completed"
FAILED: Final = "otel_logging.job.failed"

_EVENT: Final = "otel.event.name"
_SYSTEM: Final = "messaging.system"
_QUEUE: Final = "messaging.destination.name"
_ID: Final = "messaging.message.id"
_QUEUES: Final = "otel_logging.worker.queues"
_FUNCTION: Final = "otel_logging.job.function"
DURATION: Final = "otel_logging.job.duration"  # seconds


class _Now(threading.local):
    """What this thread's next records are looked at for; each finds one record at most."""

    mark: Callable[[logging.LogRecord], dict[str, Any] | None] | None = None


_now = _Now()


def worker_started(system: str, queues: Sequence[str]) -> None:
    """Say that a worker of this process has started: for systems whose own line does not name the queues."""
    attributes = _started(system, queues)
    _say("Worker started: queues=%s, pid=%d", (",".join(queues), os.getpid()), attributes)


def enqueued(system: str, queue: str, job_id: str, function: str) -> None:
    """Say that a job has been enqueued."""
    attributes = {_EVENT: ENQUEUED, **about(system, queue, job_id), _FUNCTION: function}
    _say("Job enqueued: %s, queue=%s, job_id=%s", (function, queue, job_id), attributes)


def _say(message: str, arguments: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    logging.getLogger(LOGGER).info(message, *arguments, extra=attributes, stacklevel=3)


def about(system: str, queue: str, job_id: str) -> dict[str, Any]:
    """The attributes that name a job, by the conventions for messages."""
    return {_SYSTEM: system, _QUEUE: queue, _ID: job_id}


def completed(system: str, job_id: str, seconds: float) -> dict[str, Any]:
    """What a record that says that a job was completed carries beside its text."""
    return {_EVENT: COMPLETED, _SYSTEM: system, _ID: job_id, DURATION: seconds}


def failed(system: str, job_id: str) -> dict[str, Any]:
    """The same of a job that failed."""
    return {_EVENT: FAILED, _SYSTEM: system, _ID: job_id}


def _started(system: str, queues: Sequence[str]) -> dict[str, Any]:
    return {_EVENT: STARTED, _SYSTEM: system, _QUEUES: list(queues), "process.pid": os.getpid()}


@contextmanager
def marking(mark: Callable[[logging.LogRecord], dict[str, Any] | None]) -> Iterator[None]:
    """Within the block, the first record for which `mark` gives attributes gets them, where `look` is a filter."""
    before, _now.mark = _now.mark, mark
    try:
        yield
    finally:
        _now.mark = before


def look(record: logging.LogRecord) -> bool:
    """A logger's filter that lets everything pass, and marks what is looked for. Never raises."""
    mark = _now.mark
    if mark is not None:
        try:
            attributes = mark(record)
            if attributes is not None:
                _now.mark = None
                record.__dict__.update(attributes)
        except Exception as error:
            trouble.report("job_event_failed", f"a worker's record could not be marked ({error!r})")
    return True


def of_a_start(system: str, queues: Sequence[str]) -> Callable[[logging.LogRecord], dict[str, Any] | None]:
    """Looks for the worker's line with its PID."""

    def mark(record: logging.LogRecord) -> dict[str, Any] | None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        return _started(system, queues) if os.getpid() in arguments else None

    return mark


def of_a_success(system: str, queue: str, job_id: str) -> Callable[[logging.LogRecord], dict[str, Any] | None]:
    """Looks for the line that says how long the job took."""

    def mark(record: logging.LogRecord) -> dict[str, Any] | None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        taken = next((one for one in arguments if isinstance(one, dt.timedelta)), None)
        if taken is None:
            return None
        return {_EVENT: COMPLETED, **about(system, queue, job_id), DURATION: taken.total_seconds()}

    return mark


def of_a_failure(
    system: str, queue: str, job_id: str, error: BaseException, seconds: float | None
) -> Callable[[logging.LogRecord], dict[str, Any] | None]:
    """Looks for the first line of an error, and gives it the exception where its text was all that it had."""

    def mark(record: logging.LogRecord) -> dict[str, Any] | None:
        if record.levelno < logging.ERROR:
            return None
        if not record.exc_info:
            record.exc_info = (type(error), error, error.__traceback__)
            message, arguments = record.msg, record.args
            # The traceback's text at the end of the line would be there twice.
            if isinstance(message, str) and message.endswith("\n%s") and isinstance(arguments, tuple):
                record.msg, record.args = message[:-3], arguments[:-1]
        found = {_EVENT: FAILED, **about(system, queue, job_id)}
        return found if seconds is None else {**found, DURATION: seconds}

    return mark
