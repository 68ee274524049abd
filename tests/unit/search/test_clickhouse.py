"""`search/clickhouse.py` in real SQL: the real client, with ClickHouse's engine in this process."""

from __future__ import annotations

import json
import sys

import clickhouse_connect
import pytest

from otel_logging.search.clickhouse import ClickHouse, Settings
from otel_logging.search.one_call import find_call
from otel_logging.search.query import Matcher, Query, search
from otel_logging.search.source import Ask, Asked, Ids, Several

SID, TRACE, OTHER = "CA" + "a1" * 16, "a1" * 16, "CA" + "b2" * 16
BEGIN = 1_705_865_426 * 10**9
COLUMNS = (
    "Timestamp DateTime64(9), TraceId String, SpanId String, SeverityText LowCardinality(String), "
    "SeverityNumber UInt8, ServiceName LowCardinality(String), Body String, "
    "ResourceAttributes Map(LowCardinality(String), String), ScopeName String, "
    "LogAttributes Map(LowCardinality(String), String)"
)
# The columns of the Collector's exporter, and the ones that we make for it to write to.
TABLES = {
    "exporter": f"{COLUMNS}, TimestampTime DateTime DEFAULT toDateTime(Timestamp)",
    "own": f"{COLUMNS}, EventName String, CallSid String MATERIALIZED LogAttributes['call_sid']",
}
ORDERS = {"exporter": "(ServiceName, TimestampTime)", "own": "(CallSid, Timestamp)"}
SPANS = (
    "Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, SpanName LowCardinality(String), "
    "ServiceName LowCardinality(String), SpanAttributes Map(LowCardinality(String), String), Duration UInt64, "
    "StatusCode LowCardinality(String), StatusMessage String, "
    "Links Nested (TraceId String, SpanId String)"
)


@pytest.fixture(scope="module")
def engine():
    """The one engine a process can have."""
    client = clickhouse_connect.get_client(interface="chdb")
    yield client
    client.close()


@pytest.fixture(params=sorted(TABLES))
def place(engine, request):
    """A source over an empty database; `place.put(…)` adds a row, `place.span(…)` a span."""
    name = f"db_{request.param}"
    engine.command(f"DROP DATABASE IF EXISTS {name}")
    engine.command(f"CREATE DATABASE {name}")
    engine.command(
        f"CREATE TABLE {name}.otel_logs ({TABLES[request.param]}) ENGINE = MergeTree ORDER BY {ORDERS[request.param]}"
    )
    made = ClickHouse("ch", Settings(database=name), connect=lambda: engine)
    names = [part.split()[0] for part in COLUMNS.replace("Map(LowCardinality(String), String)", "Map").split(", ")]

    def put(body, at=0.0, *, call=None, trace="", number=9, service="media", resource=None, **extras):
        row = [
            BEGIN + round(at * 1e9), trace, "", "", number, service, body, resource or {}, "server.media",
            {**({"call_sid": call} if call else {}), **{key: str(value) for key, value in extras.items()}},
        ]  # fmt: skip
        engine.insert(f"{name}.otel_logs", [row], column_names=names)

    def span(title, *, trace, call=None, parent="", start=0.0, end=1.0, links=(), **extras):
        if not engine.query(f"EXISTS TABLE {name}.otel_traces").result_rows[0][0]:
            engine.command(f"CREATE TABLE {name}.otel_traces ({SPANS}) ENGINE = MergeTree ORDER BY TraceId")
        attributes = {
            **({"call_sid": call} if call else {}),
            **{key.replace("__", "."): v for key, v in extras.items()},
        }
        row = [
            BEGIN + round(start * 1e9), trace, "c3" * 8, parent, title, "media", attributes, round((end - start) * 1e9),
            "Error", "why", list(links), [""] * len(links),
        ]  # fmt: skip
        columns = ["Timestamp", "TraceId", "SpanId", "ParentSpanId", "SpanName", "ServiceName", "SpanAttributes",
                   "Duration", "StatusCode", "StatusMessage", "Links.TraceId", "Links.SpanId"]  # fmt: skip
        engine.insert(f"{name}.otel_traces", [row], column_names=columns)

    made.put, made.span, made.own = put, span, request.param == "own"
    return made


def bodies(result):
    return [record.body for block in result.blocks for record in block.records]


def query(**filters):
    return Query(since=BEGIN - 10**9, until=BEGIN + 3600 * 10**9, **filters)


class TestCall:
    def test_whole(self, place):
        """A call's records by its id and by its traces, at full precision, with what they carry."""
        place.put("start", 0.000000001, call=SID, trace=TRACE, latency_ms=812, resource={"service.version": "1"})
        place.put("by trace", 1, trace=TRACE, number=17)
        place.put("other trace", 2, trace="d4" * 16)
        place.put("other call", 3, call=OTHER, trace=TRACE)
        place.span("call", trace="d4" * 16, call=SID, end=5, otel_logging__end_reason="stop", links=(TRACE,))
        view = find_call(Several([place]), SID, since=BEGIN - 10**9, until=BEGIN + 10**12)
        assert [record.body for record in view.records] == ["start", "by trace", "other trace"]
        first = view.records[0]
        assert (first.time, first.trace_id, first.call_sid) == (BEGIN + 1, TRACE, SID)
        assert (first.attributes, first.resource) == ({"latency_ms": "812"}, {"service.version": "1"})
        assert (view.levels, view.ends) == ({"INFO": 2, "ERROR": 1}, {"media": "stop"})
        assert (view.spans[0].failed, view.spans[0].links) == (True, (TRACE,))

    @pytest.mark.parametrize("pasted", [SID[:8], TRACE, TRACE[:8], f"00-{TRACE}-{'1' * 16}-01", SID.lower()])
    def test_whatever_is_pasted(self, place, pasted):
        """Prefixes, traces and traceparents find it."""
        place.put("mine", 0, call=SID, trace=TRACE)
        place.put("other", 1, call=OTHER, trace="b2" * 16)
        view = find_call(Several([place]), pasted, since=BEGIN - 10**9, until=BEGIN + 10**12)
        assert [record.body for record in view.records] == ["mine"]

    def test_lines_that_nobody_took_apart(self, place):
        """A JSON console line in the body is the same record; a table sorted by call is not read for such."""
        line = {"timestamp": "2024-01-21T19:30:27Z", "message": "line", "call_sid": SID}
        place.put(json.dumps(line), 1, service="")
        if place.own:
            place.put("x", 1, call=SID)
        view = find_call(Several([place]), SID, since=BEGIN - 10**9, until=BEGIN + 10**12)
        assert [record.body for record in view.records] == (["x"] if place.own else ["line"])


