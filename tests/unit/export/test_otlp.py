"""The promises of otel_logging.export.otlp, against real sinks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import logging
import socket
import subprocess
import sys
import textwrap

import grpc
import pytest
from export_kit import sdk_record
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_logging import trouble
from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.entry import entry_of
from otel_logging.export.otlp import build_log_exporter, build_span_exporter, endpoint_of


def batch(*bodies):
    return [entry_of(sdk_record(body)).record for body in bodies]


@pytest.fixture
def nowhere():
    """A URL that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def build(monkeypatch):
    """Builds exporters with a short timeout and closes them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    made = []

    def log_exporter(*args, **kwargs):
        made.append(build_log_exporter(*args, **kwargs))
        return made[-1]

    yield log_exporter
    for exporter in made:
        if exporter is not None:
            exporter.shutdown()


@pytest.fixture
def time_to_repeat(build, monkeypatch):
    """Time for the official exporters to try a second time, which is when they tell why the first one failed."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5")


@pytest.fixture
def heard(caplog):
    """What the application's handlers heard, at every level."""
    caplog.set_level(logging.NOTSET)
    return caplog


class TestDelivery:
    @pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"])
    def test_http(self, build, sink, monkeypatch, variable):
        """Records arrive at the endpoint that the standard variables name, with their headers."""
        monkeypatch.setenv(variable, sink.url + ("/v1/logs" if "LOGS" in variable else ""))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
        exporter = build("http/protobuf")
        assert exporter.export(batch("one", "two")) is LogRecordExportResult.SUCCESS
        assert sink.bodies == ["one", "two"]
        assert sink.headers[0]["x-key"] == "secret"
        assert exporter.failure is None
        assert exporter.force_flush()

    def test_grpc(self, build):
        """Records arrive over gRPC when it is asked for."""
        received = []

        class Service(logs_service_pb2_grpc.LogsServiceServicer):
            def Export(self, request, context):
                received.append(request)
                return logs_service_pb2.ExportLogsServiceResponse()

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool)
            logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Service(), server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            exporter = build("grpc", endpoint=f"http://127.0.0.1:{port}")
            assert exporter.export(batch("one")) is LogRecordExportResult.SUCCESS
            exporter.shutdown()
            server.stop(0).wait()
        assert received[0].resource_logs[0].scope_logs[0].log_records[0].body.string_value == "one"

    def test_spans(self, sink):
        """Spans arrive, and a failure is told."""
        exporter = build_span_exporter("http/protobuf", endpoint=sink.url + "/v1/traces")
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        provider.get_tracer("t").start_span("call").end()
        assert sink.requests[0].resource_spans[0].scope_spans[0].spans[0].name == "call"
        sink.status = 400
        provider.get_tracer("t").start_span("call").end()
        assert trouble.counts() == {"otlp_failed": 1}
        provider.shutdown()

    def test_child_has_its_own_connection(self, sink):
        """After a fork parent and child do not share a connection: all records of both arrive, each once."""
        code = textwrap.dedent("""
            import os, sys
            from opentelemetry.sdk._logs import LoggerProvider
            from otel_logging.bridge.ledger import Ledger
            from otel_logging.export.batch import BatchingProcessor
            from otel_logging.export.otlp import build_log_exporter
            processor = BatchingProcessor(build_log_exporter(endpoint=sys.argv[1] + "/v1/logs"), Ledger(), max_export_batch_size=1)
            provider = LoggerProvider(shutdown_on_exit=False)
            provider.add_log_record_processor(processor)
            log = provider.get_logger("x")
            log.emit(body="first")
            assert processor.force_flush(60000)
            children = []
            for child in range(4):
                pid = os.fork()
                if pid == 0:
                    for n in range(20): log.emit(body=f"{child}-{n}")
                    os._exit(0 if processor.close(60000) else 1)
                children.append(pid)
            for n in range(20): log.emit(body=f"parent-{n}")
            assert processor.close(60000)
            for pid in children: assert os.waitpid(pid, 0)[1] == 0
        """)
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, sink.url], check=True, timeout=120)
        expected = ["first", *(f"{who}-{n}" for who in (0, 1, 2, 3, "parent") for n in range(20))]
        assert sorted(sink.bodies) == sorted(expected)
        senders = {}
        for peer, body in zip(sink.peers[1:], sink.bodies[1:], strict=True):
            senders.setdefault(peer, set()).add(body.partition("-")[0])
        assert all(len(who) == 1 for who in senders.values())


