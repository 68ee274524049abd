"""clickhouse.sql in the real engine: the exporter's rows fit, and one call is read without reading the day."""

from __future__ import annotations

import json
import re

import pytest
from chdb.session import Session
from collector_program import COLLECTOR
from collector_records import CALL

# What the exporter inserts, by its own names; the tables may have more, not less.
LOGS = (
    "Timestamp", "TraceId", "SpanId", "TraceFlags", "SeverityText", "SeverityNumber", "ServiceName", "Body",
    "ResourceSchemaUrl", "ResourceAttributes", "ScopeSchemaUrl", "ScopeName", "ScopeVersion", "ScopeAttributes",
    "LogAttributes", "EventName",
)  # fmt: skip
SPANS = (
    "Timestamp", "TraceId", "SpanId", "ParentSpanId", "TraceState", "SpanName", "SpanKind", "ServiceName",
    "ResourceAttributes", "ScopeName", "ScopeVersion", "SpanAttributes", "Duration", "StatusCode", "StatusMessage",
    "Events.Timestamp", "Events.Name", "Events.Attributes", "Links.TraceId", "Links.SpanId", "Links.TraceState",
    "Links.Attributes",
)  # fmt: skip
CALLS = 2000


class Engine:
    """chDB with the tables of clickhouse.sql."""

    def __init__(self, folder):
        self.session = Session(str(folder))
        for statement in re.split(r";\n", (COLLECTOR / "clickhouse.sql").read_text("utf-8")):
            if re.sub(r"--.*", "", statement).strip():
                self.session.query(statement)

    def rows(self, sql):
        return [json.loads(line) for line in self.session.query(sql, "JSONEachRow").bytes().splitlines()]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """The tables, with a day of 2,000 calls of 25 records and as many records of no call."""
    engine = Engine(tmp_path_factory.mktemp("clickhouse"))
    logs = ", ".join(f"`{name}`" for name in LOGS)
    for sid, label in (("concat('CA', leftPad(hex(number % 2000), 32, '0'))", "in"), ("''", "out")):
        engine.session.query(
            f"INSERT INTO otel.otel_logs ({logs}) SELECT now64(9) - number / 1000, '', '', 0, 'INFO', 9, 'voice',"
            f" '{label} a call', '', map('service.name', 'voice'), '', 'server.media', '', map(),"
            f" map('call_sid', {sid}), '' FROM numbers({CALLS * 25})"
        )
    engine.session.query(
        f"INSERT INTO otel.otel_logs ({logs}) VALUES (now64(9), '{CALL[2:]}', '', 0, 'ERROR', 17, 'voice', 'the one',"
        f" '', map(), '', 'server.media', '', map(), map('call_sid', '{CALL}'), '')"
    )
    engine.session.query("OPTIMIZE TABLE otel.otel_logs FINAL")
    yield engine
    engine.session.close()


def test_one_call(engine):
    """A record is found by its call, and of a hundred thousand only a few are read for it."""
    where = f"FROM otel.otel_logs WHERE CallSid = '{CALL}'"
    (found,) = engine.rows(f"SELECT Body, LogAttributes {where}")
    assert found == {"Body": "the one", "LogAttributes": {"call_sid": CALL}}
    plan = "\n".join(row["explain"] for row in engine.rows(f"EXPLAIN indexes = 1 SELECT Body {where}"))
    read, of = re.findall(r"Granules: (\d+)/(\d+)", plan)[-1]
    assert int(of) >= 10
    assert int(read) <= 2, plan


def test_records_of_no_call(engine):
    """They are there as well, under an empty call."""
    (found,) = engine.rows("SELECT count() AS n FROM otel.otel_logs WHERE CallSid = ''")
    assert int(found["n"]) == CALLS * 25


def test_spans(engine):
    """The exporter's columns for spans fit too, and a span knows its call."""
    names = ", ".join(f"`{name}`" for name in SPANS)
    engine.session.query(
        f"INSERT INTO otel.otel_traces ({names}) VALUES (now64(9), '{CALL[2:]}', 'a', '', '', 'call', 'Server', 'voice',"
        f" map(), '', '', map('call_sid', '{CALL}'), 5, 'Ok', '', [], [], [], [], [], [], [])"
    )
    (found,) = engine.rows(f"SELECT SpanName FROM otel.otel_traces WHERE CallSid = '{CALL}'")
    assert found == {"SpanName": "call"}


def test_days_are_dropped_whole(engine):
    """Retention costs nothing: a partition is a day, and only whole parts go."""
    for table in ("otel_logs", "otel_traces"):
        (found,) = engine.rows(
            f"SELECT partition_key, engine_full FROM system.tables WHERE database = 'otel' AND name = '{table}'"
        )
        assert found["partition_key"] == "toDate(Timestamp)"
        assert "toIntervalDay(30)" in found["engine_full"]
        assert "ttl_only_drop_parts = 1" in found["engine_full"]
