"""A record that is really sent, by the exporter's own sender, and what can be proved of its way through the Collector.

It is an ordinary record of a call named `doctor-…`, so the query that finds a call finds it at the back end too. It
carries `otel_logging.trigger`, so no policy of the Collector drops it. What is proved, and what is not, is said.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_logging import __version__, ids
from otel_logging.doctor import collector
from otel_logging.doctor.finding import FAILED, OK, WARNING, Finding
from otel_logging.export import otlp
from otel_logging.export.answers import Answer, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_logging.settings import Settings

CHECK: Final = "round trip"
PATIENCE_SECONDS: Final = 10.0
"""How long proof is waited for: a Collector may collect records for some seconds before it sends them on."""
_PAUSE: Final = 0.25
_Figures = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Witnesses:
    """Where proof may be found.

    Args:
        metrics: URL of the Collector's internal metrics; None for none.
        outputs: files or folders that the Collector's file exporter writes.
        patience: seconds to wait for it.
    """

    metrics: str | None = None
    outputs: Sequence[Path] = ()
    patience: float = PATIENCE_SECONDS


def new_call() -> str:
    """A call id of its own for one examination."""
    return f"doctor-{secrets.token_hex(8)}"


def request(call_sid: str | None, service: str) -> bytes:
    """The encoded request: one record of the call, or none at all where there is no call."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    made = ExportLogsServiceRequest()
    if call_sid is None:
        return bytes(made.SerializeToString())
    about = made.resource_logs.add()
    resource = {
        "service.name": service,
        "telemetry.distro.name": "otel-logging",
        "telemetry.distro.version": __version__,
    }
    _add(about.resource.attributes, resource)
    scope = about.scope_logs.add()
    scope.scope.name = "otel_logging.doctor"
    record = scope.log_records.add()
    record.time_unix_nano = record.observed_time_unix_nano = time.time_ns()
    record.severity_number, record.severity_text = 9, "INFO"
    record.body.string_value = f"otel-logging doctor: this record shows that records arrive; call_sid={call_sid}"
    record.trace_id = ids.trace_id_for(call_sid).to_bytes(16, "big")
    attributes = {"call_sid": call_sid, "logger.name": "otel_logging.doctor", "otel_logging.trigger": "doctor"}
    _add(record.attributes, attributes)
    return bytes(made.SerializeToString())


def _add(attributes: Any, values: dict[str, str]) -> None:
    for key, value in values.items():
        one = attributes.add()
        one.key = key
        one.value.string_value = value


def send(read: Settings, call_sid: str | None) -> Answer:
    """Send the request once, as the exporter would, and say what was answered."""
    sender = otlp.build_sender("logs", read.otlp_protocol)
    if sender is None:
        why = "was not asked: the exporter cannot be set up"
        return Answer(Outcome.DENIED, "otlp_setup", why, "check the OTEL_EXPORTER_OTLP_* variables")
    try:
        return sender.send(request(call_sid, read.service_name))
    finally:
        sender.close()


def round_trip(read: Settings, witnesses: Witnesses, call_sid: str | None) -> Finding:
    """Send a record and follow it as far as can be seen; without a call id, only ask whether records are taken."""
    before = collector.figures(witnesses.metrics) if witnesses.metrics and call_sid else None
    answer = send(read, call_sid)
    where = otlp.endpoint_of("logs", read.otlp_protocol)
    if answer.outcome is not Outcome.TAKEN or answer.rejected:
        why = answer.why or "took the request and rejected its record"
        cure = answer.cure or "see the Collector's own log"
        facts = {"status": answer.status} if answer.status else {}
        return Finding(CHECK, FAILED, f"{where} {why}", cure, facts)
    if call_sid is None:
        says = f"{where} takes requests (an empty one was sent). Not proved: that records get any further"
        return Finding(CHECK, OK, says)
    return _followed(where, call_sid, witnesses, before)


