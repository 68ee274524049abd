"""`otel-logging doctor`: exit codes, both outputs, its options, and that no secret is ever shown."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from otlp_sink import Answer, OtlpSink

from otel_logging.doctor import examination
from otel_logging.doctor.finding import Finding

QUICK = ("--health", "http://127.0.0.1:1/", "--metrics", "http://127.0.0.1:1/metrics")


@pytest.fixture
def sink(monkeypatch, tmp_path):
    with OtlpSink() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "calls")
        monkeypatch.setenv("OTEL_LOGGING_STORE", str(tmp_path / "store"))
        # Nobody but the sink is asked: no Collector of the machine's own.
        monkeypatch.setattr(examination, "is_own", lambda host: False)
        yield made


def checks(done):
    """The JSON output's checks, by name; the last one of a name counts."""
    return {one["check"]: one for one in json.loads(done.out)["checks"]}


class TestExitCodes:
    def test_well(self, sink, run):
        """0 where nothing failed, and the record has arrived."""
        done = run("doctor")
        assert done.code == 0, done.out
        assert len(sink.records) == 1
        assert done.err.endswith("0 warning, 0 failed\n")

    def test_failed(self, sink, run):
        """1 where something failed; its line says what to do."""
        sink.always(Answer(401))
        done = run("doctor")
        assert done.code == 1
        (index,) = [number for number, line in enumerate(done.lines) if line.startswith("failed")]
        assert "401" in done.lines[index]
        assert "-> check OTEL_EXPORTER_OTLP_HEADERS" in done.lines[index + 1]

    def test_warnings_do_not_fail(self, sink, run, monkeypatch):
        """0 with warnings: a service must not be kept from starting by them."""
        monkeypatch.setenv("LOG_LEVEL", "DEBUG")
        done = run("doctor")
        assert done.code == 0
        assert "warning  settings" in done.out

    @pytest.mark.parametrize(
        "words",
        [("--wait", "soon"), ("--wait", "-1"), ("--wait", "nan"), ("--patience", "1e9"), ("more",), ("--config",)],
    )
    def test_usage(self, run, words):
        """2 for what cannot be meant."""
        assert run("doctor", *words).code == 2

    def test_without_an_endpoint(self, run):
        """Console only is no failure, and said."""
        done = run("doctor", "--json")
        assert done.code == 0
        assert checks(done)["endpoint"]["verdict"] == "skipped"

    def test_a_provider_of_the_applications_own(self, sink, run, monkeypatch):
        """Where records go through somebody else's provider, nothing is claimed about its endpoint."""
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otel_logging")
        assert checks(run("doctor", "--json"))["endpoint"]["verdict"] == "skipped"
        assert not sink.requests

    def test_switched_off(self, sink, run, monkeypatch):
        """With the kill switch on, nothing is sent."""
        monkeypatch.setenv("OTEL_LOGGING", "off")
        assert checks(run("doctor", "--json"))["endpoint"]["verdict"] == "skipped"
        assert not sink.requests


class TestJson:
    def test_shape(self, sink, run):
        """One object: the worst verdict, and every check with its facts."""
        done = run("doctor", "--json")
        (line,) = done.lines
        found = json.loads(line)
        assert found["verdict"] == "ok"
        assert all({"check", "verdict", "says"} <= set(one) for one in found["checks"])
        assert [one["check"] for one in found["checks"]] == [
            "settings", "hooks", "policies", "store", "spool",
            "endpoint", "dns", "connect", "protocol", "clock", "health", "round trip",
        ]  # fmt: skip
        assert checks(done)["round trip"]["call_sid"] == sink.records[0].attributes["call_sid"]

    def test_failures_are_the_worst(self, sink, run):
        """The verdict on all is that on the worst of them."""
        sink.always(Answer(403))
        done = run("doctor", "--json", *QUICK)
        assert (json.loads(done.out)["verdict"], checks(done)["round trip"]["status"]) == ("failed", 403)


