"""`otel-logging search`."""

from __future__ import annotations

import json

import pytest

from otel_logging.cli import search

A, B = "CA" + "a1" * 16, "CA" + "b2" * 16


@pytest.mark.parametrize(
    ("argv", "messages"),
    [
        (["BROKE"], ["it broke"]),
        (["--call", "CAb2"], ["other"]),
        (["--trace", "a1a1"], ["📞 [START] שלום", "summary"]),
        (["--service", "worker"], ["summary"]),
        (["--level", "warning"], ["slow", "it broke"]),
        (["--since", "2024-01-21T19:30:28Z", "--until", "2024-01-21T19:30:29Z"], ["other"]),
        (["--grep", "^s"], ["slow", "summary"]),
        (["--attr", "latency_ms=812"], ["slow"]),
        (["--limit", "2"], ["it broke", "summary"]),
        (["שלום"], ["📞 [START] שלום"]),
    ],
)
def test_filters(run, store, argv, messages):
    """Every filter of the command line reaches the query."""
    result = run("search", *argv, "--json")
    assert [json.loads(line)["message"] for line in result.lines] == messages
    assert result.code == 0


def test_shown_of_total(run, store):
    """How many of how many are shown, and what was searched, is always said."""
    assert (
        run("search", "--limit", "2").err
        == f"otel-logging: 2 of 5 records shown, 2 services; searched 2 files, 2 lines in {store.root}\n"
    )


def test_table(run, store):
    """Records of several calls carry the beginning of their call id, enough to paste; those of one do not."""
    lines = run("search", "--level", "info").lines
    assert lines[2] == f"2024-01-21 19:30:28.000  INFO     media   {B[:12]}  [server.media] other"
    assert run("search", "broke").lines == [
        "2024-01-21 19:30:29.000  ERROR    media  [server.media] it broke",
        " " * 12 + "Traceback",
        " " * 12 + "ValueError: no",
    ]


def test_context(run, store):
    """`-C` shows a hit's neighbours in its call, marks the hit and separates the groups."""
    store.log("media", *(store.record(f"more {number}", at=20 + number, call=A) for number in range(5)))
    lines = run("search", "--grep", "slow|more 3", "-C", "1").lines
    records = [line for line in lines if " media " in line]
    assert [line[0] for line in records] == [" ", ">", " ", " ", ">", " "]
    assert "--" in lines
    flat = [json.loads(line) for line in run("search", "slow", "-C", "1", "--json").lines]
    assert [(line["message"], line["match"]) for line in flat] == [
        ("📞 [START] שלום", False),
        ("slow", True),
        ("it broke", False),
    ]


def test_json_object(run, store):
    """`--format json` is one object with the records and the totals."""
    answer = json.loads(run("search", "--limit", "1", "--format", "json").out)
    assert (answer["shown"], answer["total"], len(answer["records"]), answer["searched"]["files"]) == (1, 5, 1, 2)


@pytest.mark.parametrize(
    "argv",
    [
        ["--grep", "("],
        ["--level", "loud"],
        ["--attr", "novalue"],
        ["--attr", "=v"],
        ["--since", "soon"],
        ["--call", "CA"],
    ],
)
def test_wrong(run, store, argv):
    """A filter that cannot be understood, or a call that may be several, exits with 2."""
    result = run("search", *argv)
    assert (result.code, result.out) == (2, "")


@pytest.mark.parametrize("argv", [["no such text"], ["--call", "CA9"]])
def test_nothing(run, store, argv):
    """Nothing found exits with 1."""
    assert run("search", *argv).code == 1


@pytest.mark.parametrize(
    "words",
    [["x"], ["--store", "d", "x"], ["x", "--limit", "2"], ["--store", "d", "two words", "--limit", "0"], [""]],
)  # fmt: skip
def test_a_plain_question_is_read_as_argparse_does(words):
    """A text and a limit are read without argparse, and mean what they would with it."""
    plain = search._plain_question(words)
    assert plain is not None
    told = vars(search._parser().parse_args(words))
    assert {name: told[name] for name in vars(plain)} == vars(plain)


@pytest.mark.parametrize(
    "words",
    [["--store"], ["x", "--limit"], ["x", "--limit", "-1"], ["x", "--limit", "²"], ["x", "y"], ["x", "y", "z"], [],
     ["--store", "-d", "x"], ["--store", "d"], ["--limit", "2", "x"], ["x", "--limit", "2", "--json"], ["--", "x"]],
)  # fmt: skip
def test_all_else_is_left_to_argparse(words):
    """What is no plain question is not read by itself."""
    assert search._plain_question(words) is None
