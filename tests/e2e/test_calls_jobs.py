"""Real workers on a real Redis: what a job logs belongs to the call that enqueued it, whichever process executes it."""

from __future__ import annotations

import re
import sys
import uuid

import pytest
import redis

JOB = {"job", "printed", "ThreadPoolExecutor", "Thread"}


def new_sid():
    return f"CA{uuid.uuid4().hex}"


@pytest.fixture
def settings(redis_socket):
    with redis.Redis(unix_socket_path=redis_socket) as client:
        client.flushall()
    return {"WORK_SOCKET": redis_socket, "LOG_CAPTURE_PRINT": "1"}


def lines(process, tag):
    """What was exported with this tag: the line and its call."""
    found = [
        (re.fullmatch(rf"\[{tag}\] (.*)", one["body"]), one["attributes"].get("call_sid")) for one in process.records()
    ]
    return sorted((match[1], sid) for match, sid in found if match)


def enqueue(launch, apps, settings, kind, sids):
    program = launch(
        [sys.executable, "work.py", kind, *(f"{tag}={sid}" for tag, sid in sids.items())], env=settings, cwd=apps
    )
    assert program.wait() == 0, program.describe()


@pytest.mark.parametrize("worker", ["rq.Worker", "rq.SimpleWorker", "rq.worker.SpawnWorker"])
def test_rq(launch, apps, settings, redis_socket, worker):
    """Forking, in the same process or spawned: the job, its threads and prints, and what RQ says of it."""
    sids = {"one": new_sid(), "fail-two": new_sid(), "three": new_sid()}
    enqueue(launch, apps, settings, "rq", sids)
    url = f"unix://{redis_socket}"
    process = launch(
        ["rq", "worker", "work", "-u", url, "-w", worker, "--burst", "--path", "."], env=settings, cwd=apps
    )
    assert process.wait() == 0, process.describe()
    for tag in ("one", "three"):
        assert lines(process, tag) == sorted((line, sids[tag]) for line in JOB)
    assert lines(process, "fail-two") == [("about to fail", sids["fail-two"])]
    assert lines(process, "no-call") == sorted((line, None) for line in JOB)
    said = {
        (one["attributes"].get("call_sid"), "OK" if "Job OK" in one["body"] else "failed")
        for one in process.records()
        if "Job OK" in one["body"] or "exception raised while executing" in one["body"]
    }
    assert said == {(sids["one"], "OK"), (sids["three"], "OK"), (None, "OK"), (sids["fail-two"], "failed")}
    assert {one["attributes"].get("tenant") for one in process.records() if one["body"].startswith("[one]")} == {"one"}
    spans = [span for span in process.spans() if span["name"] == "call"]
    assert sorted(span["trace_id"] for span in spans) == sorted(sid[2:] for sid in sids.values())


def test_a_work_horse_that_dies(launch, apps, settings, redis_socket):
    """A killed work-horse cannot say goodbye; what its worker says of it belongs to the call."""
    sids = {"die-one": new_sid(), "two": new_sid()}
    enqueue(launch, apps, settings, "rq", sids)
    url = f"unix://{redis_socket}"
    process = launch(["rq", "worker", "work", "-u", url, "--burst", "--path", "."], env=settings, cwd=apps)
    assert process.wait() == 0, process.describe()
    said = [one["attributes"].get("call_sid") for one in process.records() if "terminated unexpectedly" in one["body"]]
    assert set(said) == {sids["die-one"]}
    assert lines(process, "two") == sorted((line, sids["two"]) for line in JOB)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_celery(launch, apps, settings, pool):
    """Prefork, threads or solo: the task, its threads and prints, the tasks it sends, and what Celery says of it."""
    sids = {"one": new_sid(), "two": new_sid()}
    enqueue(launch, apps, settings, "celery", sids)
    process = launch(
        [
            "celery",
            "-A",
            "work:celery_app",
            "worker",
            "-P",
            pool,
            "-c",
            "2",
            "-l",
            "INFO",
            "--without-gossip",
            "--without-mingle",
        ],
        env=settings,
        cwd=apps,
    )

    def done():
        return sum("succeeded in" in body for body in process.bodies()) == 6

    process.until(done, "six tasks")
    process.stop()
    for tag, sid in sids.items():
        assert lines(process, tag) == sorted((line, sid) for line in {*JOB, "nested task"})
    assert lines(process, "no-call") == sorted((line, None) for line in {*JOB, "nested task"})
    said = [one["attributes"].get("call_sid") for one in process.records() if "succeeded in" in one["body"]]
    assert sorted(said, key=str) == sorted([*sids.values(), None] * 2, key=str)
