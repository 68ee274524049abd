"""A control document behind a URL, on a real TLS server."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
import time
import types

import pytest

from otel_logging import settings, trouble
from otel_logging.boot import control_url
from otel_logging.boot.control import Control
from otel_logging.boot.control_file import Refused, document
from otel_logging.boot.control_url import Poller
from otel_logging.bridge.overrides import Overrides, Rule

TOKEN = settings.Secret("s3cret")


def one_rule(name):
    return [Rule(name, time.time() + 600, time.time(), everything=True)]


def until(condition):
    """Wait until `condition()` is true, for so long that only a broken product runs out of time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Server(http.server.ThreadingHTTPServer):
    """Answers with `status`, `body` and `etag`; 304 to who knows the etag. Keeps the requests' headers."""

    status, body, etag, location = 200, document([]), '"1"', None

    def handle_error(self, request, client_address):
        """A client that does not trust us hangs up."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        known = self.headers.get("If-None-Match") == server.etag
        self.send_response(304 if known and server.status == 200 else server.status)
        self.send_header("ETag", server.etag)
        if server.location:
            self.send_header("Location", server.location)
        body = b"" if known else server.body
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Not on stderr."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody has signed but itself: `(certificate, key)`."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-out", paths[0], "-keyout", paths[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths


@pytest.fixture
def server(certificate):
    """A running server; `server.url` leads to the document."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = Server(("127.0.0.1", 0), Handler)
    server.seen = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = f"https://localhost:{server.server_port}/control.json"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def trusted(certificate, monkeypatch):
    """The server's certificate is trusted, as an operator would have it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


class TestPoller:
    def test_asks_with_etag_and_token(self, server, trusted):
        """The first answer's rules are applied; a second request knows the ETag, and a 304 applies nothing."""
        applied = []
        server.body = document(one_rule("a"))
        poller = Poller(server.url, TOKEN, applied.append)
        poller.ask()
        poller.ask()
        server.body, server.etag = document(one_rule("b")), '"2"'
        poller.ask()
        assert [[rule.id for rule in rules] for rules in applied] == [["a"], ["b"]]
        assert [headers.get("If-None-Match") for _, headers in server.seen] == [None, '"1"', '"1"']
        assert {headers["Authorization"] for _, headers in server.seen} == {"Bearer s3cret"}
        assert trouble.counts() == {}

    def test_bad_answers_change_nothing_and_are_said_once(self, server, trusted, capsys):
        """Wrong content, an error, a redirect, too much of it: the rules stay; the token goes nowhere else."""
        applied = []
        poller = Poller(server.url, TOKEN, applied.append)
        server.body = b"{broken"
        poller.ask()
        poller.ask()
        assert trouble.counts() == {"control": 1}
        server.status = 403
        poller.ask()
        server.status, server.location = 302, f"https://localhost:{server.server_port}/elsewhere"
        poller.ask()
        server.status, server.body = 200, b" " * 70_000
        poller.ask()
        assert applied == []
        assert trouble.counts() == {"control": 4}
        assert {path for path, _ in server.seen} == {"/control.json"}
        said = capsys.readouterr().err
        assert "is no JSON" in said
        assert "s3cret" not in said

    def test_a_redirect_to_plain_http_is_not_followed(self, server, trusted, capsys):
        """Where the server leads to plain HTTP, nobody goes, and the token least of all."""
        asked = []

        class Plain(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(dict(self.headers))

        with http.server.HTTPServer(("127.0.0.1", 0), Plain) as plain:
            thread = threading.Thread(target=plain.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            for status in (301, 302, 307, 308):
                server.status, server.location = status, f"http://127.0.0.1:{plain.server_port}/control.json"
                Poller(server.url, TOKEN, lambda _: None).ask()
            plain.shutdown()
            thread.join()
        assert asked == []
        assert trouble.counts() == {"control": 4}
        assert "status 301" in capsys.readouterr().err

    def test_a_server_that_sends_byte_after_byte(self, server, trusted, capsys, monkeypatch):
        """An answer that does not end is given up after a while as a whole."""
        clock = iter(range(0, 1000, 4))
        monkeypatch.setattr(control_url, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
        drip = types.SimpleNamespace(read1=lambda _: b" ")
        with pytest.raises(Refused, match="takes more than 15 s to arrive"):
            control_url._read(drip)

    @pytest.mark.parametrize(
        "url",
        ["https://localhost:PORT/control.json?key=c4n4ry-key", "https://localhost:PORT/c4n4ry-key/../x?key=c4n4ry-key"],
    )
    def test_what_is_secret_in_the_url(self, server, capsys, url):
        """The URL's query and the token are in no line of trouble."""
        settings.read({"control": url.replace("PORT", "1")})
        Poller(url.replace("PORT", "1"), settings.Secret("c4n4ry-token"), lambda _: None).ask()
        said = capsys.readouterr().err
        assert "localhost" in said
        assert "c4n4ry" not in said

    def test_a_server_that_is_not_trusted(self, server):
        """A certificate that nobody vouches for is refused, before the token is sent."""
        applied = []
        Poller(server.url, TOKEN, applied.append).ask()
        assert (applied, server.seen) == ([], [])
        assert trouble.counts() == {"control": 1}

    def test_goes_on_by_itself(self, server, trusted):
        """Started, it asks again and again until stopped."""
        arrived = threading.Event()
        poller = Poller(server.url, None, lambda rules: arrived.set() if rules else None, seconds=0.01)
        poller.start()
        server.body, server.etag = document(one_rule("a")), '"2"'
        assert arrived.wait(20)
        poller.stop()
        assert "Authorization" not in server.seen[0][1]

    def test_a_process_follows_the_url(self, server, trusted):
        """With OTEL_LOGGING_CONTROL set to a URL, the process's rules are the document's."""
        server.body = document(one_rule("a"))
        read = settings.read({"control": server.url, "control_token": "s3cret"}, {})
        overrides = Overrides()
        control = Control(read, overrides)
        control.start(exports=True)
        until(lambda: overrides.active)
        assert [rule.id for rule in overrides.rules] == ["a"]
        control.stop()
        assert not overrides.active
