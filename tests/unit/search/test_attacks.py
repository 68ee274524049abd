"""What somebody pastes or filters by is a value in every language it is put into: SQL, patterns, queries, file names."""

from __future__ import annotations

import contextlib
import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.search import clickhouse, datadog_query, reading
from otel_logging.search.clickhouse import ClickHouse, Settings
from otel_logging.search.one_call import NotFound, find_call
from otel_logging.search.overview import overview
from otel_logging.search.query import BadQuery, Matcher, Query, search
from otel_logging.search.source import Ask, Ids

HONEST = "CA" + "3f" * 16
IDS = (
    "x' OR '1'='1", "x'; DROP TABLE part; --", 'x" OR ""="', "%", "_", "*", "?", "CA%", "x\\' --", "x\n' --", "../../etc/passwd",
    "/etc/passwd", "x) UNION SELECT 1 --", "{x:String}", "$(id)", "x`id`y", "\u2019 OR 1=1",
)  # fmt: skip
SYNTAX = st.text(st.sampled_from("aZ9 '\"`\\/|&(){}[]*?:;=<>%_-.,@$#!~^\n\t\u2019\u05e9"), min_size=1, max_size=24)


@pytest.fixture(params=["index", "plain"])
def store(request, store, monkeypatch):
    """A store in which calls bear such ids, with and without an index."""
    monkeypatch.setattr(reading, "WORTH_AN_INDEX", 0 if request.param == "index" else 2**62)
    store.root.mkdir(mode=0o700)
    for number, call in enumerate((HONEST, *IDS)):
        store.log("a", store.record(f"of {number} " + "x" * 5000, at=number, call=call))
    for path in (store.root, store.root / "logs"):
        path.chmod(0o700)
    overview(store.root)
    assert (store.root / "index.db").exists() == (request.param == "index")
    return store


class TestLocal:
    @pytest.mark.parametrize("number", range(len(IDS)))
    def test_an_id_means_itself(self, store, number):
        """Pasted, it finds the call that bears it and no other; as a filter, too; and the index is as it was."""
        pasted = IDS[number]
        assert [record.body[:6].split()[1] for record in find_call(store.root, pasted).records] == [str(number + 1)]
        for query in (
            Query(call=pasted),
            Query(call=HONEST, text=pasted),
            Query(services=(pasted,), attrs=((pasted, pasted),)),
        ):
            assert search(store.root, query).total == (query.call == pasted)
        assert len(find_call(store.root, HONEST).records) == 1
        if (store.root / "index.db").exists():
            with contextlib.closing(sqlite3.connect(store.root / "index.db")) as database:
                assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
                assert "part" in {name for (name,) in database.execute("SELECT name FROM sqlite_master")}

    @pytest.mark.parametrize("pasted", IDS)
    def test_of_nobody(self, store, pasted):
        """One that no call bears finds none, and is no trace either."""
        with pytest.raises(NotFound):
            find_call(store.root, f"no{pasted}")
        with pytest.raises(BadQuery):
            search(store.root, Query(trace=pasted))


class TestDatadog:
    QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
    TERM = r"(?:\([^()]*\)|status:\([a-z OR]+\)|service:\(Q(?: OR Q)*\)|\*:\*[a-z0-9]+\*|@[A-Za-z0-9_.-]+:Q)"
    WHOLE = re.compile(rf"\*|{TERM}(?: {TERM})*")

    @given(SYNTAX, SYNTAX, SYNTAX, SYNTAX)
    def test_nothing_typed_becomes_syntax(self, text, service, key, value):
        """Outside of quotes stand our own words and plain letters of what was typed, whatever was typed."""
        ask = Matcher(
            Query(text=text, services=(service, "w"), level="error", attrs=((key, value), ("k", value)))
        ).ask()
        for query in datadog_query.queries(ask):
            bare = self.QUOTED.sub("Q", query)
            assert self.WHOLE.fullmatch(bare), query
            assert '"' not in bare

    def test_bites(self):
        """The check above sees a quote that is not escaped."""
        assert not self.WHOLE.fullmatch(self.QUOTED.sub("Q", 'service:("x" OR *:*" OR "w")'))


class TestClickHouse:
    @given(SYNTAX)
    def test_the_sql_is_the_same_for_all(self, text):
        """Nothing that was typed stands in the SQL: it is the same text whatever the values are."""

        def sql(value):
            ids = Ids(calls=(value,), traces=(value,), call_starts=(value,), trace_starts=(value,))
            ask = Ask(ids=ids, run=value, services=(value,), attrs=((value, value),), level="ERROR", since=1, until=2)
            made, values = ClickHouse("ch", Settings())._select(ask, frozenset(clickhouse._NEEDED))
            assert value in str(list(values.values())) or repr(value)[1:-1] in str(list(values.values()))
            return made

        assert sql(text) == sql("harmless")