class TestFailures:
    @pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
    @pytest.mark.usefixtures("time_to_repeat")
    def test_unreachable(self, build, nowhere, protocol, capsys, heard):
        """An endpoint that does not answer is one line: which, why, how many, and what to do; logging hears nothing."""
        exporter = build(protocol, endpoint=nowhere)
        assert exporter.export(batch("a", "b", "c")) is LogRecordExportResult.FAILURE
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"the OTLP endpoint {nowhere} does not answer (connection refused); 3 records were lost" in said
        assert "start the Collector, or set OTEL_EXPORTER_OTLP_ENDPOINT" in said
        assert "does not answer" in exporter.failure
        assert trouble.counts() == {"otlp_unreachable": 1}
        assert [record.name for record in heard.records if not record.name.startswith("grpc")] == []

    def test_no_time_to_repeat(self, build, nowhere, capsys):
        """Where the official exporter gives no reason, the line still has it, and says which endpoint and what to do."""
        assert build(endpoint=nowhere).export(batch("a")) is LogRecordExportResult.FAILURE
        said = capsys.readouterr().err
        assert f"{nowhere} does not answer (connection refused); 1 records were lost; start the Collector" in said

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            (401, ("otlp_refused", "OTEL_EXPORTER_OTLP_HEADERS")),
            (404, ("otlp_refused", "404")),
            (413, ("otlp_too_large", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE")),
            (400, ("otlp_failed", "400")),
        ],
    )
    def test_refused(self, build, sink, heard, status, outcome):
        """An endpoint that refuses is told with the status and a cure that fits it."""
        sink.status = status
        with contextlib.redirect_stderr(io.StringIO()) as said:
            assert build(endpoint=sink.url).export(batch("a")) is LogRecordExportResult.FAILURE
        assert outcome[1] in said.getvalue()
        assert trouble.counts() == {outcome[0]: 1}
        assert heard.records == []

    def test_same_failure_again_is_still_known(self, build, sink):
        """The reason is known each time, also where the official exporter mutes its repetitions."""
        sink.status = 401
        exporter = build(endpoint=sink.url)
        for _ in range(3):
            exporter.export(batch("a"))
            assert "401" in exporter.failure
        sink.status = 200
        exporter.export(batch("a"))
        assert exporter.failure is None

    def test_application_still_hears_its_own(self, build, sink, heard):
        """What the same loggers say outside an export reaches the application."""
        build(endpoint=sink.url)
        logging.getLogger("urllib3.connectionpool").warning("the application's own request")
        assert [record.getMessage() for record in heard.records] == ["the application's own request"]

    @pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
    def test_poison_is_isolated(self, build, sink, nowhere, books, protocol):
        """A record that cannot be encoded costs only itself, over either protocol."""
        reachable = protocol == "http/protobuf"
        exporter = build(protocol, endpoint=sink.url if reachable else nowhere)
        processor = BatchingProcessor(exporter, books)
        for body in ("one", "\ud800", "two"):
            processor.on_emit(sdk_record(body))
        assert processor.force_flush(60_000) is False
        processor.close(1000)
        assert books.lost["poison"] == 1
        assert books.total == 3
        assert sink.bodies == (["one", "two"] if reachable else [])

    def test_lost_attribute_is_told(self, build, sink, capsys):
        """An attribute that the official encoder leaves out is not lost silently."""
        record = entry_of(sdk_record("x", attributes={"good": 1, "bad": "\ud800"})).record
        assert build(endpoint=sink.url).export([record]) is LogRecordExportResult.SUCCESS
        assert sink.bodies == ["x"]
        assert "attributes of exported records were lost" in capsys.readouterr().err

    def test_after_shutdown(self, build, sink):
        """After shutdown nothing is sent, and nothing is raised."""
        exporter = build(endpoint=sink.url)
        exporter.shutdown()
        exporter.shutdown()
        assert exporter.export(batch("x")) is LogRecordExportResult.FAILURE
        assert sink.bodies == []

    def test_password_is_not_shown(self, build, capsys):
        """Neither user nor password of an endpoint is ever printed."""
        build(endpoint="::://user:hunter2@example.org/").export(batch("x"))
        said = capsys.readouterr().err
        assert "records were lost" in said
        assert "hunter2" not in said


class TestSetUp:
    @pytest.mark.parametrize("make", [build_log_exporter, build_span_exporter])
    def test_error_is_a_line(self, make, monkeypatch, capsys):
        """A set-up that fails gives None and one line."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli")
        assert make("grpc") is None
        assert "cannot be set up (InvalidCompressionValueException" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("environ", "given", "shown"),
        [
            ({}, ("logs", "http/protobuf", None), "http://localhost:4318/v1/logs"),
            ({}, ("logs", "grpc", None), "http://localhost:4317"),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/"}, ("traces", "http/protobuf", None), "http://c:1/v1/traces"),
            ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l:2/x"}, ("logs", "http/protobuf", None), "http://l:2/x"),
            (
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"},
                ("logs", "http/protobuf", "http://u:p@e:3/y?key=1"),
                "http://e:3/y",
            ),
            ({}, ("logs", "grpc", "http://[bad"), "(not a URL)"),
        ],
    )
    def test_endpoint_for_people(self, monkeypatch, environ, given, shown):
        """The endpoint that is named is the one that is used, without secrets."""
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert endpoint_of(*given) == shown

    def test_late_import(self):
        """Neither the exporters nor requests nor grpc are imported before one is built."""
        code = "import sys, otel_logging.export.otlp\nassert not {'requests', 'grpc', 'google.protobuf'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)
