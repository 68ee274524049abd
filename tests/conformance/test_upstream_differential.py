"""5,000 mixed records through the official handler and through ours: what a decoding OTLP sink received is the same.

Where it is not, the difference stands in `DIFFERENCES`, with the reason why ours is the better. Nothing else may
differ, and no row may be there in vain.
"""

from __future__ import annotations

import decimal
import gzip
import logging
import math
import random
import sys
import threading
import uuid
from contextlib import nullcontext
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.logging.handler import LoggingHandler as OfficialHandler
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span

from otel_logging import LoggingHandler, trouble

COUNT = 5_000
SEED = 20_240_121

# (what differs, where it does, why ours differs)
DIFFERENCES = [
    (
        "observed time",
        lambda case, field, theirs, ours: field == "observed_time_unix_nano" and ours > 0,
        "each handler notes when it saw the record itself",
    ),
    (
        "trace level",
        lambda case, field, theirs, ours: field == "severity_number" and 0 < case.level < 10 and theirs == 0 and 1 <= ours <= 4,
        "a level below DEBUG is TRACE; as UNSPECIFIED it would slip past every minimum severity",
    ),
    (
        "exception message",
        lambda case, field, theirs, ours: field == "attributes.exception.message" and "several args" in case.traits,
        "the message is what the exception says; its first argument alone is an errno or an encoding's name",
    ),
    (
        "exception without a traceback",
        lambda case, field, theirs, ours: field == "attributes.exception.stacktrace" and "never raised" in case.traits and theirs is None,
        "an exception that was never raised still has its cause and its own line",
    ),
    (
        "lost",
        lambda case, field, theirs, ours: field == "record" and theirs == "lost" and "loses" in case.traits,
        "a lone surrogate, a time before 1970 or an odd event name costs the whole batch; ours replaces what cannot be sent",
    ),
    (
        "raised",
        lambda case, field, theirs, ours: field == "record" and theirs.startswith("raised") and "raises" in case.traits,
        "the official handler raises into the application; ours keeps the record with a marker in it",
    ),
    (
        "attribute dropped",
        lambda case, field, theirs, ours: field.startswith("attributes.") and theirs is None and "loses attribute" in case.traits,
        "an attribute with a surrogate, an int beyond 64 bits or no name is silently dropped; ours keeps it as text",
    ),
    (
        "nested too deeply",
        lambda case, field, theirs, ours: field.startswith("attributes.") and "deep" in case.traits and "nested too deeply" in repr(ours),
        "nesting is cut at 16 levels with a marker: readers refuse messages nested too deeply, with their whole batch",
    ),
    (
        "dropped attributes",
        lambda case, field, theirs, ours: field == "dropped_attributes_count" and "loses attribute" in case.traits and ours == 0,
        "what ours does not drop it does not count as dropped",
    ),
]  # fmt: skip


class Case:
    """One record to be sent, and what is special about it."""

    def __init__(self, number, record, traits, span):
        self.number = number
        self.record = record
        self.traits = traits
        self.span = span
        self.level = record.levelno if isinstance(record.levelno, int) else 0


# -- making records ----------------------------------------------------------------------------------------------------


class Plain:
    """An object with a text."""

    def __str__(self):
        return "a plain object"


class Broken:
    """An object without one."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class CallError(Exception):
    """An application's own exception."""


TEXTS = [
    "",
    "plain",
    "שלום עולם",
    "📞 [HANGUP] done",
    "日本語\n two lines",
    "tab\tand\x00null",
    "x" * 3000,
    "100%",
    "\u2028",
]
LEVELS = [10, 20, 30, 40, 50, 20, 20, 30, 0, 1, 5, 9, 11, 15, 19, 25, 35, 53, 54, 60, 1000]
NAMES = ["app", "app.media.ws", "uvicorn.error", "שירות", "a" * 200, ""]


def value(pick, depth=0):
    """An extra of any type that both handlers can carry."""
    made = [
        lambda: pick.choice(TEXTS), lambda: pick.randint(-(2**63), 2**63 - 1), lambda: pick.random() * 10 ** pick.randint(-5, 20),
        lambda: pick.choice([True, False]), lambda: None, lambda: pick.randbytes(5), lambda: math.inf, lambda: -0.0,
        lambda: decimal.Decimal("1.50"), lambda: uuid.UUID(int=pick.getrandbits(128)), lambda: PurePosixPath("/srv/x.wav"),
        lambda: datetime(2024, 1, pick.randint(1, 28), tzinfo=timezone.utc), Plain, lambda: {7}, lambda: CallError("as a value"), lambda: int,
    ]  # fmt: skip
    if depth < 3:
        made += [
            lambda: [value(pick, depth + 1) for _ in range(pick.randint(0, 4))],
            lambda: tuple(pick.randint(0, 9) for _ in range(3)),
            lambda: {pick.choice("abcdef"): value(pick, depth + 1) for _ in range(pick.randint(0, 4))},
        ]
    return pick.choice(made)()


