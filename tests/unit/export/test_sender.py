"""The promises of otel_logging.export.sender, grpc_sender, answers and retry, against real endpoints."""

from __future__ import annotations

import concurrent.futures
import os
import socket
import threading

import grpc
import pytest
import requests
from export_kit import sdk_record
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from otlp_sink import Answer, Close, Hang, OtlpSink

from otel_logging import trouble
from otel_logging.export import answers, otlp_request
from otel_logging.export.answers import Outcome
from otel_logging.export.entry import entry_of
from otel_logging.export.grpc_sender import GrpcSender
from otel_logging.export.otlp import build_sender
from otel_logging.export.parcel import Parcel
from otel_logging.export.retry import Backoff, retry_after
from otel_logging.export.sender import HttpSender, timeout_of
from otel_logging.export.span_exporter import OtlpSpanExporter


def request(*bodies, scope=None):
    more = {} if scope is None else {"scope": scope}
    return otlp_request.encode([entry_of(sdk_record(body, **more)).record for body in bodies])


def bodies_of(blob):
    return [
        record.body.string_value
        for resource in otlp_request._request(blob).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@pytest.fixture
def endpoint():
    with OtlpSink() as sink:
        yield sink
        assert sink.invalid == []


@pytest.fixture
def sender(endpoint, monkeypatch):
    """Makes senders to the endpoint, by the standard variables."""
    made = []

    def make(**variables):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.url)
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        made.append(build_sender("logs"))
        return made[-1]

    yield make
    for one in made:
        one.close()


class TestHttp:
    @pytest.mark.parametrize("compression", ["none", "gzip", "deflate", "brotli"])
    def test_taken(self, endpoint, sender, compression, capsys):
        """Records arrive, compressed as told, with the headers of the variables; one connection serves all."""
        one = sender(COMPRESSION=compression, HEADERS="x-a=general", LOGS_HEADERS="x-key=se%20cret")
        for body in ("one", "two"):
            assert one.send(request(body)) == answers.TAKEN
        assert endpoint.bodies() == ["one", "two"]
        assert endpoint.connections == 1
        headers = {name.lower(): value for name, value in endpoint.requests[0].headers.items()}
        assert headers["x-key"] == "se cret"
        assert "x-a" not in headers
        assert headers.get("content-encoding") == (compression if compression in {"gzip", "deflate"} else None)
        assert headers["user-agent"].startswith("OTel-OTLP-Exporter-Python/")
        assert ("brotli" in capsys.readouterr().err) == (compression == "brotli")

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            (200, Outcome.TAKEN),
            (204, Outcome.TAKEN),
            (302, Outcome.DENIED),
            (400, Outcome.REFUSED),
            (401, Outcome.DENIED),
            (403, Outcome.DENIED),
            (404, Outcome.DENIED),
            (413, Outcome.TOO_LARGE),
            (418, Outcome.DENIED),
            (429, Outcome.LATER),
            (500, Outcome.REFUSED),
            (501, Outcome.DENIED),
            (502, Outcome.LATER),
            (503, Outcome.LATER),
            (504, Outcome.LATER),
        ],
    )
    def test_statuses(self, endpoint, sender, status, outcome):
        """Each status has its meaning, is told with a cure, and redirects are not followed."""
        endpoint.script(Answer(status, {"Location": "/elsewhere"}))
        answer = sender().send(request("a"))
        assert answer.outcome is outcome
        assert len(endpoint.requests) == 1
        if outcome is not Outcome.TAKEN:
            assert (f"({status}" if status != 302 else "redirect") in answer.why
            assert answer.kind.startswith("otlp_")
            assert answer.cure

    def test_retry_after(self, endpoint, sender):
        """The pause that an endpoint asks for is told."""
        endpoint.script(Answer(429, {"Retry-After": "7"}))
        assert sender().send(request("a")).pause == 7

    def test_partial_success(self, endpoint, sender):
        """What was rejected of a request that was taken is told, with the endpoint's words."""
        endpoint.script(Answer(200, rejected=2, message="too\nold"), Answer(200, body=b"<html>"))
        answer = sender().send(request("a", "b"))
        assert (answer.outcome, answer.rejected, answer.why) == (Outcome.TAKEN, 2, "too old")
        assert sender().send(request("a")).outcome is Outcome.TAKEN

    def test_words_of_a_refusal(self, endpoint, sender):
        """The words of an endpoint that refuses are told, on one line, without a password."""
        endpoint.script(Answer(400, {"Content-Type": "text/plain"}, body=b"bad thing\nat http://u:p@h/"))
        assert sender().send(request("a")).why.endswith("bad thing at http://***@h/")

    def test_unreachable(self, endpoint, sender):
        """Who does not answer is asked later: refused, silent, or closing the connection."""
        one = sender()
        endpoint.script(Hang())
        answer = one.send(request("a"), 0.3)
        assert (answer.outcome, answer.kind) == (Outcome.LATER, "otlp_unreachable")
        assert "in time" in answer.why
        endpoint.release()
        endpoint.script(Close(), Close())
        assert one.send(request("a")).outcome is Outcome.LATER
        endpoint.refuse()
        answer = one.send(request("a"))
        assert "refused" in answer.why
        assert "start the Collector" in answer.cure

    def test_connection_that_broke(self, endpoint, sender):
        """A kept connection that the other side closed just then is no failure."""
        one = sender()
        one.send(request("a"))
        endpoint.script(Close())
        assert one.send(request("b")) == answers.TAKEN
        assert endpoint.bodies() == ["a", "b"]

    @pytest.mark.parametrize("url", ["::://user:hunter2@example.org/", "no-scheme/v1/logs", "http://[bad"])
    def test_no_url(self, monkeypatch, url):
        """An endpoint that is no URL can be put right; its password is not told."""
        answer = HttpSender(endpoint=url).send(request("a"))
        assert answer.outcome in {Outcome.DENIED, Outcome.LATER}
        assert "hunter2" not in answer.why + answer.cure

    def test_closed(self, sender, endpoint):
        """After the end nothing is sent."""
        one = sender()
        one.close()
        assert one.send(request("a")).outcome is Outcome.LATER
        assert endpoint.requests == []

    def test_forked(self, endpoint, sender):
        """A forked child makes a connection of its own, and leaves its parent's open."""
        one = sender()
        one.send(request("parent"))
        pid = os.fork()
        if pid == 0:
            one.after_fork()
            os._exit(one.send(request("child")).outcome is not Outcome.TAKEN)
        assert os.waitpid(pid, 0)[1] == 0
        assert one.send(request("parent again")) == answers.TAKEN
        assert [request.connection for request in endpoint.requests] == [1, 2, 1]

    def test_credential_provider(self, sender, endpoint, monkeypatch):
        """The credential provider of OpenTelemetry's variables makes the session; one that is missing is told."""
        session = requests.Session()
        session.headers["x-signed"] = "yes"

        class EntryPoint:
            def load(self):
                return lambda: session

        monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [EntryPoint()])
        monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_LOGS_CREDENTIAL_PROVIDER", "signer")
        assert sender().send(request("a")) == answers.TAKEN
        assert endpoint.requests[0].headers["x-signed"] == "yes"
        monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [])
        assert "signer" in sender().send(request("a")).why

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("", 10),
            ("3", 3),
            ("0.5", 0.5),
            ("999", 999),
            ("1000", 1),
            ("15000", 15),
            ("soon", 10),
            ("-1", 10),
            ("inf", 10),
        ],
    )
    def test_timeout(self, text, seconds):
        """Timeouts are read in seconds, and from 1000 on in milliseconds; nonsense is told."""
        assert timeout_of(text) == seconds
        assert (trouble.counts().get("otlp_setup", 0) == 1) == (text in {"soon", "-1", "inf"})


