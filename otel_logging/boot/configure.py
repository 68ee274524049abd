"""Put the process's logging together, once, and take it apart again: `configure`, `force_flush`, `shutdown`, `stats`.

This is the one place that knows every room. Each step is guarded: what fails is reported and left out, and the
application goes on with the rest. No behaviour of its own belongs here, only the order of things.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from otel_logging import settings as settings_module
from otel_logging import trouble
from otel_logging.bridge.ledger import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.resources import Resource

    from otel_logging.boot.stand_ins import StandIns
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.sampling import SamplingLogRecordProcessor
    from otel_logging.settings import Settings

_BOOTED: Final = "OTEL_LOGGING_BOOTED"  # inherited: in child processes the boot line waits for a first real line

_LAST_SECONDS: Final = 0.5  # of the time for the end, for records that were made while others were flushed

_lock = threading.RLock()  # guards _active; held while configuring so that two threads cannot both do it
_active: Active | None = None


class Active:
    """What one `configure()` built: kept so that it can be flushed, compared with and taken down."""

    def __init__(self, settings: Settings, stand_ins: StandIns | None = None) -> None:
        self.settings = settings
        self.stand_ins = stand_ins  # in a rehearsal, for which the outside world is not touched
        self.pipeline: Pipeline | None = None
        self.flushers: list[Callable[[int], Any]] = []  # take milliseconds
        self.closers: list[Callable[[int], Any]] = []  # take milliseconds
        self.undo: list[Callable[[], Any]] = []
        self.samplers: list[SamplingLogRecordProcessor] = []  # they hold the policies too
        self.own: list[Callable[[int], Any]] = []  # those of the flushers that keep to their time; milliseconds
        self.parting: list[Callable[[], Any]] = []  # told when the process is about to end
        self.last_words: list[Callable[[], Any]] = []  # what still makes records when the calls have ended
        self.closed = False


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    """One step of the set-up: a failure is one clear line and a count, and the next step still runs."""
    try:
        yield
    except Exception as error:
        trouble.report("configure", f"{what} is left out: {trouble.sentence(error)}")


def configure(**settings: Any) -> None:
    """Set this process's logging up. Settings come from the keywords, then the environment, then the defaults.

    Calling it again with the same settings does nothing; with others, the process is set up anew.

    Args:
        **settings: any row of `otel_logging.settings.TABLE` by its name, such as `log_level="DEBUG"`.

    Raises:
        TypeError: for a keyword that is no setting. A wrong value is a warning, never an exception.
    """
    global _active
    read = settings_module.read(settings)
    with _lock:
        if _active is not None and not _active.closed:
            if _active.settings == read or _active.stand_ins is not None:
                return  # an application that is being rehearsed sets itself up in vain
            _take_down(_active, 5.0)
            _active = None
        if read.enabled:
            _active = _build_or_leave_alone(read)


def configured() -> Active | None:
    """What is in force, None before `configure()` and under the kill switch."""
    return _active if _active is not None and not _active.closed else None


def stats() -> dict[str, Any]:
    """The ledger of this process: `created`, `exported`, `held`, `dropped` by reason.

    Beside the balance: `recovered`; `policies`, hits and misses of each; `evicted`, what bounded tables gave up;
    `spool`, what is on disk and what other processes had left there; `incidents` by kind. docs/reference/ledger.md
    says what each means.
    """
    from otel_logging.boot import books

    active = configured()
    return books.read(active.pipeline if active is not None else None)


def force_flush(timeout: float = 5.0) -> bool:
    """Deliver what waits, within `timeout` seconds. Returns whether all of it was delivered."""
    active = configured()
    return True if active is None else _flush(active, timeout)


def shutdown(timeout: float = 5.0) -> bool:
    """End open calls, deliver what waits within `timeout` seconds, and put `logging` back as it was.

    Returns whether all was delivered. The process may call `configure()` again.
    """
    global _active
    with _lock:
        active, _active = _active, None
        return True if active is None or active.closed else _take_down(active, timeout)


def _flush(active: Active, timeout: float) -> bool:
    from otel_logging.calls import call as calls

    deadline = time.monotonic() + timeout
    with _step("delivering records that waited for their call's name"):
        calls.release_waiting()
    done = True
    for flush in active.flushers:
        left = deadline - time.monotonic()
        try:
            done = flush(max(int(left * 1000), 1)) is not False and done
        except Exception as error:
            done = False
            trouble.report("flush", f"a flush failed: {trouble.sentence(error)}")
    return done


def close(timeout: float = 5.0) -> bool:
    """For the end of the process: end calls and deliver, but leave the patches: late lines are still printed."""
    active = configured()
    if active is None:
        return True
    from otel_logging.calls import call as calls

    with _step("ending the open calls"):
        calls.end_all("process_end")
    _say_last_words(active)
    for part in active.parting:
        with _step("hurrying an exporter"):
            part()
    done = _flush(active, max(timeout - _LAST_SECONDS, 0))
    for flush in active.own:
        with _step("delivering what was logged meanwhile"):  # exporters that are not ours tell of their failures
            done = flush(int(_LAST_SECONDS * 1000)) is not False and done
    return done


def _take_down(active: Active, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    with _step("ending the open calls"):
        from otel_logging.calls import call as calls

        calls.end_all("shutdown")
    _say_last_words(active)
    done = _flush(active, timeout)
    for undo in reversed(active.undo):
        with _step("undoing a patch"):
            undo()
    for closer in active.closers:
        with _step("closing an exporter"):
            # What came since the flush is little; without any time left it is counted as dropped.
            done = closer(max(int((deadline - time.monotonic()) * 1000), 100)) is not False and done
    active.closed = True
    return done


def _say_last_words(active: Active) -> None:
    for say in active.last_words:
        with _step("telling of what limits held back"):
            say()


@contextlib.contextmanager
def rehearsal(settings: Mapping[str, Any], stand_ins: StandIns) -> Iterator[Active | None]:
    """Set the process up on `stand_ins` for the block, and as it was afterwards: for `otel_logging.testing`.

    The environment is not read, and `configure()` does nothing meanwhile. Gives None where `settings` switch us off.
    """
    global _active
    read = settings_module.read(settings, {})
    if read.problems:
        raise ValueError("; ".join(read.problems))
    with _lock:
        before, _active = configured(), None
        if before is not None:
            _take_down(before, 5.0)
        if read.enabled:
            active = _active = Active(read, stand_ins)
            _build(active)
        else:
            active = None
    try:
        yield active
    finally:
        with _lock:
            if active is not None and not active.closed:
                _take_down(active, 5.0)
            _active = None if before is None else _build_or_leave_alone(before.settings, before.stand_ins)


def after_fork() -> None:
    """In a forked child: the parent's counts are not ours. Queues and connections renew themselves."""
    global _lock
    _lock = threading.RLock()
    ledger.reset()
    trouble.reset()
    with _step("the counts of calls that came along"):
        from otel_logging.bridge import summary, suppressed
        from otel_logging.calls import registry

        summary.settle(suppressed.outside)
        for one in registry.snapshot():
            if one.memory is not None:
                summary.settle(one.memory)


