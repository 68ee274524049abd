"""Filters, limits and context."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.search.local import needles, scan
from otel_logging.search.query import Ambiguous, BadQuery, Matcher, NotFound, Query, search, sure_run
from otel_logging.search.source import Asked, Local

A, B, TA = "CA" + "a1" * 16, "CA" + "b2" * 16, "a1" * 16
BEGIN = 1_705_865_426_000_000_000


@pytest.fixture
def filled(store):
    """Six records of two calls, two services and all levels."""
    store.log(
        "media",
        store.record("Call started", at=0, call=A, trace=TA, severity=9, caller="+49"),
        store.record("STT timeout after 3s", at=1, call=A, severity=13, attempt=2, vip=True),
        store.record("שלום עולם", at=2, call=B, severity=5),
        store.record("it broke", at=3, call=A, severity=17, exception__stacktrace="Traceback\nReadTimeout: gone"),
    )
    store.log(
        "worker",
        store.record("summary", at=4, trace=TA),
        store.record("fatal", at=5, call=B, severity=21),
        service="worker",
    )
    return store


def found(store, **query):
    return [record.body for block in search(store.root, Query(**query)).blocks for record in block.records]


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "bodies"),
        [
            ({"text": "TIMEOUT"}, ["STT timeout after 3s", "it broke"]),
            ({"text": "שלום"}, ["שלום עולם"]),
            ({"text": "no such"}, []),
            ({"text": A}, ["Call started", "STT timeout after 3s", "it broke", "summary"]),
            ({"text": TA}, ["Call started", "summary"]),
            ({"text": f"00-{TA}-{'1' * 16}-01"}, ["Call started", "summary"]),
            ({"trace": TA}, ["Call started", "summary"]),
            ({"trace": "A1A1"}, ["Call started", "summary"]),
            ({"trace": A}, ["Call started", "summary"]),
            ({"services": ("worker",)}, ["summary", "fatal"]),
            ({"services": ("worker", "media"), "level": "critical"}, ["fatal"]),
            ({"level": "warn"}, ["STT timeout after 3s", "it broke", "fatal"]),
            ({"since": BEGIN + 4 * 10**9}, ["summary", "fatal"]),
            ({"until": BEGIN + 1 * 10**9}, ["Call started"]),
            ({"grep": r"after \ds$"}, ["STT timeout after 3s"]),
            ({"grep": "Read.*gone"}, ["it broke"]),
            ({"attrs": (("caller", "+49"),)}, ["Call started"]),
            ({"attrs": (("attempt", "2"), ("vip", "true"))}, ["STT timeout after 3s"]),
            ({"attrs": (("service.name", "worker"),), "text": "sum"}, ["summary"]),
            ({"attrs": (("attempt", "3"),)}, []),
            ({"call": A}, ["Call started", "STT timeout after 3s", "it broke", "summary"]),
            ({"call": "CAa1", "level": "error"}, ["it broke"]),
            ({}, ["Call started", "STT timeout after 3s", "שלום עולם", "it broke", "summary", "fatal"]),
        ],
    )
    def test_each(self, filled, query, bodies):
        """Each filter alone and with others gives exactly what it says, in time order."""
        assert found(filled, **query) == bodies

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ({"grep": "("}, "--grep '\\('"),
            ({"grep": "(?=a)"}, "RE2"),
            ({"grep": r"(a)\1"}, "RE2"),
            ({"level": "loud"}, "--level 'loud' is no level; valid: DEBUG"),
            ({"trace": "xyz"}, "--trace 'xyz'"),
        ],
    )
    def test_bad(self, filled, query, sentence):
        """A filter that cannot be understood is refused with a sentence."""
        with pytest.raises(BadQuery, match=sentence):
            search(filled.root, Query(**query))

    def test_call_that_is_not_there(self, filled):
        """A call that does not exist, or is not one, is told apart from no hits."""
        with pytest.raises(NotFound):
            search(filled.root, Query(call="CA9"))
        with pytest.raises(Ambiguous):
            search(filled.root, Query(call="CA"))


class TestLimit:
    @pytest.mark.parametrize("query", [{}, {"call": A}])
    def test_newest_are_kept(self, filled, query):
        """Of too many hits the newest are shown, oldest first, and the total is told."""
        result = search(filled.root, Query(limit=2, **query))
        everything = found(filled, **query)
        assert [record.body for record in result.blocks[0].records] == everything[-2:]
        assert (result.shown, result.total) == (2, len(everything))

    def test_ties(self, store):
        """Records of one time keep the order of their file also under a limit."""
        store.log("a", *(store.record(str(number), at=1) for number in range(9)))
        assert found(store, limit=4) == ["5", "6", "7", "8"]


class TestContext:
    def test_neighbours_of_the_same_call(self, store):
        """A hit's neighbours are those of its call, whatever stands between them in the file, and hits are told apart."""
        store.log(
            "a", *(store.record(f"{call[2]}{number}", at=number, call=call) for number in range(10) for call in (A, B))
        )
        result = search(store.root, Query(text="a5", context=2))
        (block,) = result.blocks
        assert [record.body for record in block.records] == ["a3", "a4", "a5", "a6", "a7"]
        assert block.hits == [False, False, True, False, False]
        assert (result.shown, result.total) == (1, 1)

    def test_without_a_call_the_file(self, store):
        """Without a call the neighbours are those of the same file."""
        store.log("a", *(store.record(f"a{number}", at=number) for number in range(4)))
        store.log("b", *(store.record(f"b{number}", at=number) for number in range(4)))
        assert found(store, text="a0", context=1) == ["a0", "a1"]
        assert found(store, grep="^a1$", context=1) == ["a0", "a1", "a2"]

    def test_windows_that_touch_are_one(self, store):
        """Neighbouring windows are joined, separate ones stay separate, and the edges of the call are edges."""
        store.log("a", *(store.record(f"r{number}", at=number, call=A) for number in range(12)))
        for query in ({}, {"call": A}):
            result = search(store.root, Query(grep="^r(0|3|9)$", context=1, **query))
            assert [[record.body for record in block.records] for block in result.blocks] == [
                ["r0", "r1", "r2", "r3", "r4"],
                ["r8", "r9", "r10"],
            ]
            assert result.shown == 3

    def test_limit_counts_hits(self, store):
        """The limit counts hits, not their neighbours."""
        store.log("a", *(store.record(f"r{number}", at=number, call=A) for number in range(12)))
        result = search(store.root, Query(grep="^r(0|3|9)$", context=1, limit=1))
        assert [record.body for record in result.blocks[0].records] == ["r8", "r9", "r10"]
        assert (result.shown, result.total) == (1, 3)


