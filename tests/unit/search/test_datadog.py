"""`search/datadog.py` and `search/datadog_query.py`, by the real client against a loopback server."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.ids import parse_pasted
from otel_logging.search import datadog_query
from otel_logging.search.datadog import Datadog, Settings
from otel_logging.search.one_call import find_call, ids_meant
from otel_logging.search.query import Matcher, Query, search
from otel_logging.search.source import Ask, Asked, Ids, Several

_SPEC = importlib.util.spec_from_file_location("datadog_api", Path(__file__).parent / "datadog_api.py")
api = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(api)

SID, TRACE = "CA" + "a1" * 16, "a1" * 16
OTHER, OTHER_TRACE = "CA" + "b2" * 16, "b2" * 16
HALF = str(int(TRACE, 16) & (2**64 - 1))
BEGIN = 1_705_865_426 * 10**9


@pytest.fixture
def server(monkeypatch):
    """A Datadog on loopback, keys in the environment."""
    monkeypatch.setenv("DD_API_KEY", "k")
    monkeypatch.setenv("DD_APP_KEY", "a")
    made = api.Server()
    yield made
    made.close()


@pytest.fixture
def place(server):
    """A source of it; `place.pauses` are the waits it wanted."""
    pauses = []
    made = Datadog("dd", Settings(endpoint=server.url), pause=pauses.append)
    made.pauses = pauses
    return made


def bodies(result):
    return [record.body for block in result.blocks for record in block.records]


def query(**filters):
    return Query(since=BEGIN - 10**9, until=BEGIN + 3600 * 10**9, **filters)


def call(place, pasted=SID):
    return find_call(Several([place]), pasted, since=BEGIN - 10**9, until=BEGIN + 3600 * 10**9)


class TestCall:
    def test_every_shape(self, server, place):
        """A call's records, however they came: as attributes, nested or not, by either form of the trace id."""
        server.add("attribute", 0, call_sid=SID)
        server.add("otel", 1, otel__trace_id=TRACE, otel__span_id="b2" * 8, otel__severity_number="17", status="error")
        server.add("decimal", 2, dd__trace_id=HALF)
        server.add("reserved", 3, trace_id=TRACE)
        server.add("other", 4, call_sid=OTHER, trace_id=OTHER_TRACE)
        server.add("other decimal", 5, dd__trace_id="12345")
        line = {"timestamp": "2024-01-21T19:30:32Z", "level": "ERROR", "message": "line", "call_sid": SID}
        server.add(json.dumps(line), 6, call_sid=SID)
        view = call(place)
        assert [record.body for record in view.records] == ["attribute", "otel", "decimal", "reserved", "line"]
        assert {record.trace_id for record in view.records} == {None, TRACE}
        assert view.records[1].span_id == "b2" * 8
        assert [record.level for record in view.records] == ["INFO", "ERROR", "INFO", "INFO", "ERROR"]
        assert view.searched.asked == [f"dd: datadoghq.com, {view.searched.asked[0].split(', ')[1]}, 1 page, 5 events"]

    @pytest.mark.parametrize("pasted", [SID[:8], TRACE, TRACE[:8], f"00-{TRACE}-{'1' * 16}-01", SID.lower()])
    def test_whatever_is_pasted(self, server, place, pasted):
        """Prefixes, traces and traceparents are asked for as such."""
        server.add("mine", 0, call_sid=SID, otel__trace_id=TRACE)
        server.add("other", 1, call_sid=OTHER, otel__trace_id=OTHER_TRACE)
        assert [record.body for record in call(place, pasted).records] == ["mine"]

    def test_what_the_server_lets_through_is_checked(self, server, place):
        """A server that answers with everything changes nothing."""
        server.ignore = True
        server.add("mine", 0, call_sid=SID)
        server.add("other", 1, call_sid=OTHER)
        assert [record.body for record in call(place).records] == ["mine"]

    def test_the_filter_is_sent(self, server, place):
        """The server is asked for the call, the range and nothing else; keys go in headers."""
        server.add("mine", 0, call_sid=SID)
        call(place)
        (body,) = server.asked
        assert f'@call_sid:"{SID}"' in body["filter"]["query"]
        assert f"@dd.trace_id:{HALF}" in body["filter"]["query"]
        assert int(body["filter"]["from"]) < BEGIN // 10**6 < int(body["filter"]["to"])
        assert body["page"] == {"limit": 1000}
        assert server.keys == [("k", "a")]


