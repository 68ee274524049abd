"""CloudWatch Logs on loopback: moto's server as a process, and a door in front of it that a test can close.

`CloudWatch()` is an `OtlpSink` by its door: the same script, outages and waiting. What the script lets through
(`Answer(200)`, the default) moto answers; `Close(accepted=True)` lets moto take it and loses the answer. moto keeps
what it has in memory, so that an outage has to happen at the door. `events()` is all that moto holds, read as people
read it: through boto3. moto asks nobody who they are and holds nobody to the service's limits; the door does both: it
knows one access key and one region, answers others as AWS does, and measures each PutLogEvents.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from free_ports import free_ports
from otlp_sink import Answer, Close, Handler, OtlpSink, Request

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 60.0  # seconds for anything that happens in well under one on an idle machine
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "of-no-account"}
# Of one PutLogEvents request: bytes, of which each event takes so many besides its text; events; bytes of one.
MOST_BYTES, EVENT_BYTES, MOST_EVENTS, MOST_BYTES_OF_ONE = 1_048_576, 26, 10_000, 1_048_576
_UNKNOWN_KEY = ("UnrecognizedClientException", "The security token included in the request is invalid.")
_OTHER_REGION = ("InvalidSignatureException", "Credential should be scoped to a valid region.")
_HOP = {"connection", "content-length", "transfer-encoding", "date", "server"}


@dataclass
class Event:
    """One event as CloudWatch stores it."""

    group: str
    stream: str
    time: int  # milliseconds
    text: str
    data: dict[str, Any]  # the text as JSON; empty if it is none


@dataclass
class AwsRequest(Request):
    """A request on its way to moto."""

    action: str = ""
    plain: bytes = b""
    reply: tuple[int, dict[str, str], bytes] | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, str] | None = None  # type and message of the error


class DoorHandler(Handler):
    """One connection to the door."""

    server: Any

    def decoded(self) -> AwsRequest:
        """The request, whatever it asks; PutLogEvents is held to the service's limits."""
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if self.path != "/" or not action:
            raise ValueError(f"no such call: {self.headers.get('X-Amz-Target')}")
        length = int(self.headers.get("Content-Length") or -1)
        plain = self.rfile.read(length)
        host, port = self.client_address[:2]
        request = AwsRequest(0, "logs", dict(self.headers), length, self.number, (str(host), port))
        request.action, request.plain = action, plain
        request.refused = self._refused()
        unpacked = gzip.decompress(plain) if self.headers.get("Content-Encoding") == "gzip" else plain
        request.asked = json.loads(unpacked)
        return request

    def _refused(self) -> tuple[str, str] | None:
        """Why AWS would not hear of it: `Credential=KEY/DATE/REGION/logs/aws4_request` is in its signature."""
        signed = re.search(r"Credential=([^/]+)/\d+/([^/]+)/logs/aws4_request", self.headers.get("Authorization", ""))
        if signed is None or signed[1] != CREDENTIALS["AWS_ACCESS_KEY_ID"]:
            return _UNKNOWN_KEY
        return None if signed[2] == self.server.sink.region else _OTHER_REGION

    def answer(self, request: Request, step: Answer) -> None:
        """What the script says, or else moto."""
        assert isinstance(request, AwsRequest)
        if request.refused and step.status == 200:
            kind, why = request.refused
            body = json.dumps({"__type": kind, "message": why}).encode()
            self.send(400, {"Content-Type": "application/x-amz-json-1.1"}, body)
            return
        if step.status != 200:
            kind = step.message or "ServiceUnavailableException"
            body = json.dumps({"__type": kind, "message": kind}).encode() if step.body is None else step.body
            self.send(step.status, {"Content-Type": "application/x-amz-json-1.1", **step.headers}, body)
            return
        assert request.reply is not None
        self.send(*request.reply)


