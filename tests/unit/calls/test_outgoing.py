from __future__ import annotations

import asyncio
import http.client
import json
import sys
import threading
import types
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import requests

from otel_logging import trouble
from otel_logging.bridge import scope
from otel_logging.calls import outgoing
from otel_logging.calls.call import call, open_call

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        target = self.path.split("?to=", 1)
        if len(target) == 2:
            self.send_response(302)
            self.send_header("Location", target[1])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = json.dumps({"baggage": self.headers.get_all("baggage") or [], "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    """An HTTP server that answers with the `baggage` header lines it got, and redirects where `?to=` says."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join(10)


@pytest.fixture(autouse=True)
def carried(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    before = http.client.HTTPConnection.endheaders, httpx.HTTPTransport.handle_request
    outgoing.install(None)
    yield
    outgoing.uninstall()
    assert before == (http.client.HTTPConnection.endheaders, httpx.HTTPTransport.handle_request)


def by_urllib(url, headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return json.load(answer)["baggage"]


def by_http_client(url, headers):
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", "/" + path, headers=headers)
        return json.load(connection.getresponse())["baggage"]
    finally:
        connection.close()


def by_requests(url, headers):
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=headers, timeout=10).json()["baggage"]


def by_httpx(url, headers):
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        return client.get(url, headers=headers, timeout=10).json()["baggage"]


def by_async_httpx(url, headers):
    async def main():
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
            return (await client.get(url, headers=headers, timeout=10)).json()["baggage"]

    return asyncio.run(main())


CLIENTS = [by_urllib, by_http_client, by_requests, by_httpx, by_async_httpx]
every_client = pytest.mark.parametrize("get", CLIENTS)


@every_client
class TestClients:
    def test_carries_the_call(self, get, server):
        """A request to an own host carries the call in force."""
        with call(TWILIO):
            assert get(f"http://{server}/", {}) == [f"call_sid={TWILIO}"]

    def test_without_a_call_nothing_is_added(self, get, server):
        """Outside of calls, and in one without a name, requests are as the application made them."""
        assert get(f"http://{server}/", {}) == []
        assert get(f"http://{server}/", {"baggage": "a=1"}) == ["a=1"]
        with open_call(origin="websocket").activate():
            assert get(f"http://{server}/", {"baggage": "a=1"}) == ["a=1"]

    def test_existing_baggage_is_merged(self, get, server):
        """What the application's own propagator wrote stays, in one header line."""
        with call(TWILIO):
            assert get(f"http://{server}/", {"Baggage": f"a=1;p=2,call_sid={OTHER}"}) == [f"a=1;p=2,call_sid={TWILIO}"]

    def test_third_parties_learn_nothing(self, get, server):
        """A host that is not allowed gets no call id, and its own baggage untouched."""
        outgoing.install(("elsewhere.example",))
        with call(TWILIO):
            assert get(f"http://{server}/", {"baggage": "a=1"}) == ["a=1"]

    def test_redirect_to_a_third_party_learns_nothing(self, get, server):
        """A redirect from an own host to a stranger does not take the call along."""
        if get is by_http_client:
            return  # follows no redirects
        outgoing.install(("localhost",))
        port = server.rpartition(":")[2]
        with call(TWILIO):
            assert get(f"http://localhost:{port}/", {}) == [f"call_sid={TWILIO}"]
            assert get(f"http://localhost:{port}/?to=http://127.0.0.1:{port}/", {"baggage": "a=1"}) == ["a=1"]

    def test_redirect_to_an_own_host_carries_it(self, get, server):
        """A redirect among our own hosts keeps the call."""
        if get is by_http_client:
            return  # follows no redirects
        with call(TWILIO):
            assert get(f"http://{server}/?to=http://{server}/", {}) == [f"call_sid={TWILIO}"]

    def test_full_header_stays_as_it_is(self, get, server, capsys):
        """Where there is no room the request goes out unchanged, with one line about it."""
        full = "a=" + "x" * 8185
        with call(TWILIO):
            assert get(f"http://{server}/", {"baggage": full}) == [full]
        assert trouble.counts() == {"baggage_full": 1}
        assert capsys.readouterr().err

    def test_exports_carry_nothing(self, get, server):
        """Requests made while OTel's instrumentation is suppressed, as exporters do, are left alone."""
        from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation

        for suppress in (suppress_instrumentation, suppress_http_instrumentation):
            with call(TWILIO), suppress():
                assert get(f"http://{server}/", {}) == []

    def test_uninstalled(self, get, server):
        """After uninstalling nothing is added."""
        outgoing.uninstall()
        with call(TWILIO):
            assert get(f"http://{server}/", {}) == []

    def test_failing_inside_costs_only_the_header(self, get, server, capsys):
        """Whatever goes wrong in here, the request goes out."""

        class Broken:
            @property
            def call_sid(self):
                raise RuntimeError("broken")

        token = scope.current.set(Broken())
        try:
            assert get(f"http://{server}/", {"baggage": "a=1"}) == ["a=1"]
        finally:
            scope.current.reset(token)
        assert trouble.counts() == {"baggage_failed": 1}
        assert capsys.readouterr().err


class TestHttpClient:
    def test_connection_is_reused(self, server):
        """On a kept connection each request carries the call of its own moment."""
        connection = http.client.HTTPConnection(server, timeout=10)
        seen = []
        for sid in (TWILIO, None, OTHER):
            if sid is None:
                connection.request("GET", "/")
            else:
                with call(sid):
                    connection.request("GET", "/")
            seen.append(json.load(connection.getresponse())["baggage"])
        connection.close()
        assert seen == [[f"call_sid={TWILIO}"], [], [f"call_sid={OTHER}"]]

    def test_two_baggage_lines_become_one(self, server):
        """Several `baggage` lines are joined in their order."""
        connection = http.client.HTTPConnection(server, timeout=10)
        with call(TWILIO):
            connection.putrequest("GET", "/")
            connection.putheader("baggage", b"a=1")
            connection.putheader(b"Baggage", "b=2")
            connection.endheaders()
        assert json.load(connection.getresponse())["baggage"] == [f"a=1,b=2,call_sid={TWILIO}"]
        connection.close()

    def test_third_party_behind_a_proxy_of_ours(self, server):
        """A proxy on an own host does not make its targets ours."""
        proxied = {"http": f"http://{server}"}
        with call(TWILIO), requests.Session() as session:
            session.trust_env = False
            answer = session.get("http://api.example.com/x", proxies=proxied, timeout=10).json()
            assert answer == {"baggage": [], "path": "http://api.example.com/x"}
            answer = session.get("http://worker/x", proxies=proxied, timeout=10).json()
            assert answer["baggage"] == [f"call_sid={TWILIO}"]

    def test_target_of_a_tunnel(self):
        """Behind a tunnel the target counts, not the proxy."""
        connection = http.client.HTTPConnection("localhost", 1)
        connection.set_tunnel("api.example.com", 443)
        assert outgoing._target(connection, "/") == "api.example.com"
        assert outgoing._target(connection, "http://[bad") is None


class TestHttpx:
    def test_application_sees_its_own_request(self, server):
        """The request object is handed back as the application made it."""
        with call(TWILIO), httpx.Client(trust_env=False) as client:
            answer = client.get(f"http://{server}/", headers={"baggage": "a=1"})
        assert answer.json()["baggage"] == [f"a=1,call_sid={TWILIO}"]
        assert answer.request.headers["baggage"] == "a=1"


class TestAiohttp:
    """By a stand-in with aiohttp's tracing interface, as aiohttp itself is no dependency of the tests."""

    @pytest.fixture
    def aiohttp(self, monkeypatch):
        class TraceConfig:
            def __init__(self):
                self.on_request_start, self.on_request_redirect = [], []

        class ClientSession:
            def __init__(self, *, trace_configs=None):
                self.trace_configs = trace_configs

        module = types.ModuleType("aiohttp")
        module.TraceConfig, module.ClientSession = TraceConfig, ClientSession
        monkeypatch.setitem(sys.modules, "aiohttp", module)
        outgoing.uninstall()
        outgoing._patches._hooked.discard("aiohttp")
        outgoing.install(("localhost",))
        yield module
        outgoing.uninstall()
        outgoing._patches._hooked.discard("aiohttp")

    @staticmethod
    def send(session, host, headers, *, then=None):
        async def main():
            sent = []
            params = types.SimpleNamespace(url=types.SimpleNamespace(host=host), headers=headers)
            contexts = [types.SimpleNamespace() for _ in session.trace_configs]
            for config, context in zip(session.trace_configs, contexts, strict=True):
                for hook in config.on_request_start:
                    await hook(session, context, params)
            sent.append(dict(headers))
            if then is not None:
                for config, context in zip(session.trace_configs, contexts, strict=True):
                    for hook in config.on_request_redirect:
                        await hook(session, context, params)
                sent.append(dict(headers))
            return sent

        return asyncio.run(main())

    def test_carries_and_takes_back_on_redirect(self, aiohttp):
        """The first hop carries the call; the next hop gets the headers as the application made them."""
        session = aiohttp.ClientSession()
        with call(TWILIO):
            assert self.send(session, "localhost", {}, then="x") == [{"baggage": f"call_sid={TWILIO}"}, {}]
            assert self.send(session, "localhost", {"baggage": "a=1"}, then="x") == [
                {"baggage": f"a=1,call_sid={TWILIO}"},
                {"baggage": "a=1"},
            ]
            assert self.send(session, "api.example.com", {}, then="x") == [{}, {}]

    def test_other_trace_configs_stay(self, aiohttp):
        """A session keeps the trace configurations that the application gave it, before ours."""
        own = aiohttp.TraceConfig()
        session = aiohttp.ClientSession(trace_configs=[own])
        assert session.trace_configs[0] is own
        assert len(session.trace_configs) == 2


class TestInstall:
    def test_none_patches_nothing(self):
        """Switched off, the libraries are left alone."""
        outgoing.uninstall()
        before = http.client.HTTPConnection.endheaders
        outgoing.install(("none",))
        assert http.client.HTTPConnection.endheaders is before

    def test_twice_is_once(self):
        """Installing again only exchanges the hosts."""
        before = http.client.HTTPConnection.endheaders
        outgoing.install(("other",))
        assert http.client.HTTPConnection.endheaders is before
