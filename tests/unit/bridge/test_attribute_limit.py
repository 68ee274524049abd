"""The standard limit of attributes: our own and the caller's first ones stay, the others are counted."""

from __future__ import annotations

import logging

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otel_logging import trouble
from otel_logging.boot import configure
from otel_logging.bridge import attribute_limit
from otel_logging.bridge.handler import LoggingHandler
from otel_logging.testing import capture


def test_what_stays():
    """The call, the exception and the place come first, then the caller's in their order."""
    given = {f"k{n}": n for n in range(10)} | {"call_sid": "CA1", "exception.type": "E", "code.line.number": 5}
    record = LogRecord(attributes=given)
    attribute_limit.keep(record, 5)
    assert record.attributes == {"k0": 0, "k1": 1, "call_sid": "CA1", "exception.type": "E", "code.line.number": 5}


@pytest.mark.parametrize("most", [None, 13, 14])
def test_within_the_limit(most):
    """Nothing is changed where there is no limit or it is not reached."""
    given = {f"k{n}": n for n in range(13)}
    record = LogRecord(attributes=given)
    attribute_limit.keep(record, most)
    assert record.attributes is given


@pytest.mark.parametrize(("variable", "value", "expected"), [
    (None, None, 128), ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "20", 20), ("OTEL_ATTRIBUTE_COUNT_LIMIT", "30", 30),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "many", 128), ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "-4", 128),
])  # fmt: skip
def test_configured(monkeypatch, variable, value, expected):
    """The standard variables are honoured, a wrong value is told, and what is cut is counted where OTLP counts it."""
    if variable:
        monkeypatch.setenv(variable, value)
    with capture() as sink:
        logging.getLogger("app").info("many", extra={f"k{n}": n for n in range(500)})
        sink.flush()
        (one,) = sink._logs.all()
        assert len(one.log_record.attributes) == expected
        assert one.dropped_attributes == 504 - expected
        assert "logger.name" in one.log_record.attributes
        assert configure.stats()["dropped"] == {}
        assert ("settings" in trouble.counts()) == (value in {"many", "-4"})


def test_the_bare_handler():
    """Bare, the same: the caller's first ones stay, nothing is warned about, and the rest is counted."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    record = logging.makeLogRecord({"msg": "many", "levelno": 20, **{f"k{n}": n for n in range(500)}})
    LoggingHandler(logger_provider=provider).handle(record)
    (one,) = exporter.get_finished_logs()
    assert list(one.log_record.attributes) == [f"k{n}" for n in range(128)]
    assert one.log_record.attributes.dropped == 372
