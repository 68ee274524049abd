"""What OTEL_CONFIG_FILE and OTEL_LOGS_EXPORTER find under our two exporter names, in any SDK set-up.

`local` writes to the local store. `otel_logging` brings our filtering into a provider that is not ours: it applies the
policies to each batch, keeps a record that cannot be encoded from taking its batch along, and forwards to OTLP or to
the local store. The SDK builds both as `class(**mapping)` from the configuration, or without arguments. Nothing here
raises: an error while plug-ins are built would abort the whole set-up, other people's parts included.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from otel_logging import settings, trouble
from otel_logging.bridge import mend, redact
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.sampling import SamplingLogRecordProcessor, read_policies
from otel_logging.bridge.translate import VERDICT
from otel_logging.export import local
from otel_logging.export.deliver import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord

_TARGETS = ("otlp", "local")
_SECONDS = 30.0  # for finding a record that cannot be encoded


def _unknown(plugin: str, options: dict[str, Any], valid: str) -> None:
    if options:
        trouble.report("plugin", f"exporter {plugin}: unknown option {', '.join(sorted(options))}; valid: {valid}")


def _local_settings(store: Any, service: Any) -> settings.Settings:
    """The settings under which the local store is asked for: there is always a folder then."""
    return settings.read({"logs_exporter": "local", "store": store, "service_name": service})


class _Complaints:
    """What was wrong in the settings, said when the plug-in is first used.

    A distro builds every exporter that a variable names, also where `configure()` exports through a provider of ours
    and has said it all.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self._problems = list(problems)

    def say(self) -> None:
        while self._problems:
            trouble.report("settings", self._problems.pop(0))


class LocalLogExporter(LogRecordExporter):
    """`local`: appends log records to the local store.

    Args:
        store: the store's folder; by default OTEL_LOGGING_STORE, else the user's state folder.
        service: the service's name in the files' names; by default OTEL_SERVICE_NAME.
        unknown: options of other versions; named in a warning and ignored.
    """

    def __init__(self, store: str | None = None, service: str | None = None, **unknown: Any) -> None:
        _unknown("local", unknown, "store, service")
        read = _local_settings(store, service)
        self._complaints = _Complaints(read.problems)
        # OTEL_LOGGING=off is the kill switch: then nothing is written.
        self._writer = local.LocalLogExporter(read.store, read.service_name) if read.enabled and read.store else None

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Write a batch; see `otel_logging.export.local`."""
        self._complaints.say()
        return LogRecordExportResult.SUCCESS if self._writer is None else self._writer.export(batch)

    def shutdown(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is buffered here."""
        return True


def _valid(readable: ReadableLogRecord) -> ReadableLogRecord:
    """A record as OTLP can hold it; ours are."""
    return readable if getattr(readable.log_record, VERDICT, None) is not None else mend.mended(readable)


class _Tally:
    """The outcome of one batch."""

    def __init__(self) -> None:
        self.lost: dict[str, int] = {}

    def exported(self, n: int = 1) -> None:
        """What is not lost is exported."""

    def dropped(self, reason: str, n: int = 1) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + n


class _Nothing(LogRecordProcessor):
    """What the sampling processor wraps where only its verdict is wanted."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Take no record."""

    def shutdown(self) -> None:
        """Nothing to stop."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing to flush."""
        return True


