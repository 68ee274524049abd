"""What is done to a program of the matrix, and what else must be true of what arrived: the verbs of the table.

Each is a function of a `Running`, or makes one. No row is named here, and no books are judged. What the endpoint does is
`matrix_endpoints`.
"""

from __future__ import annotations

import contextlib
import signal
import uuid
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix_run import Running

STOP_LIMIT = 10.0  # seconds that container runtimes and gunicorn give


# -- before it is started ----------------------------------------------------------------------------------------------


def empty_redis(running: Running) -> None:
    """Nothing waits in Redis."""
    import redis

    with redis.Redis(unix_socket_path=running.socket) as connection:
        connection.flushall()


def enqueue_rq(count: int, what: str = "job"):
    """Jobs of RQ wait in Redis."""

    def prepare(running: Running) -> None:
        import redis
        import rq

        empty_redis(running)
        with redis.Redis(unix_socket_path=running.socket) as connection:
            for number in range(count):
                rq.Queue("work", connection=connection).enqueue(f"matrix_jobs.{what}", number)

    return prepare


def send_celery(count: int, what: str = "job"):
    """Tasks of Celery wait in Redis."""

    def prepare(running: Running) -> None:
        import celery

        empty_redis(running)
        app = celery.Celery(uuid.uuid4().hex, broker=f"redis+socket://{running.socket}", set_as_current=False)
        with app.connection_for_write() as connection:
            for number in range(count):
                app.send_task(what, (number,), connection=connection)
        app.close()

    return prepare


# -- until it has ended ------------------------------------------------------------------------------------------------


def wait(running: Running) -> int:
    """It ends by itself."""
    return running.process.wait()


def end_in_time(running: Running) -> int:
    """It ends by itself, within the stop limit of its last line."""
    running.until_said("line 19")
    return running.within(STOP_LIMIT)


def signal_when(line: str, number: int = signal.SIGTERM):
    """A signal once it has said this line."""

    def act(running: Running) -> int:
        running.until_said(line)
        return running.process.stop(number)

    return act


def stop_in_time(line: str):
    """SIGTERM once it has said this line; it ends within the stop limit."""

    def act(running: Running) -> int:
        running.until_said(line)
        running.process.process.send_signal(signal.SIGTERM)
        return running.within(STOP_LIMIT)

    return act


def kill_itself(running: Running) -> int:
    """It has said its first lines, whether or not they arrive, says more and kills itself."""
    running.until_said("line 19")
    return running.process.stop(signal.SIGUSR1)


def killed_after_the_window(running: Running) -> int:
    """What it said first has arrived when it goes on, says more and kills itself."""
    running.until_said("line 19")
    with contextlib.suppress(AssertionError):
        running.sink.wait_for(lambda: len(running.received()) == 20, "first lines", 10)
    return running.process.stop(signal.SIGUSR1)


def use_and_stop(number: int = signal.SIGTERM, workers: int = 1, requests: int = 20, seconds: float | None = None):
    """Requests, then one signal, once all workers have started."""

    def act(running: Running) -> int:
        _ask(running, requests)
        running.until_started(workers)
        running.process.process.send_signal(number)
        return running.process.wait() if seconds is None else running.within(seconds)

    return act


def reloaded(running: Running) -> int:
    """Half of the requests, SIGHUP, the other half once the new workers have started, SIGTERM."""
    running.until_started(2)
    _ask(running, 10)
    running.process.process.send_signal(signal.SIGHUP)
    running.until_started(4)
    running.until(lambda: running.said(r"shutdown \d+ ") == 2, "end of the first workers")
    _ask(running, 10, first=10)
    return running.process.stop()


def _ask(running: Running, requests: int, first: int = 0) -> None:
    for number in range(first, first + requests):
        assert running.get(f"/log/{number}") == 200


def signal_when_celery_is_done(count: int):
    """SIGTERM when that many tasks have been executed."""

    def act(running: Running) -> int:
        running.until(lambda: running.said("succeeded in|raised unexpected") == count, f"{count} tasks")
        return running.process.stop()

    return act