class TestSearch:
    @pytest.fixture(autouse=True)
    def rows(self, place):
        place.put("No answer", 0, call=SID, number=17)
        place.put("no ANSWER", 1, call=OTHER, service="w", business_id=456)
        place.put("fine", 2, call=SID, **{"exception.stacktrace": "Traceback: no answer"}, number=13)
        place.put("else", 3, resource={"zone": "b"})

    @pytest.mark.parametrize(
        ("filters", "expected", "read"),
        [
            ({"text": "no answer"}, ["No answer", "no ANSWER", "fine"], 3),
            ({"level": "warning"}, ["No answer", "fine"], 2),
            ({"services": ("w", "x")}, ["no ANSWER"], 1),
            ({"attrs": (("business_id", "456"),)}, ["no ANSWER"], 1),
            ({"attrs": (("zone", "b"),)}, ["else"], 1),
            ({"grep": "^f"}, ["fine"], 4),
            ({"call": SID, "text": "answer"}, ["No answer", "fine"], 2),
            ({"trace": TRACE}, [], 0),
            ({}, ["No answer", "no ANSWER", "fine", "else"], 4),
        ],
    )
    def test_same_words(self, place, filters, expected, read):
        """The words of a search mean the same here as in the store, and the database reads no more than it must."""
        result = search(Several([place]), query(**filters))
        assert bodies(result) == expected
        assert result.searched.asked[0].endswith(f"{read} row{'s' * (read != 1)}")

    def test_ranges(self, place):
        """The beginning is included, the end is not, and the database reads nothing else."""
        result = search(Several([place]), Query(since=BEGIN + 10**9, until=BEGIN + 2 * 10**9))
        assert bodies(result) == ["no ANSWER"]
        assert result.searched.asked[0].endswith(", 1 row")

    def test_newest(self, place):
        """A limit keeps the newest, and the total is then a lower bound."""
        result = search(Several([place]), query(limit=2))
        assert (bodies(result), result.searched.more) == (["fine", "else"], True)

    @pytest.mark.parametrize(
        "text",
        ["' OR 1=1 --", "'; DROP TABLE otel_logs; --", "{x:String}", "\\' OR 1", "a\tb\nc", "%s %(a)s", "`x`", "\\N"],
    )
    def test_attacks(self, place, text):
        """What is typed is a value, and never becomes SQL."""
        place.put(f"before {text} after", 9)
        assert bodies(search(Several([place]), query(text=text))) == [f"before {text} after"]
        assert bodies(search(Several([place]), query(services=(text,)))) == []
        assert bodies(search(Several([place]), query(attrs=((text, text), ("k", text))))) == []
        assert list(place.records(Ask(ids=Ids(calls=(text,), traces=(text,), call_starts=(text,))), Asked())) == []
        assert len(bodies(search(Several([place]), query()))) == 5


class TestTrouble:
    def test_no_table(self, engine):
        """A table that is not there is told by name."""
        searched = Asked()
        place = ClickHouse("ch", Settings(database="nowhere"), connect=lambda: engine)
        assert list(Several([place]).records(Ask(), searched)) == []
        assert searched.failed == ["ch: there is no table nowhere.otel_logs"]

    def test_another_table(self, engine):
        """So are columns that are missing."""
        engine.command("CREATE OR REPLACE TABLE default.strange (Timestamp DateTime64(9)) ENGINE = Memory")
        searched = Asked()
        list(Several([ClickHouse("ch", Settings(table="strange"), connect=lambda: engine)]).records(Ask(), searched))
        assert "table strange has no column TraceId" in searched.failed[0]

    def test_nobody_there(self, capfd):
        """A server that cannot be reached is a sentence, and nothing else."""
        searched = Asked()
        list(Several([ClickHouse("ch", Settings(host="127.0.0.1", port=1))]).records(Ask(), searched))
        assert "did not answer" in searched.failed[0]
        assert capfd.readouterr() == ("", "")

    def test_no_client(self, monkeypatch):
        """A missing extra is named."""
        monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
        searched = Asked()
        list(Several([ClickHouse("ch", Settings())]).records(Ask(), searched))
        assert "otel-logging[clickhouse]" in searched.failed[0]


def test_explain(place):
    """`--explain` shows the SQL and, apart from it, the values."""
    (text,) = place.explain(Matcher(query(text="timeout")).ask())
    assert "{run:String}" in text
    assert "'run': 'meout'" in text
