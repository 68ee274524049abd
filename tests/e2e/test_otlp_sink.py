"""The sink itself: what the other tests believe when it says that something arrived."""

from __future__ import annotations

import gzip
import http.client
import ssl
import subprocess
import threading

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_sink import Answer, Close, Hang, OtlpSink

_TYPE = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def sink():
    with OtlpSink() as one:
        yield one


@pytest.fixture
def client(sink):
    one = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    yield one
    one.close()


def logs(*bodies: str) -> bytes:
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.add(key="process.pid").value.int_value = 7
    scope = resource.scope_logs.add()
    scope.scope.name = "server.media"
    for body in bodies:
        record = scope.log_records.add(severity_number=9, severity_text="INFO", time_unix_nano=5, trace_id=b"\1" * 16)
        record.body.string_value = body
        listed = record.attributes.add(key="list").value.array_value
        listed.values.add().bool_value = True
        record.attributes.add(key="map").value.kvlist_value.values.add(key="k").value.double_value = 1.5
    return message.SerializeToString()


def post(client, data, path="/v1/logs", **headers):
    client.request("POST", path, data, {**_TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}})
    answer = client.getresponse()
    return answer.status, answer.headers, answer.read()


def test_records_are_kept_flat(sink, client):
    """A record carries its own fields, its scope, its resource and the connection it came by."""
    assert post(client, logs("one", "two"))[0] == 200
    first, second = sink.records
    assert (first.body, first.level, first.severity, first.logger) == ("one", "INFO", 9, "server.media")
    assert first.attributes == {"list": [True], "map": {"k": 1.5}}
    assert (first.resource, first.trace_id, first.time) == ({"process.pid": 7}, "01" * 16, 5)
    assert (first.connection, first.peer) == (second.connection, client.sock.getsockname())
    assert sink.counts("(o)") == {"o": 2}


def test_gzip(sink, client):
    """A compressed request is the same request."""
    assert post(client, gzip.compress(logs("one")), Content_Encoding="gzip")[0] == 200
    assert sink.bodies() == ["one"]


def test_spans(sink, client):
    """Spans are kept beside the records."""
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.add(name="call", trace_id=b"\2" * 16)
    assert post(client, message.SerializeToString(), "/v1/traces")[0] == 200
    assert [(span.name, span.trace_id) for span in sink.spans] == [("call", "02" * 16)]


def test_script(sink, client):
    """Each request gets its step, then the usual answer again; only accepted records count."""
    sink.script(Answer(503, {"Retry-After": "7"}), Answer(rejected=1, message="too old"))
    status, headers, _ = post(client, logs("one"))
    assert (status, headers["Retry-After"]) == (503, "7")
    partial = ExportLogsServiceResponse.FromString(post(client, logs("two"))[2]).partial_success
    assert (partial.rejected_log_records, partial.error_message) == (1, "too old")
    assert post(client, logs("three"))[0] == 200
    assert sink.bodies() == ["two", "three"]
    assert [request.accepted for request in sink.requests] == [False, True, True]


def test_a_step_by_the_request(sink, client):
    """A step can be chosen by what the request holds."""
    sink.always(lambda request: Answer(400 if request.records[0].body == "bad" else 200))
    assert [post(client, logs(body))[0] for body in ("good", "bad")] == [200, 400]


@pytest.mark.parametrize("accepted", [False, True])
def test_close(sink, client, accepted):
    """A closed connection is no answer, whether the records were taken in or not."""
    sink.script(Close(accepted))
    with pytest.raises(http.client.RemoteDisconnected):
        post(client, logs("one"))
    assert sink.bodies() == ["one"] * accepted


def test_hang(sink, client):
    """A hanging request is seen but not accepted until it is released."""
    sink.script(Hang(then=Answer()))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(post(client, logs("one"))[0]))
    thread.start()
    sink.wait_for(lambda: sink.requests, "request")
    assert (sink.records, sink.requests[0].step) == ([], None)
    sink.release()
    thread.join(10)
    assert (answers, sink.bodies()) == ([200], ["one"])


def test_refuse_and_accept(sink, client):
    """Refused connections are refused and open ones are closed; later the same port answers again."""
    assert post(client, logs("one"))[0] == 200
    sink.refuse()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        post(client, logs("two"))
    client.close()
    with pytest.raises(ConnectionRefusedError):
        post(client, logs("three"))
    client.close()
    sink.accept()
    assert post(client, logs("four"))[0] == 200
    assert sink.bodies() == ["one", "four"]
    assert [record.connection for record in sink.records] == [1, 2]


@pytest.mark.parametrize(
    ("path", "data", "headers"),
    [
        ("/v1/logs", b"\xff\xff", {}),
        ("/v1/logs", b"no gzip", {"Content-Encoding": "gzip"}),
        ("/v1/logs", b"", {"Content-Type": "application/json"}),
        ("/v1/metrics", b"", {}),
        ("/v1/logs", b"", {"Content-Encoding": "zstd"}),
    ],
)
def test_invalid_requests_are_counted(sink, client, path, data, headers):
    """What an exporter should never send is answered with 400 and counted."""
    client.request("POST", path, data, {**_TYPE, **headers})
    assert client.getresponse().status == 400
    assert len(sink.invalid) == 1
    assert sink.requests == []


def test_waiting_in_vain(sink):
    """What does not come is an assertion that names it."""
    with pytest.raises(AssertionError, match=r"no second coming within 0.01 s; 0 records"):
        sink.wait_for(lambda: sink.records, "second coming", 0.01)


def test_tls(tmp_path):
    """With a certificate the same endpoint speaks TLS, and only that."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *about, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with OtlpSink(tls) as sink:
        trusting = ssl.create_default_context(cafile=str(certificate))
        client = http.client.HTTPSConnection("127.0.0.1", sink.port, timeout=10, context=trusting)
        assert post(client, logs("one"))[0] == 200
        client.close()
        plain = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            post(plain, logs("two"))
        plain.close()
        assert sink.url.startswith("https://")
        assert sink.bodies() == ["one"]
