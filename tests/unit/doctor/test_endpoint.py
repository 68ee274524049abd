"""From the endpoint's URL to who answers there: the first step that fails is the one that is named, with its cure."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import certificates
import grpc
import pytest
from otlp_sink import OtlpSink

from otel_logging.doctor import endpoint
from otel_logging.doctor.finding import FAILED, OK, SKIPPED, WARNING

HTTP, GRPC = "http/protobuf", "grpc"


@pytest.fixture
def look(monkeypatch):
    """Findings for an endpoint, by check: `look(url, protocol, HEADERS=…)`. A check that is told twice is a list."""
    monkeypatch.setattr(endpoint, "SECONDS", 3.0)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def make(url, protocol=HTTP, **variables):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(value))
        return {one.check: one for one in endpoint.endpoint_findings(protocol)}

    return make


@pytest.fixture
def sink():
    with OtlpSink() as made:
        yield made


@pytest.fixture
def grpc_port():
    """A gRPC server that knows no service: what is spoken is what matters here."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificates"))


class Silent:
    """Takes connections and says nothing, or `words`, and closes when asked something."""

    def __init__(self, words=b""):
        self.words = words
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                taken, _ = self.listening.accept()
            except OSError:
                return
            with taken:
                taken.settimeout(0.5)
                try:
                    taken.recv(4096)
                    taken.sendall(self.words)
                except OSError:
                    continue

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join()


class TestUrl:
    @pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://[::1", "http://a:b"])
    def test_one_that_is_none(self, url, look):
        """What is no URL over HTTP is told before anything is tried."""
        (one,) = look(url).values()
        assert (one.verdict, "http://HOST:4318" in one.cure) == (FAILED, True)

    def test_logs_endpoint_without_path(self, look, sink):
        """The variable for logs alone is used as it is: a path must be there."""
        one = look("http://unused", LOGS_ENDPOINT=sink.url)["endpoint"]
        assert (one.verdict, "/v1/logs" in one.cure) == (FAILED, True)

    def test_path_twice(self, look, sink):
        """The general variable gets the path appended: it must not be there."""
        one = look(f"{sink.url}/v1/logs")["endpoint"]
        assert (one.verdict, "/v1/logs/v1/logs" in one.says, "without /v1/logs" in one.cure) == (FAILED, True, True)

    def test_grpc_without_scheme(self, look, grpc_port):
        """gRPC without a scheme means TLS, which hardly anybody means."""
        found = look(f"localhost:{grpc_port}", GRPC)
        assert (found["endpoint"].verdict, "http://" in found["endpoint"].cure) == (WARNING, True)
        assert found["tls"].verdict == FAILED

    def test_grpc_without_scheme_and_insecure(self, look, grpc_port):
        """Unless it is said that no TLS is meant."""
        found = look(f"localhost:{grpc_port}", GRPC, INSECURE="true")
        assert (found["endpoint"].verdict, found["protocol"].verdict) == (OK, OK)

    def test_grpc_with_a_path(self, look, grpc_port):
        """gRPC has no paths."""
        assert look(f"http://localhost:{grpc_port}/v1/logs", GRPC)["endpoint"].verdict == WARNING

    def test_a_token_in_the_clear(self, look, monkeypatch):
        """A credential over http:// to another machine is a warning; on loopback, and a tenant's name, are not."""
        monkeypatch.setattr(endpoint, "_resolve", lambda place: [])
        there = "http://collector.example:4318"
        one = look(there, HEADERS="authorization=Bearer%20s3cr3t-abcdef")["endpoint"]
        assert (one.verdict, "https://" in one.cure, "s3cr3t" in str(one.as_json())) == (WARNING, True, False)
        assert look("http://localhost:4318", HEADERS="authorization=Bearer%20abcdef")["endpoint"].verdict == OK
        assert look(there, HEADERS="x-tenant=blue")["endpoint"].verdict == OK

    def test_user_and_password_are_not_shown(self, look, sink):
        """What is secret in a URL is in no sentence and no fact."""
        found = look(sink.url.replace("//", "//someone:s3cr3t@"))
        assert found["connect"].verdict == OK
        assert not any("s3cr3t" in str(one.as_json()) for one in found.values())