class TestGrpc:
    @pytest.fixture
    def service(self):
        """A gRPC endpoint: what it received, and what to fail with."""

        class Service(logs_service_pb2_grpc.LogsServiceServicer):
            received, code, details = [], None, ""

            def Export(self, request, context):
                if self.code is not None:
                    context.abort(self.code, self.details)
                self.received.append(request.SerializeToString())
                return logs_service_pb2.ExportLogsServiceResponse()

        one = Service()
        one.received = []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool)
            logs_service_pb2_grpc.add_LogsServiceServicer_to_server(one, server)
            one.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            server.start()
            yield one
            server.stop(0).wait()

    def test_taken(self, service):
        """Encoded requests arrive as they are."""
        sender = GrpcSender(endpoint=service.url, headers={"x-key": "secret"})
        blob = request("one", "two")
        assert sender.send(blob) == answers.TAKEN
        assert [bodies_of(one) for one in service.received] == [["one", "two"]]
        sender.close()
        assert sender.send(blob).outcome is Outcome.LATER

    @pytest.mark.parametrize(
        ("code", "details", "outcome"),
        [
            (grpc.StatusCode.UNAVAILABLE, "", Outcome.LATER),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", Outcome.LATER),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)", Outcome.TOO_LARGE),
            (grpc.StatusCode.INVALID_ARGUMENT, "bad record", Outcome.REFUSED),
            (grpc.StatusCode.UNAUTHENTICATED, "", Outcome.DENIED),
            (grpc.StatusCode.PERMISSION_DENIED, "", Outcome.DENIED),
            (grpc.StatusCode.UNIMPLEMENTED, "", Outcome.DENIED),
        ],
    )
    def test_codes(self, service, code, details, outcome):
        """Each code has its meaning, and one attempt is one attempt."""
        service.code, service.details = code, details
        sender = GrpcSender(endpoint=service.url)
        assert sender.send(request("a"), 5).outcome is outcome
        sender.close()


