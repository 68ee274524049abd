"""CloudWatch on loopback keeps what it is given, is read as people read it, and is away when a test says so."""

from __future__ import annotations

import json
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from cloudwatch_moto import CREDENTIALS, MOST_BYTES, REGION, CloudWatch
from otlp_sink import Answer, Close


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with CloudWatch(tmp_path_factory.mktemp("cloud")) as one:
        yield one


def at_the_door(cloud, region=REGION, key=CREDENTIALS["AWS_ACCESS_KEY_ID"]):
    """A client that tries once."""
    return boto3.client(
        "logs",
        region_name=region,
        endpoint_url=cloud.url,
        aws_access_key_id=key,
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def logs(cloud):
    """A client at the door, with a group and a stream."""
    client = at_the_door(cloud)
    client.create_log_group(logGroupName="/voice")
    client.create_log_stream(logGroupName="/voice", logStreamName="s")
    yield client
    client.delete_log_group(logGroupName="/voice")
    cloud.events_put.clear()


def put(client, *texts):
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": text} for text in texts]
    return client.put_log_events(logGroupName="/voice", logStreamName="s", logEvents=events)


def test_what_is_put_is_read(cloud, logs):
    """Events are there for boto3, with their JSON, and in the order of arrival."""
    put(logs, json.dumps({"body": "one"}), "no JSON")
    assert [(event.group, event.stream, event.text) for event in cloud.events()] == [
        ("/voice", "s", '{"body": "one"}'),
        ("/voice", "s", "no JSON"),
    ]
    assert [event.data for event in cloud.put()] == [{"body": "one"}, {}]
    assert cloud.events(region="us-east-1") == []


def test_outages(cloud, logs):
    """Throttled, broken off or away: what moto did not get is not there, and what it got is."""
    cloud.script(Answer(400, message="ThrottlingException"), Close(accepted=True))
    with pytest.raises(ClientError, match="ThrottlingException"):
        put(logs, "throttled")
    with pytest.raises(Exception, match="Connection was closed"):
        put(logs, "taken, answer lost")
    cloud.refuse()
    with pytest.raises(EndpointConnectionError):
        put(logs, "away")
    cloud.accept()
    put(logs, "back")
    assert [event.text for event in cloud.events()] == ["taken, answer lost", "back"]


@pytest.mark.parametrize(
    ("region", "key", "error"),
    [
        (REGION, "AKIAOFANOTHERCOMPANY", "UnrecognizedClientException"),
        ("us-east-1", CREDENTIALS["AWS_ACCESS_KEY_ID"], "InvalidSignatureException"),
    ],
)
def test_strangers_are_turned_away(cloud, logs, region, key, error):
    """Another key, or a signature for another region, is refused as AWS refuses it."""
    with pytest.raises(ClientError, match=error):
        put(at_the_door(cloud, region, key), "no")
    assert cloud.put() == []


def test_the_services_limits_hold(tmp_path):
    """A request that AWS would turn down fails the test that made it: moto itself would take it."""
    cloud = CloudWatch(tmp_path)
    with pytest.raises(AssertionError, match="bytes in a request"), cloud:
        client = at_the_door(cloud)
        client.create_log_group(logGroupName="/voice")
        client.create_log_stream(logGroupName="/voice", logStreamName="s")
        with pytest.raises(Exception, match="closed"):
            put(client, "x" * (MOST_BYTES // 2), "y" * (MOST_BYTES // 2))
