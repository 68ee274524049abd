"""Whatever an application does: every record made is exported, held, or counted as dropped, and none arrives twice."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult

import otel_logging
from otel_logging.bridge import handler
from otel_logging.calls.call import open_call
from otel_logging.testing import FakeClock, assert_balanced, capture

# A logger of the test's own, and one per shape that applications have; none reaches the test runner's handlers.
QUIET, DEEP, ALONE = (logging.Logger(f"conserved.{name}") for name in ("quiet", "deep", "alone"))
QUIET.setLevel(logging.WARNING)
DEEP.parent = ALONE
LOGGERS = (QUIET, DEEP, ALONE)
BODIES = ("a line", "a frame", "a tick", "a sampled thing", "שלום", "bad \ud800", "100%", "")
POLICIES = [
    {"id": "frames", "name": "f", "log": {"match": [{"log_field": "body", "contains": "frame"}], "keep": "none"}},
    {"id": "ticks", "name": "t", "log": {"match": [{"log_field": "body", "contains": "tick"}], "keep": "2/s"}},
    {"id": "some", "name": "s", "log": {"match": [{"log_field": "body", "contains": "sampled"}], "keep": "50%"}},
]


class Broken:
    """An argument without a text."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


ARGUMENTS = {
    "none": ("", ()),
    "fits": (" %s", ("x",)),
    "does not fit": (" %d", ("x",)),
    "too many": ("", (1,)),
    "broken": (" %s", (Broken(),)),
}

logs = st.fixed_dictionaries(
    {
        "do": st.sampled_from(["log", "handle", "_log", "thread", "bridge"]),
        "logger": st.sampled_from(LOGGERS),
        "level": st.sampled_from([5, 10, 20, 25, 30, 40, 50]),
        "body": st.sampled_from(BODIES),
        "args": st.sampled_from(sorted(ARGUMENTS)),
        "extra": st.sampled_from([None, {"user": "u"}, {"call_sid": "CA9"}, {"bad": Broken()}, {"status": 1, "": 2}]),
        "exc": st.booleans(),
    }
)
calls = st.one_of(
    st.fixed_dictionaries({"do": st.sampled_from(["open", "end", "bind", "leave scope"])}),
    st.fixed_dictionaries({"do": st.just("name"), "sid": st.sampled_from(["CA1", "CA2", "not an id", ""])}),
    st.fixed_dictionaries({"do": st.just("limit"), "key": st.sampled_from("ab")}),
)
rest = st.fixed_dictionaries({"do": st.sampled_from(["flush", "pass time", "fail next", "poison next", "error"])})


class Application:
    """Does what the strategies say, and remembers what it logged."""

    def __init__(self, sink, clock):
        self.sink = sink
        self.clock = clock
        self.number = 0
        self.open = []  # (call, activation)
        self.next = None
        sink._logs.export = self._export
        self._keep = sink._logs.keep
        self.poisoned = set()

    def _export(self, batch):
        """An exporter that does not deliver once, or that cannot encode one record."""
        fate, self.next = self.next, None
        if fate == "fail":
            return LogRecordExportResult.FAILURE
        if fate == "poison":
            self.poisoned.add(id(batch[0]))
        if any(id(one) in self.poisoned for one in batch):
            raise ValueError("cannot be encoded")
        self._keep(batch)
        return LogRecordExportResult.SUCCESS

    def step(self, what):
        """One thing that applications do."""
        getattr(self, "do_" + what["do"].replace(" ", "_"))(what)

    def _message(self, what):
        self.number += 1
        suffix, args = ARGUMENTS[what["args"]]
        return f"{what['body'].replace('%', '%%') if args else what['body']} #{self.number}{suffix}", args

    def do_log(self, what):
        message, args = self._message(what)
        try:
            raise ValueError("an error")
        except ValueError:
            what["logger"].log(what["level"], message, *args, extra=what["extra"], exc_info=what["exc"])

    def do_thread(self, what):
        thread = threading.Thread(target=self.do_log, args=(what,))
        thread.start()
        thread.join()

    def do_handle(self, what):
        message, args = self._message(what)
        fields = {
            "name": what["logger"].name,
            "msg": message,
            "args": args,
            "levelno": what["level"],
            **(what["extra"] or {}),
        }
        what["logger"].handle(logging.makeLogRecord(fields))

    def do_log_direct(self, what):
        message, args = self._message(what)
        what["logger"]._log(what["level"], message, args, extra=what["extra"])

    def do_bridge(self, what):
        message, _ = self._message(what)
        handler._pipeline.provider.get_logger("another.bridge").emit(LogRecord(body=message))

    def do_open(self, _what):
        call = open_call(origin="websocket")
        activation = call.activate()
        activation.__enter__()
        self.open.append((call, activation))

    def do_name(self, what):
        if self.open:
            self.open[-1][0].name(what["sid"], "test")

    def do_bind(self, _what):
        otel_logging.bind(customer="c", service="s", bad=Broken())

    def do_end(self, _what):
        if self.open:
            self.open[-1][0].end()

    def do_leave_scope(self, _what):
        if self.open:
            self.open.pop()[1].__exit__(None, None, None)

    def do_limit(self, what):
        otel_logging.every(what["key"], 5)
        otel_logging.every_n(what["key"], 3)
        otel_logging.once_per_call(what["key"])

    def do_flush(self, _what):
        self.sink.flush()

    def do_pass_time(self, _what):
        self.clock.advance(1)

    def do_fail_next(self, _what):
        self.next = "fail"

    def do_poison_next(self, _what):
        self.next = "poison"

    def do_error(self, _what):
        try:
            raise KeyError("gone")
        except KeyError:
            ALONE.exception("an error left the call")


Application.do__log = Application.do_log_direct


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """A rule file that drops, limits and samples."""
    path = tmp_path_factory.mktemp("rules") / "rules.json"
    path.write_text(json.dumps({"policies": POLICIES}))
    return str(path)


@given(
    steps=st.lists(st.one_of(logs, logs, calls, rest), max_size=40), level=st.sampled_from(["DEBUG", "INFO", "ERROR"])
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_records_are_conserved(rules, steps, level):
    """After any sequence of log calls, calls, limits, failures and flushes the books balance, at every step."""
    clock = FakeClock()
    with capture(policies=[rules], log_level=level, log_console="off", clock=clock) as sink:
        application = Application(sink, clock)
        for what in steps:
            application.step(what)
            assert_balanced()
        while application.open:
            application.do_leave_scope(None)
        sink.flush()
        assert_balanced()
        assert otel_logging.stats()["held"] == 0
    # Taken down: whatever had still to be said about dropped records has been said.
    stats = otel_logging.stats()
    assert_balanced(stats)
    assert stats["exported"] == len(sink._logs.all())
    arrived = [record.body for record in sink.records]
    numbers = [body.partition("#")[2].split(" ")[0] for body in arrived if "#" in body]
    assert len(numbers) == len(set(numbers)), "a record arrived twice"
    assert stats["dropped"].get("internal_error", 0) == 0
