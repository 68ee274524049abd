"""Celery: a task sent in a call belongs to it, in whichever process it is executed.

The call travels in a header of the task's message. Celery's own signals say when; nothing of Celery is replaced. What
Celery says of a task becomes an event.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble
from otel_logging.calls import carried, job_events
from otel_logging.calls.patching import Patches

if TYPE_CHECKING:
    from types import ModuleType

    from otel_logging.calls.activation import Activation
    from otel_logging.calls.handle import Call

_patches = Patches("celery")
_UID: Final = "otel_logging"
_ENTERED: Final = "_otel_logging_entered"  # on a task's request: what is to be left when the task is done


def install() -> None:
    """Listen to Celery's signals if it is imported, or once it is. May be called again; never raises."""
    _patches.install()


def uninstall() -> None:
    """Listen no more."""
    _patches.uninstall()


@_patches.on_import("celery.signals")
def _listen(signals: ModuleType) -> None:
    for signal, receiver in (
        (signals.before_task_publish, _publish),
        (signals.after_task_publish, _published),
        (signals.worker_ready, _ready),
        (signals.task_prerun, _begin),
        (signals.task_postrun, _end),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=_UID)
        _patches.on_uninstall(functools.partial(signal.disconnect, dispatch_uid=_UID))
    logger = logging.getLogger("celery.app.trace")
    logger.addFilter(_mark)
    _patches.on_uninstall(lambda: logger.removeFilter(_mark))


def _publish(headers: Any = None, **_: Any) -> None:
    try:
        if isinstance(headers, dict) and carried.KEY not in headers:
            packed = carried.pack()
            if packed is not None:
                headers[carried.KEY] = packed
    except Exception as error:
        trouble.report("carrier_failed", f"a Celery task was sent without its call ({error!r})")


def _begin(task: Any = None, **_: Any) -> None:
    try:
        request = task.request
        packed = getattr(request, carried.KEY, None)
        if packed is None:
            return
        call = carried.unpack(packed)
        if call is not None:
            activation = call.activate()
            activation.__enter__()
            setattr(request, _ENTERED, (call, activation))
    except Exception as error:
        trouble.report("carrier_failed", f"a Celery task is executed without its call ({error!r})")


def _end(task: Any = None, retval: Any = None, state: Any = None, **_: Any) -> None:
    try:
        entered: tuple[Call, Activation] | None = vars(task.request).pop(_ENTERED, None)
        if entered is None:
            return
        call, activation = entered
        activation.__exit__(None, None, None)
        failed = state == "FAILURE" and isinstance(retval, Exception)  # a Retry is an exception, but no failure
        call.leave("job", grace=0.0, error=retval if failed else None)
    except Exception as error:
        trouble.report("carrier_failed", f"a Celery task's call could not be left ({error!r})")


# -- events ------------------------------------------------------------------------------------------------------------


def _published(sender: Any = None, headers: Any = None, body: Any = None, routing_key: Any = None, **_: Any) -> None:
    try:
        about = headers if isinstance(headers, dict) and "id" in headers else body  # in the body: the old protocol
        task_id = about.get("id") if isinstance(about, dict) else None
        job_events.enqueued("celery", str(routing_key), str(task_id), str(sender))
    except Exception as error:
        trouble.report("job_event_failed", f"that a Celery task was sent could not be told ({error!r})")


def _ready(sender: Any = None, **_: Any) -> None:
    try:
        queues = sender.app.amqp.queues.consume_from
        job_events.worker_started("celery", [str(name) for name in queues])
    except Exception as error:
        trouble.report("job_event_failed", f"that a Celery worker started could not be told ({error!r})")


def _mark(record: logging.LogRecord) -> bool:
    """A filter of Celery's own logger: its lines about a task's end carry what there is to know in `data`."""
    try:
        data = record.__dict__.get("data")
        if isinstance(data, dict) and "id" in data:
            if "runtime" in data and record.levelno < logging.WARNING:
                record.__dict__.update(job_events.completed("celery", str(data["id"]), float(data["runtime"])))
            elif record.exc_info and record.levelno >= logging.ERROR:
                record.__dict__.update(job_events.failed("celery", str(data["id"])))
    except Exception as error:
        trouble.report("job_event_failed", f"what Celery says of a task is left as it is ({error!r})")
    return True
