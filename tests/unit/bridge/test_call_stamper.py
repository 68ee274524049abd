"""`CallStamper` and the sampling processor's stamp: records of other bridges find their call."""

from __future__ import annotations

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import otel_logging
from otel_logging.bridge.sampling import CallStamper, SamplingLogRecordProcessor

SID = "CA" + "7" * 32


@pytest.fixture
def exporter():
    return InMemoryLogRecordExporter()


def emit(provider, **attributes):
    record = LogRecord(body="made by another bridge", severity_number=SeverityNumber.INFO, attributes=attributes)
    provider.get_logger("other").emit(record)


def seen(exporter):
    return [
        (one.log_record.attributes.get("call_sid"), one.log_record.trace_id) for one in exporter.get_finished_logs()
    ]


class TestStampedRecords:
    @pytest.mark.parametrize("kind", ["sampling", "stamper"])
    def test_a_record_within_a_call_has_its_id_and_trace(self, exporter, kind):
        """A record that another bridge makes within a call carries the call's id and trace; one outside does not."""
        provider = LoggerProvider(shutdown_on_exit=False)
        inner = SimpleLogRecordProcessor(exporter)
        if kind == "sampling":
            provider.add_log_record_processor(SamplingLogRecordProcessor(inner))
        else:
            provider.add_log_record_processor(CallStamper())
            provider.add_log_record_processor(inner)
        emit(provider, a=1)
        with otel_logging.call(SID):
            emit(provider, a=1)
        assert seen(exporter) == [(None, 0), (SID, int("7" * 32, 16))]

    def test_a_stated_call_wins(self, exporter):
        """A record that states its own call_sid keeps it."""
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SamplingLogRecordProcessor(SimpleLogRecordProcessor(exporter)))
        with otel_logging.call(SID):
            emit(provider, call_sid="another-call")
        assert [sid for sid, _ in seen(exporter)] == ["another-call"]
