"""`otel-logging call … --from cloudwatch` on what the real Collector wrote there, by the command as people type it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from backends import back_end
from collector_process import Collector

_SPEC = importlib.util.spec_from_file_location(
    "filter_patterns", Path(__file__).parents[1] / "unit" / "search" / "filter_patterns.py"
)
patterns = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(patterns)

CALL, TRACE, OTHER = "CA" + "a1" * 16, "a1" * 16, "CA" + "b2" * 16
JOB = "d4" * 16  # the trace of a worker's job


def sent(service, *records):
    """An export of one service: (message, call, trace, severity) each, a second apart."""
    now = time.time_ns() - 60 * 10**9
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": [attribute("service.name", service)]},
                "scopeLogs": [
                    {
                        "scope": {"name": "server.x"},
                        "logRecords": [
                            {
                                "timeUnixNano": str(now + number * 10**9),
                                "severityNumber": severity,
                                "severityText": "ERROR" if severity >= 17 else "INFO",
                                "body": {"stringValue": message},
                                "attributes": [attribute("logger.name", "server.x")]
                                + ([attribute("call_sid", call)] if call else []),
                                **({"traceId": trace, "spanId": "1" * 16} if trace else {}),
                            }
                            for number, (message, call, trace, severity) in enumerate(records)
                        ],
                    }
                ],
            }
        ]
    }


def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """CloudWatch with two calls in it, of two services, by the Collector as it is deployed."""
    folder = tmp_path_factory.mktemp("search")
    with back_end("cloudwatch", folder / "aws") as end:
        with Collector(folder / "collector", *end.configs, env=end.env) as collector:
            for export in (
                sent("media", ("start", CALL, TRACE, 9), ("of another call", OTHER, "b2" * 16, 9), ("it broke", CALL, JOB, 17)),
                sent("worker", ("summary", None, JOB, 9), ("loose", None, None, 9), ("other's error", OTHER, None, 17)),
            ):  # fmt: skip
                request = urllib.request.Request(
                    f"{collector.url}/v1/logs", json.dumps(export).encode(), {"Content-Type": "application/json"}
                )
                urllib.request.urlopen(request, timeout=60).close()
            end.sink.wait_for(lambda: len(end.stored()) >= 6, "6 events", 60)
            assert collector.stop() == 0
        yield end


@pytest.fixture
def run(cloud, tmp_path):
    """The command as a process, with nothing but the environment that the AWS SDK reads."""

    def run(*argv):
        cloud.sink.requests.clear()
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OTEL_"))}
        return subprocess.run(
            [sys.executable, "-m", "otel_logging", *argv],
            env={**env, **cloud.env, "HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8", "NO_PROXY": "127.0.0.1"},
            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip

    return run


def place(cloud):
    (group,) = {event.group for event in cloud.sink.put()}
    return f"cloudwatch:{group}"


@pytest.mark.parametrize("since", ["1h", "12h"])
def test_a_call_is_found(cloud, run, since):
    """All of the call and nothing else, of both services, by FilterLogEvents and by Logs Insights."""
    done = run("call", CALL, "--from", place(cloud), "--since", since, "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = sorted((line["message"], line["service"], line["level"], line["logger"]) for line in lines)
    assert found == [
        ("it broke", "media", "ERROR", "server.x"),
        ("start", "media", "INFO", "server.x"),
        ("summary", "worker", "INFO", "server.x"),
    ]
    assert ("FilterLogEvents" if since == "1h" else "Logs Insights") in done.stderr


def test_the_filter_reaches_the_service(cloud, run):
    """The emulator would answer without it: the patterns that were sent let through the call's events and no others."""
    run("call", CALL, "--from", place(cloud), "--since", "1h")
    asked = [request.asked for request in cloud.sink.requests if request.action == "FilterLogEvents"]
    assert [one.get("filterPattern") for one in asked] == [f'"{TRACE}"', f'?"{TRACE}" ?"{JOB}"']
    assert all(one["startTime"] < one["endTime"] for one in asked)
    through = {
        event.data["body"]
        for event in cloud.sink.put()
        for one in asked
        if patterns.lets_through(one["filterPattern"], event.text)
    }
    assert through == {"start", "it broke", "summary"}


def test_the_query_reaches_the_service(cloud, run):
    """So does the Insights query."""
    run("call", CALL, "--from", place(cloud), "--since", "12h")
    queries = [request.asked["queryString"] for request in cloud.sink.requests if request.action == "StartQuery"]
    assert len(queries) == 2
    assert all("filter attributes.call_sid in [" in query and CALL in query for query in queries)
    assert JOB in queries[1]


def test_errors(cloud, run):
    """The same words as in the store; the level is asked of the service."""
    done = run("search", "--level", "error", "--from", place(cloud), "--json")
    assert sorted(json.loads(line)["message"] for line in done.stdout.splitlines()) == ["it broke", "other's error"]
    (asked,) = [request.asked for request in cloud.sink.requests if request.action == "FilterLogEvents"]
    through = [event for event in cloud.sink.put() if patterns.lets_through(asked["filterPattern"], event.text)]
    assert len(through) == 2
    assert "2 of 2 records shown" in done.stderr