class TestOptions:
    def test_no_record(self, sink, run):
        """`--no-record` asks without sending anything that is paid for."""
        assert run("doctor", "--no-record").code == 0
        assert (len(sink.requests), sink.records) == (1, [])

    def test_config(self, run, tmp_path):
        """`--config` takes several files, which are judged together."""
        old, overlay = tmp_path / "old.yaml", tmp_path / "overlay.yaml"
        old.write_text("exporters: {otlphttp: {}}\n", "utf-8")
        overlay.write_text("exporters: {logging: {}}\n", "utf-8")
        done = run("doctor", "--config", old, overlay)
        assert done.code == 1
        assert f"{old}:1: exporters.otlphttp: " in done.out
        assert f"{overlay}:1: exporters.logging: " in done.out

    def test_output(self, sink, run, tmp_path):
        """`--output` names where the Collector writes; what is found there is proof."""
        path = tmp_path / "out.jsonl"
        sink.always(lambda request: path.write_text(str(request.records[0].attributes)) and Answer())
        proof = checks(run("doctor", "--json", "--output", path))["round trip"]
        assert proof["file"] == str(path)

    def test_the_stores_logs_are_looked_at_anyway(self, sink, run, tmp_path):
        """A Collector that writes into the store needs no option."""
        path = tmp_path / "store" / "logs" / "collector.jsonl"
        path.parent.mkdir(parents=True, mode=0o700)
        path.parent.parent.chmod(0o700)
        sink.always(lambda request: path.write_text(str(request.records[0].attributes)) and Answer())
        assert checks(run("doctor", "--json"))["round trip"]["file"] == str(path)

    def test_store(self, run, tmp_path):
        """`--store` names the store that the application uses."""
        assert checks(run("doctor", "--json", "--store", tmp_path / "mine"))["store"]["folder"] == str(
            tmp_path / "mine"
        )

    def test_wait(self, sink, run, monkeypatch):
        """`--wait` goes on until nothing fails: a Collector that starts later is waited for."""
        monkeypatch.setattr(examination, "_PAUSE", 0.05)
        sink.refuse()
        timer = threading.Timer(0.3, sink.accept)
        timer.start()
        done = run("doctor", "--json", "--wait", "60")
        timer.join()
        assert done.code == 0
        assert checks(done)["round trip"]["verdict"] == "ok"

    def test_wait_ends(self, sink, run, monkeypatch):
        """And ends when its time is up."""
        monkeypatch.setattr(examination, "_PAUSE", 0.05)
        sink.refuse()
        assert run("doctor", "--wait", "0.2").code == 1


class TestSecrets:
    def test_none_is_shown(self, sink, run, monkeypatch, tmp_path):
        """Neither in text nor in JSON, whoever repeats it: tokens of headers, passwords in URLs, keys in files."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr3t-header,s3cr3t-mistake")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url.replace("//", "//me:s3cr3t-url@"))
        monkeypatch.setenv("OTEL_LOGGING_CONTROL_TOKEN", "s3cr3t-control\n2")
        monkeypatch.setenv("OTEL_LOGGING_PSEUDONYM_KEY", "s3cr3t-key")
        path = tmp_path / "config.yaml"
        path.write_text("exporters: {datadog: {api: {key: s3cr3t-datadog}}}\na: [s3cr3t\n", "utf-8")
        good = tmp_path / "good.yaml"
        good.write_text("exporters: {datadog: {api: {key: s3cr3t-datadog}}}\n", "utf-8")
        text = Answer(401, {"Content-Type": "text/plain"}, body=b"s3cr3t-header is unknown")
        sink.always(text)
        for words in ((), ("--json",)):
            done = run("doctor", "--config", path, good, *words)
            assert done.code == 1
            assert "s3cr3t" not in done.out + done.err

    def test_findings_hide_by_themselves(self, monkeypatch):
        """A finding that is made with a secret in it does not keep it."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x=s3cr3t-header")
        one = Finding("x", "failed", "it said s3cr3t-header", "not s3cr3t-header")
        assert "s3cr3t" not in str(one.as_json()) + repr(one)


def test_nobody_pays_for_it_at_the_start_of_an_application():
    """Importing otel_logging and setting a process up imports no part of the doctor."""
    code = "import sys, otel_logging; otel_logging.configure(); print(any('doctor' in name for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
