"""`otel-logging call`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from otel_logging.cli import call

ROOT = Path(__file__).parents[3]

A, TA = "CA" + "a1" * 16, "a1" * 16


def test_table(run, store):
    """The call is printed for people on stdout; what was searched and how much is shown goes to stderr."""
    result = run("call", "CAa1")
    assert result.code == 0
    assert result.lines[0] == f"Call {A}"
    assert result.lines[-1] == "+00:09.000  INFO     worker  [jobs] summary"
    assert (
        result.err
        == f"otel-logging: 4 records shown, 2 services, complete; searched 2 files, 2 lines in {store.root}\n"
    )


@pytest.mark.parametrize("option", [["--json"], ["--format", "jsonl"]])
def test_json_lines(run, store, option):
    """One flat JSON object a record, with relative times, and nothing else on stdout."""
    records = [json.loads(line) for line in run("call", A, *option).lines]
    assert [(record["message"], record["relative"], record["service"]) for record in records] == [
        ("📞 [START] שלום", 0.0, "media"), ("slow", 1.5, "media"), ("it broke", 3.0, "media"), ("summary", 9.0, "worker"),
    ]  # fmt: skip
    assert records[1]["latency_ms"] == 812
    assert records[2]["exception.stacktrace"] == "Traceback\nValueError: no"


def test_json_object(run, store):
    """`--format json` is one object with records, spans, counts and what was searched."""
    view = json.loads(run("call", TA, "--format", "json").out)
    assert (view["call_sid"], len(view["records"]), view["searched"]["files"]) == (A, 4, 2)


def test_nothing_found(run, store):
    """A call that is not there exits with 1, prints nothing on stdout, and says what was searched."""
    result = run("call", "CA" + "9" * 32)
    assert (result.code, result.out) == (1, "")
    assert "searched 2 files, 2 lines" in result.err


def test_ambiguous(run, store):
    """A prefix of several calls exits with 2 and lists them on stderr, harmlessly."""
    store.log("evil", store.record("x", call="CA\x1b[2J"), service="\x1b[31m")
    result = run("call", "CA")
    assert (result.code, result.out) == (2, "")
    assert A in result.err
    assert "\x1b" not in result.err


def test_what_could_not_be_read_is_said(run, store, tmp_path):
    """Broken lines, unfinished lines and links are told, never passed over in silence."""
    store.raw("logs", "worker", '{"broken\n{"unfinished')
    (store.root / "logs" / "link.jsonl").symlink_to(tmp_path)
    err = run("call", A).err
    assert "1 broken line skipped, 1 unfinished line left" in err
    assert "not read: logs/link.jsonl: a symbolic link, not followed" in err


@pytest.mark.parametrize(
    "words",
    [
        ["CA1"],
        ["--store", "x", "CA1"],
        ["--store=x", "CA1"],
        ["CA1", "--json"],
        ["--", "-x"],
        ["--store", "x", "--json", "CA1"],
        ["-h"],
        ["CA1", "CA2"],
        [" "],
    ],
)
def test_a_plain_question_is_read_as_argparse_does(words):
    """What is read without argparse means what argparse makes of it; all else is argparse's."""
    plain = call._plain_question(words)
    if plain is not None:
        assert vars(plain) == vars(call._parsed(words))
    assert (plain is not None) == (words in (["CA1"], ["--store", "x", "CA1"]))


def test_loads_little(tmp_path):
    """A call is looked for without modules that take longer to be imported than it takes to find it."""
    code = (
        "import sys; before = set(sys.modules); from otel_logging.cli import main; main(['--store', sys.argv[1], 'call', 'CA' + 'a1' * 16]); "
        "heavy = {'dataclasses', 'inspect', 'typing', 'pathlib', 'argparse', 'hashlib', 'threading', 'importlib.metadata', 'subprocess'}; "
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    (tmp_path / "logs").mkdir()
    line = {"timestamp": 1, "message": "x", "call_sid": A}
    (tmp_path / "logs" / "a.jsonl").write_text(json.dumps(line) + "\n")
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
