"""Datadog's intake for logs on loopback, held to Datadog's published API, by both routes.

`/v1/logs` takes OTLP, packed as protobuf; `/api/v2/logs` takes a JSON array. `DatadogIntake()` is an `OtlpSink`: the
same script, outages and waiting. What differs is what it demands and says: an absent key is a 401 and a wrong one a
403, more than 5 MB unpacked are a 413, more than 1,000 entries or an entry of another shape than the API's are a 400,
and an entry above 1 MB is taken and cut. `arrived` is what was taken, in one shape for both routes; `refused` is what
was not, with why. The limits and answers are those of https://docs.datadoghq.com/api/latest/logs/#send-logs; the shape
of an entry is read from Datadog's own client.

How Datadog stores the attributes of an OTLP record is published only in part: here they are a log's attributes by
their names, as they are by the other route. What a test makes of it all does not belong in here.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otlp_flat import flat_records
from otlp_sink import Answer, Close, Handler, OtlpSink, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otlp_flat import Record

KEY = "0123456789abcdef0123456789abcdef"
MOST_BYTES = 5_000_000  # of a request, unpacked
MOST_BYTES_OF_ONE = 1_000_000
MOST_ENTRIES = 1000
# What else Datadog's exporter sends: spans and its own figures. Taken, and not looked at.
_BESIDE = ("/api/v0.2/", "/api/v2/series", "/api/beta/sketches", "/intake")
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 413: "Payload Too Large"}
_SHAPE = HTTPLogItem.openapi_types  # name: (type,)


@dataclass
class Arrived:
    """One log as Datadog's explorer has it, whichever route it came by."""

    route: str  # otlp or json
    message: str
    status: str
    service: str
    host: str
    trace_id: str  # hexadecimal, as the next
    span_id: str
    time: int  # nanoseconds; 0 if the log said none
    attributes: dict[str, Any]
    tags: list[str]
    size: int  # bytes of the log as JSON
    cut: bool  # it was above 1 MB
    request: int = 0


@dataclass
class Refused:
    """One request that the intake turned down by itself, not because the script said so."""

    route: str
    status: int
    why: str


@dataclass
class IntakeRequest(Request):
    """A request by either route."""

    route: str = "otlp"
    arrived: list[Arrived] = field(default_factory=list)


class NotTakenError(Exception):
    """The API turns such a request down with `status`."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class IntakeHandler(Handler):
    """One connection to the intake."""

    server: Any
    _route = "json"

    def do_POST(self) -> None:
        """As any sink; what the API turns down is answered as it says."""
        if self.path.startswith(_BESIDE):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send(202, {"Content-Type": "application/json"}, b"{}")
            return
        try:
            super().do_POST()
        except NotTakenError as error:
            self.server.sink._refuse_one(Refused(self._route, error.status, str(error)))
            self.close_connection = True  # the rest of its body may still be under way
            self.send(error.status, {"Content-Type": "application/json"}, _errors(error.status, str(error)))

    def do_GET(self) -> None:
        """The one thing that an exporter asks for: whether its key is any good."""
        if self.path != "/api/v1/validate":
            super().do_GET()
        elif self.headers.get("DD-API-KEY") == KEY:
            self.send(200, {"Content-Type": "application/json"}, b'{"valid": true}')
        else:
            self.send(403, {"Content-Type": "application/json"}, _errors(403, "Forbidden"))

    def decoded(self) -> IntakeRequest:
        """The request, checked. Errors as the API names them; ValueError for what nobody should ask."""
        self._route = {"/v1/logs": "otlp", "/api/v2/logs": "json"}.get(self.path, "")
        if not self._route:
            raise ValueError("no such path")
        wants = "application/x-protobuf" if self._route == "otlp" else "application/json"
        # Read even if it is turned down: a client that is still writing would see a broken connection instead.
        packed, plain = self.body()
        key = self.headers.get("dd-api-key")
        if not key:
            raise NotTakenError(401, "no API key")
        if key != KEY:
            raise NotTakenError(403, "API key is invalid")
        if self.headers.get_content_type() != wants:
            raise ValueError(f"Content-Type {self.headers.get('Content-Type')}")
        if len(plain) > MOST_BYTES:
            raise NotTakenError(413, f"{len(plain)} bytes are more than {MOST_BYTES}")
        host, port = self.client_address[:2]
        request = IntakeRequest(0, "logs", dict(self.headers), packed, self.number, (str(host), port))
        request.route = self._route
        if self._route == "otlp":
            message = ExportLogsServiceRequest.FromString(plain)
            request.records = list(flat_records(message, request.connection, request.peer))
            request.arrived = [_from_otlp(record) for record in request.records]
        else:
            request.arrived = list(_from_json(plain))
        return request

    def answer(self, request: Request, step: Answer) -> None:
        """Say what the script says, in the route's own words."""
        if isinstance(request, IntakeRequest) and request.route == "json":
            status = 202 if step.status == 200 else step.status
            body = b"{}" if status == 202 else _errors(status, step.message or _TITLES.get(status, "Error"))
            self.send(status, {"Content-Type": "application/json", **step.headers}, body)
        else:
            super().answer(request, step)


