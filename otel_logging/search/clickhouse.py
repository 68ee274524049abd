"""ClickHouse as a source: the table that the Collector's exporter fills, asked in SQL with bound parameters.

Needs `otel-logging[clickhouse]`; the client is imported when the first question is asked. No value ever becomes part
of the SQL's text.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock, events
from otel_logging.search.record import LEVELS, Record, call_id, hex_id
from otel_logging.search.source import BackEndError, range_text
from otel_logging.search.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_logging.search.source import Ask, Asked

_NUMBERS = dict(zip(LEVELS, (0, 9, 13, 17, 21), strict=True))
_NEEDED = ("Timestamp", "TraceId", "SpanId", "SeverityText", "SeverityNumber", "ServiceName", "Body",
           "ResourceAttributes", "ScopeName", "LogAttributes")  # fmt: skip
_TABLE = "{database:Identifier}.{table:Identifier}"
_MARGIN = 1  # seconds, for columns that hold whole ones


@dataclass(frozen=True)
class Settings:
    """Where to look: the server, the database and its tables, and which variables hold user and password."""

    host: str = "localhost"
    port: int = 0
    secure: bool = False
    database: str = "default"
    table: str = "otel_logs"
    traces_table: str = "otel_traces"
    user: str | None = None
    user_env: str = "CLICKHOUSE_USER"
    password_env: str = "CLICKHOUSE_PASSWORD"  # noqa: S105 (a variable's name)


@dataclass
class _Where:
    """Conditions, all of which must hold, and the parameters they name."""

    parts: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, condition: str, **values: Any) -> None:
        self.parts.append(f"({condition})")
        self.values.update(values)

    def sql(self) -> str:
        return " AND ".join(self.parts) or "1"


class ClickHouse:
    """The logs and spans in one database."""

    def __init__(self, name: str, settings: Settings, *, connect: Callable[[], Any] | None = None) -> None:
        self.name = name
        self._settings = settings
        self._connect = connect or self._connected
        self._client: Any = None
        self._columns: dict[str, frozenset[str]] = {}

    def records(self, ask: Ask, searched: Asked) -> Iterator[Record]:
        """The records asked for, newest first; see `Source`."""
        columns = self._columns_of(self._settings.table)
        if not columns:
            raise BackEndError(f"there is no table {self._settings.database}.{self._settings.table}")
        if missing := [name for name in _NEEDED if name not in columns]:
            raise BackEndError(f"table {self._settings.table} has no column {', '.join(missing)}")
        sql, values = self._select(ask, columns)
        rows = 0

        def read() -> Iterator[Record]:
            nonlocal rows
            for row in self._rows(sql, {**values, "table": self._settings.table}):
                rows += 1
                yield self._record(row)

        try:
            yield from ask.kept(read(), searched)
        finally:
            searched.asked.append(
                f"{self.name}: {self._settings.database}.{self._settings.table}, "
                f"{range_text(ask.since, ask.until)}, {rows:,} row{'s' * (rows != 1)}"
            )

    def spans(self, ask: Ask, searched: Asked) -> Iterator[Span]:
        """The spans asked for, where the database has them."""
        columns = self._columns_of(self._settings.traces_table)
        if not columns:
            return
        where = _Where()
        _add_range(where, ask, frozenset())
        if ask.ids is not None:
            _add_ids(where, ask, "CallSid" if "CallSid" in columns else "SpanAttributes['call_sid']", body=False)
        sql = (
            "SELECT toUnixTimestamp64Nano(Timestamp), TraceId, SpanId, ParentSpanId, "  # noqa: S608 (all is bound)
            "SpanName, ServiceName, "
            "toInt64(Duration), StatusCode, StatusMessage, SpanAttributes, Links.TraceId "
            f"FROM {_TABLE} WHERE {where.sql()} ORDER BY Timestamp"
        )
        for row in self._rows(sql, {**where.values, "table": self._settings.traces_table}):
            searched.spans += 1
            yield self._span(row)

    def explain(self, ask: Ask) -> list[str]:
        """The SQL and its parameters."""
        sql, values = self._select(ask, frozenset(_NEEDED))
        shown = {"database": self._settings.database, "table": self._settings.table, **values}
        return [f"{sql}\n  with {shown}"]

    def _select(self, ask: Ask, columns: frozenset[str]) -> tuple[str, dict[str, Any]]:
        where = _Where()
        _add_range(where, ask, columns)
        if ask.ids is not None:
            # Our own table is sorted by that column; a condition on the body would have all of it read.
            own = "CallSid" in columns
            _add_ids(where, ask, "CallSid" if own else "LogAttributes['call_sid']", body=not own)
        if (number := _NUMBERS.get(ask.level, 0)) > _NUMBERS["INFO"]:
            where.add("SeverityNumber >= {level:Int32} OR SeverityNumber = 0", level=number)
        if ask.services:
            where.add(
                "ServiceName IN {services:Array(String)} OR (ServiceName = '' AND startsWith(Body, '{'))",
                services=list(ask.services),
            )
        if ask.run:
            places = ["Body", "TraceId", *(["EventName"] if "EventName" in columns else [])]
            found = [f"positionCaseInsensitiveUTF8({place}, {{run:String}}) > 0" for place in places]
            found.append("arrayExists(v -> positionCaseInsensitiveUTF8(v, {run:String}) > 0, mapValues(LogAttributes))")
            where.add(" OR ".join(found), run=ask.run)
        for number, (key, value) in enumerate(ask.attrs):
            where.add(
                f"LogAttributes[{{key{number}:String}}] = {{value{number}:String}} OR "
                f"ResourceAttributes[{{key{number}:String}}] = {{value{number}:String}} OR startsWith(Body, '{{')",
                **{f"key{number}": key, f"value{number}": value},
            )
        event = "EventName" if "EventName" in columns else "''"
        sql = (
            "SELECT toUnixTimestamp64Nano(Timestamp), TraceId, SpanId, SeverityText, "  # noqa: S608 (all is bound)
            f"SeverityNumber, ServiceName, Body, ResourceAttributes, ScopeName, LogAttributes, {event} "
            f"FROM {_TABLE} WHERE {where.sql()} ORDER BY Timestamp DESC"
        )
        return sql, where.values

    def _record(self, row: tuple[Any, ...]) -> Record:
        stamp, trace, span, text, number, service, body, resource, scope, extras, event = row
        extras = dict(extras)
        record = Record(
            time=max(int(stamp), 0),
            observed=max(int(stamp), 0),
            severity=min(int(number), 24),
            severity_text=text,
            service=service,
            logger=str(extras.pop("logger.name", "") or scope),
            call_sid=call_id(extras.pop("call_sid", None)),
            trace_id=hex_id(trace, 32),
            span_id=hex_id(span, 16),
            attributes=extras,
            resource=dict(resource),
            event_name=event,
            source=self.name,
        )
        events.set_body(record, body)
        return record

    def _span(self, row: tuple[Any, ...]) -> Span:
        start, trace, span, parent, name, service, length, code, message, extras, links = row
        extras = dict(extras)
        return Span(
            trace_id=hex_id(trace, 32),
            span_id=hex_id(span, 16),
            parent_id=hex_id(parent, 16),
            name=name,
            service=service,
            start=max(int(start), 0),
            end=max(int(start) + int(length), 0),
            failed=code in {"Error", "STATUS_CODE_ERROR"},
            status=message,
            call_sid=call_id(extras.get("call_sid")),
            links=tuple(link for link in (hex_id(text, 32) for text in links) if link),
            attributes=extras,
            source=self.name,
        )

    def _columns_of(self, table: str) -> frozenset[str]:
        if table not in self._columns:
            sql = "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}"
            self._columns[table] = frozenset(str(row[0]) for row in self._rows(sql, {"table": table}))
        return self._columns[table]

    def _rows(self, sql: str, values: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        if self._client is None:
            self._client = self._connect()
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            parameters = {"database": self._settings.database, **values}
            with self._client.query_rows_stream(sql, parameters=parameters) as stream:
                yield from stream
        except (ClickHouseError, OSError) as error:
            raise BackEndError(_reason(error)) from None

    def _connected(self) -> Any:
        try:
            import clickhouse_connect
            from clickhouse_connect.driver.exceptions import ClickHouseError
        except ImportError:
            raise BackEndError("needs clickhouse-connect: pip install 'otel-logging[clickhouse]'") from None
        settings = self._settings
        # What goes wrong is told as a sentence; the client would print a word of its own beside it.
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        try:
            return clickhouse_connect.get_client(
                host=settings.host,
                port=settings.port,
                secure=settings.secure,
                username=settings.user or os.environ.get(settings.user_env) or None,
                password=os.environ.get(settings.password_env, ""),
                database=settings.database,
                connect_timeout=10,
                send_receive_timeout=300,
            )
        except (ClickHouseError, OSError) as error:
            raise BackEndError(_reason(error)) from None


def _add_range(where: _Where, ask: Ask, columns: frozenset[str]) -> None:
    # The exporter's table is ordered by a column of whole seconds; without it all parts would be read.
    coarse = "TimestampTime" in columns
    if ask.since is not None:
        where.add("Timestamp >= fromUnixTimestamp64Nano({since:Int64})", since=ask.since)
        if coarse:
            where.add("TimestampTime >= toDateTime({first:Int64})", first=ask.since // clock.NANOS - _MARGIN)
    if ask.until is not None:
        where.add("Timestamp < fromUnixTimestamp64Nano({until:Int64})", until=ask.until)
        if coarse:
            where.add("TimestampTime <= toDateTime({last:Int64})", last=ask.until // clock.NANOS + _MARGIN)


def _add_ids(where: _Where, ask: Ask, call_sid: str, *, body: bool) -> None:
    ids = ask.ids
    if ids is None:
        return
    starts = "arrayExists(start -> startsWith(lower({0}), lower(start)), {{{1}:Array(String)}})"
    calls, traces = [call_sid], ["TraceId"]
    if body:  # a JSON console line that nobody took apart
        calls.append("JSONExtractString(Body, 'call_sid')")
        traces.append("JSONExtractString(Body, 'trace_id')")
    found = [f"{place} IN {{calls:Array(String)}}" for place in calls]
    found += [f"{place} IN {{traces:Array(String)}}" for place in traces]
    if ids.call_starts:
        found += [starts.format(place, "call_starts") for place in calls]
    if ids.trace_starts:
        found += [starts.format(place, "trace_starts") for place in traces]
    where.add(
        " OR ".join(found),
        calls=list(ids.calls),
        traces=list(ids.traces),
        call_starts=list(ids.call_starts),
        trace_starts=list(ids.trace_starts),
    )


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    if "AUTHENTICATION_FAILED" in text or "REQUIRED_PASSWORD" in text:
        return f"user or password is wrong; set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD ({text})"
    if "ACCESS_DENIED" in text:
        return f"permission is missing: the user may not read the table ({text})"
    return f"ClickHouse did not answer: {text}" if text else f"ClickHouse did not answer: {type(error).__name__}"