class TestRecord:
    def test_attributes_come_back(self, server, place):
        """What Datadog split at dots has its names again; what is Datadog's own stands with the resource."""
        server.add("x", 0, call_sid=SID, logger__name="server.media", code__line__number=7, latency_ms=812,
                   otel__timestamp=str(BEGIN + 5), exception__type="ValueError")  # fmt: skip
        (record,) = call(place).records
        assert record.attributes == {"code.line.number": 7, "latency_ms": 812, "exception.type": "ValueError"}
        assert (record.logger, record.time) == ("server.media", BEGIN + 5)
        assert record.resource == {"host.name": "h", "env": "prod"}

    @pytest.mark.parametrize(
        ("status", "level"),
        [("info", "INFO"), ("warn", "WARNING"), ("error", "ERROR"), ("emergency", "CRITICAL"), ("debug", "DEBUG")],
    )
    def test_status(self, server, place, status, level):
        """Datadog's status is the level where the log said none."""
        server.add("x", 0, call_sid=SID, status=status)
        assert call(place).records[0].level == level


class TestSearch:
    @pytest.fixture(autouse=True)
    def events(self, server):
        server.add("No answer", 0, call_sid=SID, status="error")
        server.add("no ANSWER", 1, call_sid=OTHER, service="w", business_id=456)
        server.add("fine", 2, call_sid=SID, exception__stacktrace="Traceback: no answer", status="warn")
        server.add("else", 3)

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"text": "no answer"}, ["No answer", "no ANSWER", "fine"]),
            ({"level": "warning"}, ["No answer", "fine"]),
            ({"services": ("w", "x")}, ["no ANSWER"]),
            ({"attrs": (("business_id", "456"),)}, ["no ANSWER"]),
            ({"grep": "^f"}, ["fine"]),
            ({"call": SID, "text": "answer"}, ["No answer", "fine"]),
            ({"text": SID}, ["No answer", "fine"]),
            ({}, ["No answer", "no ANSWER", "fine", "else"]),
        ],
    )
    def test_same_words(self, server, place, filters, expected):
        """The words of a search mean the same here as in the store, and reach the server where it can help."""
        assert bodies(search(Several([place]), query(**filters))) == expected
        if filters and "grep" not in filters:
            assert server.asked[0]["filter"]["query"] != "*"

    @pytest.mark.parametrize(
        "text", ['x" OR *:*', "a) OR (b", "@call_sid:*", "-status:error", "\\", "*", "?", "[1 TO 2]"]
    )
    def test_attacks(self, server, place, text):
        """What is typed is looked for, and never becomes part of the question."""
        server.add(f"before {text} after", 9)
        assert bodies(search(Several([place]), query(text=text))) == [f"before {text} after"]
        assert bodies(search(Several([place]), query(services=(text,), attrs=((text, text), ("k", text))))) == []
        assert all("filter" in body for body in server.asked)


class TestPaging:
    def test_by_cursor(self, server, place):
        """Pages are followed to the end; an event that comes twice counts once."""
        server.page = 2
        for number in range(5):
            server.add(str(number), number, call_sid=SID)
        server.add("0", 0, number=0, call_sid=SID)
        assert [record.body for record in call(place).records] == ["0", "1", "2", "3", "4"]
        assert [body["page"].get("cursor") for body in server.asked] == [None, "2", "4"]

    def test_no_more_than_is_shown(self, server, place):
        """A limit ends the paging, and the total is a lower bound."""
        server.page = 2
        for number in range(9):
            server.add(str(number), number)
        result = search(Several([place]), query(limit=3))
        assert bodies(result) == ["6", "7", "8"]
        assert (len(server.asked), result.searched.more) == (2, True)

    def test_waits_before_the_limit_is_reached(self, server, place):
        """With nothing remaining, the next page waits for the reset."""
        server.page, server.remaining = 1, "0"
        server.add("a", 0, call_sid=SID)
        server.add("b", 1, call_sid=SID)
        call(place)
        assert place.pauses == [7.0]

    def test_429(self, server, place):
        """A refusal by the rate limit waits as the header says, and goes on where it was."""
        server.refusals = [429, 503]
        server.add("a", 0, call_sid=SID)
        assert [record.body for record in call(place).records] == ["a"]
        assert place.pauses == [7.0, 2.0]


