"""RQ: the call travels with the job. Against a real Redis, with jobs executed in this process."""

from __future__ import annotations

import datetime as dt
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import redis
import rq
import rq.decorators
import rq.job
import rq.queue
import rq.worker

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import job_events, jobs_rq, registry
from otel_logging.calls.call import bind, call, current_call, find, open_call

SID = "CA" + "f6" * 16
OTHER = "CA" + "a7" * 16
KEY = "otel_logging"

ran = []


def job(*args):
    """What the jobs do: note the call in force."""
    held = current_call()
    ran.append((held.call_sid, dict(held.attributes)) if held is not None else None)
    if args == ("fail",):
        raise ValueError(args)
    return args


def enqueuing_job():
    """A job that enqueues the next one."""
    rq.Queue("two", connection=rq.get_current_job().connection).enqueue(job)


@pytest.fixture
def connection(redis_socket):
    with redis.Redis(unix_socket_path=redis_socket) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture(autouse=True)
def installed():
    ran.clear()
    jobs_rq.install()
    yield
    jobs_rq.uninstall()


@pytest.fixture
def queue(connection):
    return rq.Queue("one", connection=connection)


class Worker(rq.SimpleWorker):
    """Works in this process and leaves its signal handlers alone."""

    def _install_signal_handlers(self):
        pass


def work(connection, *queues, level="CRITICAL", listener=None):
    """Execute what is queued, and leave logging as it was."""
    logger = logging.getLogger("rq.worker")
    before = logger.level, list(logger.handlers), logger.propagate
    if listener is not None:
        logger.handlers[:], logger.propagate = [listener], False
    try:
        waiting = [rq.Queue(name, connection=connection) for name in queues or ("one",)]
        Worker(waiting, connection=connection).work(burst=True, logging_level=level)
    finally:
        logger.setLevel(before[0])
        logger.handlers[:], logger.propagate = before[1:]


class TestEnqueuing:
    @pytest.mark.parametrize(
        "enqueue",
        [
            lambda queue: queue.enqueue(job, 1),
            lambda queue: queue.enqueue_call(job, (1,)),
            lambda queue: queue.enqueue_in(dt.timedelta(0), job, 1),
            lambda queue: queue.enqueue_at(dt.datetime.now(dt.timezone.utc), job, 1),
            lambda queue: queue.enqueue_many([rq.Queue.prepare_data(job, (1,))])[0],
            lambda queue: rq.decorators.job(queue, connection=queue.connection)(job).delay(1),
            lambda queue: queue.enqueue_job(rq.job.Job.create(job, (1,), connection=queue.connection)),
        ],
        ids=["enqueue", "enqueue_call", "enqueue_in", "enqueue_at", "enqueue_many", "decorator", "enqueue_job"],
    )
    def test_every_way_carries_the_call(self, queue, enqueue):
        """However a job is enqueued within a call, what Redis holds carries the call."""
        with call(SID, tenant=7):
            made = enqueue(queue)
        stored = rq.job.Job.fetch(made.id, connection=queue.connection)
        assert stored.meta == {KEY: {"call_sid": SID, "attributes": {"tenant": 7}}}

    def test_a_job_made_before_the_call(self, queue):
        """A job that is enqueued in a call belongs to it wherever it was made."""
        made = rq.job.Job.create(job, connection=queue.connection)
        assert made.meta == {}
        with call(SID):
            queue.enqueue_job(made)
        assert rq.job.Job.fetch(made.id, connection=queue.connection).meta == {KEY: {"call_sid": SID}}

    def test_the_applications_metadata_stays_its_own(self, queue):
        """A dictionary that the application passes to several jobs is not changed, and its keys are kept."""
        meta = {"priority": 1}
        with call(SID):
            first = queue.enqueue(job, meta=meta)
        with call(OTHER):
            second = queue.enqueue(job, meta=meta)
        assert meta == {"priority": 1}
        assert first.meta == {"priority": 1, KEY: {"call_sid": SID}}
        assert second.meta[KEY] == {"call_sid": OTHER}

    def test_a_job_keeps_its_first_call(self, queue):
        """A job that carries a call keeps it when it is enqueued again from within another."""
        with call(SID):
            made = queue.enqueue(job)
        with call(OTHER):
            queue.enqueue_job(made)
        assert made.meta[KEY] == {"call_sid": SID}

    def test_outside_a_call_nothing_is_added(self, queue):
        """Without a call, or before it has a name, a job is enqueued as ever."""
        assert queue.enqueue(job).meta == {}
        with open_call(origin="websocket").activate():
            assert queue.enqueue(job).meta == {}

    def test_only_short_scalars_travel(self, queue):
        """Metadata is no place for objects and transcripts."""
        with call(SID, text="x" * 1000, objects=[1], ok=True):
            bind(ratio=0.5)
            made = queue.enqueue(job)
        assert made.meta[KEY]["attributes"] == {"ok": True, "ratio": 0.5}

    def test_a_failure_of_ours_is_not_the_applications(self, queue, monkeypatch):
        """If we fail, the job is enqueued all the same."""
        monkeypatch.setattr(jobs_rq.carried, "pack", lambda: 1 / 0)
        assert queue.enqueue(job).get_status() == "queued"
        assert trouble.counts() == {"carrier_failed": 2}

    def test_with_the_json_serializer(self, connection):
        """What travels survives the JSON serializer."""
        from rq.serializers import JSONSerializer

        queue = rq.Queue("one", connection=connection, serializer=JSONSerializer)
        with call(SID, tenant=7):
            made = queue.enqueue(job)
        fetched = rq.job.Job.fetch(made.id, connection=connection, serializer=JSONSerializer)
        assert fetched.meta[KEY] == {"call_sid": SID, "attributes": {"tenant": 7}}


