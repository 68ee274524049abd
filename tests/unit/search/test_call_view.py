"""A call as a person sees it."""

from __future__ import annotations

import json
import time

import pytest

from otel_logging.search.call_view import render_text
from otel_logging.search.one_call import find_call
from otel_logging.search.text import cells, harmless

A, TA = "CA" + "a1" * 16, "a1" * 16


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def text(store, **options):
    return list(render_text(find_call(store.root, A, now=2 * 10**18), **options))


@pytest.fixture
def call(store):
    """A call of two services with a warning, a traceback and a recovered frame."""
    store.log(
        "media",
        store.record("📞 [START] שיחה התחילה", at=0, call=A),
        store.record("chunk 17", at=191, call=A, severity=5, otel_logging__recovered=True),
        store.record("slow model", at=192.481, call=A, severity=13),
        store.record(
            "it broke",
            at=193,
            call=A,
            severity=17,
            exception__stacktrace='Traceback:\n\n  File "x"\nValueError: \x1b[31mno\n',
        ),
    )
    store.log("worker", store.record("summary", at=200, trace=TA), service="call-worker", scope="jobs")
    store.trace(
        "media", store.span("call", trace=TA, span="1" * 16, call=A, failed=True, otel_logging__end_reason="stop")
    )
    return store


class TestText:
    def test_whole(self, call):
        """The header says what, when, who, how many and in what state; then one line a record, tracebacks indented."""
        assert text(call) == [
            f"Call {A}",
            f"  traces    {TA}",
            "  started   2024-01-21 19:30:26.000, lasted 3m20s",
            "  services  call-worker 1, media 4",
            "  records   5 (1 DEBUG, 2 INFO, 1 WARNING, 1 ERROR); ~ 1 recovered: dropped at the time, given back when the call went wrong",
            "  spans     1, 1 failed",
            "  state     complete; ended in media stop",
            "",
            "+00:00.000  INFO     media        [server.media] 📞 [START] שיחה התחילה",
            "      ---   3m11s without a record (dead air)",
            "+03:11.000 ~DEBUG    media        [server.media] chunk 17",
            "+03:12.481  WARNING  media        [server.media] slow model",
            "+03:13.000  ERROR    media        [server.media] it broke",
            "            Traceback:",
            "",
            '              File "x"',
            "            ValueError: \\x1b[31mno",
            "      ---   7.0s without a record (silence)",
            "+03:20.000  INFO     call-worker  [jobs] summary",
        ]

    def test_colour_only_when_asked(self, call):
        """Levels are painted when asked; take the paint away and it is the same text."""
        plain, painted = "\n".join(text(call)), "\n".join(text(call, colour=True))
        assert "\x1b" not in plain
        assert "\x1b[33mWARNING\x1b[0m" in painted
        assert "\x1b[31mERROR\x1b[0m" in painted
        for code in ("1", "2", "31", "33", "0"):
            painted = painted.replace(f"\x1b[{code}m", "")
        assert painted == plain

    def test_no_message_can_forge_a_record(self, store):
        """Whatever service, logger and message contain, only real records start a line, and no control reaches the terminal."""
        evil = "x\n+00:00.000  ERROR    media  forged\r\x1b[2J\u202e\x9b"
        store.log("a", store.record(evil, call=A), service=evil, scope=evil)
        lines = text(store)
        assert all(harmless(line) == line for line in lines)
        assert sum(line.startswith("+") for line in lines) == 1

    def test_wrapped(self, store):
        """On a terminal a long message is wrapped and indented, nothing of it is lost."""
        message = " ".join(f"word{number}" for number in range(80))
        store.log("a", store.record(message + "\nsecond " + "y" * 150, call=A))
        lines = text(store, width=80)
        records = lines[lines.index("") + 1 :]
        assert all(cells(line) <= 80 for line in records)
        assert all(line.startswith(" " * 12) for line in records[1:])
        joined = records[0].split("] ")[1] + " " + " ".join(line[12:] for line in records[1:])
        assert joined.replace(" ", "") == (message + "second" + "y" * 150).replace(" ", "")

    def test_very_narrow(self, call):
        """On a terminal too narrow to wrap well, lines are left whole."""
        assert text(call, width=20) == text(call)

    def test_trace_without_a_call(self, store):
        """A trace without a call says so."""
        store.log("a", store.record("1", trace="b" * 32))
        lines = list(render_text(find_call(store.root, "b" * 32)))
        assert lines[0] == f"Trace {'b' * 32}, seen with no call"

    def test_only_spans(self, store):
        """A call of which only spans were kept is shown with its times."""
        store.trace("a", store.span("call", trace=TA, span="1" * 16, call=A, end=4))
        assert text(store)[2:] == [
            "  started   2024-01-21 19:30:26.000, lasted 4.0s", "  services  media 0", "  records   0", "  spans     1", "  state     complete",
        ]  # fmt: skip

    def test_record_without_a_time(self, store):
        """A record without any time stands first and spoils no other's relative time."""
        record = store.record("timeless", call=A)
        del record["timeUnixNano"], record["observedTimeUnixNano"]
        store.log("a", store.record("1", at=5, call=A), record)
        assert [line.split("] ")[1] for line in text(store)[-2:]] == ["timeless", "1"]
        assert text(store)[-1].startswith("+00:00.000")


def test_json_object(call):
    """The whole view is one JSON object that agrees with its records."""
    view = json.loads(json.dumps(find_call(call.root, A).as_json()))
    assert (view["call_sid"], view["recovered"], view["seconds"], len(view["records"])) == (A, 1, 200.0, 5)
    assert view["services"] == {"call-worker": 1, "media": 4}
    assert view["ends"] == {"media": "stop"}
    assert view["start"] == view["records"][0]["timestamp"]
    assert view["searched"]["files"] == 3
    assert view["spans"][0]["name"] == "call"
