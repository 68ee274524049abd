"""A scriptable OTLP/HTTP endpoint for tests: it decodes what it receives, and misbehaves as it is told.

`OtlpSink()` listens on a free loopback port (`url`); `OtlpSink(tls=context)` speaks TLS there. What each of the next
requests is answered with is put on a script, one step a request::

    sink.script(Answer(503, {"Retry-After": "1"}), Close(), Hang())
    sink.always(Answer(200, rejected=1))
    sink.refuse(); ...; sink.accept()
    sink.wait_for(lambda: len(sink.records) == 20, "20 records")

`records` and `spans` are what was accepted, flat, in the order of arrival; `requests` is everything that was asked,
with what was answered. `invalid` lists the requests no exporter should ever send. What a test makes of all that does
not belong in here. Endpoints with another API (`datadog_intake`, `cloudwatch_moto`) have a `handler` of their own, and
the rest from here.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import itertools
import re
import socket
import sys
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from otlp_flat import Record, Span, flat_records, flat_spans

if TYPE_CHECKING:
    import ssl

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DEADLINE = 30.0  # seconds for what happens in well under one on an idle machine


@dataclass(frozen=True)
class Answer:
    """Answer with `status` and `headers`. With 200, `rejected` records of the request are said to be refused."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    rejected: int = 0
    message: str = ""
    body: bytes | None = None  # instead of the protobuf message


@dataclass(frozen=True)
class Close:
    """Close the connection without an answer. `accepted`: the records had been taken in by then, as may happen."""

    accepted: bool = False


@dataclass(frozen=True)
class Hang:
    """Say nothing until `sink.release()` or the end of the test, then do `then`."""

    then: Answer | Close = field(default_factory=Close)


Step = Answer | Close | Hang
# A step may also be chosen by looking at the request.
Chosen = Step | Callable[["Request"], Step]


@dataclass
class Request:
    """One valid request: what it held and, once it is answered, with what. `step` is None while it hangs."""

    number: int
    signal: str  # logs or traces
    headers: dict[str, str]
    size: int  # bytes as sent
    connection: int
    peer: tuple[str, int]
    records: list[Record] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    step: Answer | Close | None = None
    accepted: bool = False
    at: float = 0.0  # seconds, monotonic


