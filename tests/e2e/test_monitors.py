"""The monitors, against what really arrives: a service's records and metrics by way of the real Collector."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import metric_filters
import pytest
import yaml
from cloudwatch_moto import CREDENTIALS, CloudWatch
from collector_process import Collector
from collector_program import collector_program

MONITORS = Path(__file__).parents[2] / "collector" / "monitors"
BIN = Path(sys.executable).parent
PATIENCE = 120
SERVICE = """
import logging, otel_logging
log = logging.getLogger("server.media")
for number in (0, 1):
    with otel_logging.call(f"CA{number:032x}"):
        log.info("call answered")
        for frame in range(3):
            log.info(f"[AUDIO_DELTA] response_id=resp_{frame}, bytes=320")
        if number:
            log.error("the model is gone")
log.info("a line of no call")
"""


class _Loader(yaml.SafeLoader):
    """CloudFormation's short forms as plain values."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix}")


def filters():
    template = yaml.load((MONITORS / "cloudwatch.yaml").read_text(encoding="utf-8"), _Loader)
    return {
        one["Properties"]["FilterName"]: (
            one["Properties"]["FilterPattern"],
            one["Properties"]["MetricTransformations"],
        )
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Logs::MetricFilter"
    }


def run_service(folder, url):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_"))}
    env |= {"HOME": str(folder), "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "voice", "LOG_CONSOLE": "off"}
    done = subprocess.run(
        [BIN / "otel-logging", "run", "--", sys.executable, "-c", SERVICE],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


COUNTED = {
    "otel-logging-call-lines": 8,  # two answered, one error, three given back, two summaries
    "otel-logging-given-back-lines": 3,
    "otel-logging-calls-ended": 2,
    "otel-logging-calls-gone-wrong": 1,
    "otel-logging-error-lines": 1,
}


def test_cloudwatch_filters_count_the_stored_lines(tmp_path):
    """One call that goes well and one that fails: each metric filter counts, of what the Collector stored, what it should."""
    with CloudWatch(tmp_path) as cloudwatch:
        env = {**CREDENTIALS, "AWS_REGION": cloudwatch.region, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": cloudwatch.url}
        with Collector(tmp_path / "collector", "config.yaml", "policies.yaml", "cloudwatch.yaml", env=env) as collector:
            run_service(tmp_path, collector.url)
            # The eight, the line of no call, and the line at the start.
            collector.until(lambda: len(cloudwatch.put()) >= 10, "ten events")
            collector.stop()
        messages = [event["message"] for event in _raw(cloudwatch)]
    counted = {
        name: sum(metric_filters.matches(filters()[name][0], message) for message in messages) for name in COUNTED
    }
    assert counted == COUNTED, "\n".join(messages)


def _raw(cloudwatch):
    logs = cloudwatch.client()
    (group,) = cloudwatch.groups()
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
        yield from page["events"]


class Intake:
    """Datadog's intake for metrics and logs, as far as told: logs are refused for good, metrics kept."""

    def __enter__(self):
        bodies = self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/api/v2/series":
                    bodies.append(zlib.decompress(body) if self.headers["Content-Encoding"] == "deflate" else body)
                self.send_response(400 if self.path == "/v1/logs" else 202)
                self.end_headers()

            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"valid": true}')

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def has(self, *words):
        """Whether one series of one request has all these words: its name and its tags stand together."""
        for body in list(self.bodies):
            for series in body.split(b"\x12\x02"):
                if all(word.encode() in series for word in words):
                    return True
        return False


@contextlib.contextmanager
def metrics_of_an_application(url):
    """The books of a process that lost records, as the application's MeterProvider exports them."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    from otel_logging.bridge import metrics

    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{url}/v1/metrics"), 500)
    provider = MeterProvider([reader], resource=Resource.create({"service.name": "voice"}))
    books = {"exported": 5, "held": 0, "recovered": 0, "dropped": {"queue_full": 2, "policy:voice-frames": 9}}
    metrics.install(lambda: books, provider)
    try:
        yield
    finally:
        metrics.uninstall()
        provider.shutdown()


def test_datadog_has_the_metrics_that_are_watched(tmp_path):
    """With datadog-metrics.yaml, each metric and tag of a monitor arrives: the Collector's own, and the application's."""
    with Intake() as intake:
        env = {"DD_API_KEY": "0" * 32, "DD_API_ENDPOINT": intake.url, "DD_OTLP_LOGS_ENDPOINT": f"{intake.url}/v1/logs"}
        collector = Collector(tmp_path, "config.yaml", "datadog.yaml", "datadog-metrics.yaml", env=env)
        readers = yaml.safe_load((MONITORS.parent / "datadog-metrics.yaml").read_text(encoding="utf-8"))
        readers = readers["service"]["telemetry"]["metrics"]["readers"]
        # The harness sets the readers last, to have a port of its own. As deployed, but oftener.
        readers[0]["pull"]["exporter"]["prometheus"]["port"] = collector._metrics_port
        readers[1]["periodic"] |= {"interval": 500}
        readers[1]["periodic"]["exporter"]["otlp"]["endpoint"] = collector.url
        own = tmp_path / "readers.yaml"
        own.write_text(yaml.safe_dump({"service": {"telemetry": {"metrics": {"readers": readers}}}}), encoding="utf-8")
        collector.configs.append(own)
        with collector:
            run_service(tmp_path, collector.url)
            with metrics_of_an_application(collector.url):
                for name in watched():
                    if "enqueue_failed" in name:
                        continue  # only once a queue is full
                    tags = (
                        ("service:voice", "reason:queue_full", "outcome:dropped")
                        if name.startswith("otel_logging")
                        else ()
                    )
                    tags = ("exporter:otlp_http/datadog",) if "exporter" in name else tags
                    collector.until(lambda name=name, tags=tags: intake.has(name, *tags), f"{name} {tags}")


def watched():
    """The metrics that the Datadog monitors ask for."""
    found = set()
    for path in MONITORS.glob("datadog/*.json"):
        monitor = json.loads(path.read_text(encoding="utf-8"))
        if monitor["type"] == "query alert":
            found |= set(re.findall(r"(?:sum|avg|min|max):([\w.]+)\{", monitor["query"]))
    return found


def test_the_collector_has_every_metric_that_is_watched():
    """Also those that show only when something goes wrong are names that the program knows."""
    program = Path(collector_program()).read_bytes()
    names = {name for name in watched() if name.startswith("otelcol_")}
    assert len(names) == 4
    assert [name for name in names if name.encode() not in program] == []


def test_cloudwatch_counts_what_the_collector_drops(tmp_path):
    """The filter over the Collector's own log takes the number of records that it gave up from the line that says so."""
    with Intake() as intake:
        env = {"DD_API_KEY": "0" * 32, "DD_OTLP_LOGS_ENDPOINT": f"{intake.url}/v1/logs"}
        with Collector(tmp_path, "config.yaml", "policies.yaml", "datadog.yaml", env=env) as collector:
            run_service(tmp_path, collector.url)
            collector.until(lambda: collector.metric("otelcol_exporter_send_failed_log_records") >= 10, "drops")
            lost = collector.metric("otelcol_exporter_send_failed_log_records")
            collector.stop()
            lines = [line for line in collector.said.splitlines() if line.startswith("{")]
    pattern, (transformation,) = filters()["otel-logging-collector-dropped"]
    counted = [line for line in lines if metric_filters.matches(pattern, line)]
    assert sum(metric_filters.value_of(transformation["MetricValue"], line) for line in counted) == lost


@pytest.mark.parametrize("name", ["otel-logging-call-lines", "otel-logging-collector-dropped"])
def test_the_evaluator_refuses_what_cloudwatch_would(name):
    """A name with a dot in brackets is no pattern: the tests' evaluator is no more generous than CloudWatch."""
    assert metric_filters.matches(filters()[name][0], "{}") is False
    with pytest.raises(ValueError, match="logger"):
        metric_filters.matches("{ $.attributes['logger.name'] = \"x\" }", "{}")
