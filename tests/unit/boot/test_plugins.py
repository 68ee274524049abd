"""The promises of otel_logging.boot.plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource

from otel_logging import trouble
from otel_logging.boot.plugins import LocalLogExporter, OtelLoggingExporter
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.translate import VERDICT
from otel_logging.bridge.translate import TRIGGER

DROP = "policies:\n- id: noise\n  name: noise\n  log:\n    match:\n    - log_field: body\n      regex: noise\n    keep: none\n"


def record(body, verdict=False, **attributes):
    log_record = LogRecord(body=body, severity_number=SeverityNumber.INFO, severity_text="INFO", attributes=attributes)
    if verdict:
        setattr(log_record, VERDICT, True)
    return ReadableLogRecord(log_record, Resource({"service.name": "calls"}))


def bodies(folder):
    return [
        found["body"]["stringValue"]
        for path in sorted(folder.rglob("logs/*.jsonl"))
        for line in path.read_bytes().splitlines()
        for resource in json.loads(line)["resourceLogs"]
        for scope in resource["scopeLogs"]
        for found in scope["logRecords"]
    ]


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(DROP)
    return str(path)


class Target(LogRecordExporter):
    def __init__(self, result=LogRecordExportResult.SUCCESS):
        self.bodies = []
        self.result = result

    def export(self, batch):
        if isinstance(self.result, Exception):
            raise self.result
        self.bodies += [one.log_record.body for one in batch]
        return self.result

    def shutdown(self):
        raise RuntimeError("no")

    def force_flush(self, timeout_millis=0):
        return True


class TestLocal:
    def test_without_arguments(self, monkeypatch, tmp_path):
        """Without arguments it writes where the settings say."""
        monkeypatch.setenv("OTEL_LOGGING_STORE", str(tmp_path / "s"))
        monkeypatch.setenv("OTEL_SERVICE_NAME", "calls")
        exporter = LocalLogExporter()
        assert exporter.export([record("x")]) is LogRecordExportResult.SUCCESS
        exporter.shutdown()
        assert bodies(tmp_path) == ["x"]
        assert next(tmp_path.rglob("*.jsonl")).name.startswith("calls-")
        assert exporter.force_flush()

    def test_with_a_mapping(self, tmp_path, capsys):
        """Options are taken from the configuration; one it does not know is named and ignored."""
        exporter = LocalLogExporter(store=str(tmp_path / "s"), service="api", colour="red")
        exporter.export([record("x")])
        exporter.shutdown()
        assert next(tmp_path.rglob("*.jsonl")).name.startswith("api-")
        assert "unknown option colour; valid: store, service" in capsys.readouterr().err

    def test_kill_switch(self, monkeypatch, tmp_path):
        """OTEL_LOGGING=off writes nothing."""
        monkeypatch.setenv("OTEL_LOGGING", "off")
        exporter = LocalLogExporter(store=str(tmp_path))
        assert exporter.export([record("x")]) is LogRecordExportResult.SUCCESS
        exporter.shutdown()
        assert bodies(tmp_path) == []

    def test_no_home(self, monkeypatch, tmp_path, capsys):
        """Without a home folder it says which folder it uses."""
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        exporter = LocalLogExporter()
        exporter.export([record("x")])
        exporter.shutdown()
        assert bodies(tmp_path) == ["x"]
        assert "OTEL_LOGGING_STORE is not set" in capsys.readouterr().err


class TestFiltering:
    def test_policies_apply_once(self, policy, tmp_path):
        """A record without a verdict gets one; judged and triggered ones pass; the books balance."""
        exporter = OtelLoggingExporter(to="local", policies=policy, store=str(tmp_path / "s"))
        result = exporter.export(
            [
                record("noise 1"),
                record("signal"),
                record("noise 2", verdict=True),
                record("noise 3", **{TRIGGER: "error"}),
            ]
        )
        exporter.shutdown()
        assert result is LogRecordExportResult.SUCCESS
        assert bodies(tmp_path) == ["signal", "noise 2", "noise 3"]
        books = ledger.snapshot()
        assert books["dropped"] == {"policy:noise": 1}
        assert (books["created"], books["exported"]) == (2, 1)

    def test_all_dropped(self, policy):
        """A batch of which nothing is kept is a success and not sent."""
        exporter = OtelLoggingExporter(to="otlp", policies=policy, endpoint="http://127.0.0.1:1/")
        assert exporter.export([record("noise")]) is LogRecordExportResult.SUCCESS

    def test_bundled_policies_by_default(self, tmp_path):
        """Without options the bundled voice policies apply."""
        exporter = OtelLoggingExporter(to="local", store=str(tmp_path / "s"))
        exporter.export([record("[AUDIO_DELTA] response_id=resp_12345, bytes=320"), record("Call started")])
        exporter.shutdown()
        assert bodies(tmp_path) == ["Call started"]

    def test_kill_switch(self, monkeypatch, policy):
        """OTEL_LOGGING=off forwards without filtering: the application's export goes on as if we were not there."""
        monkeypatch.setenv("OTEL_LOGGING", "off")
        exporter = OtelLoggingExporter(policies=policy)
        exporter._target = target = Target()
        exporter.export([record("noise")])
        assert target.bodies == ["noise"]

    def test_where_to(self, monkeypatch, capsys):
        """`to` decides, else OTEL_LOGS_EXPORTER, else OTLP; a wrong `to` is said."""
        assert type(OtelLoggingExporter()._target).__name__ == "GuardedLogExporter"
        assert type(OtelLoggingExporter(to="disk")._target).__name__ == "GuardedLogExporter"
        assert "to='disk' is not valid; valid: otlp, local" in capsys.readouterr().err
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "local")
        assert type(OtelLoggingExporter()._target).__name__ == "LocalLogExporter"
        assert type(OtelLoggingExporter(to="otlp", nonsense=1)._target).__name__ == "GuardedLogExporter"

    @pytest.mark.parametrize(
        ("result", "reason"),
        [
            (LogRecordExportResult.FAILURE, "export_failed"),
            (ConnectionError("x"), "export_failed"),
            (ValueError("x"), "poison"),
        ],
    )
    def test_losses_are_counted(self, policy, result, reason):
        """What does not arrive is counted with its reason, and never raises."""
        exporter = OtelLoggingExporter(policies=policy)
        exporter._target = Target(result)
        assert exporter.export([record("a"), record("b"), record("c", verdict=True)]) is LogRecordExportResult.FAILURE
        books = ledger.snapshot()
        assert (books["created"], books["exported"], books["dropped"]) == (2, 0, {reason: 2})
        assert books["incidents"][f"plugin:{reason}"] == 3
        exporter.shutdown()
        assert trouble.counts()["exporter_shutdown"] == 1

    def test_no_target(self, monkeypatch, capsys):
        """An OTLP exporter that cannot be set up costs the records, counted, and nothing else."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
        exporter = OtelLoggingExporter(to="otlp", protocol="grpc")
        assert exporter.export([record("a")]) is LogRecordExportResult.FAILURE
        assert ledger.snapshot()["dropped"] == {"no_destination": 1}
        assert "cannot be set up" in capsys.readouterr().err
        exporter.shutdown()

    def test_never_raises(self):
        """Not even for what is no record at all."""
        assert OtelLoggingExporter().export([object()]) is LogRecordExportResult.FAILURE


CONFIG = """
file_format: "1.1"
logger_provider:
  processors:
    - batch:
        schedule_delay: 10
        exporter:
          {exporter}