class OtlpSink:
    """See the module. Threads of its own serve it; every method may be called from the test's thread."""

    handler: type[Handler]  # what a connection is served by

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.records: list[Record] = []
        self.spans: list[Span] = []
        self.requests: list[Request] = []
        self.invalid: list[str] = []
        self.connections = 0  # opened so far
        self.tls = tls
        self._changed = threading.Condition()
        self._scripts: dict[str, deque[Chosen]] = {"logs": deque(), "traces": deque()}
        self._always: dict[str, Chosen] = {"logs": Answer(), "traces": Answer()}
        self._released = threading.Event()
        self._open: set[socket.socket] = set()
        self._failures: list[BaseException] = []
        self._numbers = itertools.count(1)
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._server: _Server | None = None
        self._held: socket.socket | None = listening
        self.accept()

    # What it does to requests.

    def script(self, *steps: Chosen, signal: str = "logs") -> None:
        """Answer the next requests of `signal` with `steps`, one each, after those that are on the script already."""
        with self._changed:
            self._scripts[signal].extend(steps)

    def always(self, step: Chosen, signal: str = "logs") -> None:
        """Answer every request of `signal` for which nothing is on the script with `step`."""
        with self._changed:
            self._always[signal] = step

    def release(self) -> None:
        """End all hanging, now and (until `always` or `script` say so again) later."""
        self._released.set()

    def hang_again(self) -> None:
        """Requests met by `Hang` after a `release` hang once more."""
        self._released.clear()

    def refuse(self) -> None:
        """Refuse connections, and close those that are open. The port stays ours meanwhile."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        # Bound but not listening: nobody else can take the port, and who connects is refused.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", self.port))
        self.disconnect()

    def accept(self) -> None:
        """Listen on the same port again."""
        held, self._held = self._held, None
        if held is None:
            return
        self._server = server = _Server(held, self)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def disconnect(self) -> None:
        """Close all open connections, whatever they are in the midst of."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop for good.

        Raises:
            AssertionError: if the sink itself failed.
        """
        self.release()
        self.refuse()
        if self._held is not None:
            self._held.close()
            self._held = None
        assert not self._failures, f"the sink failed: {self._failures}"

    def __enter__(self) -> OtlpSink:  # noqa: PYI034 (nobody derives from it)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it has seen.

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
        """Wait until `condition()` is true, and return that. It is asked after each request and now and then.

        Raises:
            AssertionError: with `what` and what has been received, after `seconds`.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                found = condition()
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {what} within {seconds:g} s; {self.describe()}")
                self._changed.wait(min(left, 0.05))

    def bodies(self) -> list[Any]:
        """The bodies of the accepted records."""
        return [record.body for record in self.records]

    def counts(self, pattern: str = r".*") -> Counter[str]:
        """How often each accepted body that matches `pattern` arrived, by what its first group (or all) matched."""
        found = (re.search(pattern, str(body), re.DOTALL) for body in self.bodies())
        return Counter(match[1 if match.re.groups else 0] for match in found if match)

    def describe(self) -> str:
        """What was received, for an assertion's message."""
        answered = Counter(repr(request.step) for request in self.requests)
        return f"{len(self.records)} records, {len(self.spans)} spans, answers {dict(answered)}, invalid {self.invalid}"

    # What its connections call.

    def _invalid(self, why: str) -> None:
        with self._changed:
            self.invalid.append(why)
            self._changed.notify_all()

    def _received(self, request: Request) -> Answer | Close:
        """Take `request` in, and say what to answer. Blocks while it is to hang."""
        with self._changed:
            request.number, request.at = next(self._numbers), time.monotonic()
            for record in request.records:
                record.request = request.number
            for span in request.spans:
                span.request = request.number
            self.requests.append(request)
            script = self._scripts[request.signal]
            chosen = script.popleft() if script else self._always[request.signal]
            self._changed.notify_all()
        step = chosen if isinstance(chosen, (Answer, Close, Hang)) else chosen(request)
        if isinstance(step, Hang):
            self._released.wait()
            step = step.then
        with self._changed:
            request.step = step
            request.accepted = step.accepted if isinstance(step, Close) else step.status < 300
            if request.accepted:
                self.records.extend(request.records)
                self.spans.extend(request.spans)
            self._changed.notify_all()
        return step

    def _connected(self, connection: socket.socket, server: _Server) -> int:
        with self._changed:
            if server is not self._server:
                raise ConnectionAbortedError  # taken from the queue just before the port was closed
            self._open.add(connection)
            self.connections += 1
            return self.connections

    def _disconnected(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.discard(connection)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, listening: socket.socket, sink: OtlpSink) -> None:
        super().__init__(listening.getsockname(), sink.handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.sink = listening, sink
        self.server_activate()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a client that dawdles over its TLS greeting holds nobody up."""
        connection = request
        if self.sink.tls is not None:
            connection = self.sink.tls.wrap_socket(request, server_side=True)
        try:
            number = self.sink._connected(connection, self)
            self.sink.handler(connection, client_address, self, number)
        finally:
            self.sink._disconnected(connection)
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections end as they like; anything else is a fault of the sink, which fails the test at its end."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.sink._failures.append(error)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection, which speaks OTLP. Another API overrides `decoded` and `answer`."""

    protocol_version = "HTTP/1.1"  # connections are kept, as a Collector keeps them
    server: _Server

    def __init__(self, connection: Any, address: Any, server: _Server, number: int) -> None:
        self.number = number
        super().__init__(connection, address, server)

    def do_POST(self) -> None:
        """Decode, note, and do what the script says."""
        sink = self.server.sink
        try:
            request = self.decoded()
        except (ValueError, OSError, EOFError, zlib.error, zstd.ZstdError, DecodeError) as error:
            sink._invalid(f"{self.path}: {error}")
            self.close_connection = True  # the rest of its body may still be under way
            self.send(400, {}, b"")
            return
        step = sink._received(request)
        if isinstance(step, Close):
            self.close_connection = True
            return
        self.answer(request, step)

    def answer(self, request: Request, step: Answer) -> None:
        """Say what the script says, as OTLP does."""
        body = step.body
        if body is None:
            body = _response(request.signal, step) if step.status == 200 else step.message.encode()
        self.send(step.status, {"Content-Type": "application/x-protobuf", **step.headers}, body)

    def do_GET(self) -> None:
        """No exporter asks for anything."""
        self.server.sink._invalid(f"{self.command} {self.path}")
        self.send(405, {}, b"")

    do_PUT = do_HEAD = do_GET

    def decoded(self) -> Request:
        """The request that was asked; an error if nobody should ask it."""
        signal = {"/v1/logs": "logs", "/v1/traces": "traces"}.get(self.path)
        if signal is None:
            raise ValueError("no such path")
        if self.headers.get("Content-Type") != "application/x-protobuf":
            raise ValueError(f"Content-Type {self.headers.get('Content-Type')}")
        length, plain = self.body()
        host, port = self.client_address[:2]
        request = Request(0, signal, dict(self.headers), length, self.number, (str(host), port))
        if signal == "logs":
            request.records = list(
                flat_records(ExportLogsServiceRequest.FromString(plain), request.connection, request.peer)
            )
        else:
            request.spans = list(flat_spans(ExportTraceServiceRequest.FromString(plain)))
        return request

    def body(self) -> tuple[int, bytes]:
        """How many bytes came, and what they are when unpacked."""
        length = int(self.headers.get("Content-Length") or -1)
        if length < 0:
            raise ValueError("no Content-Length")
        data = self.rfile.read(length)
        if len(data) != length:
            raise ValueError(f"{len(data)} of {length} bytes")
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding == "gzip":
            plain = gzip.decompress(data)
        elif encoding == "deflate":
            plain = zlib.decompress(data)
        elif encoding == "zstd":
            plain = zstd.decompress(data)
        elif encoding == "identity":
            plain = data
        else:
            raise ValueError(f"Content-Encoding {encoding}")
        return length, plain

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests read the sink, not its access log."""


OtlpSink.handler = Handler


def _response(signal: str, step: Answer) -> bytes:
    answer: Any
    if signal == "logs":
        answer = ExportLogsServiceResponse()
        if step.rejected or step.message:
            answer.partial_success.rejected_log_records = step.rejected
    else:
        answer = ExportTraceServiceResponse()
        if step.rejected or step.message:
            answer.partial_success.rejected_spans = step.rejected
    if step.message:
        answer.partial_success.error_message = step.message
    encoded: bytes = answer.SerializeToString()
    return encoded
