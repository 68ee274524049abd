"""The drop-in handler: as the official one where that works, and never raising where it does not."""

from __future__ import annotations

import collections
import decimal
import inspect
import logging
import math
import threading

import pytest
from opentelemetry import _logs as api
from opentelemetry.instrumentation.logging.handler import LoggingHandler as OfficialHandler
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import otel_logging
from otel_logging import LoggingHandler, trouble
from otel_logging.bridge import handler as handler_module
from otel_logging.testing import assert_balanced, capture


class Broken:
    """An object that answers nothing."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


CYCLE: dict = {}
CYCLE["self"] = CYCLE

# One row for each way in which a record can be poison; `fields` go straight onto the record.
POISON = {
    "body with a lone surrogate": {"msg": "a\ud800b"},
    "file name as argument": {"msg": "open %s", "args": ("caf\udce9.wav",)},
    "logger name with a surrogate": {"name": "app.\ud800"},
    "level name with a surrogate": {"levelname": "\ud800"},
    "event name: int": {"otel.event.name": 7},
    "event name: dict": {"event.name": {"a": 1}},
    "event name with a surrogate": {"event.name": "\ud800"},
    "before 1970": {"created": -1.0},
    "not a time": {"created": math.nan},
    "wrong argument type": {"msg": "%d", "args": ("x",)},
    "too many arguments": {"msg": "m", "args": (1, 2)},
    "message without text": {"msg": Broken()},
    "argument without text": {"msg": "%s", "args": (Broken(),)},
    "extra without text": {"bad": Broken()},
    "cyclic dict": {"bad": CYCLE},
    "level that is no number": {"levelno": "INFO"},
    "level that is nothing": {"levelno": None},
    "attribute value with a surrogate": {"bad": "\ud800"},
    "attribute key with a surrogate": {"\ud800": 1},
    "int beyond 64 bit": {"bad": 2**70, "worse": -(2**70)},
    "nested odd values": {"bad": [{"a": {2**70: [b"x", "\ud800", None, {1, 2}]}}]},
    "exception with a surrogate": {"exc_info": (ValueError, ValueError("\ud800"), None)},
    "no key": {"": 1},
    "key that is no text": {None: 1, 5: 2, (1, 2): 3},
    "values of all kinds": {"a": None, "b": b"x", "c": {1}, "d": object(), "e": math.nan, "f": {"g": {"h": 1}}, "i": decimal.Decimal(1)},
    "everything missing": {"msg": None, "args": None, "name": None, "pathname": None, "lineno": None, "funcName": None, "exc_info": 5},
    "a deque": {"bad": collections.deque([1])},
}  # fmt: skip


def poisoned(fields):
    """A record with `fields` in the place of its own."""
    made = logging.LogRecord("app", 20, "/a.py", 1, "m", (), None, "f")
    made.__dict__.update(fields)
    return made


@pytest.fixture
def official_setup():
    """A provider with an exporter in memory: `(provider, exporter)`."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


@pytest.fixture
def logger():
    """A logger out of the reach of the test runner's handlers, which raise on poison."""
    return logging.Logger("handler.test")


def bodies(exporter):
    """What has arrived."""
    return [one.log_record.body for one in exporter.get_finished_logs()]