# -- building ----------------------------------------------------------------------------------------------------------


def _build_or_leave_alone(settings: Settings, stand_ins: StandIns | None = None) -> Active | None:
    active = Active(settings, stand_ins)
    try:
        _build(active)
    except Exception as error:
        # Half a set-up would lose records silently; the application's own logging is better than that.
        trouble.report("configure", f"logging is left as it is: {trouble.sentence(error)}")
        _take_down(active, 1.0)
        return None
    return active


def _build(active: Active) -> None:
    from otel_logging.bridge import gate, handler, makerecord
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.sampling import read_policies
    from otel_logging.export.console import Console

    settings, stand_ins = active.settings, active.stand_ins
    clock = stand_ins.clock if stand_ins is not None else None
    policies = read_policies(
        settings.policies,
        frame_policies=not settings.debug,
        clock=clock or time.monotonic,
        privacy=settings.privacy,
        pseudonym_key=settings.pseudonym_key,
    )
    stream = (lambda: stand_ins.stream) if stand_ins is not None else None
    console = Console(settings.log_json, settings.log_console, settings.service_name, stream)
    resource = _resource(settings)
    pipeline = active.pipeline = Pipeline(
        policies=policies,
        books=ledger,
        floor=settings.log_level,
        console=console,
        resource=dict(resource.attributes),
    )
    with _step("exporting through OTel"):
        from otel_logging.boot import providers

        providers.logs(active, pipeline, resource)
    with _step("exporting the spans of calls"):
        from otel_logging.boot import providers

        providers.spans(active, resource)
    with _step("the guards and the summaries of calls"):
        _guard(active, pipeline)
    with _step("the books as OTel metrics"):
        from otel_logging.bridge import metrics

        if metrics.asked_for(os.environ):
            metrics.install(ledger.snapshot)
            active.undo.append(metrics.uninstall)
    with _step("the flight recorder"):
        _record(active, pipeline)
    _patch(active, pipeline)
    handler.set_pipeline(pipeline)
    active.undo.append(lambda: handler.set_pipeline(None))
    makerecord.install()
    active.undo.append(makerecord.uninstall)
    gate.install(pipeline)
    active.undo.append(gate.uninstall)
    if stand_ins is None:
        with _step("steering by the control file"):
            from otel_logging.boot import steering

            steering.install(active, pipeline)
        _announce(settings, pipeline)


