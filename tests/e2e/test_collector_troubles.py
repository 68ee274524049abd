"""What goes wrong with a Collector, what one then reads, and what becomes of the records.

Each trouble stands in `docs/how-to/troubleshoot-the-collector.md`, with the message by which it is known. A test here
makes the trouble, and holds the page to what the real program says.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from backends import NAMES, back_end
from collector_process import Collector
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otlp_sink import Answer
from told import Told

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "troubleshoot-the-collector.md"
SID = "CA" + "0f" * 16
SOON = {"initial_interval": "100ms", "max_interval": "500ms"}


def known(message):
    """The message, which is on the page; `…` stands for what differs from place to place."""
    assert message in PAGE.read_text("utf-8").splitlines(), f"not on the page: {message}"
    return message


def in_text(message, text):
    at = 0
    for piece in message.split("…"):
        at = text.find(piece, at)
        if at < 0:
            return False
    return True


class Case:
    """A Collector, an application that logs ten lines, and what became of them."""

    def __init__(self, folder, end, *more, env=None, without=()):
        env = {name: value for name, value in {**end.env, **(env or {})}.items() if name not in without}
        soon = {"exporters": {end.exporter: {"retry_on_failure": SOON}}}
        self.end, self.folder = end, folder / "app"
        self.collector = Collector(folder / "collector", *end.configs, soon, *more, env=env)
        self.folder.mkdir()
        self.lines = set()

    def start(self):
        self.collector.start()
        self.app = Told(self.folder, self.collector.url, OTEL_SERVICE_NAME="voice-calls")
        return self

    def log(self, prefix, count=10):
        self.app.do(f"log {prefix} {count}")
        self.lines |= {f"{prefix}-{number:04d}" for number in range(count)}

    def until_said(self, message):
        self.collector.until(lambda: in_text(known(message), self.collector.said), message)

    def missing(self):
        return self.lines - {log.message for log in self.end.stored()}

    def until_all(self):
        self.end.sink.wait_for(lambda: not self.missing(), "every line", 60)

    def again(self, **env):
        """The Collector once more, with other variables."""
        self.collector.stop()
        self.collector.env.update(env)
        self.collector.start()


@contextmanager
def trouble(name, folder, *more, **how):
    with back_end(name, folder / "back-end") as end:
        case = Case(folder, end, *more, **how)
        try:
            yield case
        finally:
            if hasattr(case, "app"):
                case.app.close()
            case.collector.close()


class TestRefused:
    def test_datadog_key(self, tmp_path):
        """With a wrong key records are dropped, told in an error and counted; with the right one the next arrive."""
        with trouble("datadog-otlp", tmp_path, env={"DD_API_KEY": "of another site"}) as case:
            right = case.end.env["DD_API_KEY"]
            case.start().log("a")
            case.until_said("not retryable error: … responded with HTTP Status Code 403")
            assert in_text(known("Exporting failed. Dropping data."), case.collector.said)
            case.collector.until(
                lambda: case.collector.metric("otelcol_exporter_send_failed_log_records") >= 10, "count of what is lost"
            )
            assert len(case.missing()) == 10
            case.again(DD_API_KEY=right)
            case.log("b")
            case.end.sink.wait_for(lambda: len(case.missing()) == 10, "the second ten", 60)

    def test_datadog_no_key(self, tmp_path):
        """The Collector says at its start that nobody told it the key, and later what Datadog says to that."""
        with trouble("datadog-otlp", tmp_path, without=["DD_API_KEY"]) as case:
            case.start().log("a")
            case.until_said('Configuration references unset environment variable…"name":"DD_API_KEY"')
            case.until_said("not retryable error: … responded with HTTP Status Code 401")

    def test_datadog_json_key(self, tmp_path):
        """The `datadog` exporter says so once, at its start, and counts as sent what Datadog refused."""
        with trouble("datadog-json", tmp_path, env={"DD_API_KEY": "wrong"}) as case:
            case.start().log("a")
            case.until_said("Error while validating API key")
            case.collector.until(lambda: case.collector.metric("otelcol_exporter_sent_log_records") >= 10, "sent")
            case.end.sink.wait_for(lambda: len(case.end.sink.refused) >= 2, "a refusal", 60)
            assert len(case.missing()) == 10
            assert case.collector.metric("otelcol_exporter_send_failed_log_records") == 0

    def test_datadog_says_500(self, tmp_path):
        """An internal error of Datadog's is not tried again by the Collector."""
        with trouble("datadog-otlp", tmp_path) as case:
            case.end.sink.script(Answer(500))
            case.start().log("a")
            case.until_said("not retryable error: … responded with HTTP Status Code 500")
            case.log("b")
            case.end.sink.wait_for(lambda: len(case.missing()) == 10, "the second ten", 60)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (
                {"AWS_ACCESS_KEY_ID": "AKIAOFANOTHERCOMPANY"},
                "api error UnrecognizedClientException: The security token included in the request is invalid.",
            ),
            (
                {"AWS_REGION": "us-east-1"},
                "api error InvalidSignatureException: Credential should be scoped to a valid region.",
            ),
            (
                {"AWS_REGION": "eu-centrall-1", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": ""},
                "request send failed, … dial tcp: lookup logs.eu-centrall-1.amazonaws.com",
            ),
        ],
        ids=["key", "region", "misspelt region"],
    )
    def test_cloudwatch(self, tmp_path, wrong, message):
        """Refused by CloudWatch, or no such host: nothing is dropped, and all arrives once it is put right."""
        with trouble("cloudwatch", tmp_path, env=wrong) as case:
            right = {name: case.end.env[name] for name in wrong}
            case.start().log("a")
            case.until_said(message)
            assert in_text(known("Exporting failed. Will retry the request after interval."), case.collector.said)
            case.again(**right)
            case.until_all()

    def test_cloudwatch_no_region(self, tmp_path):
        """Without a region the Collector does not start."""
        with trouble("cloudwatch", tmp_path, without=["AWS_REGION"]) as case:
            done = case.collector.validate()
            assert done.returncode == 1
            message = (
                'failed to create "awscloudwatchlogs" exporter for data type "logs": operation error ec2imds: GetRegion'
            )
            assert in_text(known(message), done.stderr)


