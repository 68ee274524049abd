"""`otel-logging volume`."""

from __future__ import annotations

import json

from otel_logging.cli.volume import _size

A, B = "CA" + "a1" * 16, "CA" + "b2" * 16


def test_json(run, store):
    """One object: totals, lines of a call, levels, services, days, the loudest calls and lines."""
    figures = json.loads(run("volume", "--json").out)
    assert (figures["lines"], figures["calls"]) == (5, 2)
    assert figures["lines_per_call"] == {
        "mean": 2.0, "median": 1, "p95": 3, "most": 3, "bytes": figures["lines_per_call"]["bytes"],
    }  # fmt: skip
    assert figures["without_call"]["lines"] == 1
    assert {level: one["lines"] for level, one in figures["by_level"].items()} == {"INFO": 3, "WARNING": 1, "ERROR": 1}
    assert {name: one["lines"] for name, one in figures["by_service"].items()} == {"media": 4, "worker": 1}
    assert list(figures["by_day"]) == ["2024-01-21"]
    assert [(one["call_sid"], one["lines"]) for one in figures["by_call"]] == [(A, 3), (B, 1)]
    for table in ("by_level", "by_service", "by_day"):
        assert sum(one["bytes"] for one in figures[table].values()) == figures["bytes"], table
    assert sum(one["bytes"] for one in figures["by_template"]) == figures["bytes"]


def test_table(run, store):
    """For people: the totals first, then a table each, with the loudest first."""
    result = run("volume")
    assert result.code == 0
    assert result.lines[0].startswith("5 lines, ")
    assert result.lines[0].endswith(", 2 calls")
    assert result.lines[1].startswith("a call    2.0 lines on average, median 1, 95 % up to 3, most 3; ")
    titles = [line.split("  ")[-1] for line in result.lines if "  SIZE" in line]
    assert titles == ["LEVEL", "SERVICE", "DAY (UTC)", "LOUDEST CALLS", "LOUDEST LINES"]
    calls = result.lines[result.lines.index(next(line for line in result.lines if "LOUDEST CALLS" in line)) + 1 :]
    assert [line.split()[-1] for line in calls[:2]] == [A, B]


def test_lines_of_one_kind_are_one(run, store):
    """Lines that differ in numbers, ids and quoted text only are counted as one kind; others are not."""
    texts = [f'[RMS] rms={n}.5, call=CA{n:032x}, said "{n} x"' for n in range(7)] + ["[RMS] else"]
    store.log("loud", *(store.record(text, at=20 + n) for n, text in enumerate(texts)))
    first = json.loads(run("volume", "--json", "--top", 1).out)["by_template"]
    assert [(one["template"], one["lines"]) for one in first] == [("[server.media] [RMS] rms=*, call=*, said *", 7)]


def test_the_template_of_a_record_is_its_kind(run, store):
    """A record that carries its template is counted under it, whatever was filled in."""
    store.log("t", *(store.record(f"hello {name}", at=30, log__record__template="hello %s") for name in ("Ada", "Bo")))
    kinds = {one["template"]: one["lines"] for one in json.loads(run("volume", "--json").out)["by_template"]}
    assert kinds["[server.media] hello %s"] == 2


def test_given_back_lines_are_told_apart(run, store):
    """What the flight recorder gave back or let through is counted beside the total, which has it too."""
    store.log("back", store.record("frame", at=3, call=A, otel_logging__recovered=True, otel_logging__trigger="error"))
    figures = json.loads(run("volume", "--json").out)
    assert (figures["lines"], figures["given_back"]["lines"]) == (6, 1)
    assert (figures["lines_per_call"]["most"], figures["kept_lines_per_call"]["most"]) == (4, 3)
    assert any("given back" in line and "1 line," in line for line in run("volume").lines)


def test_filters(run, store):
    """Time and service limit what is counted."""
    assert json.loads(run("volume", "--json", "--service", "worker").out)["lines"] == 1
    assert json.loads(run("volume", "--json", "--since", "2024-01-21T19:30:28Z").out)["lines"] == 3
    assert json.loads(run("volume", "--json", "--until", "2024-01-21T19:30:28Z").out)["lines"] == 2


def test_month_as_it_went_on(run, store):
    """Without a number of calls, a month is so many times what was observed, and so short a time is told of."""
    figures = json.loads(run("volume", "--json").out)
    assert figures["month"]["seconds"] == 9
    assert figures["month"]["lines"] == 5 * 30 * 86_400 // 9
    assert any("little to go by" in line for line in run("volume").lines)


def test_month_of_calls(run, store):
    """With a number of calls a day, a month is so many calls of the mean size, without lines of no call."""
    figures = json.loads(run("volume", "--json", "--calls-per-day", 100).out)
    assert figures["month"]["lines"] == 100 * 30 * 4 // 2
    assert any("at 100 calls a day like these" in line for line in run("volume", "--calls-per-day", 100).lines)


def test_month_cannot_be_said(run, store):
    """No call, or a single moment: there is no estimate, and no division by nothing."""
    only = ("--service", "worker")
    assert json.loads(run("volume", "--json", *only).out)["month"] is None
    assert json.loads(run("volume", "--json", *only, "--calls-per-day", 5).out)["month"] is None
    assert any("cannot be estimated: no call" in line for line in run("volume", *only, "--calls-per-day", 5).lines)


def test_nothing(run, tmp_path):
    """An empty store exits with 1, and JSON is printed all the same."""
    result = run("volume", "--json", "--store", tmp_path)
    assert result.code == 1
    assert json.loads(result.out)["lines"] == 0


def test_text_is_harmless(run, store):
    """A line's control characters do not reach the terminal."""
    store.log("evil", store.record("\x1b[2Jgone\u202e", at=40))
    assert "\x1b" not in run("volume").out


def test_many_kinds_stay_bounded(run, store, monkeypatch):
    """However many kinds of lines there are, memory is bounded; what is counted together is still counted."""
    monkeypatch.setattr("otel_logging.search.volume._MOST_KINDS", 10)
    words = [f"kind {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(100)]
    store.log("many", *(store.record(word, at=50) for word in words))
    figures = json.loads(run("volume", "--json", "--top", 0).out)
    assert len(figures["by_template"]) <= 11
    assert sum(one["lines"] for one in figures["by_template"]) == 105
    assert "(others)" in {one["template"] for one in figures["by_template"]}


def test_sizes():
    """Sizes are told as back ends bill."""
    assert [_size(n) for n in (0, 999, 1000, 4200, 1_300_000_000, 5 * 10**12)] == [
        "0 B", "999 B", "1.0 kB", "4.2 kB", "1.3 GB", "5.0 TB",
    ]  # fmt: skip