class DatadogIntake(OtlpSink):
    """See the module."""

    handler = IntakeHandler

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.refused: list[Refused] = []
        super().__init__()

    def _received(self, request: Request) -> Answer | Close:
        step = super()._received(request)
        if request.accepted and isinstance(request, IntakeRequest):
            with self._changed:
                for one in request.arrived:
                    one.request = request.number
                self.arrived.extend(request.arrived)
                self._changed.notify_all()
        return step

    def _refuse_one(self, refused: Refused) -> None:
        with self._changed:
            self.refused.append(refused)
            self._changed.notify_all()

    def messages(self) -> list[str]:
        """The messages of what arrived, in order of arrival."""
        return [one.message for one in self.arrived]

    def describe(self) -> str:
        """What was received, for an assertion's message."""
        return f"{super().describe()}, {len(self.arrived)} logs, refused {self.refused}"


def _from_otlp(record: Record) -> Arrived:
    resource = record.resource
    stored = {
        "message": record.body,
        "status": record.level.lower(),
        "service": resource.get("service.name", ""),
        "host": resource.get("host.name", ""),
        "timestamp": record.time,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "attributes": {**record.attributes, **resource},
    }
    size = len(json.dumps(stored, ensure_ascii=False, default=repr).encode())
    return Arrived(
        route="otlp",
        message=record.body if isinstance(record.body, str) else json.dumps(record.body, default=repr),
        status=record.level.lower(),
        service=stored["service"],
        host=stored["host"],
        trace_id=record.trace_id,
        span_id=record.span_id,
        time=record.time,
        attributes=stored["attributes"],
        tags=[],
        size=size,
        cut=size > MOST_BYTES_OF_ONE,
    )


def _from_json(plain: bytes) -> Iterator[Arrived]:
    try:
        entries = json.loads(plain)
    except ValueError as error:
        raise NotTakenError(400, f"no JSON: {error}") from None
    if entries == {}:
        return  # what an exporter sends to learn whether anybody is there
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        raise NotTakenError(400, f"neither an object nor an array: {type(entries).__name__}")
    if len(entries) > MOST_ENTRIES:
        raise NotTakenError(400, f"{len(entries)} entries are more than {MOST_ENTRIES}")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or "message" not in entry:
            raise NotTakenError(400, f"entry {number} has no message")
        for name, types in _SHAPE.items():
            if name in entry and not isinstance(entry[name], types):
                raise NotTakenError(400, f"entry {number}: {name} is no {types[0].__name__}")
    for entry in entries:
        yield _from_entry(entry)


def _from_entry(entry: dict[str, Any]) -> Arrived:
    """Datadog parses a message that is a JSON object, and lets it say what the log is."""
    size = len(json.dumps(entry, ensure_ascii=False).encode())
    said = {name: value for name, value in entry.items() if name not in _SHAPE}
    message = entry["message"]
    try:
        inner = json.loads(message)
    except ValueError:
        inner = None
    if isinstance(inner, dict):
        said |= inner
        message = said.pop("message", "")
    return Arrived(
        route="json",
        message=message,
        status=str(said.pop("status", "info")).lower(),
        service=str(said.pop("service", entry.get("service", ""))),
        host=str(said.pop("hostname", entry.get("hostname", ""))),
        trace_id=str(said.get("otel.trace_id", "")),
        span_id=str(said.get("otel.span_id", "")),
        time=_nanoseconds(said),
        attributes=said,
        tags=[tag for tag in entry.get("ddtags", "").split(",") if tag],
        size=size,
        cut=size > MOST_BYTES_OF_ONE,
    )


def _nanoseconds(said: dict[str, Any]) -> int:
    if "otel.timestamp" in said:
        return int(said["otel.timestamp"])
    if "@timestamp" in said:
        moment = dt.datetime.fromisoformat(str(said["@timestamp"]).replace("Z", "+00:00"))
        return int(moment.timestamp() * 1000) * 1_000_000
    return int(said.get("timestamp", 0)) * 1_000_000


def _errors(status: int, detail: str) -> bytes:
    title = _TITLES.get(status, "Error")
    return json.dumps({"errors": [{"status": str(status), "title": title, "detail": detail}]}).encode()
