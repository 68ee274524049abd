"""The OTel side of the set-up: the LoggerProvider with its exporters, and the spans of calls.

Ours is a provider of its own beside whatever the application or a distro has set up; it becomes the global one only
where there is none. A foreign provider is used when OTEL_CONFIG_FILE or OTEL_LOGS_EXPORTER=otel_logging asks for it.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final, cast

from otel_logging import trouble
from otel_logging.boot.bounded import bounded
from otel_logging.bridge import attribute_limit, direct, late
from otel_logging.bridge.ledger import ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from otel_logging.boot.configure import Active
    from otel_logging.boot.switches import LogSwitch, SpanSwitch
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.sampling import SamplingLogRecordProcessor
    from otel_logging.export.courier import Courier
    from otel_logging.settings import Settings


_SPAN_DELAY: Final = 1000  # milliseconds between two exports of spans

# OTel's global providers, where they are ours: they are set once and outlive every set-up.
_global_logs: tuple[LoggerProvider, LogSwitch] | None = None
_global_spans: tuple[TracerProvider, SpanSwitch] | None = None
_stamped: weakref.WeakSet[LoggerProvider] = weakref.WeakSet()
_switches: weakref.WeakKeyDictionary[TracerProvider, SpanSwitch] = weakref.WeakKeyDictionary()


def logs(active: Active, pipeline: Pipeline, resource: Resource) -> None:
    """Give `pipeline` a LoggerProvider with one exporting processor per destination; none for console only."""
    from opentelemetry import _logs as api
    from opentelemetry.sdk._logs import LoggerProvider

    settings, limits = active.settings, attribute_limit.from_environment()
    pipeline.most_attributes = limits.max_log_record_attributes
    if settings.foreign_provider and active.stand_ins is None:
        current = api.get_logger_provider()
        if isinstance(current, LoggerProvider):
            pipeline.use_foreign(current)
            _serve_foreign(active, current)
            return
        trouble.report(
            "configure",
            "OTEL_CONFIG_FILE or OTEL_LOGS_EXPORTER=otel_logging is set, but nothing has set up a LoggerProvider "
            "(is opentelemetry-distro or opentelemetry-configuration installed?); records go to the console only",
        )
        return
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False, log_record_limits=limits)
    wanted = [name for name in settings.logs_exporter if name in {"otlp", "local"}]
    if active.stand_ins is not None:
        wanted = [] if settings.logs_exporter == ("none",) else ["stand-in"]
    made = [_destination(active, pipeline, name, several=len(wanted) > 1) for name in wanted]
    processors = tuple(processor for processor in made if processor is not None)
    if not processors:
        pipeline.late = late.Late(pipeline, None)
        return
    for processor in processors:
        provider.add_log_record_processor(processor)
    pipeline.provider = provider
    if active.stand_ins is None:
        pipeline.direct = direct.Direct(provider, [processor.behind for processor in processors])
        pipeline.late = late.Late(pipeline, pipeline.direct)
    active.flushers.append(provider.force_flush)
    if active.stand_ins is None:
        _serve_other_bridges(active, pipeline, resource, processors)


def _serve_other_bridges(
    active: Active, pipeline: Pipeline, resource: Resource, processors: tuple[LogRecordProcessor, ...]
) -> None:
    """Where nobody has set a global LoggerProvider, give other bridges one that leads to our destinations."""
    global _global_logs
    from opentelemetry import _logs as api
    from opentelemetry.sdk._logs import LoggerProvider

    from otel_logging.boot.switches import LogSwitch

    if type(api.get_logger_provider()).__name__ == "ProxyLoggerProvider":  # the API's word for "none yet"
        switch, limits = LogSwitch(), attribute_limit.from_environment()
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False, log_record_limits=limits)
        provider.add_log_record_processor(switch)
        api.set_logger_provider(provider)
        _global_logs = provider, switch
    if _global_logs is not None and api.get_logger_provider() is _global_logs[0]:
        pipeline.alias, switch = _global_logs
        switch.behind = processors
        active.undo.append(lambda: setattr(switch, "behind", ()))
    elif isinstance(found := api.get_logger_provider(), LoggerProvider):
        _serve_foreign(active, found)


def _serve_foreign(active: Active, provider: LoggerProvider) -> None:
    """What others send through a provider that is not ours gets its call too, and is delivered at the process's end."""
    from otel_logging.bridge.sampling import CallStamper

    active.flushers.append(bounded(provider.force_flush))
    if provider not in _stamped:
        _stamped.add(provider)
        provider.add_log_record_processor(CallStamper())


def _destination(active: Active, pipeline: Pipeline, name: str, *, several: bool) -> SamplingLogRecordProcessor | None:
    from otel_logging.bridge.sampling import SamplingLogRecordProcessor
    from otel_logging.export.batch import BatchingProcessor

    settings = active.settings
    # With two destinations the first keeps the books: a record that arrives twice was made once.
    books = ledger if not (several and active.closers) else _NoBooks()
    exporter = active.stand_ins.log_exporter if active.stand_ins is not None else _log_exporter(settings, name)
    if exporter is None:
        return None
    if books is ledger:
        from otel_logging.export import spools

        spools.count(exporter)
        ledger.gauge("spool", spools.held)  # stays: what is on disk is held, whatever becomes of this set-up
    processor = BatchingProcessor(
        exporter,
        books,
        schedule_delay_millis=min(settings.blrp_schedule_delay, 200)
        if name == "local"
        else settings.blrp_schedule_delay,
        max_queue_size=settings.blrp_max_queue_size,
        max_export_batch_size=settings.blrp_max_export_batch_size,
        export_timeout_millis=settings.blrp_export_timeout,
    )
    if books is ledger:
        ledger.gauge("queue", processor.held)
        active.undo.append(lambda: ledger.remove_gauge("queue"))
    active.parting.append(processor.part)
    active.own.append(processor.force_flush)
    active.closers.append(processor.close)
    sampler = SamplingLogRecordProcessor(processor, pipeline.policies)
    active.samplers.append(sampler)
    return sampler