class TestReach:
    def test_all_is_well(self, look, sink):
        """Over HTTP, each step is told, and the clock of the other side with them."""
        found = look(sink.url)
        assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(
            ("endpoint", "dns", "connect", "protocol", "clock"), OK
        )

    def test_no_credential_is_sent(self, look, sink):
        """Looking sends no header of the settings: nothing that was not asked for reaches the other side."""
        look(sink.url, HEADERS="authorization=Bearer%20s3cr3t")
        assert not sink.requests

    def test_a_name_that_nobody_knows(self, look):
        """DNS is named, and nothing beyond it."""
        found = look("http://no-such-host.invalid:4318")
        assert list(found) == ["endpoint", "dns"]
        assert (found["dns"].verdict, "service name" in found["dns"].cure) == (FAILED, True)

    def test_nobody_listens(self, look, sink):
        """A refused connection names the port and what to start."""
        sink.refuse()
        one = look(sink.url)["connect"]
        assert (one.verdict, "start the Collector" in one.cure, "container" in one.cure) == (FAILED, True, True)

    @pytest.mark.parametrize(("protocol", "port"), [(HTTP, 4317), (GRPC, 4318)])
    def test_the_other_protocols_port(self, look, monkeypatch, protocol, port):
        """Where the port is that of the other protocol, the cure says so."""

        def refuse(place):
            raise ConnectionRefusedError(111, "Connection refused")

        monkeypatch.setattr(endpoint, "_connected", refuse)
        one = look(f"http://127.0.0.1:{port}", protocol)["connect"]
        assert f"{port} is the usual port of {GRPC if protocol == HTTP else HTTP}" in one.cure

    def test_nobody_answers(self, look, monkeypatch):
        """A connection that does not come about in time is a matter of firewalls."""

        def hang(place):
            raise TimeoutError

        monkeypatch.setattr(endpoint, "_connected", hang)
        one = look("http://127.0.0.1:4318")["connect"]
        assert (one.verdict, "firewall" in one.cure) == (FAILED, True)

    def test_through_a_proxy(self, look, monkeypatch):
        """With a proxy, name and connection are its business; its password is not shown."""
        monkeypatch.setenv("HTTP_PROXY", "http://me:s3cr3t@proxy.example:3128")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        found = look("http://collector.example:4318")
        assert (found["connect"].verdict, "proxy.example:3128" in found["connect"].says) == (SKIPPED, True)
        assert "s3cr3t" not in found["connect"].says
        assert "dns" not in found


class TestProtocol:
    def test_http_to_a_grpc_port(self, look, grpc_port):
        """http/protobuf to the gRPC port names the mix-up and both cures."""
        one = look(f"http://127.0.0.1:{grpc_port}")["protocol"]
        assert (one.verdict, "speaks gRPC" in one.says) == (FAILED, True)
        assert "4318" in one.cure
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in one.cure

    def test_grpc_to_an_http_port(self, look, sink):
        """And the other way round."""
        one = look(sink.url, GRPC)["protocol"]
        assert (one.verdict, "HTTP/1.1 only" in one.says) == (FAILED, True)
        assert "4317" in one.cure
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in one.cure

    def test_grpc(self, look, grpc_port):
        """A gRPC server is known as one."""
        assert look(f"http://127.0.0.1:{grpc_port}", GRPC)["protocol"].verdict == OK

    @pytest.mark.parametrize("protocol", [HTTP, GRPC])
    @pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
    def test_something_else(self, look, protocol, words):
        """What speaks neither is a warning: the record that is sent decides."""
        with Silent(words) as other:
            assert look(f"http://127.0.0.1:{other.port}", protocol)["protocol"].verdict == WARNING

    @pytest.mark.parametrize(
        "words",
        [
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        ],
    )
    def test_wants_tls(self, look, words):
        """A server that wants TLS says so in one of two ways."""
        with Silent(words) as other:
            one = look(f"http://127.0.0.1:{other.port}")["protocol"]
            assert (one.verdict, "https://" in one.cure) == (FAILED, True)


