"""What tests of this room share: no calls left over, time that stands still, and OTel spans in memory."""

from __future__ import annotations

import pytest
from asgi_peer import Notes

from otel_logging.bridge import suppressed
from otel_logging.calls import limits, registry, spans, timer, waiting

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class FakeTime:
    """A clock that moves when told, and the timer that goes by it."""

    def __init__(self):
        self.now = 1000.0
        self.tasks = []

    def clock(self):
        return self.now

    def schedule(self, delay, run):
        entry = timer.Scheduled(self, run)
        self.tasks.append((self.now + delay, entry))
        return entry

    def forget_one(self):
        self.tasks = [task for task in self.tasks if task[1].run is not None]

    def advance(self, seconds):
        end = self.now + seconds
        while due := sorted((task for task in self.tasks if task[0] <= end), key=lambda task: task[0]):
            self.now, entry = max(self.now, due[0][0]), due[0][1]
            self.tasks.remove(due[0])
            run, entry.run = entry.run, None
            if run is not None:
                run()
        self.now = end


@pytest.fixture
def time(monkeypatch):
    """Time stands still until `time.advance(seconds)`."""
    fake = FakeTime()
    monkeypatch.setattr(timer, "schedule", fake.schedule)
    monkeypatch.setattr(registry, "clock", fake.clock)
    monkeypatch.setattr(limits, "clock", fake.clock)
    return fake


@pytest.fixture(autouse=True)
def no_calls():
    """Each test begins without calls, waiting records and a tracer."""
    yield
    spans.use_tracer(None)
    waiting.release_all()
    registry.reset()
    limits.reset()
    suppressed.reset()


@pytest.fixture
def provider():
    """An SDK tracer provider that stamps spans, with `provider.finished()`."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    made.add_span_processor(spans.SpanStamper())
    made.finished = exporter.get_finished_spans
    spans.use_tracer(made)
    yield made
    spans.use_tracer(None)
    made.shutdown()


@pytest.fixture
def notes():
    return Notes()
