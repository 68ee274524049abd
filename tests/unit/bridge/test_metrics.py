"""The books as OTel metrics."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_logging.bridge import metrics
from otel_logging.bridge.ledger import Ledger


@pytest.fixture
def reader():
    """A reader of a provider of the test's own, with books of the test's own: `(books, collect)`."""
    reader, books = InMemoryMetricReader(), Ledger()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    before = metrics._source
    metrics.install(books.snapshot, provider)

    def collect():
        data = reader.get_metrics_data()
        found = {}
        for one in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in one.data.data_points:
                found[(one.name, *sorted(point.attributes.items()))] = point.value
        return found

    yield books, collect
    metrics._source = before
    provider.shutdown()


def test_outcomes(reader):
    """Records by what became of them; a policy's id is an attribute of its own."""
    books, collect = reader
    books.created(9)
    books.exported(3)
    books.dropped("policy:audio-frames", 4)
    books.dropped("queue_full")
    books.gauge("queue", lambda: 1)
    books.recovered(2)
    name = "otel_logging.records"
    assert collect() == {
        (name, ("outcome", "exported")): 3,
        (name, ("outcome", "held")): 1,
        (name, ("outcome", "dropped"), ("policy", "audio-frames"), ("reason", "policy")): 4,
        (name, ("outcome", "dropped"), ("reason", "queue_full")): 1,
        ("otel_logging.records.recovered",): 2,
    }


def test_uninstalled(reader):
    """After a shutdown there is nothing to see."""
    _, collect = reader
    metrics.uninstall()
    assert collect() == {}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, True),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, True),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, False),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
    ],
    ids=["unset", "prometheus", "distro", "endpoint"],
)
def test_asked_for(environ, wanted):
    """A distro's default that nobody listens to gets nothing to send."""
    assert metrics.asked_for(environ) is wanted