class CloudWatch(OtlpSink):
    """See the module. `with` starts moto, and ends it at the end."""

    handler = DoorHandler

    def __init__(self, folder: Path) -> None:
        self.folder, self.region = folder, REGION
        (self._moto_port,) = free_ports(1)
        self.events_put: list[Event] = []
        drop = ("AWS_", "MOTO_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
        with (folder / "moto.log").open("wb") as output:
            self.moto = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._moto_port)],
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        super().__init__()

    def __enter__(self) -> CloudWatch:  # noqa: PYI034 (nobody derives from it)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._moto_port}/moto-api/", timeout=DEADLINE).close()
            except OSError:
                said = (self.folder / "moto.log").read_text("utf-8", "replace")
                assert self.moto.poll() is None, f"moto ended: {said}"
                assert time.monotonic() < deadline, f"moto does not answer: {said}"
                time.sleep(0.05)
            else:
                return self

    def close(self) -> None:
        """Stop door and moto."""
        self.moto.kill()
        self.moto.wait(DEADLINE)
        super().close()

    def client(self, service: str = "logs", region: str | None = None) -> Any:
        """A boto3 client that asks moto itself, past the door."""
        return boto3.client(
            service,
            region_name=region or self.region,
            endpoint_url=f"http://127.0.0.1:{self._moto_port}",
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def groups(self, region: str | None = None) -> list[str]:
        """The log groups that there are."""
        pages = self.client(region=region).get_paginator("describe_log_groups").paginate()
        return [group["logGroupName"] for page in pages for group in page["logGroups"]]

    def events(self, group: str | None = None, region: str | None = None) -> list[Event]:
        """All events of a group, or of all groups, in the order of their times."""
        client = self.client(region=region)
        found = []
        for name in [group] if group else self.groups(region):
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=name, interleaved=True)
            found += [
                _event(name, event["logStreamName"], event["timestamp"], event["message"])
                for page in pages
                for event in page["events"]
            ]
        return found

    def put(self) -> list[Event]:
        """The events of all PutLogEvents that moto accepted, in the order of arrival: those twice that came twice."""
        with self._changed:
            return list(self.events_put)

    def _received(self, request: Request) -> Answer | Close:
        step = super()._received(request)
        assert isinstance(request, AwsRequest)
        if request.accepted and not request.refused:
            _hold_to_limits(request)
            request.reply = self._forward(request)
            if request.action == "PutLogEvents" and request.reply[0] == 200:
                with self._changed:
                    group, stream = request.asked["logGroupName"], request.asked["logStreamName"]
                    for event in request.asked["logEvents"]:
                        self.events_put.append(_event(group, stream, event["timestamp"], event["message"]))
                    self._changed.notify_all()
        return step

    def _forward(self, request: AwsRequest) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=DEADLINE)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request("POST", "/", request.plain, headers)
            answer = connection.getresponse()
            said = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, said, answer.read()
        finally:
            connection.close()

    def describe(self) -> str:
        """What was received, for an assertion's message."""
        return f"{super().describe()}, {len(self.events_put)} events put"


def _hold_to_limits(request: AwsRequest) -> None:
    """AWS turns such a request down; here the test fails, for no exporter should send it."""
    if request.action != "PutLogEvents":
        return
    events = request.asked["logEvents"]
    sizes = [len(event["message"].encode()) + EVENT_BYTES for event in events]
    times = [event["timestamp"] for event in events]
    assert len(events) <= MOST_EVENTS, f"{len(events)} events in a request"
    assert sum(sizes) <= MOST_BYTES, f"{sum(sizes)} bytes in a request"
    assert max(sizes) <= MOST_BYTES_OF_ONE, f"an event of {max(sizes)} bytes"
    assert times == sorted(times), "events out of order"
    assert times[-1] - times[0] <= 24 * 3600 * 1000, "more than 24 hours in a request"


def _event(group: str, stream: str, when: int, text: str) -> Event:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    return Event(group, stream, when, text, data if isinstance(data, dict) else {})