class TestExecuting:
    def test_the_job_runs_in_its_call(self, queue, connection):
        """Two calls' jobs run one after the other, each in its own call with its attributes, and one outside."""
        with call(SID, tenant=7):
            queue.enqueue(job)
        with call(OTHER):
            queue.enqueue(job)
        queue.enqueue(job)
        registry.reset()  # another process
        work(connection)
        assert ran == [(SID, {"tenant": 7}), (OTHER, {}), None]
        assert slot.current.get() is None

    def test_what_the_worker_says_of_the_job_is_the_calls(self, queue, connection):
        """The worker's lines about success and failure are records of the call."""
        lines = []

        class Listener(logging.Handler):
            def emit(self, record):
                held = current_call()
                lines.append((record.getMessage(), held.call_sid if held is not None else None))

        with call(SID):
            queue.enqueue(job)
            queue.enqueue(job, "fail")
        work(connection, level="INFO", listener=Listener())
        assert any("Job OK" in line and sid == SID for line, sid in lines)
        assert any("exception raised while executing" in line and sid == SID for line, sid in lines)

    def test_the_call_span_ends_with_the_job(self, queue, connection, provider):
        """This process's part of the call ends with the job, and its span is exported."""
        with call(SID):
            queue.enqueue(job)
        registry.reset()
        before = len(provider.finished())
        work(connection)
        (span,) = provider.finished()[before:]
        assert span.attributes["call_sid"] == SID
        assert span.attributes["otel_logging.origin"] == "job"
        assert find(SID).ended

    def test_a_job_that_enqueues_another(self, queue, connection):
        """The call goes on to the jobs that its jobs enqueue."""
        with call(SID):
            queue.enqueue(enqueuing_job)
        work(connection, "one", "two")
        assert ran == [(SID, {})]

    def test_a_queue_that_executes_at_once(self, connection):
        """With is_async=False the job runs in the call that is in force."""
        with call(SID) as held:
            rq.Queue("one", is_async=False, connection=connection).enqueue(job)
            assert not held.ended
        assert ran == [(SID, {})]

    @pytest.mark.parametrize(
        "packed", ["CA1", {}, {"call_sid": 7}, {"call_sid": "a b"}, {"call_sid": "x" * 10_240}, [1], None]
    )
    def test_metadata_that_is_none_of_ours(self, queue, connection, packed):
        """Broken metadata does not keep a job from running."""
        queue.enqueue(job, meta={KEY: packed})
        work(connection)
        assert ran == [None]

    def test_attributes_that_are_none(self, queue, connection):
        """Broken attributes are left out, the call is kept."""
        attributes = {"ok": 1, "self": 2, "call_sid": OTHER, "list": [1], 7: 8}
        queue.enqueue(job, meta={KEY: {"call_sid": SID, "attributes": attributes}})
        work(connection)
        assert ran == [(SID, {"ok": 1})]

    def test_watching_a_work_horse_holds_no_call_open(self, provider):
        """The forking worker's parent says what became of the horse within the call, without a span of its own."""
        seen = []
        worker = object.__new__(rq.Worker)
        worker.wait_for_horse = lambda: seen.append(current_call().call_sid) or (1, os.EX_OK, None)
        worker.death_penalty_class = rq.timeouts.TimerDeathPenalty
        worker.job_monitoring_interval = 60
        worker.executions = {}
        worker.log = logging.getLogger("x")
        worker.name = "w"
        watched = SimpleNamespace(meta={KEY: {"call_sid": SID}}, id="1", started_at=None)
        worker.monitor_work_horse(watched, None, SimpleNamespace(id="1"))
        assert seen == [SID]
        assert registry.find(SID).openers == 0
        assert provider.finished() == ()


