"""secure.yaml with real TLS: who has no token, or no certificate where one is asked for, gets nothing in."""

from __future__ import annotations

import ssl
import sys
import urllib.error

import certificates
import grpc
import pytest
from collector_process import Collector
from collector_records import post, record, request, written
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc

FILES = ("config.yaml", "policies.yaml", "secure.yaml")
TOKEN = "c4n4ry-0f-a-t0ken"
RIGHT = f"Bearer {TOKEN}"
WRONG = {"none": {}, "wrong": {"authorization": "Bearer other"}, "bare": {"authorization": TOKEN}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def env(made):
    certificate, key = made.pair("server")
    return {"COLLECTOR_TLS_CERT": str(certificate), "COLLECTOR_TLS_KEY": str(key), "COLLECTOR_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def collector(env, tmp_path_factory):
    with Collector(tmp_path_factory.mktemp("collector"), *FILES, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def trusting(made):
    """A client's side of TLS that trusts the authority."""
    return ssl.create_default_context(cafile=str(made.authority))


def send(collector, text, headers, tls):
    post(f"https://127.0.0.1:{collector.http_port}/v1/logs", request(record(text)), headers, tls)


def send_grpc(collector, made, headers):
    message = logs_service_pb2.ExportLogsServiceRequest()
    one = message.resource_logs.add().scope_logs.add().log_records.add()
    one.body.string_value = "by grpc"
    credentials = grpc.ssl_channel_credentials(made.authority.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{collector.grpc_port}", credentials) as channel:
        stub = logs_service_pb2_grpc.LogsServiceStub(channel)
        stub.Export(message, metadata=tuple(headers.items()), timeout=60)


def arrived(collector, text):
    return collector.until(lambda: [one for one in written(collector.files) if one.body == text], text)


class TestToken:
    """The bearer token."""

    @pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
    def test_refused(self, collector, trusting, made, headers):
        """Without the token, by HTTP and by gRPC, the answer is "who are you", and nothing is written."""
        with pytest.raises(urllib.error.HTTPError) as refusal:
            send(collector, "refused", headers, trusting)
        with refusal.value:
            assert refusal.value.code == 401
        with pytest.raises(grpc.RpcError) as refused:
            send_grpc(collector, made, headers)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        send(collector, "a mark", {"authorization": RIGHT}, trusting)
        arrived(collector, "a mark")
        assert "refused" not in {one.body for one in written(collector.files)}

    def test_taken(self, collector, trusting, made):
        """With it, both ways are open; it is not printed."""
        send(collector, "by http", {"authorization": RIGHT}, trusting)
        arrived(collector, "by http")
        send_grpc(collector, made, {"authorization": RIGHT})
        arrived(collector, "by grpc")
        assert TOKEN not in collector.said

    def test_our_exporter(self, collector, made, launch, apps):
        """The application's side, with OTel's own variables as the file says them."""
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{collector.http_port}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.authority),
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
            "OTEL_METRICS_EXPORTER": "none",
        }
        process = launch([sys.executable, apps / "boot_plain.py"], "run-as-told", env)
        assert process.wait() == 0, process.describe()
        arrived(collector, "first record;")


class TestTls:
    """Transport security."""

    def test_not_in_the_clear(self, collector):
        """Plain HTTP is not answered as such."""
        with pytest.raises(urllib.error.HTTPError) as refusal:
            post(f"http://127.0.0.1:{collector.http_port}/v1/logs", request(record("x")), {"authorization": RIGHT})
        with refusal.value:
            assert refusal.value.code == 400

    def test_old_versions(self, collector, made):
        """Nothing below TLS 1.2: the Collector itself turns it down."""
        old = ssl.create_default_context(cafile=str(made.authority))
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.deprecated_call():
            old.minimum_version = ssl.TLSVersion.TLSv1_1
        with pytest.deprecated_call():
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(urllib.error.URLError) as refusal:
            send(collector, "by 1.1", {"authorization": RIGHT}, old)
        assert "ALERT_PROTOCOL_VERSION" in str(refusal.value.reason)

    def test_client_certificates(self, env, made, trusting, tmp_path):
        """With COLLECTOR_TLS_CLIENT_CA a client without a certificate of that authority is not let in."""
        with Collector(tmp_path, *FILES, env={**env, "COLLECTOR_TLS_CLIENT_CA": str(made.authority)}) as collector:
            with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
                send(collector, "refused", {"authorization": RIGHT}, trusting)
            known = ssl.create_default_context(cafile=str(made.authority))
            known.load_cert_chain(*made.pair("client"))
            send(collector, "known", {"authorization": RIGHT}, known)
            assert {one.body for one in arrived(collector, "known")} == {"known"}
