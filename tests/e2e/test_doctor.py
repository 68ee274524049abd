"""`otel-logging doctor` as people run it, against the real Collector with the configurations that we ship."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import ClassVar

import certificates
import pytest
import yaml
from collector_process import Collector
from collector_program import COLLECTOR
from conftest import BIN, DEADLINE, clean_environ
from datadog_intake import KEY, DatadogIntake

from otel_logging.doctor.config_keys import TYPES
from otel_logging.doctor.examination import config_findings
from otel_logging.doctor.finding import FAILED, OK, WARNING

CONFIGS = ("config.yaml", "policies.yaml", "datadog.yaml", "local.yaml")
TOKEN = "s3cr3t-token-0123456789"


@dataclass
class Told:
    """What the doctor printed."""

    code: int
    checks: dict[str, dict]
    text: str


class Patient:
    """A Collector and how the doctor is asked about it."""

    def __init__(self, collector, folder):
        self.collector, self.folder = collector, folder

    def doctor(self, *words, **env):
        return self.read(self.start(*words, **env))

    def start(self, *words, **env):
        collector = self.collector
        asked = [
            BIN / "otel-logging", "doctor", "--json",
            "--health", f"http://127.0.0.1:{collector._health_port}/",
            "--metrics", f"http://127.0.0.1:{collector._metrics_port}/metrics",
            "--output", collector.files,
        ]  # fmt: skip
        environ = {
            **clean_environ(),
            "HOME": str(self.folder),
            "OTEL_SERVICE_NAME": "calls",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            **env,
        }
        words = [str(word) for word in (*asked, *words)]
        return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def read(process):
        out, err = process.communicate(timeout=DEADLINE * 2)
        assert out, err
        return Told(process.returncode, {one["check"]: one for one in json.loads(out)["checks"]}, out + err)


@pytest.fixture(scope="module")
def intake():
    with DatadogIntake() as one:
        yield one


@pytest.fixture(scope="module")
def patient(tmp_path_factory, intake):
    """A Collector that sends to Datadog's intake on loopback and writes files as well."""
    folder = tmp_path_factory.mktemp("collector")
    env = {"DD_API_KEY": KEY, "DD_OTLP_LOGS_ENDPOINT": f"{intake.url}/v1/logs"}
    with Collector(folder, *CONFIGS, env=env) as collector:
        yield Patient(collector, folder)


class TestWell:
    @pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
    def test_a_record_goes_all_the_way(self, patient, intake, protocol):
        """By both protocols: the record is found in the Collector's file and sent to Datadog, and both are said."""
        url = patient.collector.grpc_url if protocol == "grpc" else patient.collector.url
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        told = patient.doctor("--patience", "60", **env)
        assert told.code == 0, told.text
        trip = told.checks["round trip"]
        assert trip["verdict"] == "ok", told.text
        assert trip["file"].startswith(str(patient.collector.files))
        assert "otlp_http/datadog sent 1" in trip["says"]
        assert [one.attributes["call_sid"] for one in intake.arrived].count(trip["call_sid"]) == 1
        assert {told.checks[name]["verdict"] for name in ("protocol", "health", "clock", "connect")} == {"ok"}

    def test_a_request_without_a_record(self, patient, intake):
        """`--no-record` is taken by the real Collector, and nothing arrives anywhere."""
        before = len(intake.arrived)
        told = patient.doctor("--no-record")
        assert told.code == 0, told.text
        assert len(intake.arrived) == before