def error(pick, traits):
    """The `exc_info` of an exception of some kind."""
    kinds = [
        lambda: ValueError("bad"), lambda: CallError("no audio"), KeyError, lambda: CallError(pick.choice(TEXTS)),
        lambda: ZeroDivisionError("division by zero"), lambda: OSError("text only"),
    ]  # fmt: skip
    odd = [
        lambda: FileNotFoundError(2, "No such file", "x.wav"), lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        lambda: CallError(5), lambda: CallError(("a", "b")), lambda: CallError("two", "texts"), lambda: ConnectionResetError(104, "reset"),
    ]  # fmt: skip
    if pick.random() < 0.4:
        traits.add("several args")
        made = pick.choice(odd)()
    else:
        made = pick.choice(kinds)()
    if pick.random() < 0.2:
        traits.add("never raised")
        return type(made), made, None
    try:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise made from (cause if pick.random() < 0.5 else None)
    except Exception:
        return sys.exc_info()


CYCLE = []
CYCLE.append(CYCLE)
DEEP: list = []
for _ in range(20):
    DEEP = [DEEP]

# (what it does to the official handler, what is put onto the record)
POISON = [
    ("loses", {"msg": "a\ud800b", "args": ()}), ("loses", {"msg": "open %s", "args": ("caf\udce9.wav",)}),
    ("loses", {"name": "app.\ud800"}), ("loses", {"levelname": "\ud800"}), ("loses", {"otel.event.name": 7}),
    ("loses", {"event.name": {"a": 1}}), ("loses", {"event.name": "\ud800"}), ("loses", {"created": -5.0}),
    ("raises", {"msg": "%d", "args": ("x",)}), ("raises", {"msg": "m", "args": (1, 2)}), ("raises", {"msg": Broken(), "args": ()}),
    ("raises", {"msg": "%s", "args": (Broken(),)}), ("raises", {"bad": Broken()}), ("raises", {"bad": CYCLE}),
    ("raises", {"levelno": "INFO"}), ("raises", {"created": math.nan}), ("raises", {"created": None}),
    ("loses attribute", {"bad": "\ud800"}), ("loses attribute", {"\ud800": 1}), ("loses attribute", {"bad": 2**70}),
    ("loses attribute", {"bad": [1, 2**70]}), ("loses attribute", {"bad": {"x": "\ud800"}}), ("loses attribute", {"": 1}),
    ("loses attribute", {None: 1}), ("loses attribute", {"exc_info": (ValueError, ValueError("\ud800"), None)}), ("deep", {"bad": DEEP}),
]  # fmt: skip


def cases():
    """The same 5,000 records in every run: one in thirty is poison, each kind of poison at least five times."""
    pick = random.Random(SEED)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("differential")
    spans = [tracer.start_span(f"span {number}") for number in range(20)]
    made = []
    for number in range(COUNT):
        traits = set()
        msg, args = pick.choice(
            [
                (pick.choice(TEXTS), ()), ("n=%d of %s", (pick.randint(0, 9), pick.choice(TEXTS))), ("%(a)s and %(b)r", ({"a": 1, "b": "x"},)),
                ("%s %s", (Plain(), None)), ({"structured": [1]}, ()), (CallError("as message"), ()), (None, ()), ("%.2f%%", (99.5,)), (42, ()),
            ]
        )  # fmt: skip
        info = error(pick, traits) if pick.random() < 0.25 else pick.choice([None, None, None, (None, None, None)])
        level = pick.choice(LEVELS)
        record = logging.LogRecord(
            pick.choice(NAMES),
            level,
            "/srv/app/ws.py",
            pick.randint(1, 999),
            msg,
            args,
            info,
            "handle",
            pick.choice([None, "Stack"]),
        )
        record.created = pick.choice([record.created, 0.0, 1_700_000_000.123456, 4e9])
        for position in range(pick.choice([0, 0, 1, 2, 4, 9])):
            record.__dict__[
                pick.choice(["user", "latency_ms", "סוג", "a.b.c", "status", "call_sid", f"k{position}"])
            ] = value(pick)
        if pick.random() < 0.05:
            record.__dict__[pick.choice(["otel.event.name", "event.name"])] = pick.choice(
                ["call.started", "שם", None, ""]
            )
        if number % 30 == 7:
            kind, fields = POISON[number // 30 % len(POISON)]
            traits.add(kind)
            if "exc_info" in fields:
                traits.add("never raised")
            record.__dict__.update(fields)
        record.__dict__["number"] = number
        made.append(Case(number, record, traits, pick.choice([None, *spans])))
    return made


# -- sending and receiving ---------------------------------------------------------------------------------------------


class Sink(ThreadingHTTPServer):
    """An OTLP/HTTP endpoint that decodes what it gets, under `/ours` and `/theirs`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receives)
        self.received = {"ours": {}, "theirs": {}}


class Receives(BaseHTTPRequestHandler):
    """Decodes one export request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportLogsServiceRequest.FromString(body)
        into = self.server.received[self.path.strip("/")]
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    found = flat(record)
                    found["scope"] = scope.scope.name
                    into[found.pop("attributes.number")[1]] = found
        answer = ExportLogsServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments):
        """Keep the test's output quiet."""


