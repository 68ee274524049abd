"""The sampling processor: policies applied to OTel LogRecords, around the processor that exports.

A processor beside another cannot veto it; only a wrapper can. Records that our gate let through carry their verdict and
pass; records from other bridges (structlog's, a hand-made Logger.emit) get theirs here. Transforms are carried out on
all that have not had them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord

from otel_logging import settings, trouble
from otel_logging.bridge import attribute_limit, mend, redact, scope, suppressed, translate
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.this_thread import call_key
from otel_logging.bridge.translate import VERDICT
from otel_logging.bridge.values import safe_str
from otel_logging.policy.engine import KEPT, PolicySet, Verdict
from otel_logging.policy.sets import in_force
from otel_logging.policy.view import LogView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.context import Context
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope


def view_of(record: LogRecord, origin: InstrumentationScope | None, resource: Mapping[str, Any] | None) -> LogView:
    """An OTel record as the policy engine reads it."""
    return LogView(
        body=record.body,
        severity_number=record.severity_number.value if record.severity_number is not None else 0,
        severity_text=record.severity_text or "",
        event_name=record.event_name or "",
        trace_id=f"{record.trace_id:032x}" if record.trace_id else "",
        span_id=f"{record.span_id:016x}" if record.span_id else "",
        attributes=record.attributes or {},
        resource_attributes=resource or {},
        scope_name=origin.name if origin is not None else "",
        scope_version=(origin.version or "") if origin is not None else "",
        scope_attributes=(origin.attributes or {}) if origin is not None else {},
    )


def read_policies(
    policies: PolicySet | Sequence[str] | str | None,
    *,
    frame_policies: bool = True,
    clock: Callable[[], float] = time.monotonic,
    privacy: str | None = None,
    pseudonym_key: bytes | None = None,
) -> PolicySet:
    """A compiled set from what a caller may give: a set, file paths or bundled names; None means bundled `voice`.

    The redactions of `privacy` are added to files and names; None takes the mode and the key from the environment.
    """
    if isinstance(policies, PolicySet):
        return policies
    sources = ["voice"] if policies is None else [policies] if isinstance(policies, str) else list(policies)
    if privacy is None:
        read = settings.read()
        privacy, pseudonym_key = read.privacy, read.pseudonym_key
    compiled, errors = in_force(
        sources, privacy, frame_policies=frame_policies, clock=clock, pseudonym_key=pseudonym_key
    )
    for sentence in errors:
        trouble.report("policy", sentence)
    return compiled


def join_call_in_force(record: LogRecord) -> None:
    """Give a record from another bridge the call in force where it was made. Never raises."""
    try:
        call = scope.current.get()
        if call is not None and record.attributes is not None:
            translate.join_call(record, call)
    except Exception as error:
        trouble.report("internal_error", f"a record could not be given its call: {safe_str(error)}")


def _count(record: LogRecord, verdict: Verdict) -> None:
    """Put a record into the counts of its call, and have it tell what a rate limit held back before it."""
    call = scope.current.get()
    suppressed.count(call, verdict.reason if not verdict.keep else "kept")
    if verdict.keep and verdict.policy is not None:
        held_back = suppressed.take(call, f"rate_limited:{verdict.policy}")
        if held_back:
            record.attributes = {**(record.attributes or {}), translate.SUPPRESSED: held_back}


class CallStamper(LogRecordProcessor):
    """Gives the records of somebody else's LoggerProvider their call, and does nothing else.

    It stands behind that provider's own processors, but batches are encoded later, and the attributes are shared.
    """

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Stamp one record."""
        if getattr(log_record.log_record, VERDICT, None) is None:
            join_call_in_force(log_record.log_record)
        else:
            attribute_limit.tell(log_record.log_record)

    def shutdown(self) -> None:
        """Nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing to flush."""
        return True


class SamplingLogRecordProcessor(LogRecordProcessor):
    """A LogRecordProcessor wrapped around the exporting one: what the policies drop never reaches it.

    Args:
        processor: the exporting processor; all other methods pass through to it.
        policies: a compiled `PolicySet`, or policy files and bundled names; by default the bundled `voice`.
    """

    def __init__(self, processor: LogRecordProcessor, policies: PolicySet | Sequence[str] | str | None = None) -> None:
        self._processor = processor
        # Ours counts what it exports; anyone else's is the last we see of a record.
        self._counts_exports = hasattr(processor, "held")
        self.policies = read_policies(policies)

    @property
    def behind(self) -> Any:
        """The exporting processor."""
        return self._processor

    def decide(
        self, record: LogRecord, origin: InstrumentationScope | None, resource: Mapping[str, Any] | None
    ) -> Verdict | None:
        """The verdict on a record, or None where an override or an earlier stage has decided. Fails open."""
        if getattr(record, VERDICT, None) is not None:
            return None
        attributes = record.attributes or {}
        if translate.TRIGGER in attributes:
            return None
        try:
            sid = attributes.get("call_sid")
            return self.policies.evaluate(
                view_of(record, origin, resource), sid if isinstance(sid, str) else call_key()
            )
        except Exception as error:
            trouble.report("policy", f"a record was kept because the policies failed on it: {safe_str(error)}")
            return KEPT

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Forward what the policies keep; count the rest as dropped."""
        record = log_record.log_record
        taken = getattr(record, VERDICT, None)
        if taken is None:
            resource = log_record.resource.attributes if log_record.resource is not None else None
            mend.mend(record)
            join_call_in_force(record)
            verdict = self.decide(record, log_record.instrumentation_scope, resource) or KEPT
            # A second destination has a processor of its own: it must not charge and count the record again.
            setattr(record, VERDICT, verdict)
            ledger.created()
            _count(record, verdict)
            if not verdict.keep:
                ledger.dropped(verdict.reason)
                return
        elif not taken.keep:
            return
        else:
            attribute_limit.tell(record)
        redact.on_emit(self.policies, log_record, evaluated=taken is None)
        try:
            self._processor.on_emit(log_record)
            if taken is None and not self._counts_exports:
                ledger.exported()
        except Exception as error:
            # As the SDK demands of processors: nothing may reach the application from here.
            ledger.dropped("internal_error")
            trouble.report("internal_error", f"a record was lost to {type(error).__name__}: {safe_str(error)}")

    def enabled(
        self,
        *,
        context: Context | None = None,  # noqa: ARG002 (the interface's; policies read no context)
        instrumentation_scope: InstrumentationScope | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """False where no record with this scope, severity and event name could be kept: spares the caller its making.

        The wrapped processor is not asked, as the specification has it; it decides again on each record.
        """
        try:
            return not self.policies.drops_all(
                scope_name=instrumentation_scope.name if instrumentation_scope is not None else None,
                severity_number=severity_number.value if severity_number is not None else None,
                event_name=event_name,
            )
        except Exception:
            return True  # fails open, like every verdict

    def shutdown(self) -> None:
        """Shut the wrapped processor down."""
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the wrapped processor, within `timeout_millis` milliseconds."""
        return bool(self._processor.force_flush(timeout_millis))
