"""Container logs of services that send no OTLP: each kind of line becomes a record that its call is found by.

The files are Docker's own format, written as the Docker daemon writes them: one JSON object for each line of up to
16 KiB, of both streams of a container.
"""

from __future__ import annotations

import itertools
import json

import pytest
from collector_process import Collector
from collector_records import CALL, TRACE, written

FILES = ("config.yaml", "policies.yaml", "docker-logs.yaml")
BOX = "ab" * 32
STAMP = "2026-03-01T10:00:00.123456789Z"
NANOS = 1_772_359_200_123_456_789
SAID = "c4n4ry words of a caller"
NUMBER = "972501234567"


class Docker:
    """Docker's folder of containers."""

    def __init__(self, folder):
        self.folder = folder
        self.lines = 0

    def say(self, text, stream="stdout", box=BOX, newline="\n", **more):
        """One entry of a container's log."""
        path = self.folder / box / f"{box}-json.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"log": text + newline, "stream": stream, "time": STAMP, **more}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def start(folder, docker, **env):
    env = {"DOCKER_LOGS": str(docker.folder / "*" / "*-json.log"), "DOCKER_LOGS_START_AT": "beginning", **env}
    return Collector(folder, *FILES, env=env)


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    return Docker(tmp_path_factory.mktemp("docker"))


@pytest.fixture(scope="module")
def collector(docker, tmp_path_factory):
    """The Collector, reading that folder; everything that the tests look for is said before it starts."""
    for text, more in LINES:
        docker.say(text, **more)
    with start(tmp_path_factory.mktemp("collector"), docker) as running:
        running.until(lambda: len(written(running.files)) >= RECORDS, f"{RECORDS} records")
        yield running


@pytest.fixture
def found(collector):
    """The one record that this is true of."""

    def find(condition):
        (one,) = [one for one in written(collector.files) if condition(one)]
        return one

    return find


OURS = {
    "timestamp": "2026-03-01T09:59:59.123Z", "level": "CRITICAL", "module": "media_ws_ai", "message": "Call lost: שלום",
    "logger": "server.media_ws_ai", "call_sid": CALL, "trace_id": TRACE, "span_id": "b" * 16, "service": "voice-calls",
    "business_id": 7, "exception": 'Traceback (most recent call last):\n  File "x"\nValueError: bad',
}  # fmt: skip
PINO = {
    "level": 30, "time": 1_772_359_199_456, "pid": 17, "hostname": "box", "name": "baileys", "msg": "Message received",
    "jid": f"{NUMBER}@s.whatsapp.net", "tenant": "t1", "callSid": CALL,
    # What was said stands at many depths.
    "message": {"conversation": SAID}, "text": SAID, "messageText": SAID, "quoted": {"deep": [{"caption": SAID}]},
}  # fmt: skip
PINO_ERROR = {
    "level": 50, "time": 1_772_359_199_456, "msg": "send failed",
    "err": {"type": "Boom", "message": "socket closed", "stack": "Boom: socket closed\n    at send (wa.js:1:2)"},
}  # fmt: skip
LONG = "[long] " + "x y " * 12_000
PARTS = [LONG[at : at + 16_384] for at in range(0, len(LONG), 16_384)]