def plain(any_value):
    """An AnyValue with its kind, so that 1, True and 1.0 differ."""
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return kind, [plain(one) for one in any_value.array_value.values]
    if kind == "kvlist_value":
        return kind, {one.key: plain(one.value) for one in any_value.kvlist_value.values}
    found = getattr(any_value, kind) if kind else None
    return kind, repr(found) if isinstance(found, float) else found


def flat(record):
    """All fields of a decoded record, attributes one by one."""
    found = {
        name: getattr(record, name)
        for name in (
            "time_unix_nano",
            "observed_time_unix_nano",
            "severity_number",
            "severity_text",
            "dropped_attributes_count",
            "flags",
            "trace_id",
            "span_id",
            "event_name",
        )
    }
    found["body"] = plain(record.body)
    for attribute in record.attributes:
        assert f"attributes.{attribute.key}" not in found, "an attribute came twice"
        found[f"attributes.{attribute.key}"] = plain(attribute.value)
    return found


@pytest.fixture
def sink():
    """The endpoint, running."""
    server = Sink()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def send(kind, path, sink, made):
    """Send all cases through a handler of `kind`; gives what was raised into the caller, by number."""
    processor = BatchLogRecordProcessor(
        OTLPLogExporter(f"http://127.0.0.1:{sink.server_port}/{path}"),
        schedule_delay_millis=60_000,
        max_queue_size=2048,
    )
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    handler = kind(logger_provider=provider)
    raised = {}
    for case in made:
        poison = case.traits & {"loses", "raises", "loses attribute", "deep"}
        if poison or case.number % 500 == 0:
            provider.force_flush()  # a poison record is alone in its batch, and the queue never overflows
        try:
            with use_span(case.span) if case.span is not None else nullcontext():
                handler.handle(case.record)
        except Exception as failure:
            raised[case.number] = f"raised {type(failure).__name__}"
        if poison:
            provider.force_flush()
    provider.shutdown()
    return raised


def differences(case, theirs, ours):
    """Every field in which the two differ: `(field, theirs, ours)`; a record that did not arrive is one field."""
    if isinstance(theirs, str):
        return [("record", theirs, "arrived")]
    return [
        (name, theirs.get(name), ours.get(name))
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]


@pytest.mark.filterwarnings("ignore::opentelemetry.sdk._logs.LogRecordDroppedAttributesWarning")
def test_ours_and_theirs_are_the_same(sink):
    """Both handlers deliver the same records, apart from what is listed and justified; ours delivers all and never raises."""
    made = cases()
    trouble.reset()
    logging.disable(logging.CRITICAL)  # the SDK tells of each batch it loses; the handlers are called directly
    try:
        theirs_raised = send(OfficialHandler, "theirs", sink, made)
        ours_raised = send(LoggingHandler, "ours", sink, made)
    finally:
        logging.disable(logging.NOTSET)
    assert ours_raised == {}
    assert set(sink.received["ours"]) == set(range(COUNT))
    assert trouble.counts() == {}

    used, unexplained = set(), []
    for case in made:
        theirs = sink.received["theirs"].get(case.number, theirs_raised.get(case.number, "lost"))
        for field, one, other in differences(case, theirs, sink.received["ours"][case.number]):
            rows = [name for name, applies, _ in DIFFERENCES if applies(case, field, one, other)]
            used.update(rows)
            if not rows:
                unexplained.append((case.number, sorted(case.traits), field, repr(one)[:200], repr(other)[:200]))
    assert unexplained[:20] == []
    assert {name for name, _, _ in DIFFERENCES} - used == set(), "rows that explain nothing"


def test_the_records_are_mixed():
    """The records hold what they claim: all severities, kinds of values and exceptions, spans, every kind of poison."""
    made = cases()
    assert len(made) == COUNT
    assert {case.level for case in made} >= set(LEVELS)
    assert sum(case.span is not None for case in made) > COUNT / 2
    assert sum(bool(case.record.exc_info) for case in made) > COUNT / 10
    poisons = [case for case in made if case.traits & {"loses", "raises", "loses attribute", "deep"}]
    assert len(poisons) >= 5 * len(POISON)
    kinds = {type(one) for case in made for one in case.record.__dict__.values()}
    assert {str, int, float, bool, bytes, list, tuple, dict, set, decimal.Decimal, datetime, Plain, type(None)} <= kinds