class TestDropIn:
    def test_the_same_signature(self):
        """It is made as the official handler is."""
        ours, theirs = (inspect.signature(kind.__init__).parameters for kind in (LoggingHandler, OfficialHandler))
        assert list(ours) == list(theirs)
        assert [one.default for one in ours.values()] == [one.default for one in theirs.values()]

    def test_bare_it_adds_only_what_the_official_one_adds(self, official_setup, logger):
        """Without `configure()` a record has the caller's extras and nothing else."""
        provider, exporter = official_setup
        logger.addHandler(LoggingHandler(logger_provider=provider))
        logger.warning("m %d", 1, extra={"user": "u", "status": 5})
        (one,) = exporter.get_finished_logs()
        assert dict(one.log_record.attributes) == {"user": "u", "status": 5}
        assert (one.log_record.body, one.log_record.severity_text) == ("m 1", "WARN")
        assert one.instrumentation_scope.name == "handler.test"

    def test_code_attributes_on_request(self, official_setup, logger):
        """Where the line was logged, if that was asked for."""
        provider, exporter = official_setup
        logger.addHandler(LoggingHandler(logger_provider=provider, log_code_attributes=True))
        logger.warning("m")
        attributes = exporter.get_finished_logs()[0].log_record.attributes
        assert (attributes["code.file.path"], attributes["code.function.name"]) == (
            __file__,
            "test_code_attributes_on_request",
        )

    def test_a_formatter(self, official_setup, logger):
        """With a formatter the body is what it makes, also beside `configure()`."""
        provider, exporter = official_setup
        handler = LoggingHandler(logger_provider=provider)
        handler.setFormatter(logging.Formatter("<%(message)s>"))
        logger.addHandler(handler)
        logger.warning("one")
        with capture():
            logger.warning("two")
        assert bodies(exporter) == ["<one>", "<two>"]

    def test_its_level(self, official_setup, logger):
        """Records below its level are ignored."""
        provider, exporter = official_setup
        logger.addHandler(LoggingHandler(logging.ERROR, provider))
        logger.warning("no")
        logger.error("yes")
        assert bodies(exporter) == ["yes"]

    def test_asks_whether_records_are_wanted(self, logger):
        """Where all processors say no, nothing is translated."""

        class Refuses(LogRecordProcessor):
            def on_emit(self, log_record):
                raise AssertionError("was not asked")

            def enabled(self, **_about):
                return False

            def shutdown(self):
                pass

            def force_flush(self, timeout_millis=30000):
                return True

        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(Refuses())
        logger.addHandler(LoggingHandler(logger_provider=provider))
        logger.warning("m %s", Broken())
        assert trouble.counts() == {}
        provider.shutdown()

    def test_flush_does_not_wait(self, official_setup):
        """`flush()` asks the provider from another thread: logging holds locks while it flushes."""
        asked = threading.Event()
        where = []

        class Slow:
            def force_flush(self):
                where.append(threading.current_thread())
                asked.set()

        LoggingHandler(logger_provider=Slow()).flush()
        assert asked.wait(5)
        assert where[0] is not threading.current_thread()

    def test_flush_when_no_thread_can_start(self, monkeypatch, official_setup):
        """At the interpreter's end no thread starts any more, and nothing is raised."""
        monkeypatch.setattr(threading.Thread, "start", lambda _self: (_ for _ in ()).throw(RuntimeError("can't start")))
        LoggingHandler(logger_provider=official_setup[0]).flush()
        assert trouble.counts() == {"flush_at_exit": 1}

    def test_a_provider_that_cannot_flush(self):
        """A provider without `force_flush`, as the API's own, is left alone."""
        LoggingHandler(logger_provider=api.NoOpLoggerProvider()).flush()


class TestNeverRaises:
    @pytest.mark.parametrize("fields", POISON.values(), ids=POISON)
    def test_poison_arrives_bare(self, official_setup, fields):
        """Each poison record arrives between two good ones, and nothing is raised."""
        provider, exporter = official_setup
        handler = LoggingHandler(logger_provider=provider, log_code_attributes=True)
        for one in (poisoned({"msg": "before"}), poisoned(fields), poisoned({"msg": "after"})):
            handler.handle(one)
        found = bodies(exporter)
        assert (len(found), found[0], found[2]) == (3, "before", "after")
        assert trouble.counts() == {}
        encodable(exporter.get_finished_logs())

    @pytest.mark.parametrize("fields", POISON.values(), ids=POISON)
    @pytest.mark.parametrize("json", [False, True], ids=["human", "json"])
    def test_poison_arrives_under_configure(self, fields, json, logger):
        """The same through the whole pipeline: printed, exported, and the books balance."""
        with capture(log_json=json, policies=[]) as sink, otel_logging.call("CA1"):
            for one in (poisoned({"msg": "before"}), poisoned(fields), poisoned({"msg": "after"})):
                logger.handle(one)
            found = sink.bodies
            assert (len(found), found[0], found[2]) == (3, "before", "after")
            assert len(sink.console.splitlines()) == 3 or "exc_info" in fields
            assert otel_logging.stats()["incidents"] == {}
            assert_balanced()
            encodable(sink._logs.all())

    @pytest.mark.parametrize(
        ("msg", "args", "extra"),
        [
            ("%d", ("x",), None), ("m", (1, 2), None), ("%(a)s", ({"b": 1},), None), (Broken(), (), None), ("%s", (Broken(),), None),
            ("m", (), {"bad": Broken()}), ("m", (), {"bad": CYCLE}), ("m", (), {"call_sid": Broken()}), (b"\xff", (), None), (None, (None,), None),
        ],
        ids=range(10),
    )  # fmt: skip
    def test_poison_at_the_log_call(self, msg, args, extra, logger):
        """The application's own line with something broken in it raises nothing and costs nothing else."""
        with capture(policies=[]) as sink:
            for level in (20, 40):
                logger.log(level, msg, *args, extra=extra)
            assert len(sink.records) == 2
            assert_balanced()

    def test_a_provider_that_breaks(self, capsys):
        """A provider that raises costs its record, is reported once, and raises nothing."""

        class Bad:
            def get_logger(self, *_args, **_kwargs):
                raise RuntimeError("bad provider")

        LoggingHandler(logger_provider=Bad()).handle(poisoned({}))
        assert trouble.counts() == {"internal_error": 1}
        assert "bad provider" in capsys.readouterr().err

    def test_a_processor_that_logs(self, logger):
        """A processor that logs while it works does not feed itself."""

        class Chatty(LogRecordProcessor):
            seen = 0

            def on_emit(self, log_record):
                self.seen += 1
                logger.warning("from the processor")

            def shutdown(self):
                pass

            def force_flush(self, timeout_millis=30000):
                return True

        provider, chatty = LoggerProvider(shutdown_on_exit=False), Chatty()
        provider.add_log_record_processor(chatty)
        logger.addHandler(LoggingHandler(logger_provider=provider))
        logger.warning("m")
        assert chatty.seen == 1
        assert trouble.counts() == {"recursion": 1}
        provider.shutdown()