# -- what else must be true --------------------------------------------------------------------------------------------


def all_of(kind: str, count: int):
    """Every line of this kind has arrived, whatever else need not."""

    def check(running: Running) -> None:
        assert sum(found == kind for found, _ in running.received()) == count, running.sink.describe()

    return check


def all_but(*lines: str):
    """Every line has arrived but these."""

    def check(running: Running) -> None:
        arrived = {f"{kind} {number}" for kind, number in running.received()}
        assert not arrived & set(lines)
        assert len(arrived) == running.case.emitted - len(lines), running.sink.describe()

    return check


def repaired(body: str = "", given: str | None = None):
    """The bad line has arrived with this text where its bad part was."""

    def check(running: Running) -> None:
        (bad,) = [one for one in running.sink.records if str(one.body).startswith("bad 0 ")]
        assert str(bad.body).endswith(f"; {body}" if body else ";")
        assert bad.attributes.get("given") == given

    return check


def one_critical(
    exception: str, call_sid: str | None = None, stderr: str | None = "Traceback (most recent call last):"
):
    """One CRITICAL record tells of the exception, whole; what Python prints is there as ever."""

    def check(running: Running) -> None:
        (record,) = [one for one in running.sink.records if one.severity >= 21]
        assert record.attributes["exception.type"] == exception
        assert "matrix_app.py" in record.attributes["exception.stacktrace"]
        assert record.attributes.get("call_sid") == call_sid
        told = [one for one in running.sink.records if "exception.type" in one.attributes]
        assert told == [record], "told more than once"
        assert stderr is None or running.process.err.count(stderr) == 1, running.process.describe()

    return check


def rq_events(count: int):
    """RQ's worker said once that it started, with its queues and PID, and of each job that it was completed, and when."""

    def check(running: Running) -> None:
        _started(running, ["work"])
        _jobs(running, "otel_logging.job.completed", count)

    return check


def rq_failures(count: int):
    """RQ's worker said once of each job that it failed, with its traceback."""

    def check(running: Running) -> None:
        for record in _jobs(running, "otel_logging.job.failed", count):
            _is_failure(record)
        told = [one for one in running.sink.records if "this job fails" in str(one)]
        assert len(told) == count, "told more than once"

    return check


def enqueued(count: int):
    """Of each job it was said once that it was enqueued."""

    def check(running: Running) -> None:
        for record in _jobs(running, "otel_logging.job.enqueued", count, timed=False):
            assert record.attributes["messaging.destination.name"] in {"work", "celery"}
            assert record.attributes["otel_logging.job.function"] in {"matrix_jobs.job", "job"}

    return check


def celery_events(count: int, failed: int = 0):
    """Celery's worker said once that it started, with its queues and PID, and of each task what became of it."""

    def check(running: Running) -> None:
        _started(running, ["celery"])
        _jobs(running, "otel_logging.job.completed", count)
        for record in _jobs(running, "otel_logging.job.failed", failed, timed=False):
            _is_failure(record)

    return check


def _started(running: Running, queues: list[str]) -> None:
    (record,) = [one for one in running.sink.records if one.event == "otel_logging.worker.started"]
    assert record.attributes["otel_logging.worker.queues"] == queues
    assert record.attributes["process.pid"] == running.process.process.pid


def _is_failure(record) -> None:
    assert record.level == "ERROR"
    assert record.attributes["exception.type"] == "ValueError"
    assert "matrix_jobs.py" in record.attributes["exception.stacktrace"]


def _jobs(running: Running, event: str, count: int, *, timed: bool = True) -> list:
    found = [one for one in running.sink.records if one.event == event]
    ids = Counter(one.attributes["messaging.message.id"] for one in found)
    assert len(ids) == len(found) == count, running.sink.describe()
    assert not timed or all(one.attributes["otel_logging.job.duration"] > 0 for one in found)
    return found