class OtelLoggingExporter(LogRecordExporter):
    """`otel_logging`: applies our policies to what any provider exports, then forwards what is kept.

    A record that our bridge has judged, or that an override let through (`otel_logging.trigger`), passes.

    Args:
        to: `otlp` or `local`; by default `local` where OTEL_LOGS_EXPORTER names it, else `otlp`.
        policies: policy files and bundled names; by default OTEL_LOGGING_POLICIES, else `voice`.
        protocol: of OTLP: `http/protobuf` or `grpc`; by default OTEL_EXPORTER_OTLP_PROTOCOL.
        endpoint: the whole URL of OTLP; by default as OTEL_EXPORTER_OTLP_* say.
        store: as for `local`.
        service: as for `local`.
        unknown: options of other versions; named in a warning and ignored.
    """

    def __init__(
        self,
        *,
        to: str | None = None,
        policies: Sequence[str] | str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        store: str | None = None,
        service: str | None = None,
        **unknown: Any,
    ) -> None:
        _unknown("otel_logging", unknown, "to, policies, protocol, endpoint, store, service")
        read = settings.read({"policies": policies, "otlp_protocol": protocol})
        self._complaints = _Complaints(read.problems)
        if to is not None and to not in _TARGETS:
            trouble.report("plugin", f"exporter otel_logging: to={to!r} is not valid; valid: {', '.join(_TARGETS)}")
            to = None
        self._sampler = (
            SamplingLogRecordProcessor(
                _Nothing(),
                read_policies(
                    read.policies,
                    frame_policies=not read.debug,
                    privacy=read.privacy,
                    pseudonym_key=read.pseudonym_key,
                ),
            )
            if read.enabled
            else None
        )
        self._to, self._protocol, self._endpoint = to, protocol, endpoint
        self._store, self._service = store, service

    @functools.cached_property
    def _target(self) -> LogRecordExporter | None:
        """Made at the first export: a distro builds us before our boot hook could tell its defaults from the user's."""
        read = settings.read({"otlp_protocol": self._protocol})
        if self._to == "local" or (self._to is None and "local" in read.logs_exporter):
            return LocalLogExporter(self._store, self._service)
        from otel_logging.export import otlp

        return otlp.build_log_exporter(read.otlp_protocol, endpoint=self._endpoint)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Filter a batch and forward the rest. FAILURE if a record that was to be kept did not arrive. Never raises."""
        try:
            self._complaints.say()
            return self._filtered(batch)
        except Exception as error:
            trouble.report("plugin", f"exporter otel_logging failed on a batch ({trouble.sentence(error)})")
            return LogRecordExportResult.FAILURE

    def _filtered(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        kept: list[ReadableLogRecord] = []
        ours = 0  # kept records that the books learn of here; our bridge has counted its own
        for readable in map(_valid, batch):
            verdict = None
            if self._sampler is not None:
                verdict = self._sampler.decide(
                    readable.log_record, readable.instrumentation_scope, readable.resource.attributes
                )
            if verdict is None or verdict.keep:
                kept.append(self._transformed(readable, evaluated=verdict is not None))
            if verdict is None:
                continue
            ledger.created()
            if verdict.keep:
                ours += 1
            else:
                ledger.dropped(verdict.reason)
        lost = self._forward(kept) if kept else {}
        for reason, count in lost.items():
            for _ in range(count):
                trouble.count(f"plugin:{reason}")
            charged = min(count, ours)  # whose they were is not told; the books balance either way
            if charged:
                ledger.dropped(reason, charged)
                ours -= charged
        if ours:
            ledger.exported(ours)
        return LogRecordExportResult.FAILURE if lost else LogRecordExportResult.SUCCESS

    def _transformed(self, readable: ReadableLogRecord, *, evaluated: bool) -> ReadableLogRecord:
        if self._sampler is None:
            return readable
        return redact.readable(self._sampler.policies, readable, evaluated=evaluated)

    def _forward(self, kept: list[ReadableLogRecord]) -> dict[str, int]:
        """Hand over; what was lost, by reason."""
        if self._target is None:
            return {"no_destination": len(kept)}
        tally = _Tally()
        delivery = Delivery(self._target, tally, seconds=_SECONDS, hurry=lambda: False)
        delivery.in_flight += len(kept)
        delivery.send(kept)
        return tally.lost

    def shutdown(self) -> None:
        """Stop the exporter that is forwarded to."""
        target = self.__dict__.get("_target")  # not made only to be stopped
        if target is not None:
            try:
                target.shutdown()
            except Exception as error:
                trouble.report("exporter_shutdown", f"an exporter did not stop cleanly ({trouble.sentence(error)})")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing is buffered here."""
        return True
