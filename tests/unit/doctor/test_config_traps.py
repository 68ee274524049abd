"""What a Collector loads and does wrong by: each trap is found at its place, with a cure, and no secret is shown."""

from __future__ import annotations

import pytest
import yaml

from otel_logging.doctor import config_tree
from otel_logging.doctor.config_traps import trap_findings
from otel_logging.doctor.examination import config_findings
from otel_logging.doctor.finding import FAILED, OK, WARNING

GOOD = """
receivers:
  otlp:
    protocols:
      http: {endpoint: "${env:OTLP_HOST:-127.0.0.1}:4318"}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 80}
  redaction: {allow_all_keys: true}
exporters:
  otlp_http/datadog:
    endpoint: https://otlp.${env:DD_SITE}
    headers: {dd-api-key: "${env:DD_API_KEY}"}
    sending_queue: {storage: file_storage, batch: {sizer: bytes}}
    retry_on_failure: {max_elapsed_time: 0}
  file: {path: /x}
extensions:
  file_storage: {directory: /q}
  health_check: {endpoint: 0.0.0.0:13133}
service:
  extensions: [file_storage, health_check]
  pipelines:
    logs:
      receivers: [otlp]
      processors: [memory_limiter, redaction]
      exporters: [otlp_http/datadog, file]
"""


@pytest.fixture
def found(tmp_path):
    """What is found in the good configuration with an overlay: `found({"exporters": …})`."""

    def look(*overlays, base=GOOD):
        trees = []
        for number, text in enumerate([base, *map(yaml.safe_dump, overlays)]):
            path = tmp_path / f"{number}.yaml"
            path.write_text(text, "utf-8")
            trees.append(config_tree.read(path))
        return list(trap_findings(config_tree.merged(trees)))

    return look


def exporter(**settings):
    return {"exporters": {"otlp_http/datadog": settings}}


def test_a_good_configuration_has_none(found):
    """Nothing is told of a configuration that is as it should be."""
    assert not found()