class _NoBooks:
    """Counts nothing: for a second destination."""

    def exported(self, n: int = 1) -> None:
        """Not counted."""

    def dropped(self, reason: str, n: int = 1) -> None:
        """Not counted as a loss of the record; counted as an incident."""
        for _ in range(n):
            trouble.count(f"second_destination:{reason}")


def _log_exporter(settings: Settings, name: str) -> LogRecordExporter | Courier | None:
    if name == "local" and settings.store is not None:
        from otel_logging.export.local import LocalLogExporter

        return LocalLogExporter(settings.store, settings.service_name)
    return _courier(settings)


def _courier(settings: Settings) -> Courier | None:
    """What delivers to the OTLP endpoint, with its spool."""
    from otel_logging.export import otlp, spools
    from otel_logging.export.courier import Courier
    from otel_logging.export.spool import folder_of

    sender = otlp.build_sender("logs", settings.otlp_protocol)
    if sender is None:
        return None
    spool = None
    if settings.spool != "off" and settings.store is not None:
        folder = folder_of(settings.store, settings.otlp_protocol, sender.endpoint, sender.headers)
        spool = spools.open_spool(folder, settings.service_name)
    return Courier(
        sender,
        spool=spool,
        write_ahead=settings.spool == "always",
        batch_size=settings.blrp_max_export_batch_size,
    )


def spans(active: Active, resource: Resource) -> None:
    """Find or make the TracerProvider that exports the spans of calls, and stamp every span with its call."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from otel_logging.bridge import redact
    from otel_logging.calls import spans as call_spans

    current = trace.get_tracer_provider()
    ours = _global_spans is not None and current is _global_spans[0]
    foreign = current if isinstance(current, TracerProvider) and not ours else None
    if foreign is not None:
        _join(active, foreign)
    if foreign is not None and active.stand_ins is None:
        provider = foreign
    else:
        processors = _span_processors(active)
        if not processors:
            return
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        _switch_of(provider).behind = processors
        active.flushers.append(bounded(provider.force_flush))
        active.closers += [_closer(processor) for processor in processors]
        if active.stand_ins is None:
            _serve_other_spans(active, current, resource, processors)
    pipeline = active.pipeline
    call_spans.use_tracer(
        provider, None if pipeline is None else lambda attributes: redact.values(pipeline.policies, attributes)
    )
    active.undo.append(lambda: call_spans.use_tracer(None))


def _join(active: Active, provider: TracerProvider) -> None:
    """Stamp the spans of a provider that is not ours. Where it sends them is its business."""
    switch = _switch_of(provider)
    active.flushers.append(bounded(provider.force_flush))
    settings = active.settings
    if "local" in settings.logs_exporter and settings.store is not None and active.stand_ins is None:
        # The local store wants the spans of the call too.
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from otel_logging.export.local import LocalSpanExporter

        exporter = LocalSpanExporter(settings.store, settings.service_name)
        processor = BatchSpanProcessor(exporter, schedule_delay_millis=_SPAN_DELAY)
        switch.behind = (processor,)
        active.undo.append(lambda: setattr(switch, "behind", ()))
        active.closers.append(_closer(processor))


def _closer(processor: SpanProcessor) -> Callable[[int], None]:
    def close(_millis: int) -> None:
        processor.shutdown()

    return close


def _switch_of(provider: TracerProvider) -> SpanSwitch:
    """The switch in `provider`, and a stamper before it: both put there once, as no processor can be taken out."""
    from otel_logging.boot.switches import SpanSwitch
    from otel_logging.calls import spans as call_spans

    switch = _switches.get(provider)
    if switch is None:
        switch = _switches[provider] = SpanSwitch()
        # Duck-typed so that `calls` needs no SDK.
        provider.add_span_processor(cast("SpanProcessor", call_spans.SpanStamper()))
        provider.add_span_processor(switch)
    return switch


def _serve_other_spans(active: Active, current: Any, resource: Resource, processors: tuple[SpanProcessor, ...]) -> None:
    """Where nobody has set a global TracerProvider, give the application's spans one that leads to our destinations."""
    global _global_spans
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    if isinstance(current, trace.ProxyTracerProvider):
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
        _global_spans = provider, _switch_of(provider)
    if _global_spans is not None and trace.get_tracer_provider() is _global_spans[0]:
        switch = _global_spans[1]
        switch.behind = processors
        active.undo.append(lambda: setattr(switch, "behind", ()))


def _span_processors(active: Active) -> tuple[SpanProcessor, ...]:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter

    if active.stand_ins is not None:
        return (SimpleSpanProcessor(active.stand_ins.span_exporter),)
    settings = active.settings
    exporters: list[SpanExporter] = []
    if "local" in settings.logs_exporter and settings.store is not None:
        from otel_logging.export.local import LocalSpanExporter

        exporters.append(LocalSpanExporter(settings.store, settings.service_name))
    if "otlp" in settings.logs_exporter and os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "otlp":
        from otel_logging.export import otlp

        exporter = otlp.build_span_exporter(settings.otlp_protocol)
        if exporter is not None:
            active.parting.append(exporter.part)
            exporters.append(exporter)
    return tuple(BatchSpanProcessor(exporter, schedule_delay_millis=_SPAN_DELAY) for exporter in exporters)
