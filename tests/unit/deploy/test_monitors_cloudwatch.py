"""`collector/monitors/cloudwatch.yaml`: valid, deployed to moto's CloudFormation, and counting what really arrives."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import boto3
import metric_filters
import pytest
from botocore.validate import validate_parameters
from moto import mock_aws
from moto.core.common_models import CloudFormationModel

import otel_logging
from otel_logging.testing import capture

TEMPLATE = Path(__file__).parents[3] / "collector" / "monitors" / "cloudwatch.yaml"
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "watch-the-volume.md"
REGION = "eu-central-1"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:voice"
GIVEN = {
    "LogGroupName": "/voice/calls",
    "CollectorLogGroupName": "/voice/collector",
    "ConsoleLogGroupName": "/voice/console",
    "AlarmTopicArn": TOPIC,
}


def lowered(value):
    """CloudFormation's names as the Logs API spells them."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: lowered(item) for name, item in value.items()}
    return [lowered(item) for item in value] if isinstance(value, list) else value


def numbers(value):
    """CloudFormation hands parameters on as text; the APIs are given what they name numbers as numbers."""
    typed = {"Threshold": float, "DefaultValue": float, "Period": int, "EvaluationPeriods": int}
    if isinstance(value, dict):
        return {name: typed[name](item) if name in typed else numbers(item) for name, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


class Deployed:
    """What moto's CloudFormation does not create itself goes to the service's own API, which botocore's model checks."""

    def __init__(self, identifier):
        self.physical_resource_id = identifier

    @staticmethod
    def cloudformation_name_type():
        return ""


class Alarm(Deployed, CloudFormationModel):
    @staticmethod
    def cloudformation_type():
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def create_from_cloudformation_json(resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = numbers(cloudformation_json["Properties"])
        boto3.client("cloudwatch", region_name).put_metric_alarm(**properties)
        return Alarm(properties["AlarmName"])


class MetricFilter(Deployed, CloudFormationModel):
    @staticmethod
    def cloudformation_type():
        return "AWS::Logs::MetricFilter"

    @staticmethod
    def create_from_cloudformation_json(resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = lowered(numbers(cloudformation_json["Properties"]))
        boto3.client("logs", region_name).put_metric_filter(**properties)
        return MetricFilter(properties["filterName"])


class QueryDefinition(Deployed, CloudFormationModel):
    """moto has no saved queries: the request is held to the API's model and kept."""

    saved: dict = {}  # noqa: RUF012

    @staticmethod
    def cloudformation_type():
        return "AWS::Logs::QueryDefinition"

    @staticmethod
    def create_from_cloudformation_json(resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = lowered(cloudformation_json["Properties"])
        shape = boto3.client("logs", region_name).meta.service_model.operation_model("PutQueryDefinition").input_shape
        validate_parameters(properties, shape)
        QueryDefinition.saved[properties["name"]] = properties
        return QueryDefinition(properties["name"])


@pytest.fixture
def deploy(monkeypatch):
    """Deploys the template to moto with these parameters; returns what the services then describe."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    QueryDefinition.saved.clear()

    def deployed(**parameters):
        cloudformation = boto3.client("cloudformation", REGION)
        logs = boto3.client("logs", REGION)
        for name in ("/voice/calls", "/voice/collector", "/voice/console"):
            logs.create_log_group(logGroupName=name)
        stack = cloudformation.create_stack(
            StackName="monitors",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        )
        status = cloudformation.describe_stacks(StackName=stack["StackId"])["Stacks"][0]["StackStatus"]
        assert status == "CREATE_COMPLETE"
        alarms = boto3.client("cloudwatch", REGION).describe_alarms()["MetricAlarms"]
        filters = logs.describe_metric_filters()["metricFilters"]
        return {one["AlarmName"]: one for one in alarms}, {one["filterName"]: one for one in filters}

    with mock_aws():
        yield deployed


def test_lint():
    """cfn-lint has nothing to say, and no rule is left out."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--non-zero-exit-code", "informational", "--include-checks", "I", "--", str(TEMPLATE)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert "cfn-lint" not in TEMPLATE.read_text(encoding="utf-8")


def test_deployed_with_everything(deploy):
    """All alarms and filters are there when described, each alarm leads to the topic and has a description."""
    alarms, filters = deploy(**GIVEN)
    assert len(alarms) == 8
    assert len(filters) == 7
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == [TOPIC]
        assert alarm["AlarmDescription"]
        assert alarm["TreatMissingData"] == ("breaching" if alarm["AlarmName"].endswith("silence") else "notBreaching")
    assert len(QueryDefinition.saved) == 6


def test_deployed_with_the_log_group_alone(deploy):
    """Only the log group's name is needed; what it cannot watch then is not made, and alarms lead nowhere."""
    alarms, filters = deploy(LogGroupName="/voice/calls")
    assert {"otel-logging-collector-dropped", "otel-logging-application-trouble"}.isdisjoint({*alarms, *filters})
    assert len(alarms) == 6
    assert all(not alarm["AlarmActions"] for alarm in alarms.values())
    assert {one["logGroupName"] for one in filters.values()} == {"/voice/calls"}


def test_every_alarm_watches_a_metric_that_exists(deploy):
    """An alarm's metric is one that a filter of the template makes, or one that CloudWatch Logs itself has."""
    alarms, filters = deploy(**GIVEN)
    made = {
        (item["metricNamespace"], item["metricName"])
        for one in filters.values()
        for item in one["metricTransformations"]
    }
    known = made | {("AWS/Logs", "IncomingLogEvents"), ("AWS/Logs", "IncomingBytes")}
    watched = set()
    for alarm in alarms.values():
        metrics = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        watched |= {(one["Namespace"], one["MetricName"]) for one in metrics or [alarm]}
    assert watched <= known
    assert made <= watched


def test_expressions_use_what_is_there(deploy):
    """Each id of an alarm's expression is one of its metrics, and one query alone is returned."""
    alarms, _ = deploy(**GIVEN)
    for alarm in alarms.values():
        queries = alarm.get("Metrics", [])
        for query in queries:
            if expression := query.get("Expression"):
                assert set(re.findall(r"[a-z]\w*", expression)) == {one["Id"] for one in queries} - {query["Id"]}
        assert not queries or sum(one["ReturnData"] for one in queries) == 1


def as_stored(record):
    """A record as the Collector's CloudWatch exporter writes it."""
    severity = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}[record.level]
    event = {
        "body": record.body,
        "severity_number": severity,
        "severity_text": record.level,
        "trace_id": record.trace_id,
        "attributes": dict(record.attributes),
        "scope": {"name": record.logger},
        "resource": {"service.name": "voice"},
    }
    return json.dumps(event, ensure_ascii=False)


@pytest.fixture(scope="module")
def stored():
    """One call that goes well, one that fails, and one line of no call, as they arrive in the log group."""
    logger = logging.getLogger("server.media")
    with capture(service_name="voice") as sink:
        for number, goes_well in enumerate((True, False)):
            with otel_logging.call(f"CA{number:032x}"):
                logger.info("call answered")
                for frame in range(3):
                    logger.info(f"[AUDIO_DELTA] response_id=resp_{frame}, bytes=320")
                if not goes_well:
                    logger.error("the model is gone")
        logger.info("a line of no call")
        sink.flush()
        return [as_stored(record) for record in (*sink.records, *sink.summaries)]


COUNTED = {
    "otel-logging-call-lines": 8,  # two answered, one error, three given back, two summaries
    "otel-logging-given-back-lines": 3,
    "otel-logging-calls-ended": 2,
    "otel-logging-calls-gone-wrong": 1,
    "otel-logging-error-lines": 1,
}


@pytest.mark.parametrize("name", COUNTED)
def test_filters_count_what_arrives(name, deploy, stored):
    """Each filter counts exactly the lines it is named for, among those of real calls."""
    _, filters = deploy(**GIVEN)
    counted = [message for message in stored if metric_filters.matches(filters[name]["filterPattern"], message)]
    assert len(counted) == COUNTED[name], counted


def test_trouble_is_counted(deploy, capfd):
    """A line that otel-logging writes about itself is one that the filter for it counts; other lines are not."""
    from otel_logging import trouble

    trouble.report("a_kind", "the endpoint is down")
    _, filters = deploy(**GIVEN)
    pattern = filters["otel-logging-application-trouble"]["filterPattern"]
    assert metric_filters.matches(pattern, capfd.readouterr().err)
    assert not metric_filters.matches(pattern, "[2026-01-01 10:00:00] INFO [app] otel-logging is fine")


def test_the_books_query_reads_the_summary(deploy, stored):
    """The saved query over summaries reads all four figures from the text of each."""
    deploy(**GIVEN)
    query = QueryDefinition.saved["otel-logging/made, kept and dropped by hour"]["queryString"]
    pattern = re.search(r"parse body /(.*)/\n", query)[1].replace("(?<", "(?P<")
    bodies = [json.loads(message)["body"] for message in stored]
    found = [match.groupdict() for body in bodies if (match := re.search(pattern, body))]
    figures = [{name: int(value) for name, value in one.items()} for one in found]
    well, wrong = sorted(figures, key=lambda one: one["recovered"])
    assert well == {"made": 4, "kept": 1, "dropped": 3, "recovered": 0}
    assert (wrong["made"], wrong["kept"] + wrong["dropped"], wrong["recovered"]) == (5, 5, 3)


def test_queries_name_fields_that_arrive(deploy, stored):
    """Every field of a saved query is one of an event, one of CloudWatch's own, or one that the query makes."""
    deploy(**GIVEN)
    event = json.loads(stored[0])
    there = {"attributes.call_sid", "scope.name", *event}
    assert event["attributes"]["call_sid"]
    assert event["scope"]["name"]
    for one in QueryDefinition.saved.values():
        plain = re.sub(r'"[^"]*"|/[^/\n]*/', " ", one["queryString"])
        for name in re.findall(r"(?<![@\w.])(?:attributes|scope|resource)\.[\w.]+|\bseverity_\w+|\bbody\b", plain):
            assert name in there, one["name"]


def test_the_page_tells_every_figure():
    """The page names each alarm, each parameter with its default, and each saved query."""
    page, template = PAGE.read_text(encoding="utf-8"), TEMPLATE.read_text(encoding="utf-8")
    names = re.findall(r"AlarmName: otel-logging-(\S+)", template)
    assert len(names) == 8
    assert [name for name in names if f"`{name}`" not in page] == []
    for name, default in re.findall(r"^  (\w+):\n    Type: Number\n    Default: (\d+)$", template, re.MULTILINE):
        assert re.search(rf"`{name}`[^\n]*\b{int(default):,}\b", page), name
    assert [name for name in re.findall(r"Name: otel-logging/(.+)", template) if name not in page] == []