@pytest.mark.parametrize(
    ("overlay", "place", "verdict", "says", "cure"),
    [
        (
            {"receivers": {"otlp": {"protocols": {"http": {"endpoint": "0.0.0.0:4318"}}}}},
            "receivers.otlp.protocols.http.endpoint",
            WARNING,
            "takes records from anybody",
            "bearertokenauth",
        ),
        (
            {"receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "${env:HOST:-0.0.0.0}:4317"}}}}},
            "receivers.otlp.protocols.grpc.endpoint",
            WARNING,
            "takes records from anybody",
            "127.0.0.1",
        ),
        (
            {"receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "[::]:4317"}}}}},
            "receivers.otlp.protocols.grpc.endpoint",
            WARNING,
            "every interface",
            "127.0.0.1",
        ),
        (
            exporter(headers={"dd-api-key": "0123456789abcdef"}),
            "exporters.otlp_http/datadog.headers.dd-api-key",
            FAILED,
            "a secret stands in the file",
            "${env:DD_API_KEY}",
        ),
        (
            exporter(headers={"Authorization": "Bearer abcdefgh"}),
            "exporters.otlp_http/datadog.headers.Authorization",
            FAILED,
            "a secret stands in the file",
            "${env:AUTHORIZATION}",
        ),
        (
            exporter(sending_queue={"storage": None}),
            "exporters.otlp_http/datadog.sending_queue",
            WARNING,
            "memory only",
            "file_storage",
        ),
        (
            exporter(sending_queue={"enabled": False}),
            "exporters.otlp_http/datadog.sending_queue.enabled",
            WARNING,
            "without a queue",
            "file_storage",
        ),
        (
            exporter(sending_queue={"storage": "file_storage/other"}),
            "exporters.otlp_http/datadog.sending_queue.storage",
            FAILED,
            "there is no extension file_storage/other",
            "extensions",
        ),
        (
            exporter(retry_on_failure={"max_elapsed_time": "10m"}),
            "exporters.otlp_http/datadog.retry_on_failure.max_elapsed_time",
            WARNING,
            "drops records",
            "max_elapsed_time: 0",
        ),
        (
            exporter(retry_on_failure={"enabled": False}),
            "exporters.otlp_http/datadog.retry_on_failure.enabled",
            WARNING,
            "drops records",
            "max_elapsed_time: 0",
        ),
        (
            {"service": {"pipelines": {"logs": {"processors": ["redaction", "memory_limiter"]}}}},
            "service.pipelines.logs.processors",
            WARNING,
            "not first",
            "first",
        ),
        (
            {"processors": {"memory_limiter": {"check_interval": "0s"}}},
            "processors.memory_limiter",
            FAILED,
            "check_interval",
            "check_interval: 1s",
        ),
        (
            {"service": {"pipelines": {"logs": {"exporters": ["otlp_http/datadog", "file", "nope"]}}}},
            "service.pipelines.logs.exporters",
            FAILED,
            "nope is not defined",
            "define it",
        ),
        ({"exporters": {"debug/x": {}}}, "exporters.debug/x", WARNING, "used by nothing", "pipeline"),
        (
            {"extensions": {"bearertokenauth": {"token": "${env:TOKEN}"}}},
            "extensions.bearertokenauth",
            WARNING,
            "used by nothing",
            "service.extensions",
        ),
        (
            {"processors": {"redaction": {"allow_all_keys": False}}},
            "processors.redaction",
            FAILED,
            "every attribute",
            "allow_all_keys: true",
        ),
    ],
)
def test_is_found(overlay, place, verdict, says, cure, found):
    """Each trap is told once, at its place, with the right weight and a cure."""
    (one,) = found(overlay)
    assert one.verdict == verdict
    assert place + ": " in one.says
    assert says in one.says
    assert cure in one.cure


class TestSecrets:
    @pytest.mark.parametrize(
        "overlay",
        [
            exporter(headers={"x-api-key": "s3cr3tvalue"}),
            {"extensions": {"bearertokenauth": {"token": "s3cr3tvalue"}}},
            {"extensions": {"bearertokenauth": {"tokens": ["s3cr3tvalue"]}}},
            {"exporters": {"datadog": {"api": {"key": "s3cr3tvalue"}}}},
            {"exporters": {"clickhouse": {"password": "s3cr3tvalue"}}},
            {"processors": {"redaction": {"hmac_key": "s3cr3tvalue"}}},
        ],
    )
    def test_is_never_shown(self, overlay, found):
        """A secret in a file is told by its place, without the secret."""
        told = [one for one in found(overlay) if "secret stands" in one.says]
        assert len(told) == 1
        assert not any("s3cr3t" in str(one.as_json()) for one in found(overlay))

    @pytest.mark.parametrize(
        "overlay",
        [
            exporter(tls={"key_file": "/certs/key.pem"}),
            {"extensions": {"bearertokenauth": {"filename": "/run/secrets/token"}}},
            exporter(headers={"x-api-key": "${file:/run/secrets/key}"}),
            {"exporters": {"file": {"key": "path", "create_directory": True}}},
        ],
    )
    def test_a_reference_is_none(self, overlay, found):
        """A file's name or a variable is how it should be."""
        assert not [one for one in found(overlay) if "secret stands" in one.says]


class TestOthers:
    def test_auth_makes_an_open_door_a_guarded_one(self, found):
        """A receiver on every interface that asks for a token is no trap."""
        http = {"endpoint": "0.0.0.0:4318", "auth": {"authenticator": "bearertokenauth"}}
        assert not found({"receivers": {"otlp": {"protocols": {"http": http}}}})

    def test_the_datadog_exporter_is_told_of(self, found):
        """What reports success whatever becomes of records is a warning, where it is used."""
        used = {"service": {"pipelines": {"logs": {"exporters": ["otlp_http/datadog", "file", "datadog"]}}}}
        (one,) = found({"exporters": {"datadog": {"api": {"key": "${env:DD_API_KEY}"}}}}, used)
        assert (one.verdict, "otlp_http" in one.cure) == (WARNING, True)

    def test_a_placeholder_without_quotes_is_a_map(self, found):
        """`log_group_name: {ServiceName}` does not load, and the cure says how it is written."""
        text = "exporters:\n  awscloudwatchlogs:\n    log_group_name: {ServiceName}\n"
        (one,) = [one for one in found(base=text) if "placeholder" in one.says]
        assert (one.verdict, "quotes" in one.cure) == (FAILED, True)

    def test_storage_that_is_not_started(self, found):
        """A queue's storage must be among the extensions of the service."""
        told = [one for one in found({"service": {"extensions": ["health_check"]}}) if one.verdict == FAILED]
        assert [True for one in told if "not among service.extensions" in one.says] == [True]

    def test_an_overlay_alone_defines_no_pipelines(self, found):
        """What an overlay leaves to the main file is not held against it."""
        assert not found(base="exporters:\n  debug: {}\n")

    def test_whole_verdict(self, tmp_path):
        """Files without old keys and traps are one line that says so; a broken one is a failure."""
        good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
        good.write_text(GOOD, "utf-8")
        bad.write_text("a: [", "utf-8")
        assert [one.verdict for one in config_findings([good])] == [OK]
        assert [one.verdict for one in config_findings([good, bad])] == [FAILED]
