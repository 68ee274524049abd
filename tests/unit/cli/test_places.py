"""`--from`, `--explain` and `--follow`, in the verbs that have them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("datadog_api", Path(__file__).parents[1] / "search" / "datadog_api.py")
api = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(api)

A, B, TA = "CA" + "a1" * 16, "CA" + "b2" * 16, "a1" * 16
# Where tests run in the background, an interrupt is ignored, and so it would be in the command.
COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from otel_logging.cli import main; raise SystemExit(main(sys.argv[1:]))"
)
RANGE = ("--since", "2024-01-21T19:00:00Z", "--until", "2024-01-21T20:00:00Z")


@pytest.fixture
def datadog(monkeypatch, tmp_path):
    """A Datadog on loopback, and a file of profiles that names it `dd`, and one that nobody listens for, `gone`."""
    made = api.Server()
    monkeypatch.setenv("DD_API_KEY", "k")
    monkeypatch.setenv("DD_APP_KEY", "a")
    file = tmp_path / "profiles.yaml"
    file.write_text(
        f"profiles:\n  dd: {{backend: datadog, endpoint: '{made.url}'}}\n"
        "  gone: {backend: clickhouse, host: 127.0.0.1, port: 1}\n"
        "groups:\n  both: [local, dd]\n"
    )
    monkeypatch.setenv("OTEL_LOGGING_PROFILES", str(file))
    made.add("from afar", 5, call_sid=A, otel__trace_id=TA, service="carrier")
    made.add("broken afar", 6, call_sid=A, status="error", service="carrier")
    made.add("another", 7, call_sid=B, service="carrier")
    yield made
    made.close()


class TestFrom:
    def test_call(self, run, store, datadog):
        """A call out of a back end looks as one out of the store."""
        result = run("call", A, "--from", "dd", *RANGE)
        assert [line.rsplit("] ", 1)[-1].split("  ")[-1] for line in result.lines if line.startswith("+")] == [
            "from afar", "broken afar"
        ]  # fmt: skip
        assert result.code == 0
        assert "2 records shown, 1 service" in result.err
        assert "searched dd: datadoghq.com, 2024-01-21 19:00:00.000 to 2024-01-21 20:00:00.000, 1 page" in result.err

    @pytest.mark.parametrize("places", [["both"], ["local", "dd"]])
    def test_merged_by_time(self, run, store, datadog, places):
        """Several places, by name or by group, are one answer."""
        argv = [part for place in places for part in ("--from", place)]
        result = run("call", A, "--json", *argv, *RANGE)
        messages = [json.loads(line)["message"] for line in result.lines]
        assert messages == ["📞 [START] שלום", "slow", "it broke", "from afar", "broken afar", "summary"]
        assert "2 files, 2 lines in" in result.err
        assert "; dd: " in result.err

    def test_search(self, run, store, datadog):
        """The same filter words in every place."""
        result = run("search", "BROKE", "--level", "error", "--from", "both", "--json", *RANGE)
        assert [json.loads(line)["message"] for line in result.lines] == ["it broke", "broken afar"]
        assert "2 of 2 records shown, 2 services" in result.err

    def test_calls(self, run, store, datadog):
        """The calls of a back end, counted over a range that is said."""
        result = run("calls", "--errors", "--from", "dd", "--json", *RANGE)
        (call,) = [json.loads(line) for line in result.lines]
        assert (call["call_sid"], call["records"], call["errors"]) == (A, 2, 1)
        assert "1 of 1 call shown; searched dd" in result.err

    def test_await(self, run, store, datadog):
        """A back end can be waited for as well."""
        assert run("await", "afar", "--from", "dd", "--count", "2", *RANGE).code == 0

    def test_context(self, run, store, datadog):
        """Neighbours of a hit come from the back end too."""
        lines = run("search", "broken", "--from", "dd", "-C", "1", "--json", *RANGE).lines
        assert [(json.loads(line)["message"], json.loads(line)["match"]) for line in lines] == [
            ("from afar", False), ("broken afar", True)
        ]  # fmt: skip

    def test_no_range_is_the_last_hour(self, run, store, datadog):
        """A back end is never read from its beginning: without a range it is a recent one, and it is said."""
        result = run("search", "--from", "dd")
        assert result.code == 1
        spans = [int(body["filter"]["to"]) - int(body["filter"]["from"]) for body in datadog.asked]
        assert all(3600_000 <= span <= 3610_000 for span in spans)
        assert "to now" in result.err

    def test_lower_bounds(self, run, store, datadog):
        """Where a back end has more than was read, the total says `at least`."""
        result = run("search", "--from", "dd", "--limit", "2", *RANGE)
        assert "2 of at least 2 records shown" in result.err

    def test_one_that_fails(self, run, store, datadog):
        """What others have is shown; the failure is told and makes the exit code 1."""
        result = run("search", "broke", "--from", "local", "--from", "gone", "--json", *RANGE)
        assert (result.code, len(result.lines)) == (1, 1)
        assert "no whole answer from gone: ClickHouse did not answer" in result.err
        assert run("call", A, "--from", "local", "--from", "gone", *RANGE).code == 1
        assert run("call", A, "--from", "gone", *RANGE).code == 1
        assert run("calls", "--from", "gone", *RANGE).code == 1

    @pytest.mark.parametrize("verb", [["search"], ["call", A], ["calls"], ["await"]])
    def test_unknown(self, run, store, datadog, verb):
        """A place that nobody knows is wrong usage, with the names that would be valid."""
        result = run(*verb, "--from", "splunk")
        assert result.code == 2
        assert "valid: local, cloudwatch, datadog, clickhouse, dd, gone, both" in result.err

    def test_json_says_what_was_asked(self, run, store, datadog):
        """Programs are told too."""
        answer = json.loads(run("search", "--from", "dd", "--format", "json", *RANGE).out)
        assert (answer["shown"], answer["total"], answer["searched"]["more"]) == (3, 3, False)
        assert answer["searched"]["asked"][0].startswith("dd: ")


class TestExplain:
    def test_native_query(self, run, store, datadog):
        """Each place's own query, on stderr, before it is asked."""
        result = run("search", "timeout", "--from", "both", "--explain", "--json", *RANGE)
        assert "dd: POST /api/v2/logs/events/search datadoghq.com" in result.err
        assert "*:*meout*" in result.err
        assert "local: every whole line of" in result.err
        assert result.out == ""

    @pytest.mark.parametrize("verb", [["call", A], ["calls"], ["search", "--call", A]])
    def test_every_verb(self, run, store, datadog, verb):
        """Every verb that asks can say what."""
        assert "POST /api/v2" in run(*verb, "--from", "dd", "--explain", *RANGE).err


