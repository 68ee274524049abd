"""The command itself: verbs, exit codes, what it imports, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata

import pytest

from otel_logging.cli import VERBS

A = "CA" + "a1" * 16


def process(*argv, module="otel_logging.cli", env=None, **options):
    return subprocess.run([sys.executable, "-m", module, *argv], capture_output=True, text=True, encoding="utf-8", env={**os.environ, **(env or {})}, check=False, timeout=60, **options)  # fmt: skip


class TestVerbs:
    def test_help_lists_every_verb(self, run):
        """`--help` names every verb, and nothing that does not exist."""
        result = run("--help")
        assert result.code == 0
        listed = {line.split()[0] for line in result.lines if line.startswith("  ")}
        assert listed == set(VERBS) >= {"run", "call", "search", "calls", "recall", "stats", "demo"}

    @pytest.mark.parametrize("verb", ["call", "search", "calls", "stats", "run"])
    def test_each_verb_has_help(self, run, verb):
        """Every verb explains itself and exits with 0."""
        result = run(verb, "--help")
        assert result.code == 0
        assert f"usage: otel-logging {verb}" in result.out

    @pytest.mark.parametrize(
        "argv",
        [
            [],
            ["nonsense"],
            ["../cli/call"],
            ["--nonsense"],
            ["--store"],
            ["call"],
            ["call", "x", "--nonsense"],
            ["call", ""],
            ["search", "--limit", "-1"],
            ["calls", "--since", "soon"],
        ],
    )
    def test_wrong_usage(self, run, store, argv):
        """Wrong usage exits with 2, says why on stderr and prints nothing on stdout."""
        result = run(*argv)
        assert (result.code, result.out) == (2, "")
        assert result.err

    def test_version(self, run):
        """`--version` is the installed version."""
        assert run("--version").lines == [f"otel-logging {metadata.version('otel-logging')}"]


class TestStore:
    def test_option_wins_over_the_environment(self, run, store, tmp_path):
        """`--store`, before or after the verb, wins over OTEL_LOGGING_STORE."""
        assert run("calls").code == 0
        for argv in (["calls", "--store", tmp_path], ["--store", tmp_path, "calls"], [f"--store={tmp_path}", "calls"]):
            assert run(*argv).code == 1

    def test_no_such_store(self, run, tmp_path):
        """A store that does not exist is named, as the likeliest reason that nothing was found."""
        result = run("call", A, "--store", tmp_path / "none")
        assert result.code == 1
        assert str(tmp_path / "none") in result.err
        assert "does not exist" in result.err

    def test_bad_store_setting(self, run, monkeypatch):
        """A store setting that is no path is told, as everywhere."""
        monkeypatch.setattr(os, "environ", {**os.environ, "OTEL_LOGGING_STORE": "a\0b"})
        assert "OTEL_LOGGING_STORE='a\\x00b' is not valid" in run("stats").err


class TestProcess:
    @pytest.mark.parametrize("module", ["otel_logging", "otel_logging.cli"])
    def test_as_a_module(self, store, module):
        """`python -m otel_logging` is the command too."""
        result = process("call", A, "--json", module=module)
        assert (result.returncode, len(result.stdout.splitlines())) == (0, 4)

    def test_starts_light(self, store):
        """Finding a call imports nothing of OpenTelemetry, no rich, and no other verb."""
        code = (
            "import sys; from otel_logging.cli import main; main(['call', 'CAa1']); "
            "heavy = [name for name in sys.modules if name.partition('.')[0] in {'opentelemetry', 'rich', 'yaml', 're2', 'wrapt', 'google'}]; "
            "verbs = [name for name in sys.modules if name.startswith('otel_logging.cli.')]; print(heavy, sorted(verbs))"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True, timeout=60
        )
        assert result.stdout.splitlines()[-1] == (
            "[] ['otel_logging.cli.asking', 'otel_logging.cli.call', 'otel_logging.cli.common', 'otel_logging.cli.progress']"
        )

    @pytest.mark.parametrize("verb", ["search", "call"])
    def test_reader_that_stops(self, store, verb):
        """A reader that has seen enough (`| head -1`) ends the command in silence."""
        store.log("many", *(store.record(f"line {number} " + "x" * 200, at=number, call=A) for number in range(3000)))
        command = [sys.executable, "-m", "otel_logging", verb, *([A] if verb == "call" else ["--limit", "0"])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            child.stdout.readline()
            child.stdout.close()
            assert b"Traceback" not in (err := child.stderr.read())
            assert b"Broken" not in err
            assert child.wait(60) == 0

    def test_terminal_without_utf8(self, store):
        """Where stdout cannot carry Hebrew, it is escaped instead of ending the command; JSON stays JSON."""
        env = {"PYTHONIOENCODING": "ascii"}
        result = process("call", A, env=env)
        assert result.returncode == 0
        assert "\\u05e9" in result.stdout
        assert process("call", A, "--json", env=env).stdout.isascii()

    @pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
    def test_no_colour_in_a_pipe(self, store, env):
        """Nothing is painted unless a terminal reads it."""
        assert "\x1b" not in process("call", A, env=env).stdout