def encodable(records):
    """Every record has an OTLP form, with nothing left out."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    for one in records:
        (resource,) = encode_logs([one]).resource_logs
        (encoded,) = resource.scope_logs[0].log_records
        assert len(encoded.attributes) == len(one.log_record.attributes or {})


class TestBesideConfigure:
    def test_not_twice(self, logger):
        """A handler on the pipeline's own provider does not export what the pipeline has taken."""
        with capture(policies=[]) as sink:
            logger.addHandler(LoggingHandler(logger_provider=handler_module._pipeline.provider))
            logging.root.addHandler(LoggingHandler(logger_provider=handler_module._pipeline.provider))
            logger.parent = logging.root
            logger.warning("m")
            assert sink.bodies == ["m"]
            assert_balanced()

    def test_another_provider_gets_its_own(self, official_setup, logger):
        """A handler on the application's own provider keeps exporting there, with the call."""
        provider, exporter = official_setup
        logger.addHandler(LoggingHandler(logger_provider=provider))
        with capture(policies=[]) as sink, otel_logging.call("CA1"):
            logger.warning("m")
            assert sink.bodies == bodies(exporter) == ["m"]
        assert exporter.get_finished_logs()[0].log_record.attributes["call_sid"] == "CA1"


class TestNoLock:
    def test_a_slow_object_delays_nobody(self):
        """While one thread waits for an object's text, others log through the same handler."""
        exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        handler = LoggingHandler(logger_provider=provider)
        inside, go_on = threading.Event(), threading.Event()

        class Slow:
            def __str__(self):
                inside.set()
                assert go_on.wait(30)
                return "slow"

        slow = threading.Thread(target=handler.handle, args=(logging.makeLogRecord({"msg": Slow(), "levelno": 20}),))
        slow.start()
        assert inside.wait(30)
        other = threading.Thread(target=handler.handle, args=(logging.makeLogRecord({"msg": "quick", "levelno": 20}),))
        other.start()
        other.join(30)
        assert [one.log_record.body for one in exporter.get_finished_logs()] == ["quick"]
        go_on.set()
        slow.join()
        assert [one.log_record.body for one in exporter.get_finished_logs()] == ["quick", "slow"]

    def test_filters_are_asked(self):
        """A handler's own filters decide as ever, and may answer with another record."""
        exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        handler = LoggingHandler(logger_provider=provider)
        handler.addFilter(lambda record: record.msg != "no")
        assert not handler.handle(logging.makeLogRecord({"msg": "no", "levelno": 20}))
        assert handler.handle(logging.makeLogRecord({"msg": "yes", "levelno": 20}))
        assert [one.log_record.body for one in exporter.get_finished_logs()] == ["yes"]
