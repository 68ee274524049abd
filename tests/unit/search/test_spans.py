"""Which call a span belongs to."""

from __future__ import annotations

from otel_logging.search.spans import Owners, Span, end_reasons

T = "a" * 32


def test_nearest_span_decides():
    """A span without a call id is of the nearest call above it, not of the trace's first."""
    owners = Owners(
        [
            Span(T, "1" * 16, None, call_sid="A"),
            Span(T, "2" * 16, "1" * 16, call_sid="B"),
            Span(T, "3" * 16, "2" * 16),
            Span(T, "4" * 16, "1" * 16),
        ]
    )
    assert owners.of(T, "3" * 16) == "B"
    assert owners.of(T, "4" * 16) == "A"
    assert owners.of(T, "9" * 16) is None
    assert owners.of("b" * 32, "3" * 16) is None
    assert owners.of(T, None) is None


def test_circle_of_parents():
    """Spans that are each other's parent end the search instead of hanging it."""
    owners = Owners([Span(T, "1" * 16, "2" * 16), Span(T, "2" * 16, "1" * 16)])
    assert owners.of(T, "1" * 16) is None


def test_end_reasons():
    """Each service says why the call ended in it, a hang-up before anything else; only `call` spans of a call count."""

    def ended(service, reason, end, **options):
        made = {"name": "call", "call_sid": "A", **options}
        return Span(T, service=service, end=end, attributes={"otel_logging.end_reason": reason}, **made)

    spans = [
        ended("media", "stop", 5),
        ended("media", "left", 9),
        ended("web", "left", 1),
        ended("x", "stop", 1, name="GET /"),
    ]
    assert end_reasons(spans) == {"media": "stop", "web": "left"}
    assert [span.hung_up for span in spans] == [True, False, False, False]