@contextmanager
def small_disk(folder, size):
    """A file system of its own at `folder`, so small."""
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("name", ["datadog-otlp", "cloudwatch"])
def test_full_disk(tmp_path, name):
    """A full disk under the queue is told to the application, which keeps its records until there is room again."""
    with trouble(name, tmp_path) as case, small_disk(case.collector.storage, "512k"):
        case.end.sink.refuse()
        case.start()
        batches = 0
        while not in_text(known("Exporting failed. Rejecting data."), case.collector.said):
            assert batches < 60, case.collector.describe()
            case.log(f"b{batches}", 200)
            case.app.do("flush 0.5")
            batches += 1
        case.until_said("no space left on device")
        assert known("is overloaded or restarting (503); records are kept in …")
        assert "is overloaded or restarting (503); records are kept in" in case.app.said()
        # What was refused may have found room meanwhile, in pages that the queue had given back.
        while not case.app.balance()["held"]:
            assert batches < 120, case.collector.describe()
            case.log(f"b{batches}", 200)
            case.app.do("flush 0.5")
            batches += 1
        case.end.sink.accept()
        case.until_all()
        assert case.app.balance()["dropped"] == {}
        case.collector.stop()


@pytest.mark.parametrize("name", NAMES)
def test_oversized_record(tmp_path, name):
    """A line of 2.4 MB with a traceback of as much arrives cut, as JSON that still has its call, and harms no other.

    One is ours, which the application cuts already; one comes from a service that does not.
    """
    with trouble(name, tmp_path) as case:
        case.start().log("a")
        case.app.do(f"big {SID} 1200000")
        send_big(case.collector.url, "ש" * 1_200_000)
        case.log("b")
        case.until_all()
        case.end.sink.wait_for(lambda: len(big_ones(case.end)) == 2, "both", 60)
        for big in big_ones(case.end):
            assert not big.cut
            assert big.size < (262_144 if name == "cloudwatch" else 1_000_000)
            assert big.attributes["call_sid"] == SID
            assert big.status == "error"
            assert big.message.endswith(("… [cut]", "characters cut]"))
        assert known("… [cut]")


def big_ones(end):
    return [log for log in end.stored() if log.message.startswith(("א", "ש"))]


def send_big(url, text):
    """As a service without otel-logging may."""
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "another"
    record = resource.scope_logs.add().log_records.add(
        severity_number=17, severity_text="ERROR", time_unix_nano=time.time_ns()
    )
    record.body.string_value = text
    for name, value in {"call_sid": SID, "exception.stacktrace": text}.items():
        record.attributes.add(key=name).value.string_value = value
    headers = {"Content-Type": "application/x-protobuf"}
    requests.post(f"{url}/v1/logs", message.SerializeToString(), headers=headers, timeout=60).raise_for_status()


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (
            {"exporters": {"otlp_http/datadog": {"logs_endpont": "https://example.com"}}},
            "'otlphttpexporter.Config' has invalid keys: logs_endpont",
        ),
        ({"exporters": {"loki": {}}}, '\'exporters\' unknown type: "loki" for id: "loki"'),
        (
            {"service": {"telemetry": {"metrics": {"address": "127.0.0.1:8888"}}}},
            "'migration.MetricsConfigV030' has invalid keys: address",
        ),
        (
            {"service": {"pipelines": {"logs": {"exporters": ["otlp_http/other"]}}}},
            'service::pipelines::logs: references exporter "otlp_http/other" which is not configured',
        ),
    ],
    ids=["field", "type", "old field", "exporter"],
)
def test_unknown_in_a_configuration(tmp_path, overlay, message):
    """The Collector names what it does not know, and does not start."""
    with back_end("datadog-otlp", tmp_path / "back-end") as end:
        collector = Collector(tmp_path / "collector", *end.configs, overlay, env=end.env)
        done = collector.validate()
        assert done.returncode == 1
        assert in_text(known(message), done.stderr), done.stderr