def _record(active: Active, pipeline: Pipeline) -> None:
    """The flight recorder, with its attic where a store was asked for."""
    from otel_logging.boot import applog
    from otel_logging.bridge import recorder_config, redact
    from otel_logging.bridge.recorder import Recorder
    from otel_logging.calls import registry

    settings, stand_ins = active.settings, active.stand_ins
    config = recorder_config.read(pipeline.policies.policies, settings)
    if config is None:
        return
    attic = None
    if settings.store is not None and ("local" in settings.logs_exporter or "store" in settings.given):
        from otel_logging.export.attic import Attic

        attic = Attic(settings.store, settings.service_name)
    if pipeline.provider is None and attic is None:
        return  # nowhere to give anything back to
    recorder = pipeline.recorder = Recorder(
        pipeline,
        config,
        quiet=applog.is_quiet,
        about=registry.about,
        find=registry.memory_of,
        redact=redact.remembered(lambda: pipeline.policies),
        attic=attic,
        metered=settings.logs_exporter != ("local",) or stand_ins is not None,
        clock=(stand_ins.clock if stand_ins is not None else None) or time.monotonic,
    )
    active.flushers.insert(0, recorder.flush)  # what it gives back is to be flushed by the others
    active.undo.append(recorder.close)


def _guard(active: Active, pipeline: Pipeline) -> None:
    """What keeps calls quiet that no rule knows, and what says of each call what became of its records."""
    from otel_logging.bridge import memory
    from otel_logging.bridge.guards import Guards
    from otel_logging.bridge.summary import Summaries
    from otel_logging.calls import timer

    clock = active.stand_ins.clock if active.stand_ins is not None else None
    pipeline.guards = Guards(repeat=not active.settings.debug, clock=clock or time.monotonic)
    summaries = Summaries(pipeline, timer.schedule)
    active.undo.append(summaries.uninstall)
    active.undo.append(memory.listen(summaries))
    active.last_words.append(summaries.close)


def _patch(active: Active, pipeline: Pipeline) -> None:
    """Everything outside of `logging.Logger` that we put a hand on, each part on its own."""
    settings = active.settings
    with _step("LOG_LEVEL and the quiet libraries"):
        from otel_logging.boot import applog

        applog.install(settings)
        active.undo.append(applog.uninstall)
    with _step("carrying calls into threads"):
        from otel_logging.calls import threads

        threads.install()
        active.undo.append(threads.uninstall)
    with _step("carrying calls over HTTP"):
        from otel_logging.calls import outgoing

        outgoing.install(settings.propagate_to)
        active.undo.append(outgoing.uninstall)
    with _step("finding calls in servers"):
        from otel_logging.calls import servers

        servers.install()
        active.undo.append(servers.uninstall)
    with _step("carrying calls into RQ jobs"):
        from otel_logging.calls import jobs_rq

        jobs_rq.install()
        active.undo.append(jobs_rq.uninstall)
    with _step("carrying calls into Celery tasks"):
        from otel_logging.calls import jobs_celery

        jobs_celery.install()
        active.undo.append(jobs_celery.uninstall)
    with _step("the books of waiting records"):
        from otel_logging.calls import call as calls

        ledger.gauge("waiting", calls.held_waiting)
    if settings.log_capture_print:
        with _step("LOG_CAPTURE_PRINT"):
            from otel_logging.boot import prints

            prints.install(_print_line)
            active.undo.append(prints.uninstall)
    if active.stand_ins is not None:
        return  # the end of a test run is not ours
    with _step("telling of exceptions that nobody handles"):
        from otel_logging.boot import unhandled

        unhandled.install()
        active.undo.append(unhandled.uninstall)
        active.last_words.append(unhandled.tell_the_last)
    with _step("delivering records when the process ends"):
        from otel_logging.boot import books, ends

        ends.install(force_flush, close, after_fork, books.unsafe)
        active.undo.append(ends.uninstall)
    del pipeline


def _print_line(line: str, stacklevel: int) -> None:
    """One line that `print()` wrote. Raises where the logger is switched off, so that the line is printed after all."""
    logger = logging.getLogger("print")
    if logger.disabled:
        raise RuntimeError("logger 'print' is disabled")
    logger.info(line, stacklevel=stacklevel)


def _resource(settings: Settings) -> Resource:
    from opentelemetry.sdk.resources import Resource

    from otel_logging import __version__
    from otel_logging.bridge.translate import cleaned

    attributes: dict[str, Any] = {"telemetry.distro.name": "otel-logging", "telemetry.distro.version": __version__}
    if settings.service_name != "unknown_service":
        attributes["service.name"] = settings.service_name
    made = Resource.create(attributes)
    # Variables may hold bytes that are no UTF-8; one such value would make every record of this process unsendable.
    return Resource(cleaned(made.attributes), made.schema_url)


def _announce(settings: Settings, pipeline: Pipeline) -> None:
    """The boot line, and what was wrong in the settings.

    In a child process they wait for the first line that is printed: a helper process whose output the application
    reads must not begin with a line of ours.
    """
    lines = [(logging.INFO, f"LOGGING CONFIGURED: level={settings.level_name}, json={int(settings.log_json)}")]
    lines += [(logging.WARNING, problem) for problem in settings.problems]
    if os.environ.get(_BOOTED):
        # In a context of its own: the first line may be a call's, these never are.
        pipeline.before_first_line = lambda: contextvars.Context().run(_say, lines)
    else:
        os.environ[_BOOTED] = "1"
        _say(lines)


def _say(lines: list[tuple[int, str]]) -> None:
    logger = logging.getLogger("otel_logging")
    for level, line in lines:
        logger.log(level, "%s", line)
