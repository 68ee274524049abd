"""What the tests of this room are given: books, a sink, processors and couriers that are closed afterwards."""

from __future__ import annotations

import pytest
from courier_endpoint import Clock
from export_kit import Books, Sink

from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.courier import Courier
from otel_logging.export.retry import Backoff
from otel_logging.export.spool import Spool


@pytest.fixture
def sink():
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def books():
    return Books()


@pytest.fixture
def make(books):
    """Makes processors that wait for nothing unless told to, and closes them."""
    made = []

    def processor(exporter, **limits):
        limits.setdefault("schedule_delay_millis", 3_600_000)
        made.append(BatchingProcessor(exporter, books, **limits))
        return made[-1]

    yield processor
    for one in made:
        one.close(1000)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "store" / "spool" / "there", "calls")
    yield spool
    spool.release()


@pytest.fixture
def courier(books, spool, clock):
    """A courier with a spool; `spool=None` for one without."""

    def make(endpoint, **more):
        more.setdefault("spool", spool)
        hurry = more.pop("hurry", lambda: False)
        return Courier(endpoint, backoff=Backoff(clock, lambda: 0.0), clock=clock, **more).bind(books, hurry)

    return make
