"""RQ: a job enqueued in a call belongs to it, in whichever process it is executed; and what became of it is an event.

The call travels in the job's `meta`. Flushing at the end of a work-horse is not done here.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
from typing import TYPE_CHECKING, Any

from otel_logging import trouble
from otel_logging.calls import carried, job_events
from otel_logging.calls.call import Call, current_call
from otel_logging.calls.patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_patches = Patches("rq")


def install() -> None:
    """Patch RQ if it is imported, or once it is. May be called again; never raises."""
    _patches.install()


def uninstall() -> None:
    """Take the patches back."""
    _patches.uninstall()


def _mark(job: Any) -> None:
    """Have `job` carry the call in force, unless it carries one. Never raises."""
    try:
        meta = job.meta
        # Metadata that this process could not read is stored back as it is, which adding to it would prevent.
        if not _patches.active or not isinstance(meta, dict) or getattr(job, "_unreadable_meta", None) is not None:
            return
        packed = carried.pack() if carried.KEY not in meta else None
        if packed is not None:
            job.meta = {**meta, carried.KEY: packed}  # not in place: the application may share it between jobs
    except Exception as error:
        trouble.report("carrier_failed", f"an RQ job was enqueued without its call ({error!r})")


def _packed(job: Any) -> Any:
    meta = getattr(job, "meta", None)
    return meta.get(carried.KEY) if isinstance(meta, dict) else None


def _open(job: Any) -> Call | None:
    """The call that `job` carries, opened; None if it carries none, or if that call is in force already."""
    if not _patches.active:
        return None
    try:
        packed = _packed(job)
        held = current_call()
        if packed is None or (held is not None and held.call_sid == carried.call_sid_of(packed)):
            return None
        return carried.unpack(packed)
    except Exception as error:
        trouble.report("carrier_failed", f"an RQ job is executed without its call ({error!r})")
        return None


@_patches.on_import("rq.job")
def _job(module: ModuleType) -> None:
    def create(original: Any) -> Any:
        # Every way to enqueue a function (enqueue, enqueue_in, enqueue_at, enqueue_many, @job) makes its job here.
        function = original.__func__

        @functools.wraps(function)
        def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
            job = function(cls, *args, **kwargs)
            _mark(job)
            return job

        return classmethod(make)

    _patches.replace(module.Job, "create", create)
    _patches.replace(module.Job, "perform", _within_call)


@_patches.on_import("rq.queue")
def _queue(module: ModuleType) -> None:
    def enqueue_job(original: Callable[..., Any]) -> Callable[..., Any]:
        # For jobs that were made before the call, and are enqueued in it.
        @functools.wraps(original)
        def enqueue(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
            _mark(job)
            return original(self, job, *args, **kwargs)

        return enqueue

    _patches.replace(module.Queue, "enqueue_job", enqueue_job)
    if "_enqueue_job" in vars(module.Queue):  # where all ways to enqueue meet, now or when the time has come
        _patches.replace(module.Queue, "_enqueue_job", _telling)


@_patches.on_import("rq.worker")
def _worker(module: ModuleType) -> None:
    for cls in {one for one in vars(module).values() if isinstance(one, type)}:
        if "perform_job" in vars(cls):
            _patches.replace(cls, "perform_job", _within_call_of_argument)
        if "monitor_work_horse" in vars(cls):
            _patches.replace(cls, "monitor_work_horse", _watching)
        for name, marked in _MARKED.items():
            if name in vars(cls):
                _patches.replace(cls, name, functools.partial(_with_event, marked))
    logger = logging.getLogger("rq.worker")
    logger.addFilter(job_events.look)
    _patches.on_uninstall(lambda: logger.removeFilter(job_events.look))


def _within_call(original: Callable[..., Any]) -> Callable[..., Any]:
    """Patch of `Job.perform`: in workers of other classes, and where a queue executes its jobs itself."""

    @functools.wraps(original)
    def perform(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _perform(self, functools.partial(original, self, *args, **kwargs))

    return perform


def _within_call_of_argument(original: Callable[..., Any]) -> Callable[..., Any]:
    """Patch of a worker's `perform_job`, around the job and what the worker says about its success or failure."""

    @functools.wraps(original)
    def perform_job(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        return _perform(job, functools.partial(original, self, job, *args, **kwargs))

    return perform_job


def _perform(job: Any, work: Callable[[], Any]) -> Any:
    call = _open(job)
    if call is None:
        return work()
    error: BaseException | None = None
    try:
        with call.activate():
            return work()
    except BaseException as raised:
        error = raised
        raise
    finally:
        call.leave("job", grace=0.0, error=error if isinstance(error, Exception) else None)
        error = None


def _watching(original: Callable[..., Any]) -> Callable[..., Any]:
    """Patch of the forking worker's watch over its work-horse: "terminated unexpectedly" belongs to the call too.

    The watching process does not serve the call, so it holds nothing open and has no span of it.
    """

    @functools.wraps(original)
    def monitor_work_horse(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        call_sid = carried.call_sid_of(_packed(job)) if _patches.active else None
        if call_sid is None:
            return original(self, job, *args, **kwargs)
        watched = Call(carried.JOB, {}, wait=False, opener=False)
        watched.name(call_sid, "a job")
        with watched.activate():
            return original(self, job, *args, **kwargs)

    return monitor_work_horse


# -- events ------------------------------------------------------------------------------------------------------------


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    """Patch of `Queue._enqueue_job`, which RQ itself tells of at DEBUG only."""

    @functools.wraps(original)
    def enqueue(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        if not _patches.active or not getattr(self, "is_async", True):  # not to wait for: it is executed in here
            return original(self, job, *args, **kwargs)
        enqueued = original(self, job, *args, **kwargs)
        try:
            job_events.enqueued("rq", str(self.name), str(job.id), _function_of(job))
        except Exception as error:
            trouble.report("job_event_failed", f"that an RQ job was enqueued could not be told ({error!r})")
        return enqueued

    return enqueue


def _function_of(job: Any) -> str:
    try:
        return str(job.func_name)
    except Exception:
        return "(unknown)"  # its data cannot be read in this process


def _with_event(
    look_for: Callable[..., Callable[[logging.LogRecord], dict[str, Any] | None]], original: Callable[..., Any]
) -> Callable[..., Any]:
    """Patch of a worker's method: the record by which RQ says what happened becomes the event."""

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _patches.active:
            return original(self, *args, **kwargs)
        try:
            marking = job_events.marking(look_for(self, *args, **kwargs))
        except Exception as error:
            trouble.report("job_event_failed", f"what RQ says of a job is left as it is ({error!r})")
            return original(self, *args, **kwargs)
        with marking:
            return original(self, *args, **kwargs)

    return method


def _of_a_start(worker: Any, *_: Any, **__: Any) -> Any:
    return job_events.of_a_start("rq", [str(name) for name in worker.queue_names()])


def _of_a_success(_worker: Any, job: Any, *_: Any, **__: Any) -> Any:
    return job_events.of_a_success("rq", str(job.origin), str(job.id))


def _of_a_failure(_worker: Any, job: Any, *exc_info: Any) -> Any:
    began = job.started_at
    seconds = None
    if isinstance(began, dt.datetime):
        now = dt.datetime.now(dt.timezone.utc)
        seconds = (now - (began if began.tzinfo is not None else began.replace(tzinfo=dt.timezone.utc))).total_seconds()
    return job_events.of_a_failure("rq", str(job.origin), str(job.id), exc_info[1], seconds)


_MARKED: dict[str, Callable[..., Any]] = {
    "bootstrap": _of_a_start,
    "handle_job_success": _of_a_success,
    "handle_exception": _of_a_failure,
}