class TestRetry:
    def test_back_off(self):
        """Pauses double up to 30 s, less up to a half at random; a success ends them."""
        now, share = [0.0], [0.0]
        backoff = Backoff(lambda: now[0], lambda: share[0])
        assert (backoff.wait(), backoff.failing) == (0, False)
        pauses = []
        for _ in range(8):
            backoff.failed()
            pauses.append(backoff.wait())
        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
        share[0] = 1.0
        backoff.failed()
        assert backoff.wait() == 15
        now[0] += 15
        assert (backoff.wait(), backoff.failing) == (0, True)
        backoff.succeeded()
        assert (backoff.wait(), backoff.failing) == (0, False)

    def test_asked(self):
        """What an endpoint asks for is kept at least, and ten minutes at most."""
        backoff = Backoff(lambda: 0.0, lambda: 0.0)
        backoff.failed(20)
        assert backoff.asked
        assert 20 <= backoff.wait() <= 21
        backoff.failed(1e9)
        assert backoff.wait() < 700

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            (None, None),
            ("3", 3),
            (" 1.5 ", 1.5),
            ("-4", 0),
            ("nan", None),
            ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("soon", None),
        ],
    )
    def test_retry_after(self, text, seconds):
        """The header is a number of seconds, or a date."""
        assert retry_after(text, lambda: 1000.0) == seconds


class TestRequests:
    def test_cut_and_join(self):
        """Any cut, joined again, is what it was; neighbours of one scope share it."""
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        blob = otlp_request.join([request("a", "b"), request("c"), request("d", scope=InstrumentationScope("other"))])
        assert bodies_of(blob) == ["a", "b", "c", "d"]
        (resource,) = otlp_request._request(blob).resource_logs
        assert [len(scope.log_records) for scope in resource.scope_logs] == [3, 1]
        for middle in range(5):
            parts = [otlp_request.cut(blob, 0, middle), otlp_request.cut(blob, middle, 4)]
            assert [*bodies_of(parts[0]), *bodies_of(parts[1])] == ["a", "b", "c", "d"]
            assert otlp_request.join(parts) == blob or middle in {0, 4}

    def test_parcel(self):
        """A parcel knows what is left of it, and where the cursor has to stand."""
        parcel = Parcel(request(*"abcdef"), 6, None, (100, 2), [(200, 1), (300, 3), (400, 2)])
        assert [parcel.advance(count) for count in (1, 2, 1, 1, 1)] == [
            (200, 0),
            (200, 2),
            (300, 0),
            (300, 1),
            (400, 0),
        ]
        parcel = Parcel(request(*"abc"), 3)
        parcel.done = 1
        parcel.stored(None, 100, 200)
        assert bodies_of(parcel.rest()) == ["b", "c"]
        assert [parcel.advance(1), parcel.advance(1)] == [(100, 1), (200, 0)]


class TestSpans:
    @pytest.fixture
    def spans(self):
        provider = TracerProvider(shutdown_on_exit=False)
        span = provider.get_tracer("t").start_span("call")
        span.end()
        return [span]

    def test_tried_again(self, endpoint, spans):
        """A batch of spans is tried again for a while."""
        endpoint.script(Answer(503), Answer(503), signal="traces")
        exporter = OtlpSpanExporter(HttpSender("traces", endpoint.url + "/v1/traces"))
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        assert [span.name for span in endpoint.spans] == ["call"]
        assert exporter.force_flush()
        exporter.shutdown()

    def test_the_end(self, spans, capsys):
        """When the process ends nothing is waited for, and after one failure nothing is tried."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            exporter = OtlpSpanExporter(HttpSender("traces", f"http://127.0.0.1:{taken.getsockname()[1]}/v1/traces"))
            waiting = threading.Thread(target=exporter.export, args=(spans,))
            waiting.start()
            exporter.part()
            waiting.join(30)
            assert not waiting.is_alive()
            assert exporter.export(spans) is SpanExportResult.FAILURE
        assert trouble.counts()["otlp_spans_lost"] >= 1
        assert "spans were lost" in capsys.readouterr().err

    def test_what_cannot_be_encoded(self, endpoint):
        """An error is a line of trouble."""
        exporter = OtlpSpanExporter(HttpSender("traces", endpoint.url + "/v1/traces"))
        assert exporter.export([object()]) is SpanExportResult.FAILURE
        assert trouble.counts() == {"otlp_failed": 1}


def test_outage_over_grpc(tmp_path, books):
    """What a gRPC endpoint did not take is sent from the spool when it does, as it was."""
    from otel_logging.export.courier import Courier
    from otel_logging.export.spool import Spool

    received = []

    class Service(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request, context):
            received.append(request.SerializeToString())
            return logs_service_pb2.ExportLogsServiceResponse()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    spool = Spool(tmp_path / "spool" / "there", "calls")
    sender = GrpcSender(endpoint=f"http://127.0.0.1:{port}")
    courier = Courier(sender, spool=spool).bind(books, lambda: False)
    courier.taken(2)
    courier.send([entry_of(sdk_record(body)).record for body in ("a", "b")])
    assert spool.held == 2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Service(), server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        for _ in range(20):  # gRPC has a pause of its own before it connects again
            courier.resume(force=True)
            if not spool.held:
                break
            threading.Event().wait(0.5)
        courier.shutdown()
        server.stop(0).wait()
    assert [body for one in received for body in bodies_of(one)] == ["a", "b"]
    assert books.out == 2