LINES = [
    (json.dumps(OURS, ensure_ascii=False), {}),
    (json.dumps(PINO), {}),
    (json.dumps(PINO_ERROR), {}),
    (json.dumps({"level": 60, "msg": "pino fatal"}), {}),
    (json.dumps({"level": 20, "msg": "pino debug", "time": "2026-03-01T09:59:58.000Z"}), {}),
    (json.dumps({"level": 40, "content": SAID, "mark": "no text"}), {}),
    ("[tenant_1] ✅ Connected in 234ms", {}),
    ("[tenant_2] \x1b[31mERROR\x1b[0m no answer", {"stream": "stderr"}),
    (f"[tenant_3] New message from {NUMBER}@s.whatsapp.net: {SAID}", {}),
    (f'[tenant_4] Sending "{SAID}" to {NUMBER}', {}),
    (f"[tenant_5] text: {SAID}", {}),
    (f"💬 [TRANSCRIPT] Customer: {SAID}", {}),
    (json.dumps({"level": 30, "msg": f"[TRANSCRIPT] AI: {SAID}"}), {}),
    (f"📞 [CALL_START] call_sid={CALL}, direction=inbound", {}),
    ("[2026-03-01 12:00:00] WARNING  [media_ws_ai] slow answer", {}),
    ("{not json at all", {}),
    ("", {}),
    ("Error: plain boom", {"stream": "stderr"}),
    ("    at f (x.js:1:2)", {"stream": "stderr"}),
    ("    at g (x.js:3:4)", {"stream": "stderr"}),
    *[(part, {"newline": "" if part is not PARTS[-1] else "\n"}) for part in PARTS],
    ("[AUDIO_DELTA] bytes=320", {}),
    (json.dumps({"level": 30, "msg": "[AUDIO_DELTA] bytes=320"}), {}),
    ("tagged line", {"box": "cd" * 32, "attrs": {"tag": "baileys-1"}}),
]
# Neither the blank line nor the two frames; a stack and a long line are one record each.
RECORDS = len(LINES) - 1 - 2 - 2 - (len(PARTS) - 1)


class TestJson:
    """JSON lines, ours and pino's."""

    def test_ours(self, found):
        """A console line of ours is the record that it would have been by OTLP."""
        one = found(lambda one: one.body == OURS["message"])
        assert (one.severity, one.level, one.trace_id, one.span_id) == (21, "CRITICAL", TRACE, "b" * 16)
        assert one.time == 1_772_359_199_123_000_000
        assert one.resource["service.name"] == "voice-calls"
        assert one.attributes == {
            "call_sid": CALL, "logger.name": "server.media_ws_ai", "module": "media_ws_ai", "business_id": 7,
            "exception.stacktrace": OURS["exception"], "log.iostream": "stdout",
        }  # fmt: skip

    def test_pino(self, found):
        """Pino's numeric level, epoch milliseconds and logger's name; who wrote stays, what was written goes."""
        one = found(lambda one: one.body == "Message received")
        assert (one.severity, one.level) == (9, "INFO")
        assert one.time == 1_772_359_199_456_000_000
        wanted = {"logger.name": "baileys", "jid": PINO["jid"], "tenant": "t1", "call_sid": CALL}
        assert wanted.items() <= one.attributes.items()
        assert not {"level", "time", "pid", "hostname", "msg", "message", "text"} & one.attributes.keys()
        assert one.trace_id == TRACE

    def test_pino_errors(self, found):
        """Pino's `err` is OpenTelemetry's exception."""
        one = found(lambda one: one.body == "send failed")
        assert (one.severity, one.level) == (17, "ERROR")
        assert one.attributes["exception.type"] == "Boom"
        assert one.attributes["exception.message"] == "socket closed"
        assert one.attributes["exception.stacktrace"] == PINO_ERROR["err"]["stack"]

    @pytest.mark.parametrize(("body", "severity"), [("pino fatal", 21), ("pino debug", 5), ("(no message)", 13)])
    def test_levels(self, found, body, severity):
        """Every number of pino's is the severity it means."""
        assert found(lambda one: one.body == body).severity == severity

    def test_times_as_text(self, found):
        """Pino's ISO times are read as well."""
        assert found(lambda one: one.body == "pino debug").time == 1_772_359_198_000_000_000

    def test_broken(self, found):
        """What only looks like JSON is a plain line."""
        assert found(lambda one: one.body == "{not json at all").severity == 9


