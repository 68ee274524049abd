"""TLS, client certificates and bearer tokens by OTel's own variables, with real processes against real TLS servers."""

from __future__ import annotations

import socket
import sys
import threading
from concurrent import futures

import certificates
import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from otlp_flat import flat_records
from otlp_sink import Answer, OtlpSink

TOKEN = "c4n4ry-0f-a-t0ken"
BEARER = {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{TOKEN}"}
RECORDS = ["first record;", "second record;"]
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The certificates of this module."""
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def trusted(made):
    """The variable that names the authority."""
    return {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.authority)}


@pytest.fixture(scope="module")
def client(made):
    """The variables of a client that has a certificate."""
    certificate, key = made.pair("client")
    return {
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(key),
    }


@pytest.fixture(scope="module")
def plain(launch, apps):
    """Run the plain application to its end, exporting to a URL."""

    def run(url, *environments, timeout="2"):
        env = {**QUIET, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": timeout}
        for more in environments:
            env |= more
        process = launch([sys.executable, apps / "boot_plain.py"], "run-as-told", env)
        assert process.wait() == 0, process.describe()
        assert TOKEN not in process.out + process.err, "the token was shown"
        return process

    return run


def own_lines(process):
    return [line for line in process.err.splitlines() if line.startswith("otel-logging: ")]


class TestHttp:
    """http/protobuf."""

    def test_bearer_token(self, made, trusted, plain):
        """Over TLS with the authority that was named, records and token arrive."""
        with OtlpSink(tls=made.server()) as sink:
            process = plain(sink.url, trusted, BEARER)
            assert sink.bodies()[-2:] == RECORDS, process.describe()
            assert {request.headers["authorization"] for request in sink.requests} == {f"Bearer {TOKEN}"}
        assert own_lines(process) == []

    def test_client_certificate(self, made, trusted, client, plain):
        """A Collector that wants a client certificate gets it."""
        with OtlpSink(tls=made.server(client_needed=True)) as sink:
            process = plain(sink.url, trusted, client, BEARER)
            assert sink.bodies()[-2:] == RECORDS, process.describe()

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_another_library_s_authorities(self, made, trusted, plain, variable):
        """Authorities that another variable names neither replace those of OTel's variable nor join them."""
        with OtlpSink(tls=made.server()) as sink:
            process = plain(sink.url, trusted, {variable: str(made.stranger)})
            assert sink.bodies()[-2:] == RECORDS, process.describe()
            stranger = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.stranger)}
            process = plain(sink.url, stranger, {variable: str(made.authority)})
            assert len(sink.requests) == 1
        assert "not trusted here" in process.err

    def test_passwords_of_netrc(self, made, trusted, plain, tmp_path):
        """A password for the host in .netrc does not take the token's place."""
        (tmp_path / "netrc").write_text("default login somebody password something\n")
        (tmp_path / "netrc").chmod(0o600)
        with OtlpSink(tls=made.server()) as sink:
            plain(sink.url, trusted, BEARER, {"NETRC": str(tmp_path / "netrc")})
            assert {request.headers["authorization"] for request in sink.requests} == {f"Bearer {TOKEN}"}

    @pytest.mark.parametrize(
        ("server", "needs_client", "environ", "reason", "cure"),
        [
            ("server", False, "stranger", "a certificate that is not trusted here", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            ("server", False, None, "a certificate that is not trusted here", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            ("elsewhere", False, "ca", "the certificate of another host", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ("server", True, "ca", "a client certificate", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
            ("server", False, "missing", "the file of its authority cannot be read", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            ("server", False, "server.key", "holds no certificate", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ],
        ids=["wrong authority", "no authority", "wrong host", "no client certificate", "no file", "wrong file"],
    )
    def test_refused(self, made, plain, server, needs_client, environ, reason, cure):
        """Nothing is sent to a server that is not the one meant; one line says why and what to do, without the token."""
        named = {} if environ is None else {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.folder / f"{environ}")}
        if environ in {"ca", "stranger"}:
            named["OTEL_EXPORTER_OTLP_CERTIFICATE"] += ".pem"
        with OtlpSink(tls=made.server(server, client_needed=needs_client)) as sink:
            process = plain(sink.url, named, BEARER)
            assert sink.requests == []
            assert sink.invalid == []
        lines = own_lines(process)
        # In TLS 1.3 a client without a certificate may learn of it by an alert, or by a closed connection, or by both.
        assert len(lines) <= 1 + needs_client
        line = next(line for line in lines if reason in line)
        assert f"{sink.url}/v1/logs" in line
        assert "records" in line
        assert cure in line

    def test_no_tls_at_all(self, plain, trusted):
        """A server that does not speak TLS gets a greeting and nothing of the records or the token."""
        heard = bytearray()
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def answer():
                while True:
                    try:
                        connection, _ = listening.accept()
                    except OSError:
                        return
                    with connection:
                        heard.extend(connection.recv(65536))
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            process = plain(f"https://127.0.0.1:{listening.getsockname()[1]}", trusted, BEARER)
            listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        assert heard[:1] == b"\x16", "no TLS greeting"
        assert not any(text in heard for text in (TOKEN.encode(), b"record;", b"POST", b"uthorization"))
        (line,) = own_lines(process)
        assert "does not speak TLS; nothing is sent to it" in line

    def test_redirects_are_failures(self, made, trusted, plain):
        """A redirect is not followed, to plain HTTP least of all, and its records are not counted as exported."""
        with OtlpSink() as other, OtlpSink(tls=made.server()) as sink:
            sink.always(Answer(307, {"Location": f"{other.url}/v1/logs"}))
            process = plain(sink.url, trusted, BEARER, {"BOOT_STATS": "5"})
            assert other.requests == []
        (line,) = own_lines(process)
        assert "redirect" in line
        assert "'exported': 0" in process.out

    def test_a_header_that_cannot_be_read(self, plain):
        """A header variable of a wrong form is told once, without what stands in it; the records arrive."""
        with OtlpSink() as sink:
            process = plain(sink.url, {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization: Bearer {TOKEN}"})
            assert sink.bodies()[-2:] == RECORDS
        (line,) = own_lines(process)
        assert "OTEL_EXPORTER_OTLP_HEADERS" in line
        assert "name=value" in line
        assert TOKEN not in str(sink.records)

    def test_a_header_that_cannot_be_sent(self, plain):
        """A line break in a header's value is told, without the value."""
        with OtlpSink() as sink:
            broken = {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{TOKEN}%0Aevil:1"}
            process = plain(sink.url, broken)
            assert sink.requests == []
        (line,) = own_lines(process)
        assert "header" in line.lower()

    def test_a_token_that_is_refused(self, plain):
        """A 401 is told with the variable to look at, and the password in the URL is not."""
        with OtlpSink() as sink:
            sink.always(Answer(401))
            url = sink.url.replace("//", f"//user:{TOKEN}@") + f"?key={TOKEN}"
            process = plain(sink.url, BEARER, {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": url.replace("?", "/v1/logs?")})
        (line,) = own_lines(process)
        assert "user" not in line


class _Service(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self):
        self.bodies = []
        self.tokens = set()

    def Export(self, request, context):
        """Take everything."""
        self.bodies += [record.body for record in flat_records(request, 0, ("", 0))]
        self.tokens.add(dict(context.invocation_metadata()).get("authorization"))
        return logs_service_pb2.ExportLogsServiceResponse()


@pytest.fixture
def grpc_sink(made):
    """Start a gRPC service with a certificate: its URL and what it receives."""
    started = []

    def start(name="server", *, client_needed=False):
        server, service = grpc.server(futures.ThreadPoolExecutor(2)), _Service()
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(service, server)
        certificate, key = made.pair(name)
        credentials = grpc.ssl_server_credentials(
            [(key.read_bytes(), certificate.read_bytes())],
            root_certificates=made.authority.read_bytes() if client_needed else None,
            require_client_auth=client_needed,
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        started.append(server)
        return f"https://127.0.0.1:{port}", service

    yield start
    for server in started:
        server.stop(0).wait()


class TestGrpc:
    """The same over gRPC."""

    def test_token_and_client_certificate(self, trusted, client, plain, grpc_sink):
        """Records and token arrive where a client certificate is wanted."""
        url, service = grpc_sink(client_needed=True)
        process = plain(url, GRPC, trusted, client, BEARER, timeout="10")
        assert service.bodies[-2:] == RECORDS, process.describe()
        assert service.tokens == {f"Bearer {TOKEN}"}

    @pytest.mark.parametrize(
        ("server", "needs_client", "authority", "reason"),
        [
            ("server", False, "stranger", "a certificate that is not trusted here"),
            ("elsewhere", False, "ca", "the certificate of another host"),
            ("server", True, "ca", "does not answer"),  # gRPC does not tell more
        ],
        ids=["wrong authority", "wrong host", "no client certificate"],
    )
    def test_refused(self, made, plain, grpc_sink, server, needs_client, authority, reason):
        """Nothing is sent to a server that is not the one meant, and one line says so."""
        url, service = grpc_sink(server, client_needed=needs_client)
        named = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.folder / f"{authority}.pem")}
        process = plain(url, GRPC, named, BEARER)
        assert service.bodies == []
        (line,) = own_lines(process)
        assert reason in line