def _followed(where: str, call_sid: str, witnesses: Witnesses, before: _Figures | None) -> Finding:
    took = f"{where} took a record of the call {call_sid}"
    facts: dict[str, Any] = {"call_sid": call_sid}
    deadline = time.monotonic() + witnesses.patience
    path: Path | None = None
    after: _Figures | None = before
    while True:
        path = path or collector.written(call_sid, witnesses.outputs)
        if before is not None and witnesses.metrics:
            after = collector.figures(witnesses.metrics) or after
        seen = before is None or after is None or _settled(before, after)
        # A file is proof enough of the way in; exporters are waited for where they can be watched.
        if (seen and (path is not None or before is not None)) or time.monotonic() > deadline:
            break
        if before is None and not witnesses.outputs:
            break
        time.sleep(_PAUSE)
    proved = [f"it is in {path}"] if path is not None else []
    facts["file"] = str(path) if path is not None else None
    if before is not None and after is not None:
        return _by_figures(took, proved, facts, before, after, witnesses.patience)
    if proved:
        says = f"{took}; {proved[0]}. Not proved: that exporters sent it on (their metrics cannot be read from here)"
        return Finding(CHECK, OK, says, facts=facts)
    says = f"{took}. Not proved: that it went any further, as neither a file output nor metrics can be read from here"
    cure = f"look for call_sid {call_sid} at the back end, or name --output and --metrics of the Collector"
    return Finding(CHECK, OK, says, cure, facts)


def _exporters(after: _Figures) -> list[str]:
    return sorted({exporter for what, exporter in after if exporter and what in {"sent", "failed", "queue"}})


def _grown(before: _Figures, after: _Figures, what: str, exporter: str = "") -> int:
    key = what, exporter
    return int(after.get(key, 0.0) - before.get(key, 0.0))


def _accepted(before: _Figures, after: _Figures) -> int:
    return int(sum(after[key] - before.get(key, 0.0) for key in after if key[0] == "accepted"))


def _settled(before: _Figures, after: _Figures) -> bool:
    """Whether every exporter has said what became of it."""
    exporters = _exporters(after)
    return bool(exporters) and all(
        _grown(before, after, "sent", one) > 0
        or _grown(before, after, "failed", one) > 0
        or _grown(before, after, "refused", one) > 0
        for one in exporters
    )


def _by_figures(
    took: str, proved: list[str], facts: dict[str, Any], before: _Figures, after: _Figures, patience: float
) -> Finding:
    """The verdict by what the Collector's exporters counted meanwhile."""
    accepted = _accepted(before, after)
    # With other traffic, a counter that grew need not have grown by this record.
    alone = accepted <= 1
    behind, failed = [], []
    for one in _exporters(after):
        if _grown(before, after, "failed", one) > 0 or _grown(before, after, "refused", one) > 0:
            failed.append(one)
        elif (sent := _grown(before, after, "sent", one)) > 0:
            also = "" if alone else f" (of {accepted} that came in meanwhile)"
            proved.append(f"{one} sent {sent}{also}")
        else:
            behind.append(f"{one} ({int(after.get(('queue', one), 0.0))} in its queue)")
    facts.update({"accepted": accepted, "failed": failed, "waiting": behind})
    says = "; ".join([took, *proved])
    if failed:
        cure = "see the Collector's own log: a wrong key, site or region, or a full queue"
        return Finding(CHECK, FAILED, f"{says}; {', '.join(failed)} could not deliver", cure, facts)
    if behind:
        cure = "see the Collector's own log: a wrong key, site or region shows there, and is tried again without end"
        waited = f"{', '.join(behind)} sent nothing within {patience:g} seconds"
        return Finding(CHECK, WARNING, f"{says}; {waited}", cure, facts)
    if "datadog" in {one.partition("/")[0] for one in _exporters(after)}:
        says += ". Not proved: delivery by `datadog`, which counts as sent whatever becomes of it"
    return Finding(CHECK, OK, says, facts=facts)