class Listener(logging.Handler):
    """Keeps the records that are events."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        if hasattr(record, "otel.event.name"):
            self.records.append((vars(record)["otel.event.name"].rpartition(".")[2], record))


class TestEvents:
    @pytest.mark.parametrize(
        "enqueue",
        [
            lambda queue: queue.enqueue(job, 1),
            lambda queue: queue.enqueue_many([rq.Queue.prepare_data(job, (1,))])[0],
            lambda queue: rq.decorators.job(queue, connection=queue.connection)(job).delay(1),
            lambda queue: queue.enqueue_job(rq.job.Job.create(job, (1,), connection=queue.connection)),
        ],
        ids=["enqueue", "enqueue_many", "decorator", "enqueue_job"],
    )
    def test_enqueued(self, queue, caplog, enqueue):
        """However a job is enqueued, that is said once, with its function, its queue and its id."""
        caplog.set_level(logging.INFO, job_events.LOGGER)
        made = enqueue(queue)
        (record,) = [one for one in caplog.records if one.name == job_events.LOGGER]
        assert record.getMessage() == f"Job enqueued: {job.__module__}.job, queue=one, job_id={made.id}"

    def test_put_off_or_executed_at_once(self, connection, queue, caplog):
        """A job for later is not enqueued yet, and one that a queue executes itself never is."""
        caplog.set_level(logging.INFO, job_events.LOGGER)
        queue.enqueue_in(dt.timedelta(hours=1), job, 1)
        rq.Queue("sync", connection=connection, is_async=False).enqueue(job, 1)
        assert [one for one in caplog.records if one.name == job_events.LOGGER] == []

    def test_started_completed_and_failed(self, connection, queue):
        """RQ's own lines become the events, one each; the failure's has the exception and its text once."""
        done, failing = queue.enqueue(job, "well"), queue.enqueue(job, "fail")
        listener = Listener()
        work(connection, level="INFO", listener=listener)
        assert [kind for kind, _ in listener.records] == ["started", "completed", "failed"]
        (_, started), (_, completed), (_, failed) = listener.records
        assert vars(started)["otel_logging.worker.queues"] == ["one"]
        assert vars(started)["process.pid"] == os.getpid()
        assert vars(completed)["messaging.message.id"] == done.id
        assert vars(completed)["otel_logging.job.duration"] > 0
        assert vars(failed)["messaging.message.id"] == failing.id
        assert vars(failed)["messaging.destination.name"] == "one"
        assert vars(failed)["otel_logging.job.duration"] > 0
        assert failed.exc_info[0] is ValueError
        assert "Traceback" not in failed.getMessage()

    def test_a_worker_that_is_left_alone(self, connection, queue):
        """After uninstalling, RQ's lines are RQ's."""
        queue.enqueue(job, "well")
        jobs_rq.uninstall()
        listener = Listener()
        work(connection, level="INFO", listener=listener)
        assert listener.records == []


class TestUndo:
    def test_all_is_as_before(self):
        """Uninstalling puts RQ back, and a job enqueued then is RQ's own."""
        jobs_rq.uninstall()
        owners = [
            (rq.job.Job, "create"),
            (rq.job.Job, "perform"),
            (rq.queue.Queue, "enqueue_job"),
            (rq.queue.Queue, "_enqueue_job"),
            (rq.worker.BaseWorker, "bootstrap"),
            (rq.worker.BaseWorker, "handle_exception"),
            (rq.worker.BaseWorker, "perform_job"),
            (rq.worker.Worker, "monitor_work_horse"),
        ]
        before = [vars(owner)[name] for owner, name in owners]
        jobs_rq.install()
        assert all(vars(owner)[name] is not old for (owner, name), old in zip(owners, before, strict=True))
        jobs_rq.uninstall()
        assert [vars(owner)[name] for owner, name in owners] == before

    def test_nothing_is_imported(self):
        """Installing imports neither RQ nor Redis, and patches RQ once it comes."""
        code = (
            "import sys; from otel_logging.calls import jobs_rq; jobs_rq.install();"
            "assert 'rq' not in sys.modules and 'redis' not in sys.modules;"
            "import rq; print(rq.job.Job.create.__func__.__module__, hasattr(rq.job.Job.perform, '__wrapped__'))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == ("rq.job True\n", 0), done.stderr