"""
PROGRAM = textwrap.dedent("""
    from opentelemetry.configuration import configure_sdk, load_config_file
    import os
    configure_sdk(load_config_file(os.environ["OTEL_CONFIG_FILE"]))
    from opentelemetry._logs import SeverityNumber, get_logger_provider
    log = get_logger_provider().get_logger("x")
    for body in ("Call started", "[AUDIO_DELTA] response_id=resp_1, bytes=320", "noise here"):
        log.emit(body=body, severity_number=SeverityNumber.INFO, severity_text="INFO")
    get_logger_provider().shutdown()
""")


class TestConfigFile:
    @pytest.mark.parametrize(
        ("exporter", "arrives"),
        [
            (
                "local: {{store: {store}, service: calls}}",
                ["Call started", "[AUDIO_DELTA] response_id=resp_1, bytes=320", "noise here"],
            ),
            ("local:", ["Call started", "[AUDIO_DELTA] response_id=resp_1, bytes=320", "noise here"]),
            ("otel_logging: {{to: local, store: {store}}}", ["Call started", "noise here"]),
            ("otel_logging: {{to: local, store: {store}, policies: [voice, {policy}]}}", ["Call started"]),
        ],
    )
    def test_named_in_a_configuration(self, tmp_path, policy, exporter, arrives):
        """The SDK's own configuration loads both plug-ins by name, with options and without, under its batch processor."""
        config = tmp_path / "otel.yaml"
        config.write_text(CONFIG.format(exporter=exporter.format(store=tmp_path / "s", policy=policy)))
        env = {**os.environ, "OTEL_CONFIG_FILE": str(config), "OTEL_LOGGING_STORE": str(tmp_path / "s")}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert bodies(tmp_path) == arrives, done.stderr
