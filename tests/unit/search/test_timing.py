"""`search/timing.py`: gaps and clocks."""

from __future__ import annotations

from otel_logging.search.record import Record
from otel_logging.search.spans import Span
from otel_logging.search.timing import gaps_of, skews_of

NOW = 1_000 * 10**9


def record(at, service="media"):
    return Record(time=round(at * 1e9), service=service)


def span(name, service, start, parent=None):
    return Span("a" * 32, name * 16, parent and parent * 16, name, service, round(start * 1e9), round(start * 1e9) + 1)


def test_gaps():
    """Three seconds are a silence, ten are dead air, and less is neither; whatever the order and the service."""
    gaps = gaps_of([record(17.5, "worker"), record(1), record(3.99), record(7), record(0)])
    assert [(gap.start // 10**9, gap.dead_air) for gap in gaps] == [(3, False), (7, True)]
    assert gaps[1].as_json(10**9) == {"kind": "dead_air", "relative": 6.0, "seconds": 10.5}


def test_a_record_without_a_time_makes_no_gap():
    """A broken writer's record does not turn the whole of history into a silence."""
    assert gaps_of([record(0), Record(), record(1)]) == []


def test_a_span_before_its_cause():
    """A span that begins before the one that caused it shows whose clock is behind, and by how much at least."""
    spans = [span("1", "media", 10), span("2", "worker", 8.5, "1"), span("3", "worker", 9.9, "1")]
    (skew,) = skews_of([], spans, NOW)
    assert skew.sentence() == "the clock of worker is at least 1.5s behind that of media"


def test_ordinary_differences_are_none():
    """A millisecond, a span of the same service and one without a cause say nothing."""
    spans = [
        span("1", "media", 10),
        span("2", "worker", 9.999, "1"),
        span("3", "media", 1, "1"),
        span("4", "w", 1, "9"),
    ]
    assert skews_of([record(1)], spans, NOW) == []


def test_a_record_from_the_future():
    """So does a record that is later than now."""
    (skew,) = skews_of([record(1_090), record(1_000.5, "worker")], [], NOW)
    assert skew.sentence() == "the clock of media is at least 1m30s ahead of this machine's"
