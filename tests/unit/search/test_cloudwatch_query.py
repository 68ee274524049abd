"""`search/cloudwatch_query.py`: what is asked never lets less through than what is wanted."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.ids import parse_pasted
from otel_logging.search.cloudwatch_query import insights, patterns
from otel_logging.search.events import record_of
from otel_logging.search.one_call import ids_meant
from otel_logging.search.query import Matcher, Query
from otel_logging.search.source import Ask, Ids

_SPEC = importlib.util.spec_from_file_location("filter_patterns", Path(__file__).parent / "filter_patterns.py")
_EVALUATOR = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_EVALUATOR)

SID, TRACE = "CA" + "a1" * 16, "a1" * 16
OTHER = "CA" + "b2" * 16


def passes(ask, message):
    return any(_EVALUATOR.lets_through(pattern, message) for pattern in patterns(ask))


def put(body="x", call=None, trace=None, number=9, **extras):
    event = {"body": body, "severity_number": number, "attributes": extras}
    if call:
        event["attributes"]["call_sid"] = call
    if trace:
        event["trace_id"] = trace
    return json.dumps(event)


def otlp(body="x", call=None, trace=None, number=9):
    event = {"body": body, "severityNumber": number, "timeUnixNano": 1, "attributes": {}}
    if call:
        event["attributes"]["call_sid"] = call
    if trace:
        event["traceId"] = trace
    return json.dumps(event)


def console(body="x", call=None, trace=None, level="INFO"):
    return json.dumps({"timestamp": 1, "level": level, "message": body, "call_sid": call, "trace_id": trace})


SHAPES = (put, otlp, console)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pasted", [SID, SID.lower(), TRACE, f"00-{TRACE}-{'1' * 16}-01", SID[:8], TRACE[:8], "room-1"])
class TestIds:
    def test_finds_the_call(self, shape, pasted):
        """By its id and by its trace, in each shape an event may have."""
        ask = Ask(ids=ids_meant(parse_pasted(pasted)))
        call = "room-1" if pasted == "room-1" else SID
        assert passes(ask, shape(call=call))
        if pasted != "room-1" and not pasted.upper().startswith("CA"):
            assert passes(ask, shape(trace=TRACE))

    def test_leaves_out_others(self, shape, pasted):
        """The service, not only the check afterwards, leaves out other calls and lines without any."""
        ask = Ask(ids=ids_meant(parse_pasted(pasted)))
        assert not passes(ask, shape(call=OTHER, trace="b2" * 16))
        assert not passes(ask, shape())
        assert not passes(ask, "plain text")


def test_a_line_within_a_body_is_found():
    """A console line that nobody took apart stands in the body as text."""
    assert passes(Ask(ids=ids_meant(parse_pasted(SID))), put(body=console(call=SID)))


@pytest.mark.parametrize(
    ("level", "events", "expected"),
    [
        ("WARNING", [put(number=13), otlp(number=17), console(level="ERROR"), console(level="INFO")], [1, 1, 1, 1]),
        ("WARNING", [put(number=9), otlp(number=5)], [0, 0]),
        ("DEBUG", [put(number=1), "plain"], [1, 1]),
        ("INFO", ["plain"], [1]),
    ],
)
def test_levels(level, events, expected):
    """Numbers are compared by the service; what has none comes and is checked here."""
    assert [passes(Ask(level=level), event) for event in events] == [bool(item) for item in expected]


def test_text_in_any_case():
    """Letters match in both cases, as they do in the store."""
    ask = Matcher(Query(text="No Answer")).ask()
    assert passes(ask, put(body="NO ANSWER from the model"))
    assert not passes(ask, put(body="all is well"))


TEXTS = st.text(st.sampled_from('abkiSZ09 _"\\{}%[]$*?ä\u212a\u05e9\n'), min_size=1, max_size=12)


@given(
    TEXTS, TEXTS, st.sampled_from(["", "debug", "WARNING", "error"]), st.sampled_from([0, 5, 9, 13, 17, 21]),
    st.sampled_from(SHAPES[:2]), st.booleans(),
)  # fmt: skip
def test_never_less(text, around, level, number, shape, ascii_only):
    """Whatever is typed: an event that matches is let through by the pattern."""
    body = around + text.upper() + around
    message = shape(body=body, number=number)
    if not ascii_only:
        message = json.dumps(json.loads(message), ensure_ascii=False)
    matcher = Matcher(Query(text=text, level=level))
    if matcher.matches(record_of(message, time=1)):
        assert passes(matcher.ask(), message)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_nothing_typed_becomes_syntax(text, service, value):
    """No quote, slash, bar, brace or line break of what is typed reaches a pattern or a query."""
    ask = Matcher(Query(text=text, services=(service,) if service else (), attrs=(("k", value),))).ask()
    for pattern in patterns(ask):
        assert re.fullmatch(r"|%[A-Za-z0-9_\[\]]+%|\?\"[0-9a-f]+\"|\"[0-9a-f]+\"", pattern), pattern
    for query in insights(ask, 10):
        for line in query.split("\n| ")[1:-2]:
            assert re.fullmatch(r"filter @message like /\(\?i\)[a-z0-9_ ]+/", line), line


def test_limits():
    """A pattern has at most 1,024 characters and a query 10,000, however many traces a call met."""
    traces = tuple(f"{number:032x}" for number in range(1, 200))
    ask = Ask(ids=Ids(calls=(SID, "short"), traces=traces, call_starts=("CA1", "ca1")))
    made = list(patterns(ask))
    assert all(len(pattern) <= 1024 for pattern in made)
    assert all(any(_EVALUATOR.lets_through(pattern, put(trace=trace)) for pattern in made) for trace in traces)
    queries = list(insights(ask, 10_000))
    assert all(len(query) <= 10_000 for query in queries)
    assert all(any(trace in query for query in queries) for trace in traces)


def test_insights_names_every_shape():
    """The fields of a call and of a trace in all shapes; one condition a line, newest first."""
    (query,) = insights(Ask(ids=Ids(calls=(SID,), traces=(TRACE,)), level="ERROR"), 500)
    for name in ("attributes.call_sid", "call_sid", "trace_id", "traceId"):
        assert f'{name} in ["{SID}", "{TRACE}"]' in query
    assert "severity_number >= 17" in query
    assert "severityNumber >= 17" in query
    assert query.split("\n| ")[-2:] == ["sort @timestamp desc", "limit 500 "]
