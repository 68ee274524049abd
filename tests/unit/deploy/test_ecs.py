"""`collector/ecs/`: task definitions that Amazon's own model takes, registered with moto and described again."""

from __future__ import annotations

import json
import re

import boto3
import deployment_files
import pytest
from moto import mock_aws

EACH = pytest.mark.parametrize("path", deployment_files.ECS, ids=lambda path: path.stem)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def container(definition, name):
    (found,) = [one for one in definition["containerDefinitions"] if one["name"] == name]
    return found


@EACH
def test_registered_and_described(path, monkeypatch):
    """Botocore's model finds no unknown or wrong field, and what moto describes afterwards is what was registered."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    wanted = read(path)
    with mock_aws():
        ecs = boto3.client("ecs", "us-east-1")
        registered = ecs.register_task_definition(**wanted)["taskDefinition"]["taskDefinitionArn"]
        described = ecs.describe_task_definition(taskDefinition=registered)["taskDefinition"]
    assert described["family"] == wanted["family"]
    assert described["networkMode"] == "awsvpc"
    for one in wanted["containerDefinitions"]:
        again = container(described, one["name"])
        assert {name: again.get(name) for name in one} == one


@EACH
def test_fits_fargate(path):
    """A size that Fargate has, with room for the containers' limits, and roles to run and to send with."""
    definition = read(path)
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    assert (definition["cpu"], definition["memory"]) in {("512", "1024"), ("512", "2048"), ("1024", "2048")}
    assert sum(one.get("memory", 0) for one in definition["containerDefinitions"]) < int(definition["memory"])
    assert definition["executionRoleArn"].startswith("arn:aws:iam::")
    assert definition["taskRoleArn"].startswith("arn:aws:iam::")


@EACH
def test_hardened(path):
    """No root, a read-only file system, no capabilities; what is written to is a volume of the task."""
    definition = read(path)
    volumes = {one["name"] for one in definition["volumes"]}
    used = set()
    for one in definition["containerDefinitions"]:
        assert one["readonlyRootFilesystem"] is True
        assert one["user"] == "10001:10001"
        assert one["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        used |= {mount["sourceVolume"] for mount in one["mountPoints"]}
    assert used == volumes


@EACH
def test_secrets_by_reference(path):
    """Keys come from Secrets Manager; none stands in the environment."""
    for one in read(path)["containerDefinitions"]:
        assert not [item for item in one["environment"] if re.search(r"KEY|SECRET|TOKEN|PASSWORD", item["name"])]
        assert all(item["valueFrom"].startswith("arn:aws:secretsmanager:") for item in one.get("secrets", []))


@EACH
def test_collector_comes_first_and_goes_last(path):
    """The service waits for the Collector to be started; at the end ECS stops in the opposite order, with time to send."""
    definition = read(path)
    voice, collector = container(definition, "voice"), container(definition, "collector")
    assert voice["dependsOn"] == [{"containerName": "collector", "condition": "START"}]
    assert collector["stopTimeout"] >= voice["stopTimeout"]
    endpoint = {one["name"]: one["value"] for one in voice["environment"]}["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert endpoint == "http://127.0.0.1:4318"
    assert not [one for one in collector["environment"] if "ENDPOINT" in one["name"]]