class TestTls:
    def test_trusted(self, look, made):
        """A certificate of the authority that is named is trusted; it expires soon, which is said."""
        with OtlpSink(made.server()) as sink:
            found = look(sink.url, CERTIFICATE=made.authority)
        assert (found["tls"].verdict, "expires in 1 days" in found["tls"].says) == (WARNING, True)
        assert (found["protocol"].verdict, found["clock"].verdict) == (OK, OK)

    @pytest.mark.parametrize(
        ("server", "variables", "says", "cure"),
        [
            ("server", {}, "not trusted", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            ("elsewhere", {"CERTIFICATE": "authority"}, "another host", "names in the Collector's certificate"),
            ("server", {"CERTIFICATE": "stranger"}, "not trusted", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            ("server", {"CERTIFICATE": "missing"}, "does not exist", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ],
    )
    def test_not_trusted(self, look, made, server, variables, says, cure):
        """Each reason for which nothing is sent is told by itself, and nothing is tried beyond it."""
        files = {"authority": made.authority, "stranger": made.stranger, "missing": made.folder / "none.pem"}
        with OtlpSink(made.server(server)) as sink:
            found = look(sink.url, **{name: files[value] for name, value in variables.items()})
        assert (found["tls"].verdict, says in found["tls"].says, cure in found["tls"].cure) == (FAILED, True, True)
        assert "protocol" not in found

    def test_https_to_a_port_without_tls(self, look, sink):
        """https:// to a port that speaks plain HTTP."""
        one = look(sink.url.replace("http:", "https:"))["tls"]
        assert (one.verdict, "http://" in one.cure) == (FAILED, True)

    def test_http_to_a_port_with_tls(self, look, made):
        """http:// to a port that wants TLS does not pass for fine."""
        with OtlpSink(made.server()) as sink:
            found = look(sink.url.replace("https:", "http:"))
        assert found["protocol"].verdict != OK, found

    def test_a_client_certificate(self, look, made):
        """With the client certificate that the server wants, all is well."""
        certificate, key = made.pair("client")
        with OtlpSink(made.server(client_needed=True)) as sink:
            found = look(sink.url, CERTIFICATE=made.authority, CLIENT_CERTIFICATE=certificate, CLIENT_KEY=key)
        assert found["protocol"].verdict == OK

    def test_grpc_over_tls(self, look, made):
        """A gRPC server behind TLS is known as one."""
        certificate, key = (path.read_bytes() for path in made.pair("server"))
        server = grpc.server(ThreadPoolExecutor(1))
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        server.start()
        try:
            found = look(f"https://127.0.0.1:{port}", GRPC, CERTIFICATE=made.authority)
        finally:
            server.stop(None).wait()
        assert found["protocol"].verdict == OK, found
        assert ssl.HAS_ALPN


class TestClock:
    @pytest.mark.parametrize(
        ("ahead", "verdict", "says"),
        [
            (0.9, OK, "agrees"),
            (-1.9, OK, "agrees"),
            (30, WARNING, "30 seconds ahead"),
            (-30, WARNING, "30 seconds behind"),
            (-400, FAILED, "AWS refuses"),
            (7200, FAILED, "7,200 seconds ahead"),
        ],
    )
    def test_verdict(self, ahead, verdict, says):
        """A second or two is the measurement's; minutes are refused by AWS."""
        now = time.time()
        one = endpoint.clock_finding(now - 0.5, "them", now + ahead)
        assert (one.verdict, says in one.says) == (verdict, True)
        assert bool(one.cure) == (verdict != OK)

    @pytest.mark.parametrize("text", ["", "yesterday", "Tue, 99 Nov 2026 25:00:00 GMT"])
    def test_a_date_that_is_none(self, text):
        """A header that is no date says nothing."""
        assert endpoint.date_of(text) is None
