"""A call of the demo, through our exporter and the real Collector, to each back end that people have.

With the configurations as deployed, two back ends at once where that is possible.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest
from backends import NAMES, back_end
from collector_process import Collector
from free_ports import free_ports

from otel_logging.demo import caller, processes

APPS = Path(__file__).parent / "apps"
SERVICES = {processes.WORKER: "server.worker:app", processes.CALLS: "server.asgi:app"}
SUMMARIES = "otel_logging.calls"


class Shipped:
    """What the demo printed, and what each back end has of it."""

    def __init__(self, played, consoles, ends):
        self.played = played
        self.failed = next(call.call_sid for call in played if call.outcome == "failed")
        self.console = {
            service: [json.loads(line) for line in text.splitlines() if line.startswith("{")]
            for service, text in consoles.items()
        }
        self.ends = ends

    def printed(self):
        """How often each service printed each line."""
        return Counter((name, line["message"]) for name, lines in self.console.items() for line in lines)

    def kept(self, end):
        """What the rules keep: without what a trigger gave back or let through, and without our own summaries."""
        return [
            log
            for log in self.ends[end].stored()
            if "otel_logging.trigger" not in log.attributes and log.attributes.get("logger.name") != SUMMARIES
        ]

    def of_calls(self, end):
        found = defaultdict(list)
        for log in self.ends[end].stored():
            if "call_sid" in log.attributes:
                found[log.attributes["call_sid"]].append(log)
        return found


# What one Collector can ship to at once; Datadog's two routes exclude each other.
GROUPS = (("datadog-otlp", "cloudwatch"), ("datadog-json",))


@pytest.fixture(scope="module")
def shipped_to(launch, tmp_path_factory):
    """`shipped_to(end)`: two calls of the demo, of which the second loses its model, at that back end."""
    done = {}
    with ExitStack() as stack:

        def ship(end):
            (group,) = (names for names in GROUPS if end in names)
            if group not in done:
                done[group] = play(stack, group, tmp_path_factory.mktemp("shipped"), launch)
            return done[group]

        yield ship


@pytest.fixture
def shipped(shipped_to, end):
    return shipped_to(end)


def play(stack, group, folder, launch):
    ends = {name: stack.enter_context(back_end(name, folder / name)) for name in group}
    files = dict.fromkeys(file for end in ends.values() for file in end.configs)
    env = {key: value for end in ends.values() for key, value in end.env.items()}
    collector = stack.enter_context(Collector(folder / "collector", *files, env=env))
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    running = {}
    for name, app in SERVICES.items():
        running[name] = launch(
            [sys.executable, "-m", "uvicorn", app, "--app-dir", Path(processes.__file__).parent,
             "--port", ports[name], "--ws", "websockets-sansio", "--timeout-keep-alive", "75"],
            how="run-as-told",
            env={
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_SERVICE_NAME": name,
                "LOG_JSON": "1",
                "LOG_CAPTURE_PRINT": "1",
                "PYTHONIOENCODING": "utf-8",
                "PYTHONUNBUFFERED": "1",
                "WORKER_URL": f"http://127.0.0.1:{ports[processes.WORKER]}",
                "NO_PROXY": "127.0.0.1",
            },
        )  # fmt: skip
    for name, process in running.items():
        process.until(lambda name=name: answers(ports[name]), "health")
    url = f"http://127.0.0.1:{ports[processes.CALLS]}"
    played = asyncio.run(caller.play_all(url, caller.choose(2), 20.0, lambda _frames: None))
    for name in reversed(SERVICES):
        running[name].stop()
    result = Shipped(played, {name: process.out for name, process in running.items()}, ends)
    wanted = sum(result.printed().values())
    for name, end in ends.items():
        end.sink.wait_for(lambda name=name: len(result.kept(name)) >= wanted, f"{wanted} lines at {name}", 60)
    # All is delivered when the Collector has ended: nothing can come later, not a second time either.
    assert collector.stop() == 0, collector.describe()
    return result


def answers(port):
    import httpx

    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=5).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("end", NAMES)
class TestACall:
    def test_every_kept_record_arrives_once(self, shipped, end):
        """What the consoles show is what arrives: each line as often as it was printed, from the service it is of."""
        assert Counter((log.service, log.message) for log in shipped.kept(end)) == shipped.printed()
        assert len(shipped.printed()) > 30

    def test_with_its_call_and_trace(self, shipped, end):
        """Every record of a call, in both services, has its `call_sid` and the trace that goes with it."""
        calls = shipped.of_calls(end)
        assert calls.keys() == {call.call_sid for call in shipped.played}
        for sid, logs in calls.items():
            assert {log.trace_id for log in logs} == {sid[2:]}
            assert {log.service for log in logs} == set(SERVICES)
            # The summary comes when the call's span has ended.
            assert {log.attributes["logger.name"] for log in logs if not log.span_id} == {SUMMARIES}

    def test_with_its_severity(self, shipped, end):
        """Where people filter by it: as the console has it."""
        found = Counter((log.message, log.status) for log in shipped.kept(end))
        lines = [line for lines in shipped.console.values() for line in lines]
        assert found == Counter((line["message"], STATUS[line["level"]]) for line in lines)

    def test_with_its_time(self, shipped, end):
        """To the millisecond, one more or less for rounding: the application's, not the Collector's."""
        found = sorted((log.message, log.time // 1_000_000) for log in shipped.kept(end))
        lines = [line for lines in shipped.console.values() for line in lines]
        printed = sorted((line["message"], milliseconds(line["timestamp"])) for line in lines)
        assert [message for message, _ in found] == [message for message, _ in printed]
        assert all(abs(at - shown) <= 1 for (_, at), (_, shown) in zip(found, printed, strict=True))

    def test_with_its_exception(self, shipped, end):
        """The traceback stands in the field that is searched for it."""
        names = ("exception.type", "exception.stacktrace") if end == "cloudwatch" else ("error.kind", "error.stack")
        (error,) = (log for log in shipped.of_calls(end)[shipped.failed] if log.status == "error")
        kind, stack = (error.attributes[name] for name in names)
        assert kind.endswith("ModelConnectionLostError")
        assert "ConnectionResetError: [Errno 104]" in stack

    def test_frames_of_calls_that_went_well_stay_away(self, shipped, end):
        """No per-frame record of such a call arrives, and some of the failed one do."""
        for call in shipped.played:
            frames = [log for log in shipped.of_calls(end)[call.call_sid] if "[AUDIO_DELTA]" in log.message]
            assert bool(frames) == (call.call_sid == shipped.failed)

    def test_the_failed_call_comes_back(self, shipped, end):
        """All that the recorder gave back arrives, once, marked, with its own times and in their order."""
        recovered = [
            log for log in shipped.of_calls(end)[shipped.failed] if log.attributes.get("otel_logging.recovered")
        ]
        summaries = [
            log
            for log in shipped.of_calls(end)[shipped.failed]
            if log.attributes["logger.name"] == SUMMARIES and log.attributes.get("otel_logging.recovered") is not True
        ]
        told = sum(log.attributes["otel_logging.recovered"] for log in summaries)
        assert len([log for log in recovered if log not in summaries]) == told > 100
        if end != "cloudwatch":  # which knows milliseconds only
            frames = [log for log in recovered if log.message.startswith("[AUDIO_DELTA]")]
            assert len({(log.time, log.message) for log in frames}) == len(frames)


def milliseconds(timestamp):
    return round(dt.datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000)


STATUS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}


LINES = 60  # that the application of the next test logs


@pytest.mark.parametrize("end", NAMES)
def test_bytes_of_a_record(end, tmp_path):
    """A kept record takes no more room at the back end than the official handler's with the same extras.

    Ours comes with our configuration. The official one has what it takes to deliver and no more, which is how it is
    deployed; with the source's place, which ours has, it goes through our configuration as well.
    """
    size = {}
    with back_end(end, tmp_path / "back-end") as one:
        for how, configs in {
            "official": (plain(one),),
            "official-with-code": one.configs,
            "ours": one.configs,
        }.items():
            with Collector(tmp_path / how, *configs, env=one.env) as collector:
                before = len(one.stored())
                send_stored(how, collector, tmp_path / f"{how}-app")
                one.sink.wait_for(
                    lambda before=before: len(lines_of(one.stored()[before:])) >= LINES, f"{LINES} lines of {how}", 60
                )
                found = lines_of(one.stored()[before:])
                size[how] = round(sum(log.size for log in found) / len(found))
    assert size["ours"] <= size["official"], size
    assert size["ours"] <= size["official-with-code"], size


def plain(end):
    """The least that delivers to this back end."""
    exporter = {
        "datadog-otlp": {
            "logs_endpoint": "${env:DD_OTLP_LOGS_ENDPOINT}",
            "headers": {"dd-api-key": "${env:DD_API_KEY}"},
        },
        "datadog-json": {
            "api": {"key": "${env:DD_API_KEY}"},
            "host_metadata": {"enabled": False},
            "logs": {"endpoint": "${env:DD_LOGS_ENDPOINT}"},
            "metrics": {"endpoint": "${env:DD_API_ENDPOINT}"},
        },
        "cloudwatch": {
            "region": "${env:AWS_REGION}",
            "endpoint": "${env:AWS_ENDPOINT_URL_CLOUDWATCH_LOGS}",
            "log_group_name": "plain",
            "log_stream_name": "plain",
        },
    }[end.name]
    return {
        "extensions": {"health_check": {"endpoint": "${env:COLLECTOR_HEALTH_ENDPOINT}"}},
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "${env:COLLECTOR_OTLP_HTTP_ENDPOINT}"}}}},
        "exporters": {end.exporter: exporter},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"logs": {"receivers": ["otlp"], "exporters": [end.exporter]}},
        },
    }


def send_stored(how, collector, folder):
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, APPS / "stored.py", how],
        env={
            "PATH": "",
            "HOME": str(folder),
            "OTEL_LOGGING_STORE": str(folder),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "voice-calls",
            # The test's machine may be called anything.
            "OTEL_RESOURCE_ATTRIBUTES": "host.name=voice-1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def lines_of(logs):
    """The application's own, without what we say ourselves."""
    return [log for log in logs if log.message.startswith(("[TURN]", "[LATENCY]", "[MODEL]"))]