class TestMixUps:
    def test_http_to_the_grpc_port(self, patient):
        """http/protobuf to the Collector's gRPC port is named as that."""
        told = patient.doctor(OTEL_EXPORTER_OTLP_ENDPOINT=patient.collector.grpc_url)
        assert told.code == 1
        assert "speaks gRPC" in told.checks["protocol"]["says"]
        assert told.checks["round trip"]["verdict"] == "skipped"

    def test_grpc_to_the_http_port(self, patient):
        """And gRPC to its HTTP port."""
        told = patient.doctor(OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        assert told.code == 1
        assert "HTTP/1.1 only" in told.checks["protocol"]["says"]

    def test_a_path_that_is_none(self, patient):
        """A path that the Collector does not have is a failure of the round trip, and of the URL where it shows."""
        url = f"{patient.collector.url}/v1/logs"
        told = patient.doctor(OTEL_EXPORTER_OTLP_ENDPOINT=url)
        assert told.code == 1
        assert told.checks["endpoint"]["verdict"] == "failed"
        assert "no such path" in told.checks["round trip"]["says"]


class TestBackEnd:
    def test_a_wrong_key(self, tmp_path, intake):
        """What the back end refuses for good is a failure that names the exporter; the key is not shown."""
        env = {"DD_API_KEY": "f" * 32, "DD_OTLP_LOGS_ENDPOINT": f"{intake.url}/v1/logs"}
        with Collector(tmp_path / "collector", *CONFIGS, env=env) as collector:
            told = Patient(collector, tmp_path).doctor("--patience", "60")
        assert told.code == 1
        assert told.checks["round trip"]["failed"] == ["otlp_http/datadog"]
        assert "key" in told.checks["round trip"]["cure"]
        assert "ffffffff" not in told.text

    def test_one_that_is_down(self, patient, intake):
        """What waits for a back end is a warning: the record is in the queue on disk, and not lost."""
        intake.refuse()
        try:
            told = patient.doctor("--patience", "3")
        finally:
            intake.accept()
        assert told.code == 0, told.text
        assert told.checks["round trip"]["verdict"] == "warning"
        assert [one.startswith("otlp_http/datadog") for one in told.checks["round trip"]["waiting"]] == [True]
        call = told.checks["round trip"]["call_sid"]
        intake.wait_for(
            lambda: call in [one.attributes["call_sid"] for one in intake.arrived], "the record that waited"
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A Collector with TLS and a bearer token, and the certificates."""
    folder = tmp_path_factory.mktemp("guarded")
    made = certificates.make(folder)
    certificate, key = made.pair("server")
    env = {"COLLECTOR_TLS_CERT": str(certificate), "COLLECTOR_TLS_KEY": str(key), "COLLECTOR_TOKEN": TOKEN}
    with Collector(folder / "collector", "config.yaml", "policies.yaml", "secure.yaml", env=env) as collector:
        yield Patient(collector, folder), made


class TestSecure:
    @pytest.mark.parametrize(
        ("protocol", "token", "code"),
        [("http/protobuf", TOKEN, 0), ("grpc", TOKEN, 0), ("http/protobuf", TOKEN[:-1], 1), ("grpc", TOKEN[:-1], 1)],
    )
    def test_token(self, guarded, protocol, token, code):
        """The right token is taken, a wrong one is a failure with its cure, and neither is shown."""
        patient, made = guarded
        url = patient.collector.grpc_url if protocol == "grpc" else patient.collector.url
        told = patient.doctor(
            OTEL_EXPORTER_OTLP_ENDPOINT=url.replace("http:", "https:"),
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(made.authority),
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{token}",
        )
        assert told.code == code, told.text
        assert told.checks["protocol"]["verdict"] == "ok", told.text
        if code:
            assert "OTEL_EXPORTER_OTLP_HEADERS" in told.checks["round trip"]["cure"]
        assert "s3cr3t" not in told.text

    def test_without_the_authority(self, guarded):
        """A certificate that is not trusted is named before anything is sent."""
        patient, _ = guarded
        url = patient.collector.url.replace("http:", "https:")
        told = patient.doctor(
            OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{TOKEN}"
        )
        assert told.code == 1
        assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in told.checks["tls"]["cure"]

    def test_http_to_tls(self, guarded):
        """http:// to the Collector's TLS port is named as that."""
        patient, _ = guarded
        told = patient.doctor()
        assert (told.code, told.checks["protocol"]["cure"]) == (1, "name it https://")


def test_a_collector_that_starts_later_is_waited_for(tmp_path):
    """`--wait` is what a start script needs: it ends with 0 when the Collector is there."""
    collector = Collector(tmp_path / "collector", "config.yaml")
    patient = Patient(collector, tmp_path)
    process = patient.start("--wait", "120")
    try:
        collector.start()
        told = patient.read(process)
    finally:
        collector.close()
        process.kill()
    assert told.code == 0, told.text
    assert told.checks["round trip"]["file"]


class TestKeys:
    """The table of old keys is right about the real Collector, as far as the one that is built here has the parts."""

    BASE: ClassVar = {
        "receivers": {"otlp": {"protocols": {"http": {}}}},
        "exporters": {"debug": {}},
        "service": {"pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["debug"]}}},
    }
    NEEDED: ClassVar = {"otlphttp": {"endpoint": "http://x"}, "filelog": {"include": ["/x"]}}

    def validated(self, tmp_path, config):
        path = tmp_path / "whole.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        collector = Collector(tmp_path / "collector", path)
        done = collector.validate()
        return done, config_findings([path])

    @pytest.mark.parametrize(
        "old",
        [old for old in TYPES if old.type not in {"otlp", "logdedup"}],
        ids=lambda old: f"{old.section}-{old.type}",
    )
    def test_types(self, old, tmp_path):
        """What is gone does not load, what has another name still does, and the new name does."""
        settings = self.NEEDED.get(old.type, {})
        done, found = self.validated(
            tmp_path, {**self.BASE, old.section: {**self.BASE.get(old.section, {}), old.type: settings}}
        )
        told = [one for one in found if old.since in one.says]
        assert [one.verdict for one in told] == [FAILED if old.gone else WARNING]
        assert (done.returncode != 0) == old.gone, done.stderr
        if not old.gone:
            done, found = self.validated(
                tmp_path, {**self.BASE, old.section: {**self.BASE.get(old.section, {}), old.now: settings}}
            )
            assert done.returncode == 0, done.stderr
            assert not [one for one in found if old.since in one.says]

    @pytest.mark.parametrize(
        ("more", "loads"),
        [
            ({"exporters": {"otlp_http": {"endpoint": "http://x", "batcher": {}}}}, False),
            ({"exporters": {"otlp_http": {"endpoint": "http://x", "sending_queue": {"blocking": True}}}}, False),
            (
                {
                    "exporters": {
                        "otlp_http": {"endpoint": "http://x", "sending_queue": {"batch": {"min_size_items": 1}}}
                    }
                },
                False,
            ),
            ({"service": {"telemetry": {"metrics": {"address": "127.0.0.1:1"}}}}, False),
            (
                {"processors": {"filter": {"error_mode": "ignore", "logs": {"log_record": ["severity_number < 9"]}}}},
                True,
            ),
        ],
        ids=["batcher", "blocking", "min_size_items", "address", "log_record"],
    )
    def test_keys(self, more, loads, tmp_path):
        """What we say does not load does not, and what we say still loads does."""
        whole = {**self.BASE, **{section: {**self.BASE.get(section, {}), **more[section]} for section in more}}
        done, found = self.validated(tmp_path, whole)
        told = [one for one in found if one.check == "collector keys"]
        assert [one.verdict for one in told] == [WARNING if loads else FAILED]
        assert (done.returncode == 0) == loads, done.stderr


TOGETHER = re.findall(
    r"^    (config\.yaml(?: [\w-]+\.yaml)*)$", (COLLECTOR / "README.md").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("files", [*TOGETHER, *(f"{files} docker-logs.yaml local.yaml" for files in TOGETHER[:3])])
def test_our_own_configurations_are_well(files):
    """What we ship, in every combination that its page names, has no old key and no trap but one that we state."""
    found = config_findings([COLLECTOR / name for name in files.split()])
    lossy = [one for one in found if "exporters.datadog:" in one.says]
    assert len(lossy) == ("datadog-agentless-json.yaml" in files)
    assert {one.verdict for one in found if one not in lossy} <= {OK}, found


def test_there_are_combinations():
    """The page's lists are really found by this test."""
    assert len(TOGETHER) >= 6
