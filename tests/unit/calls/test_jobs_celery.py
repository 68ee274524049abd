"""Celery: the call travels with the task. With an in-memory broker and tasks executed in this process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import celery
import pytest
from celery import signals
from celery.app.trace import build_tracer

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import job_events, jobs_celery, registry
from otel_logging.calls.call import call, current_call, find

SID = "CA" + "1b" * 16
OTHER = "CA" + "2c" * 16


@pytest.fixture(autouse=True)
def installed():
    jobs_celery.install()
    yield
    jobs_celery.uninstall()


@pytest.fixture
def app():
    """An application whose messages stay in memory."""
    made = celery.Celery("calls", broker="memory://", backend="cache+memory://", set_as_current=False)
    made.conf.task_default_queue = f"calls-{id(made)}"
    yield made
    made.close()


@pytest.fixture
def ran():
    return []


@pytest.fixture
def task(app, ran):
    @app.task(name="note", bind=True, shared=False)
    def note(self, *args):
        held = current_call()
        ran.append((held.call_sid, dict(held.attributes)) if held is not None else None)
        if args == ("fail",):
            raise ValueError(args)
        if args == ("retry",) and not self.request.retries:
            raise self.retry(countdown=0)
        if args == ("nest",):
            note.delay()

    return note


def work(app):
    """Do what a worker does with each message: trace its task. Returns how many there were."""
    done = 0
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(app.conf.task_default_queue)
        while queue.qsize():
            message = queue.get()
            args, kwargs, embedded = message.payload
            headers = {**message.headers, **embedded, "hostname": "w", "is_eager": False, "delivery_info": {}}
            task = app.tasks[headers["task"]]
            build_tracer(task.name, task, app=app)(headers["id"], args, kwargs, headers)
            message.ack()
            done += 1
        queue.close()
    return done


class TestTask:
    def test_the_task_runs_in_its_call(self, app, task, ran):
        """Two calls' tasks run one after the other, each in its own call with its attributes, and one outside."""
        with call(SID, tenant=7):
            task.delay()
        with call(OTHER):
            task.apply_async()
        app.send_task("note")
        registry.reset()  # another process
        assert work(app) == 3
        assert ran == [(SID, {"tenant": 7}), (OTHER, {}), None]
        assert slot.current.get() is None
        assert registry.find(SID).openers == registry.find(OTHER).openers == 0

    def test_the_call_goes_on_to_nested_tasks(self, app, task, ran):
        """A task that sends another hands its call on."""
        with call(SID):
            task.delay("nest")
        assert work(app) == 2
        assert ran == [(SID, {}), (SID, {})]

    def test_a_failing_task(self, app, task, ran, provider):
        """A failure is the call's: its span ends with the exception noted."""
        with call(SID):
            task.delay("fail")
        registry.reset()
        before = len(provider.finished())
        work(app)
        (span,) = provider.finished()[before:]
        assert span.attributes["otel_logging.origin"] == "job"
        assert [event.name for event in span.events] == ["exception"]
        assert find(SID).ended
        assert slot.current.get() is None

    def test_a_retry_is_no_failure(self, app, task, ran, provider):
        """A task that is tried again keeps its call, and its first try is not noted as an error."""
        with call(SID):
            task.delay("retry")
        registry.reset()
        before = len(provider.finished())
        while work(app):
            pass
        assert ran == [(SID, {})] * 2
        assert [list(span.events) for span in provider.finished()[before:]] == [[], []]

    def test_a_chain(self, app, task, ran):
        """Every link of a chain belongs to the call that began it."""
        with call(SID):
            (task.si() | task.si() | task.si())()
        while work(app):
            pass
        assert ran == [(SID, {})] * 3

    def test_a_task_called_directly(self, app, task, ran):
        """Called as a function or eagerly, a task runs in the call that is in force."""
        with call(SID) as held:
            task()
            task.apply()
            assert not held.ended
        assert ran == [(SID, {})] * 2

    @pytest.mark.parametrize("packed", ["CA1", {}, {"call_sid": 7}, {"call_sid": "a b"}, [1]])
    def test_a_header_that_is_none_of_ours(self, app, task, ran, packed):
        """A broken header does not keep a task from running."""
        task.apply_async(headers={"otel_logging": packed})
        assert work(app) == 1
        assert ran == [None]

    def test_a_failure_of_ours_is_not_the_applications(self, app, task, ran, monkeypatch):
        """If we fail, tasks are sent and executed all the same."""
        with call(SID):
            task.delay()
            monkeypatch.setattr(jobs_celery.carried, "pack", lambda: 1 / 0)
            task.delay()
        monkeypatch.setattr(jobs_celery.carried, "unpack", lambda _: 1 / 0)
        assert work(app) == 2
        assert ran == [None, None]
        assert trouble.counts() == {"carrier_failed": 2}


class TestInstall:
    def test_uninstalled_nothing_is_listened_to(self, app, task, ran):
        """Installed twice, uninstalled once: Celery's signals have no receiver of ours, and tasks no call."""
        jobs_celery.install()
        jobs_celery.uninstall()
        for signal in (signals.before_task_publish, signals.task_prerun, signals.task_postrun):
            assert not [key for key, _ in signal.receivers if key[0] == "otel_logging"]
        with call(SID):
            task.delay()
        work(app)
        assert ran == [None]

    def test_nothing_is_imported(self):
        """Installing does not import Celery, and listens once it comes."""
        code = (
            "import sys; from otel_logging.calls import jobs_celery; jobs_celery.install();"
            "assert 'celery' not in sys.modules; from celery import signals;"
            "print([key[0] for key, _ in signals.task_prerun.receivers])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == ("['otel_logging']\n", 0), done.stderr


class Consumer:
    """What Celery sends with its signal."""

    def __init__(self, app):
        self.app = app


class TestEvents:
    def test_sent(self, app, task, caplog):
        """A task that is sent is told once, with its name, its queue and its id."""
        caplog.set_level(logging.INFO, job_events.LOGGER)
        sent = task.delay()
        (record,) = [one for one in caplog.records if one.name == job_events.LOGGER]
        assert record.getMessage() == f"Job enqueued: note, queue={app.conf.task_default_queue}, job_id={sent.id}"

    def test_a_worker_that_is_ready(self, app, caplog):
        """A worker says once which queues it reads, and its PID."""
        caplog.set_level(logging.INFO, job_events.LOGGER)
        signals.worker_ready.send(sender=Consumer(app))
        (record,) = [one for one in caplog.records if one.name == job_events.LOGGER]
        assert record.getMessage() == f"Worker started: queues={app.conf.task_default_queue}, pid={os.getpid()}"

    def test_completed_and_failed(self, app, task, caplog):
        """Celery's own lines become the events, with what Celery knows."""
        caplog.set_level(logging.INFO, "celery.app.trace")
        sent, failing = task.delay(), task.delay("fail")
        work(app)
        first, second = [one for one in caplog.records if hasattr(one, "otel.event.name")]
        assert (vars(first)["otel.event.name"], vars(first)["messaging.message.id"]) == (job_events.COMPLETED, sent.id)
        assert vars(first)["otel_logging.job.duration"] > 0
        assert (vars(second)["otel.event.name"], vars(second)["messaging.message.id"]) == (
            job_events.FAILED,
            failing.id,
        )
        assert second.exc_info
