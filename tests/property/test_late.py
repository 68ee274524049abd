"""A record that is translated late says what it would have said at once, whichever way it was taken."""

from __future__ import annotations

import contextlib
import io
import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_records import Kept, odd_record, records_of
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import otel_logging
from otel_logging.bridge import direct, gate, late, scope
from otel_logging.bridge.ledger import Ledger
from otel_logging.bridge.pipeline import Pipeline
from otel_logging.bridge.sampling import SamplingLogRecordProcessor, read_policies
from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.console import Console

POLICIES = {privacy: read_policies(None, privacy=privacy) for privacy in ("off", "secrets", "strict")}
SECRET = "password=hunter2 and Authorization: Bearer abcdefghijklmnop"
SID = "CA" + "1a7e" * 8  # of no other test: a call keeps what is bound to it
NAME = "late.test"


class _Odd:
    def __str__(self):
        return "odd"


class _Text(str):
    __slots__ = ()


TEXTS = st.one_of(
    st.text(st.characters(codec=None), max_size=12), st.sampled_from(["שלום", SECRET, "call +972501234567", "\ud800"])
)
ARGUMENTS = st.one_of(TEXTS, st.integers(), st.floats(), st.none(), st.just(_Odd()))
VALUES = st.one_of(
    ARGUMENTS,
    st.booleans(),
    st.sampled_from([(1 << 63) - 1, 1 << 63, -(1 << 63), -(1 << 63) - 1, 0, 127, 128, 16_384]),
    st.lists(st.integers(), max_size=2),
    st.just(_Text("t")),
)
NAMES = st.one_of(
    st.text(min_size=1, max_size=6),
    st.sampled_from(["turn", "call_sid", "status", "service", "event.name", "logger.name", "token", "asctime", "name"]),
)
MESSAGES = st.one_of(
    st.tuples(TEXTS, st.just(())),
    st.tuples(st.sampled_from(["turn %d of %s", "%s", "no place"]), st.lists(ARGUMENTS, max_size=2).map(tuple)),
    st.tuples(st.one_of(st.integers(), st.just(_Odd()), st.just(_Text("t"))), st.just(())),
)


def _made(policies, *, taken_late, most=128):
    books, kept = Ledger(), Kept()
    provider = LoggerProvider(resource=Resource({"service.name": "s"}), shutdown_on_exit=False)
    queue = BatchingProcessor(kept, books)
    provider.add_log_record_processor(SamplingLogRecordProcessor(queue, policies))
    pipeline = Pipeline(policies=policies, books=books, provider=provider)
    pipeline.most_attributes = most
    pipeline.direct = direct.Direct(provider, [queue])
    if taken_late:
        pipeline.late = late.Late(pipeline, pipeline.direct)
        pipeline.late.learn(NAME, provider.get_logger(NAME))
    return pipeline, queue, kept


@contextlib.contextmanager
def _around(sid, bound, *, in_span):
    with contextlib.ExitStack() as stack:
        if in_span:
            stack.enter_context(TracerProvider().get_tracer("t").start_as_current_span("s"))
        if sid is not None:
            stack.enter_context(otel_logging.call(sid, **bound))
        yield


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([10, 20, 25, 40, 150]),
    MESSAGES,
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.sampled_from([None] * 6 + ["exception", "stack", "path", "time", "level", "fields"]),
    st.sampled_from([None, SID, "room-late"]),
    st.dictionaries(st.sampled_from(["lane", "status", "token"]), st.sampled_from(["x", 3, SECRET]), max_size=2),
    st.booleans(),
    st.sampled_from(sorted(POLICIES)),
    st.sampled_from([None, 128, 4]),
)
def test_a_record_says_the_same_late(level, message, extras, odd, sid, bound, in_span, privacy, most):
    """Promises 2 and 3, and privacy: nothing is lost, no call and no redaction, by being translated later."""
    said = []
    with _around(sid, bound, in_span=in_span):
        for taken_late in (True, False):
            pipeline, queue, kept = _made(POLICIES[privacy], taken_late=taken_late, most=most)
            pipeline.handle(odd_record(NAME, level, message, extras, odd), judged=True)
            assert queue.close()
            books = pipeline.books.snapshot()
            assert books["created"] == books["exported"] + sum(books["dropped"].values()) == 1
            said.append(records_of(kept))
    assert said[0] == said[1]


@pytest.fixture
def log():
    logger = logging.getLogger(NAME)
    logger.propagate = False  # the test runner's own handlers look at records
    logger.setLevel(logging.INFO)
    yield logger
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logger.filters.clear()
    logger.handlers.clear()


