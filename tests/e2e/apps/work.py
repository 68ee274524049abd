"""Jobs as RQ and Celery execute them, and the program that enqueues them in calls. Knows otel-logging only to open calls.

`python work.py rq|celery SOCKET TAG=CALL_SID…` enqueues one job for each call, and one outside of any.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import celery

log = logging.getLogger("jobs.voice")
SOCKET = os.environ.get("WORK_SOCKET", "")

celery_app = celery.Celery("work", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}?virtual_host=1")
celery_app.conf.update(worker_hijack_root_logger=True, broker_connection_retry_on_startup=True)


def job(tag):
    """One job: lines from wherever code runs, and a print."""
    log.info(f"[{tag}] job")
    print(f"[{tag}] printed", flush=True)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(log.info, f"[{tag}] ThreadPoolExecutor").result()
    thread = threading.Thread(target=log.info, args=(f"[{tag}] Thread",))
    thread.start()
    thread.join()
    return tag


def fail(tag):
    log.info(f"[{tag}] about to fail")
    raise ValueError(f"[{tag}] failed")


def die(tag):
    """A job whose process is killed, as by the kernel when memory runs out."""
    log.info(f"[{tag}] about to die")
    os.kill(os.getpid(), signal.SIGKILL)


@celery_app.task
def task(tag):
    job(tag)
    nested.delay(tag)


@celery_app.task
def nested(tag):
    log.info(f"[{tag}] nested task")


def main():
    import redis
    import rq

    import otel_logging

    kind, *pairs = sys.argv[1:]
    queue = rq.Queue("work", connection=redis.Redis(unix_socket_path=SOCKET))
    for pair in pairs:
        tag, _, call_sid = pair.partition("=")
        with otel_logging.call(call_sid, tenant=tag):
            if kind == "celery":
                task.delay(tag)
            else:
                queue.enqueue({"fail": fail, "die": die}.get(tag.partition("-")[0], job), tag)
    if kind == "celery":
        task.delay("no-call")
    else:
        queue.enqueue(job, "no-call")


if __name__ == "__main__":
    # By its own name, as queues import jobs by module and a worker has no other `__main__`.
    import work

    work.main()
