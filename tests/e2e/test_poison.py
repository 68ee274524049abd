"""Poison, in a real process: the bad part is repaired or replaced by a marker, the record and its neighbours arrive."""

from __future__ import annotations

import gzip
import http.server
import importlib.util
import json
import re
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

PROGRAM = Path(__file__).parent / "apps" / "poison.py"
_spec = importlib.util.spec_from_file_location("poison_rows", PROGRAM)
poison = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(poison)
ROWS = list(poison.ROWS)
HEAD = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ")
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
NEIGHBOUR = re.compile(r"\b(?:before|after) (\d+)\b")
MAX_REQUEST = 4 * 1024 * 1024  # what a Collector takes over gRPC


class Sink:
    """An OTLP/HTTP endpoint: what it decoded, and how large each request was."""

    def __init__(self):
        self.records, self.sizes = [], []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                if self.path.endswith("/logs"):
                    sink.sizes.append(len(data))
                    for resource in ExportLogsServiceRequest.FromString(data).resource_logs:
                        for scope in resource.scope_logs:
                            sink.records += [(scope.scope.name, record) for record in scope.log_records]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Run:
    """The program, run once with lines of one kind, and what came out of it everywhere."""

    def __init__(self, launch, log_json):
        self.sink = Sink()
        env = {
            "OTEL_LOGS_EXPORTER": "otlp,local",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url,
            "LOG_JSON": log_json,
            "OTEL_TRACES_EXPORTER": "none",
        }
        self.process = launch([sys.executable, PROGRAM], "none", env)
        assert self.process.wait() == 0, self.process.describe()[-3000:]
        self.sink.server.shutdown()
        self.sink.server.server_close()
        self.out = (self.process.folder / "stdout").read_bytes().decode("utf-8")
        self.lines = self.out.splitlines()
        self.stored = []
        for path in self.process.store.glob("logs/*.jsonl"):
            for line in path.read_bytes().decode("utf-8").rstrip("\n").split("\n"):
                for resource in json.loads(line)["resourceLogs"]:
                    for scope in resource["scopeLogs"]:
                        self.stored += [(scope["scope"]["name"], record) for record in scope["logRecords"]]

    @staticmethod
    def neighbour(line):
        """The number of the row beside which a line stands, None if it is a row's own."""
        found = NEIGHBOUR.search(line) if len(line) < 1000 else None
        return int(found[1]) if found else None


@pytest.fixture(scope="module")
def people(launch):
    """A run with lines for people."""
    return Run(launch, "0")


@pytest.fixture(scope="module")
def lines(launch):
    """A run with JSON lines."""
    return Run(launch, "1")


def three(records, number):
    """The record before a row's, its own, and the one after; requests group them by logger."""
    (before,) = [record for name, record in records if name == "good" and text_of(record) == f"before {number}"]
    (bad,) = [record for name, record in records if name.split(".")[:2] == ["bad", str(number)]]
    (after,) = [record for name, record in records if name == "good" and text_of(record) == f"after {number}"]
    return before, bad, after


def text_of(record):
    if isinstance(record, dict):
        return record["body"].get("stringValue", "")
    return record.body.string_value


@pytest.mark.parametrize("name", ROWS)
class TestRow:
    def test_protobuf(self, people, name):
        """Over OTLP/HTTP: the record with its repaired part, and both neighbours as they were."""
        number = ROWS.index(name)
        before, bad, after = three(people.sink.records, number)
        for neighbour, word in ((before, "before"), (after, "after")):
            assert neighbour.body.string_value == f"{word} {number}"
            assert {pair.key: pair.value.int_value for pair in neighbour.attributes}["number"] == number
        everything = [
            bad.body.string_value,
            *(str(pair.value) for pair in bad.attributes),
            *(pair.key for pair in bad.attributes),
        ]
        everything += [pair.value.string_value for pair in bad.attributes]
        everything += [people.sink.records[0][0]] + [scope for scope, record in people.sink.records if record is bad]
        marker = poison.ROWS[name][1]
        assert any(marker in text for text in everything), bad
        assert all(pair.key for pair in bad.attributes)
        assert len({pair.key for pair in bad.attributes}) == len(bad.attributes)
        assert len(bad.SerializeToString()) <= 1_000_000
        assert bad.time_unix_nano
        assert bad.time_unix_nano > 1_600_000_000 * 10**9

    def test_local_store(self, people, name):
        """In the local store the same three records, in valid JSON."""
        number = ROWS.index(name)
        before, bad, after = three(people.stored, number)
        assert [text_of(before), text_of(after)] == [f"before {number}", f"after {number}"]
        _, sent, _ = three(people.sink.records, number)
        assert text_of(bad) == sent.body.string_value
        assert len(bad["attributes"]) == len(sent.attributes)
        assert len(json.dumps(bad, ensure_ascii=False).encode()) <= 1_000_000

    def test_console(self, people, lines, name):
        """On the console one line for each of the three, of either kind."""
        number = ROWS.index(name)
        for run in (people, lines):
            text = run.out
            at = [
                index
                for index, line in enumerate(text.splitlines())
                if re.search(rf"\b(before|after) {number}\b", line)
            ]
            assert len(at) == 2
            between = text.splitlines()[at[0] + 1 : at[1]]
            heads = between if run is lines else [line for line in between if HEAD.match(line)]
            said = [line for line in heads if "said while rendered" not in line]
            assert len(said) == 1, between[:5]


class TestEverything:
    def test_no_request_is_too_large(self, people):
        """No request is larger than a Collector takes, whatever was logged."""
        assert max(people.sink.sizes) <= MAX_REQUEST

    def test_attributes_beyond_the_limit_are_counted(self, people):
        """Of 10,000 attributes the standard number arrives, the first ones and our own, and the rest is counted."""
        number = ROWS.index("10,000 attributes")
        _, bad, _ = three(people.sink.records, number)
        keys = [pair.key for pair in bad.attributes]
        assert len(keys) == 128
        assert {"logger.name", "code.file.path", "k0", "k100"} <= set(keys)
        assert bad.dropped_attributes_count == 10_000 + 4 - 128

    def test_lines_for_people(self, people):
        """Every line is a record's, or belongs to the one above it; nothing in them drives a terminal."""
        assert not FORBIDDEN.search(people.out)
        assert all(HEAD.match(line) or line.startswith("    ") for line in people.lines)

    def test_json_lines(self, lines):
        """Every line is one JSON object."""
        assert not FORBIDDEN.search(lines.out)
        assert all(type(json.loads(line)["message"]) is str for line in lines.lines)

    def test_nothing_was_lost(self, people):
        """No trouble but that which is told: what a log call would have raised, and requests for too much."""
        told = [line for line in people.process.err.splitlines() if line.startswith("otel-logging:")]
        assert all("its record was made" in line for line in told), told
        assert "Traceback" not in people.process.err
