"""JSON console lines that a log driver or an agent takes: they are found by call, trace, status and service."""

from __future__ import annotations

import datetime as dt
import json
import sys

import pytest
from cloudwatch_moto import CloudWatch
from datadog_preprocessing import SOURCES, preprocessed
from log_drivers import AGENT_BYTES, OLD_AGENT_BYTES, PIECE_BYTES, agent, awslogs, json_file, pieces

CALL = "CA" + "3f" * 16
TRACE = "3f" * 16
LONG = 1_000_000  # characters of the longest message


@pytest.fixture(scope="module")
def printed(launch, apps):
    """What a real process printed with LOG_JSON=1, as bytes."""
    env = {"LOG_JSON": "1", "OTEL_SERVICE_NAME": "voice-calls"}
    process = launch([sys.executable, apps / "console_lines.py", LONG], how="run-as-told", env=env)
    assert process.wait() == 0, process.describe()
    return process._out.read_bytes()


@pytest.fixture(scope="module")
def of_call(printed):
    """Its lines about the call, as JSON."""
    lines = [json.loads(line) for line in printed.decode().splitlines()]
    return [line for line in lines if line.get("call_sid") == CALL]


def test_what_is_printed(printed, of_call):
    """Every line is one JSON object; frames are not among them, and all of the call carry its trace and service."""
    assert "AUDIO_DELTA" not in printed.decode()
    assert [line["level"] for line in of_call] == ["INFO", "WARNING", "INFO", "ERROR", "CRITICAL", "INFO"]
    assert {line["trace_id"] for line in of_call} == {TRACE}
    assert {line["service"] for line in of_call} == {"voice-calls"}


class TestAwslogs:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def cloud(cls, tmp_path_factory, printed):
        with CloudWatch(tmp_path_factory.mktemp("cloud")) as cloud:
            cls.count = awslogs(printed, cloud.client(), "/voice", "container")
            cls.events = cloud.events("/voice")
            cls.client = cloud.client()
            yield cloud

    def test_one_event_a_line(self, printed):
        """No line becomes several events, however long its message was: each is JSON."""
        assert self.count == len(printed.decode().splitlines())
        assert all(event.data for event in self.events)

    @pytest.mark.parametrize("pattern", [f'"{CALL}"', f'{{ $.call_sid = "{CALL}" }}'])
    def test_the_call_is_found(self, pattern, of_call):
        """By both patterns, with the check of what comes back that searches make: all lines of the call, in order."""
        pages = self.client.get_paginator("filter_log_events").paginate(logGroupName="/voice", filterPattern=pattern)
        found = [json.loads(event["message"]) for page in pages for event in page["events"]]
        assert [line for line in found if line.get("call_sid") == CALL] == of_call

    def test_a_term_finds_nothing_else(self, of_call):
        """The plain term alone, without any check, finds just the call: what it is matched with is the line's text."""
        pages = self.client.get_paginator("filter_log_events").paginate(
            logGroupName="/voice", filterPattern=f'"{CALL}"'
        )
        assert sum(len(page["events"]) for page in pages) == len(of_call)


class TestDatadogAgent:
    @pytest.fixture(params=[AGENT_BYTES, OLD_AGENT_BYTES], ids=["agent", "old agent"])
    def logs(self, request, printed):
        """What Datadog shows of it, through json-file's pieces of 16 KiB and the Agent."""
        texts = agent(json_file(printed), request.param)
        return [preprocessed(text, host="node-1", service="container-name") for text in texts]

    def test_the_call_is_found(self, logs, of_call):
        """`@call_sid:CA…` finds all lines of the call; `trace_id:` and `service:` do, too."""
        assert [log.attributes for log in logs if log.has(f"@call_sid:{CALL}")] == of_call
        assert [log.attributes for log in logs if log.has(f"trace_id:{TRACE}")] == of_call
        assert all(log.has("service:voice-calls") for log in logs)

    def test_the_status_is_the_records(self, logs):
        """Levels are statuses, also where an extra is called `status` or `severity`, and an Agent's host stays."""
        told = [(log.status, log.host) for log in logs if log.has(f"@call_sid:{CALL}")]
        assert [status for status, _ in told] == ["info", "warning", "info", "error", "critical", "info"]
        assert {host for _, host in told} == {"node-1"}
        assert [log.attributes["extra.status"] for log in logs if "extra.status" in log.attributes] == ["completed"]

    def test_message_time_and_span(self, logs):
        """The message is the record's, so is the time, and a span that was active."""
        first, *_, last = [log for log in logs if log.has(f"@call_sid:{CALL}")]
        assert first.message == "🚀 [CALL_START] שלום David"
        assert first.date is not None
        assert abs(dt.datetime.now(dt.timezone.utc) - first.date) < dt.timedelta(minutes=30)
        assert (last.message, len(last.span_id)) == ("within a span", 16)

    def test_a_traceback_is_in_one_log(self, logs):
        """The traceback stays with its line, in `exception`: the one attribute that Error Tracking needs remapped."""
        (failed,) = [log for log in logs if log.status == "error"]
        assert failed.attributes["exception"].startswith("Traceback (most recent call last):\n")
        assert failed.attributes["exception"].endswith("ValueError: no CRM match")

    def test_nothing_is_in_pieces(self, logs, printed):
        """A log for each line: none was cut by the Agent."""
        assert len(logs) == len(printed.decode().splitlines())
        assert not any("TRUNCATED" in log.message for log in logs)

    def test_the_pieces_are_real(self, printed):
        """The long line really went through the driver's pieces of 16 KiB."""
        assert sum(not ended for _, ended in pieces(printed, PIECE_BYTES)) > 10


class TestWithoutUs:
    """What these tests would find if lines were not kept short: they can fail."""

    LINE = (json.dumps({"message": "word " * 200_000, "level": "INFO", "call_sid": CALL}) + "\n").encode()

    def test_long_lines_lose_their_call(self):
        """A line of a megabyte is several events and several logs; none is JSON, and none has the call's attribute."""
        assert len([part for part, _ in pieces(self.LINE, 262_118)]) == 4
        logs = [preprocessed(text, host="h", service="s") for text in agent(json_file(self.LINE))]
        assert len(logs) == 2
        assert not any(log.has(f"@call_sid:{CALL}") for log in logs)

    def test_an_extra_called_status_would_win(self):
        """Datadog reads `status` before `level`."""
        log = preprocessed('{"level":"ERROR","status":"info","message":"m"}', host="h", service="s")
        assert log.status == "info"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("level", "status"),
        ("timestamp", "date"),
        ("message", "message"),
        ("service", "service"),
        ("trace_id", "trace_id"),
        ("span_id", "span_id"),
    ],
)
def test_our_names_are_among_theirs(ours, theirs):
    """Each key that must mean something to Datadog is one that its default preprocessing reads."""
    assert ours in SOURCES[theirs]