def _by_the_gate(pipeline, queue, kept, log_it, monkeypatch):
    """What `log_it` logs, and how many records the pipeline was given for it."""
    given = []
    handle = pipeline.handle
    monkeypatch.setattr(pipeline, "handle", lambda record, **how: (given.append(record), handle(record, **how)))
    logging.getLogger(NAME).handlers.clear()  # the test runner's
    gate.install(pipeline)
    try:
        log_it()
    finally:
        gate.uninstall()
    assert queue.close()
    return records_of(kept), len(given)


def _both(log_it, monkeypatch, privacy="secrets"):
    found = []
    for taken_late in (True, False):
        pipeline, queue, kept = _made(POLICIES[privacy], taken_late=taken_late)
        with monkeypatch.context() as patch:
            found.append(_by_the_gate(pipeline, queue, kept, log_it, patch))
    return found


def _wrapper(log, text):
    log.info(text)


LINES = {
    "text": lambda log: log.info("hello"),
    "template": lambda log: log.info("turn %d of %s", 3, "five"),
    "mapping": lambda log: log.info("%(a)s", {"a": 1}),
    "extras": lambda log: log.info("turn", extra={"turn": 3, "ms": 1.5, "voice": "שלום", "barge": False, "none": None}),
    "log": lambda log: log.log(20, "at level %s", "info"),
    "other level": lambda log: log.log(25, "between"),
    "adapter": lambda log: logging.LoggerAdapter(log, {"lane": 3}).info("by an adapter"),
    "wrapper": lambda log: _wrapper(log, "by a wrapper"),
    "secret": lambda log: log.info(SECRET),
    "secret extra": lambda log: log.info("x", extra={"note": SECRET}),
    "large number": lambda log: log.info("x", extra={"turn": 1 << 70}),
    "surrogate": lambda log: log.info("a\ud800b"),
    "reserved": lambda log: log.info("x", extra={"status": "up", "event.name": "e"}),
}
SEEN = {
    "warning": lambda log: log.warning("careful"),
    "object": lambda log: log.info("x", extra={"o": _Odd()}),
    "exception": lambda log: log.info("x", exc_info=ValueError("bad")),
    "stacklevel": lambda log: log.info("x", stacklevel=2),
    "no text": lambda log: log.info(_Odd()),
}


@pytest.mark.parametrize("privacy", ["secrets", "strict"])
@pytest.mark.parametrize("sid", [None, SID])
@pytest.mark.parametrize("kind", sorted(LINES))
def test_without_a_record_a_message_says_the_same(kind, sid, privacy, log, monkeypatch):
    """Promise 5: text, extras, call, level and the line of code are there although no stdlib record was made."""

    def log_it():
        for _ in range(2):  # an extra's name is met the first time
            LINES[kind](log)

    with _around(sid, {"lane": "x"} if kind == "secret" else {}, in_span=kind == "text"):
        (quick, given), (slow, slow_given) = _both(log_it, monkeypatch, privacy)
    assert quick == slow
    assert len(slow) == slow_given == 2
    if kind in {"text", "template", "log", "other level", "wrapper", "secret", "surrogate"}:
        assert not given  # names of extras are learned from records


@pytest.mark.parametrize("kind", sorted(SEEN))
def test_what_is_special_gets_its_record(kind, log, monkeypatch):
    """Promise 5: whatever needs a stdlib record has one."""
    (quick, given), (slow, _) = _both(lambda: SEEN[kind](log), monkeypatch)
    assert quick == slow
    assert given == 1


def _filter(log, monkeypatch):
    log.addFilter(lambda record: True)


def _handler(log, monkeypatch):
    log.addHandler(logging.NullHandler())


def _factory(log, monkeypatch):
    monkeypatch.setattr(logging, "_logRecordFactory", type("Record", (logging.LogRecord,), {}))


def _method(log, monkeypatch):
    def seen(self, record):
        original(self, record)

    original = logging.Logger.handle
    monkeypatch.setattr(logging.Logger, "handle", seen)


@pytest.mark.parametrize("looks", [_filter, _handler, _factory, _method])
def test_whoever_looks_at_records_sees_each(looks, log, monkeypatch):
    """Promise 5: a filter, a handler, a factory or a patch of the application's own sees every record."""
    pipeline, queue, kept = _made(POLICIES["secrets"], taken_late=True)

    def log_it():
        log.info("unseen")
        looks(log, monkeypatch)
        log.info("seen")

    with monkeypatch.context() as patch:
        records, given = _by_the_gate(pipeline, queue, kept, log_it, patch)
    assert (len(records), given) == (2, 1)