class TestShortcut:
    @pytest.mark.parametrize(
        ("text", "run"),
        [
            ("timeout", "meout"),
            ("+4930 12345678", "4930 12345678"),
            ('a "quoted" word', "quoted"),
            ("שלום 📞!", "שלום 📞"),
            ("ki", ""),
            ("null", ""),
            ("ärger", "rger"),
        ],
    )
    def test_sure_run(self, text, run):
        """Only what every JSON writer spells alike may rule a line out."""
        assert sure_run(text) == run

    @given(
        st.text(min_size=1, max_size=12),
        st.tuples(st.text(max_size=4), st.text(max_size=4)),
        st.booleans(),
        st.booleans(),
    )
    def test_never_changes_the_answer(self, tmp_path_factory, text, around, ascii_only, upper):
        """With and without passing lines over, the same records are found."""
        root = tmp_path_factory.mktemp("store")
        (root / "logs").mkdir()
        body = (text.upper() if upper else text).join(around)
        line = json.dumps({"timestamp": 1, "message": body}, ensure_ascii=ascii_only)
        (root / "logs" / "a.jsonl").write_bytes(line.encode("utf-8", "surrogatepass") + b"\n")
        matcher = Matcher(Query(text=text))
        everything = [record.body for record in scan(root) if matcher.matches(record)]
        assert [
            record.body for record in Local(root).records(matcher.ask(), Asked()) if matcher.matches(record)
        ] == everything
        if not upper:
            assert everything == [body] or text.lower() not in body.lower()

    def test_kelvin_sign(self, store):
        """The Kelvin sign is a k in lower case: such oddities are found as well."""
        store.log("a", store.record("300 \u212aelvin"))
        assert found(store, text="kelvin") == ["300 \u212aelvin"]
        assert needles(sure_run("kelvin")) == (b"elv",) or found(store, text="kelvin")
