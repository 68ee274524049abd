"""Lines are counted for the right call, those printed before the call had its name included."""

from __future__ import annotations

import json

import pytest

from otel_logging.demo import report
from otel_logging.search.record import Record

A, B = "CA" + "a" * 32, "CA" + "b" * 32


def line(body, call=None, logger="server.x", service="voice-calls", **more):
    return Record(body=body, call_sid=call, logger=logger, service=service, **more)


def run(console, stored):
    return report.Run(console, stored)


class TestLinesPerCall:
    def test_named_lines_count_for_their_call(self):
        """A line that carries a call id counts for that call."""
        lines = [line("one", A), line("two", A), line("one", B)]
        assert report.lines_per_call(run(lines, lines)) == {A: 2, B: 1}

    def test_lines_before_the_name_count_too(self):
        """Two equal lines printed before the name go to the two calls for which the store has them."""
        stored = [line("connected", A), line("connected", B), line("start", A)]
        console = [line("connected"), line("connected"), line("start", A)]
        assert report.lines_per_call(run(console, stored)) == {A: 2, B: 1}

    def test_a_line_is_not_counted_twice(self):
        """Where one call's line had its name already, an equal nameless line is the other call's."""
        stored = [line("connected", A), line("connected", B)]
        console = [line("connected", A), line("connected")]
        assert report.lines_per_call(run(console, stored)) == {A: 1, B: 1}

    def test_what_no_call_owns_is_nobodys(self):
        """Lines of the process, and lines of another logger or service with the same text, count for no call."""
        stored = [line("connected", A), line("tick")]
        console = [line("tick"), line("connected", logger="other"), line("connected", service="other")]
        assert report.lines_per_call(run(console, stored)) == {}

    def test_recovered_records_never_reached_the_console(self):
        """A record that was given back later does not claim a console line."""
        stored = [line("tick", A, attributes={"otel_logging.recovered": True})]
        assert report.lines_per_call(run([line("tick")], stored)) == {}


def test_services_in_order_of_appearance():
    """A call's services are listed once each, in the order of their first record."""
    stored = [
        line("late", A, service="voice-worker", time=9),
        line("x", A, time=1),
        line("y", A, time=10),
        line("boot", service="z"),
    ]
    assert report.services_per_call(stored) == {A: ["voice-calls", "voice-worker"]}


@pytest.mark.parametrize(
    ("logger", "counts"),
    [("server.media_ws_ai", 1), ("print", 1), ("", 1), ("uvicornish", 1), ("uvicorn.error", 0), ("otel_logging", 0)],
)
def test_uncorrelated_are_the_applications_records_without_a_call(logger, counts):
    """Any record without a call is held against us, unless its logger speaks for the process."""
    assert len(report.uncorrelated(run([], [line("x", logger=logger), line("y", A, logger=logger)]))) == counts


def test_read_console_takes_json_and_survives_the_rest(tmp_path):
    """JSON lines become records, other lines stay lines, and the service is filled in."""
    path = tmp_path / "c"
    text = {"timestamp": "2024-01-21T19:30:26.123Z", "level": "INFO", "message": "שלום", "logger": "a.b", "call_sid": A}
    path.write_text(json.dumps(text) + "\nTraceback (most recent call last):\n[1]\n\n", encoding="utf-8")
    first, *rest = report.read_console(path, "svc")
    assert (first.body, first.call_sid, first.logger, first.service) == ("שלום", A, "a.b", "svc")
    assert [(record.body, record.call_sid) for record in rest] == [
        ("Traceback (most recent call last):", None),
        ("[1]", None),
        ("", None),
    ]


def test_build_gives_the_documented_object():
    """The object has the documented keys, in the order of the calls played."""
    debug = run([line(str(n), A) for n in range(100)], [])
    info_lines = [line("1", A), line("2", A, service="voice-worker", time=5)]
    stored = [*info_lines, line("0", A, attributes={"otel_logging.recovered": True}), line("lost")]
    assert report.build({A: "failed"}, debug, run(info_lines, stored)) == {
        "calls": [
            {
                "call_sid": A,
                "lines_debug": 100,
                "lines_info": 2,
                "recovered": 1,
                "services": ["voice-calls", "voice-worker"],
                "outcome": "failed",
            }
        ],
        "reduction": 0.98,
        "uncorrelated": 1,
    }


def test_no_lines_at_all_are_no_reduction():
    """A run that printed nothing does not claim to have saved everything."""
    assert report.build({A: "completed"}, run([], []), run([], []))["reduction"] == 0.0