def test_a_processor_ends_it(log, monkeypatch):
    """Promise 5: whoever is behind the provider gets the record at once."""

    class Nothing(LogRecordProcessor):
        def on_emit(self, log_record):
            """Only there."""

        def shutdown(self):
            """Only there."""

        def force_flush(self, timeout_millis=30000):
            return True

    pipeline, queue, kept = _made(POLICIES["secrets"], taken_late=True)

    def log_it():
        log.info("late")
        pipeline.provider.add_log_record_processor(Nothing())
        log.info("for the processor")

    records, given = _by_the_gate(pipeline, queue, kept, log_it, monkeypatch)
    assert (len(records), given) == (2, 1)


def _printed(pipeline, shown):
    """What the console shows, but for the moment."""
    stream = io.StringIO()
    pipeline.console = Console(shown == "json", "on", "s", stream=lambda: stream)

    def lines():
        moment = re.compile(r'^(\[[^]]*\]|\{"timestamp":"[^"]*")')
        return [moment.sub("", line) for line in stream.getvalue().splitlines()]

    return lines


@pytest.mark.parametrize("shown", ["json", "human"])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("sid", [None, "CA" + "c0de" * 8])  # nothing is bound to it
@pytest.mark.parametrize("kind", sorted(LINES))
def test_the_console_shows_the_same_without_a_record(kind, sid, alone, shown, log, monkeypatch):
    """Promise 5 and privacy: a line is the same, and redacted, whether a record was made for it or not."""
    found = []
    for taken_late in (True, False):
        if alone:
            pipeline = Pipeline(policies=POLICIES["secrets"], books=Ledger())
            pipeline.late = late.Late(pipeline, None) if taken_late else None
        else:
            pipeline, queue, _ = _made(POLICIES["secrets"], taken_late=taken_late)
        lines = _printed(pipeline, shown)
        given = []
        handle = pipeline.handle
        with monkeypatch.context() as patch, _around(sid, {}, in_span=kind == "text"):
            patch.setattr(
                pipeline, "handle", lambda record, g=given, h=handle, **how: (g.append(record), h(record, **how))
            )
            logging.getLogger(NAME).handlers.clear()
            gate.install(pipeline)
            try:
                for _ in range(2):
                    LINES[kind](log)
            finally:
                gate.uninstall()
        assert alone or queue.close()
        books = pipeline.books.snapshot()
        assert (books["created"], books["exported"]) == (2, 2)
        found.append((re.sub(r"[0-9a-f]{16,32}", "", "\n".join(lines())) if kind == "text" else lines(), len(given)))
    assert found[0][0] == found[1][0]
    assert len(found[1][0]) > 1
    if kind in {"text", "template", "log", "other level", "wrapper"}:
        assert found[0][1] == 0
    if kind == "secret":
        assert "hunter2" not in str(found)


def test_what_the_stream_logs_is_our_own_and_a_broken_one_is_counted(log, monkeypatch):
    """Promises 1 and 2: stdout that logs what is written to it does not go round, nor is a line lost unseen."""

    class Logs(io.StringIO):
        def write(self, text):
            log.info("echo of it")
            return super().write(text)

    class Broken(io.StringIO):
        def write(self, text):
            raise OSError("gone")

    for stream, expected in ((Logs(), "hello"), (Broken(), None)):
        pipeline = Pipeline(policies=POLICIES["secrets"], books=Ledger())
        pipeline.late = late.Late(pipeline, None)
        pipeline.console = Console(False, "on", "s", stream=lambda stream=stream: stream)
        logging.getLogger(NAME).handlers.clear()
        gate.install(pipeline)
        try:
            log.info("hello")
        finally:
            gate.uninstall()
        books = pipeline.books.snapshot()
        assert books["created"] == books["exported"] + sum(books["dropped"].values())
        if expected:
            assert expected in stream.getvalue()
        else:
            assert books["dropped"] == {"no_destination": 1}


def test_changes_after_the_call_change_nothing(log, monkeypatch):
    """Promise 3: a record says what was so when it was logged: text, call, trace."""
    pipeline, queue, kept = _made(POLICIES["secrets"], taken_late=True)
    record = odd_record(NAME, 20, ("turn %d", (3,)), {"turn": 3}, None)
    with otel_logging.call("room-late-test"):
        assert pipeline.late.take(record)
        record.msg, record.args, record.levelname, record.turn = "other", (), "\x1b[32mINFO", 4
        record.message = "other"
        scope.current.get().bind(lane=9)
    assert queue.close()
    ((_, _, said),) = records_of(kept)
    assert "turn 3" in said
    assert "room-late-test" in said
    assert [word for word in ("other", "lane", "32m") if word in said] == []
