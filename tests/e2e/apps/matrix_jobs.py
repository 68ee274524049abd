"""Jobs for RQ and Celery that number what they log."""

import logging
import os

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("matrix")
SOCKET = os.environ.get("WORK_SOCKET", "")


def job(number):
    for part in range(10):
        logger.info(f"job {10 * number + part} pid={os.getpid()};")


def fail(number):
    job(number)
    raise ValueError("this job fails")


def slow(number):
    """A job during which the worker is told to stop."""
    import time

    job(number)
    time.sleep(1)
    job(number + 1)


def app():
    import celery

    made = celery.Celery("matrix_jobs", broker=f"redis+socket://{SOCKET}", backend="disabled://")
    made.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    made.task(name="job")(job)
    made.task(name="slow")(slow)
    made.task(name="fail")(fail)
    return made


if SOCKET:
    celery_app = app()


def main(kind):
    """Enqueue jobs."""
    import redis
    import rq

    queue = rq.Queue("work", connection=redis.Redis(unix_socket_path=SOCKET))
    for number in range(5):
        logger.info(f"sent {number} pid={os.getpid()};")
        if kind == "rq":
            queue.enqueue("matrix_jobs.job", number)
        else:
            celery_app.send_task("job", (number,))


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