class TestPlain:
    """Plain text, with or without tags."""

    def test_tenant(self, found):
        """`[tenant] …` says whose line it is; Docker says when."""
        one = found(lambda one: one.attributes.get("tenant") == "tenant_1")
        assert one.body == "[tenant_1] ✅ Connected in 234ms"
        assert (one.severity, one.level, one.time) == (9, "INFO", NANOS)
        assert one.attributes["log.iostream"] == "stdout"
        assert one.resource["container.id"] == BOX

    def test_level_in_the_text(self, found):
        """A level after the tag counts, and colours go."""
        one = found(lambda one: one.attributes.get("tenant") == "tenant_2")
        assert (one.body, one.severity) == ("[tenant_2] ERROR no answer", 17)
        assert one.attributes["log.iostream"] == "stderr"

    def test_call(self, found):
        """A line that names its call belongs to it; a tag written large is no tenant."""
        one = found(lambda one: "CALL_START" in str(one.body))
        assert one.attributes["call_sid"] == CALL
        assert one.trace_id == TRACE
        assert "tenant" not in one.attributes

    def test_our_human_lines(self, found):
        """Our own lines for people are taken apart."""
        one = found(lambda one: one.body == "slow answer")
        assert (one.severity, one.attributes["module"]) == (13, "media_ws_ai")

    def test_stacks_are_one_record(self, found):
        """A stack in plain text stays with the line that it belongs to."""
        one = found(lambda one: str(one.body).startswith("Error: plain boom"))
        assert one.body == "Error: plain boom\n    at f (x.js:1:2)\n    at g (x.js:3:4)"
        assert one.severity == 17

    def test_long_lines_are_one_record(self, found):
        """What Docker cuts at 16 KiB is put together again."""
        assert found(lambda one: str(one.body).startswith("[long]")).body == LONG

    def test_container_name(self, found):
        """With Docker's log option `tag` the service has a name."""
        one = found(lambda one: one.body == "tagged line")
        assert (one.resource["service.name"], one.resource["container.name"]) == ("baileys-1", "baileys-1")


class TestContent:
    """What was said or written does not leave, unless somebody says so."""

    def test_dropped(self, collector):
        """Not one word of it, in whatever kind of line it stood; who it was from stays."""
        assert len(written(collector.files)) == RECORDS
        text = "".join(path.read_text("utf-8") for path in collector.files.glob("logs/*"))
        assert "c4n4ry" not in text
        assert "c4n4ry" not in collector.said
        assert text.count("[CONTENT]") == 5
        assert NUMBER in text

    def test_kept_if_asked_for(self, tmp_path):
        """DOCKER_LOGS_CONTENT=keep leaves it; secrets go in any case."""
        docker = Docker(tmp_path / "docker")
        docker.say(f"[tenant_1] text: {SAID} password=hunter22")
        docker.say(json.dumps(PINO))
        with start(tmp_path / "collector", docker, DOCKER_LOGS_CONTENT="keep") as collector:
            collector.until(lambda: len(written(collector.files)) == 2, "two records")
            plain, pino = written(collector.files)
        assert plain.body.startswith(f"[tenant_1] text: {SAID} ")
        assert "hunter22" not in plain.body
        assert pino.attributes["text"] == SAID


class TestRestarts:
    """Every line once."""

    def test_goes_on_where_it_stopped(self, tmp_path):
        """What was written while the Collector was down is read when it is back, and nothing is read twice."""
        docker = Docker(tmp_path / "docker")
        collector = start(tmp_path / "collector", docker)
        for number in range(3):
            docker.say(f"before {number}")
        with collector:
            collector.until(lambda: len(written(collector.files)) == 3, "three records")
            assert collector.stop() == 0
            for number in range(3):
                docker.say(f"between {number}")
            collector.start()
            docker.say("after")
            collector.until(lambda: len(written(collector.files)) >= 7, "the others")
            assert collector.stop() == 0
        assert sorted(one.body for one in written(collector.files)) == sorted(
            [*(f"before {number}" for number in range(3)), *(f"between {number}" for number in range(3)), "after"]
        )

    def test_does_not_read_what_was_there_before(self, tmp_path):
        """By default the first start does not ship old files, but a container that comes later is read whole."""
        docker = Docker(tmp_path / "docker")
        docker.say("long ago")
        with start(tmp_path / "collector", docker, DOCKER_LOGS_START_AT="end") as collector:
            numbers = itertools.count()

            def another():
                # The first look at the folder is soon after the start, at no moment that is told.
                number = next(numbers)
                docker.say(f"new {number}", box=f"{number:064x}")
                return written(collector.files)

            collector.until(another, "a line of a new container")
            assert "long ago" not in {one.body for one in written(collector.files)}