class TestFormats:
    def test_html_needs_a_call(self, run, store):
        """The page shows one call."""
        assert run("search", "--format", "html").code == 2

    def test_html_needs_the_extra(self, run, store, monkeypatch):
        """Without the web parts it is said which extra brings them."""
        monkeypatch.setitem(sys.modules, "otel_logging.web.page", None)
        result = run("call", A, "--format", "html")
        assert (result.code, result.out) == (2, "")
        assert "otel-logging[web]" in result.err

    @pytest.mark.parametrize("argv", [["--format", "json"], ["-C", "1"], ["--format", "html", "--call", A]])
    def test_follow_prints_lines(self, run, store, argv):
        """What never ends cannot be one object."""
        assert run("search", "--follow", *argv).code == 2


class TestFollow:
    @pytest.fixture
    def following(self, store):
        """Start the command; gives the process and a function that reads its next line of stdout."""
        started = []

        def start(*argv):
            process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *argv],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            )  # fmt: skip
            started.append(process)
            ready = process.stderr.readline()
            assert "shown" in ready, ready
            return process

        yield start
        for process in started:
            process.kill()
            process.communicate(timeout=60)

    @staticmethod
    def next_line(process):
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        return line

    @pytest.mark.parametrize("argv", [["search", "--call", A], ["search", "--service", "media"]])
    def test_search(self, store, following, argv):
        """New matches are printed as they come, until the reader has enough."""
        process = following(*argv, "--limit", "1", "--json", "--follow")
        self.next_line(process)
        store.log("media", store.record("not mine", at=30, call=B), service="other")
        store.log("media", store.record("just now", at=31, call=A))
        assert json.loads(self.next_line(process))["message"] == "just now"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130

    def test_call(self, store, following):
        """A live call is followed with its relative times."""
        import time

        now = (time.time_ns() - 1_705_865_426 * 10**9) / 1e9
        store.log("live", store.record("one", at=now, call="CAlive"))
        process = following("call", "CAlive", "--json", "--follow")
        assert json.loads(self.next_line(process))["message"] == "one"
        store.log("live", store.record("two", at=now + 1.5, call="CAlive"))
        line = json.loads(self.next_line(process))
        assert (line["message"], line["relative"]) == ("two", 1.5)

    def test_a_call_that_is_over(self, run, store):
        """A complete call is shown, and nothing is waited for."""
        result = run("call", A, "--follow")
        assert result.code == 0
        assert "the call is complete" in result.err


class TestPage:
    @pytest.mark.parametrize("argv", [["call", A], ["search", "--call", A, "--level", "warning"]])
    def test_one_file(self, run, store, argv):
        """`--format html` writes one whole page to stdout and says on stderr what was searched."""
        result = run(*argv, "--format", "html")
        assert result.code == 0
        assert result.out.lower().startswith("<!doctype html>")
        assert "it broke" in result.out
        assert ("[START]" in result.out) is (argv[0] == "call")
        assert "shown" in result.err
        assert "searched 2 files" in result.err
