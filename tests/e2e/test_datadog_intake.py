"""The intake that tests send to demands what Datadog's API demands, and understands Datadog's own client."""

from __future__ import annotations

import gzip
import json

import pytest
import requests
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.content_encoding import ContentEncoding
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from datadog_intake import KEY, MOST_BYTES, DatadogIntake
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from otlp_sink import Answer, zstd

SID = "CA" + "0f" * 16


@pytest.fixture
def intake():
    with DatadogIntake() as one:
        yield one


def submit(intake, *items, key=KEY, **more):
    """Through Datadog's own client."""
    configuration = Configuration(host=intake.url)
    configuration.api_key["apiKeyAuth"] = key
    with ApiClient(configuration) as client:
        return LogsApi(client).submit_log(HTTPLog(list(items)), **more)


def post(intake, body, path="/api/v2/logs", **headers):
    wants = "application/x-protobuf" if path == "/v1/logs" else "application/json"
    headers = {"Content-Type": wants, "DD-API-KEY": KEY, **{name.replace("_", "-"): v for name, v in headers.items()}}
    return requests.post(intake.url + path, body, headers=headers, timeout=60)


def otlp(body="one", **attributes):
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "voice"
    record = resource.scope_logs.add().log_records.add(severity_text="ERROR", time_unix_nano=7, trace_id=b"\x0f" * 16)
    record.body.string_value = body
    for name, value in attributes.items():
        record.attributes.add(key=name).value.string_value = value
    return message.SerializeToString()


@pytest.mark.parametrize("encoding", [None, ContentEncoding.GZIP, ContentEncoding.DEFLATE])
def test_datadogs_own_client_is_understood(intake, encoding):
    """What `datadog-api-client` submits arrives, packed or not, with service, tags and the fields of its message."""
    inner = json.dumps({"message": "m", "status": "error", "call_sid": SID, "otel.timestamp": "5000000"})
    more = {} if encoding is None else {"content_encoding": encoding}
    assert submit(intake, HTTPLogItem(message=inner, service="voice", ddtags="env:test,team:a"), **more) == {}
    (log,) = intake.arrived
    assert (log.message, log.status, log.service, log.time) == ("m", "error", "voice", 5_000_000)
    assert log.attributes["call_sid"] == SID
    assert log.tags == ["env:test", "team:a"]


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_otlp_is_understood(intake, pack):
    """OTLP arrives, packed by gzip or zstd, in the same shape, and is answered in protobuf."""
    encoding = "zstd" if pack is zstd.compress else "gzip"
    answer = post(intake, pack(otlp(call_sid=SID)), "/v1/logs", Content_Encoding=encoding)
    assert answer.status_code == 200
    assert ExportLogsServiceResponse.FromString(answer.content).partial_success.rejected_log_records == 0
    (log,) = intake.arrived
    assert (log.message, log.status, log.service, log.time) == ("one", "error", "voice", 7)
    assert (log.trace_id, log.attributes["call_sid"]) == ("0f" * 16, SID)


def test_a_wrong_key_is_a_403(intake):
    """As Datadog's own client sees it; nothing arrives."""
    with pytest.raises(ApiException) as error:
        submit(intake, HTTPLogItem(message="m"), key="of another account")
    assert error.value.status == 403
    assert post(intake, otlp(), "/v1/logs", DD_API_KEY="wrong").status_code == 403
    assert intake.arrived == []
    assert [one.status for one in intake.refused] == [403, 403]


def test_no_key_is_a_401(intake):
    """By both routes."""
    assert post(intake, b"[]", DD_API_KEY="").status_code == 401
    assert post(intake, otlp(), "/v1/logs", DD_API_KEY="").status_code == 401


def test_what_is_too_large_is_a_413(intake):
    """Above 5 MB unpacked, however small it is packed."""
    body = gzip.compress(json.dumps([{"message": "x" * MOST_BYTES}]).encode())
    assert len(body) < 100_000
    assert post(intake, body, Content_Encoding="gzip").status_code == 413
    assert post(intake, gzip.compress(otlp("x" * MOST_BYTES)), "/v1/logs", Content_Encoding="gzip").status_code == 413
    assert intake.arrived == []


def test_one_large_log_is_cut(intake):
    """Above 1 MB it is taken all the same."""
    assert post(intake, json.dumps([{"message": "x" * 1_000_001}, {"message": "y"}])).status_code == 202
    assert [log.cut for log in intake.arrived] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"7",
        b'["text"]',
        b'[{"service": "no message"}]',
        b'[{"message": 7}]',
        b'[{"message": "m", "ddtags": ["a"]}]',
        json.dumps([{"message": "m"}] * 1001).encode(),
    ],
)
def test_another_shape_is_a_400(intake, body):
    """What the API does not describe is not taken, not even in part."""
    assert post(intake, body).status_code == 400
    assert intake.arrived == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/logs", {}),
        ("/api/v2/logs", {"Content_Type": "application/x-protobuf"}),
        ("/v1/logs", {"Content_Type": "application/json"}),
        ("/v1/logs", {"Content_Encoding": "br"}),
    ],
)
def test_what_nobody_should_ask_fails_the_test_that_asked(intake, path, headers):
    """Another path, type or encoding is noted as invalid."""
    assert post(intake, b"", path, **headers).status_code == 400
    assert len(intake.invalid) == 1


def test_outages_are_as_scripted(intake):
    """A 503 or 429 by either route takes nothing, and after it everything is as before."""
    intake.always(Answer(503))
    assert post(intake, json.dumps([{"message": "m"}])).status_code == 503
    intake.always(Answer(429, {"Retry-After": "1"}))
    assert post(intake, otlp(), "/v1/logs").headers["Retry-After"] == "1"
    intake.refuse()
    with pytest.raises(requests.ConnectionError):
        post(intake, otlp(), "/v1/logs")
    assert intake.arrived == []
    intake.accept()
    intake.always(Answer())
    assert post(intake, json.dumps([{"message": "m"}])).status_code == 202
    assert intake.messages() == ["m"]


def test_what_an_exporter_asks_first(intake):
    """Whether its key is good, and whether anybody is there."""
    for key, status in ((KEY, 200), ("wrong", 403)):
        answer = requests.get(f"{intake.url}/api/v1/validate", headers={"DD-API-KEY": key}, timeout=60)
        assert answer.status_code == status
    assert post(intake, b"{}").status_code == 202
    assert intake.arrived == []
