"""The OTel side of the set-up: the LoggerProvider with its exporters, and the spans of calls.

Ours is a provider of its own beside whatever the application or a distro has set up; it becomes the global one only
where there is none. A foreign provider is used when OTEL_CONFIG_FILE or OTEL_LOGS_EXPORTER=otel_logging asks for it.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, cast

from otel_logging import trouble
from otel_logging.bridge.ledger import ledger

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from otel_logging.boot.configure import Active
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.settings import Settings


def logs(active: Active, pipeline: Pipeline, resource: Resource) -> None:
    """Give `pipeline` a LoggerProvider with one exporting processor per destination; none for console only."""
    from opentelemetry import _logs as api
    from opentelemetry.sdk._logs import LoggerProvider

    settings = active.settings
    if settings.foreign_provider and active.stand_ins is None:
        current = api.get_logger_provider()
        if isinstance(current, LoggerProvider):
            pipeline.use_foreign(current)
            active.flushers.append(current.force_flush)
            return
        trouble.report(
            "configure",
            "OTEL_CONFIG_FILE or OTEL_LOGS_EXPORTER=otel_logging is set, but nothing has set up a LoggerProvider "
            "(is opentelemetry-distro or opentelemetry-configuration installed?); records go to the console only",
        )
        return
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    wanted = [name for name in settings.logs_exporter if name in {"otlp", "local"}]
    if active.stand_ins is not None:
        wanted = [] if settings.logs_exporter == ("none",) else ["stand-in"]
    for name in wanted:
        _add_destination(active, pipeline, provider, name, several=len(wanted) > 1)
    if not active.closers:
        return
    pipeline.provider = provider
    active.flushers.append(provider.force_flush)
    if active.stand_ins is None and type(api.get_logger_provider()).__name__ == "ProxyLoggerProvider":
        api.set_logger_provider(provider)  # the proxy is the API's word for "none yet"


def _add_destination(active: Active, pipeline: Pipeline, provider: Any, name: str, *, several: bool) -> None:
    from otel_logging.bridge.sampling import SamplingLogRecordProcessor
    from otel_logging.export.batch import BatchingProcessor

    settings = active.settings
    exporter = active.stand_ins.log_exporter if active.stand_ins is not None else _log_exporter(settings, name)
    if exporter is None:
        return
    # With two destinations the first keeps the books: a record that arrives twice was made once.
    books = ledger if not (several and active.closers) else _NoBooks()
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
    active.closers.append(processor.close)
    provider.add_log_record_processor(SamplingLogRecordProcessor(processor, pipeline.policies))


class _NoBooks:
    """Counts nothing: for a second destination."""

    def exported(self, n: int = 1) -> None:
        """Not counted."""

    def dropped(self, reason: str, n: int = 1) -> None:
        """Not counted as a loss of the record; counted as an incident."""
        for _ in range(n):
            trouble.count(f"second_destination:{reason}")


def _log_exporter(settings: Settings, name: str) -> LogRecordExporter | None:
    if name == "local" and settings.store is not None:
        from otel_logging.export.local import LocalLogExporter

        return LocalLogExporter(settings.store, settings.service_name)
    from otel_logging.export import otlp

    return otlp.build_log_exporter(settings.otlp_protocol)


def spans(active: Active, resource: Resource) -> None:
    """Find or make the TracerProvider that exports the spans of calls, and stamp every span with its call."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from otel_logging.calls import spans as call_spans

    current = trace.get_tracer_provider()
    foreign = current if isinstance(current, TracerProvider) else None
    if foreign is not None:
        if foreign not in _stamped and "local" in active.settings.logs_exporter and active.stand_ins is None:
            # Where a distro's provider sends its spans is its business; the local store wants the call's too.
            _add_local_spans(active, foreign)
        _stamp_spans_of(foreign)
        active.flushers.append(foreign.force_flush)
    if foreign is not None and active.stand_ins is None:
        provider = foreign
    else:
        made = _own_tracer_provider(active, resource)
        if made is None:
            return
        provider = made
        _stamp_spans_of(provider)
        if isinstance(current, trace.ProxyTracerProvider) and active.stand_ins is None:
            trace.set_tracer_provider(provider)
    call_spans.use_tracer(provider)
    active.undo.append(lambda: call_spans.use_tracer(None))


_stamped: weakref.WeakSet[TracerProvider] = weakref.WeakSet()  # a span processor cannot be taken out again


def _stamp_spans_of(provider: TracerProvider) -> None:
    from otel_logging.calls import spans as call_spans

    if provider not in _stamped:
        _stamped.add(provider)
        # Duck-typed so that `calls` needs no SDK.
        provider.add_span_processor(cast("SpanProcessor", call_spans.SpanStamper()))


def _add_local_spans(active: Active, provider: TracerProvider) -> None:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from otel_logging.export.local import LocalSpanExporter

    if active.settings.store is not None:
        exporter = LocalSpanExporter(active.settings.store, active.settings.service_name)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))


def _own_tracer_provider(active: Active, resource: Resource) -> TracerProvider | None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter

    if active.stand_ins is not None:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(active.stand_ins.span_exporter))
        return provider
    settings = active.settings
    exporters: list[SpanExporter] = []
    if "local" in settings.logs_exporter and settings.store is not None:
        from otel_logging.export.local import LocalSpanExporter

        exporters.append(LocalSpanExporter(settings.store, settings.service_name))
    if "otlp" in settings.logs_exporter and os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "otlp":
        from otel_logging.export import otlp

        exporter = otlp.build_span_exporter(settings.otlp_protocol)
        if exporter is not None:
            exporters.append(exporter)
    if not exporters:
        return None
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    active.flushers.append(provider.force_flush)
    active.closers.append(lambda _millis: provider.shutdown())
    return provider