class TestTrouble:
    @pytest.mark.parametrize(
        ("statuses", "words"),
        [
            ([403], "permission is missing: DD_API_KEY and DD_APP_KEY must be of datadoghq.com"),
            ([401], "permission is missing"),
            ([400], "does not understand"),
            ([429] * 5, "rate limit is used up"),
            ([500] * 5, "did not answer"),
        ],
    )
    def test_says_what_to_do(self, server, place, statuses, words):
        """A refusal is a sentence with Datadog's own words in it."""
        server.refusals = statuses
        searched = Asked()
        assert list(Several([place]).records(Ask(), searched)) == []
        assert words in searched.failed[0]
        assert "refused" in searched.failed[0]

    def test_partial(self, server, place):
        """A search that timed out at Datadog, and its warnings, are told with what was found."""
        server.status, server.warnings = "timeout", [{"title": "Index", "detail": "missing"}]
        server.add("a", 0, call_sid=SID)
        view = call(place)
        assert [record.body for record in view.records] == ["a"]
        assert view.state == "truncated"
        assert view.searched.failed == [
            "dd: Index: missing", "dd: the search timed out at Datadog: what it had found is shown"
        ]  # fmt: skip

    def test_nobody_there(self, place, server):
        """A connection that cannot be made is a sentence as well."""
        server.close()
        searched = Asked()
        assert list(Several([place]).records(Ask(), searched)) == []
        assert searched.failed

    @pytest.mark.parametrize("name", ["DD_API_KEY", "DD_APP_KEY"])
    def test_no_keys(self, server, place, monkeypatch, name):
        """A missing key is named."""
        monkeypatch.delenv(name)
        searched = Asked()
        list(Several([place]).records(Ask(), searched))
        assert searched.failed == [f"dd: no key: set {name}"]

    def test_no_client(self, server, place, monkeypatch):
        """A missing extra is named."""
        monkeypatch.setitem(sys.modules, "datadog_api_client", None)
        searched = Asked()
        list(Several([place]).records(Ask(), searched))
        assert "otel-logging[datadog]" in searched.failed[0]


def test_explain(place):
    """`--explain` shows the query that is sent."""
    (line,) = place.explain(Matcher(query(text="timeout", level="error")).ask())
    assert line.endswith("status:(error OR critical OR alert OR emergency OR fatal) *:*meout*")


TEXTS = st.text(st.sampled_from('abkiSZ09 _"\\()*:-?ä\u212a\u05e9\n'), max_size=12)


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["info", "warn", "error"]), st.sampled_from(["", "WARNING"]))
def test_never_less(text, service, value, status, level):
    """Whatever is typed: an event that matches is found by the query, and the query is one we understand."""
    event = {
        "timestamp": "2024-01-21T19:30:26Z", "status": status, "service": service, "message": f"..{text.upper()}..",
        "attributes": {"k": value},
    }  # fmt: skip
    matcher = Matcher(
        Query(text=text, level=level, services=(service,) if service else (), attrs=(("k", value),) if value else ())
    )
    asked = list(datadog_query.queries(matcher.ask()))
    found = [api.matches(one, event) for one in asked]
    if matcher.matches(datadog_query.record_of(event, "dd", {})):
        assert any(found)


def test_many_ids():
    """A call that met many traces is asked for in several queries."""
    traces = tuple(f"{number:032x}" for number in range(1, 40))
    asked = list(datadog_query.queries(Ask(ids=Ids(calls=(SID,), traces=traces))))
    assert len(asked) > 1
    assert all(any(f"@otel.trace_id:{trace}" in one for one in asked) for trace in traces)
    assert ids_meant(parse_pasted(SID)).traces == (TRACE,)
