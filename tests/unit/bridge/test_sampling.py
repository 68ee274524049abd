"""The sampling processor: a veto for records of other bridges, and no second verdict for ours."""

from __future__ import annotations

import logging

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter, SimpleLogRecordProcessor

import otel_logging
from otel_logging import LoggingHandler, SamplingLogRecordProcessor, trouble
from otel_logging.bridge.translate import VERDICT
from otel_logging.bridge.sampling import read_policies
from otel_logging.bridge.translate import TRIGGER
from otel_logging.policy.engine import KEPT, PolicySet
from otel_logging.testing import FakeClock, assert_balanced


class Spy(LogRecordProcessor):
    """An exporting processor that remembers what was asked of it."""

    def __init__(self):
        self.seen = []
        self.calls = []
        self.broken = False

    def on_emit(self, log_record):
        if self.broken:
            raise RuntimeError("broken")
        self.seen.append(log_record)

    def shutdown(self):
        self.calls.append("shutdown")

    def force_flush(self, timeout_millis=30000):
        self.calls.append(timeout_millis)
        return False


@pytest.fixture
def spy():
    """The wrapped processor."""
    return Spy()


@pytest.fixture
def build(spy):
    """Make a provider's logger with `SamplingLogRecordProcessor(spy, policies)`."""
    made = []

    def build(policies, name="structlog"):
        provider = LoggerProvider(shutdown_on_exit=False)
        made.append(provider)
        provider.add_log_record_processor(SamplingLogRecordProcessor(spy, policies))
        return provider.get_logger(name)

    yield build
    for provider in made:
        provider.shutdown()


def record(body="m", number=SeverityNumber.INFO, **attributes):
    """A record as another bridge makes it."""
    return LogRecord(body=body, severity_number=number, severity_text=number.name, attributes=attributes)


class TestOtherBridges:
    def test_veto(self, build, spy, rules):
        """What a policy drops never reaches the wrapped processor; both are counted."""
        logger = build([rules(("p", "frame", "none"))])
        logger.emit(record("a frame"))
        logger.emit(record("a line"))
        assert [one.log_record.body for one in spy.seen] == ["a line"]
        assert otel_logging.stats()["dropped"] == {"policy:p": 1}
        assert otel_logging.stats()["created"] == 2
        assert_balanced()

    def test_two_destinations_charge_once(self, spy, rules):
        """Two wrapped processors on one provider judge and count a record once, and agree."""
        policies = read_policies([rules(("p", "tick", "2/s"))], clock=FakeClock())
        second = Spy()
        provider = LoggerProvider(shutdown_on_exit=False)
        for processor in (spy, second):
            provider.add_log_record_processor(SamplingLogRecordProcessor(processor, policies))
        for _ in range(5):
            provider.get_logger("x").emit(record("tick"))
        assert (len(spy.seen), len(second.seen)) == (2, 2)
        assert otel_logging.stats()["created"] == 5
        assert_balanced()
        provider.shutdown()

    def test_per_call(self, build, spy, rules):
        """Limits count by the call that the record names, or else by the one in force."""
        logger = build(read_policies([rules(("p", "tick", "1/s"))], clock=FakeClock()))
        for _ in range(3):
            logger.emit(record("tick", call_sid="CA1"))
            logger.emit(record("tick", call_sid="CA2"))
            with otel_logging.call("CA3"):
                logger.emit(record("tick"))
        assert len(spy.seen) == 3

    @pytest.mark.parametrize(
        "matcher",
        [
            {"log_field": "LOG_FIELD_SEVERITY_TEXT", "exact": "INFO"}, {"log_field": "LOG_FIELD_EVENT_NAME", "exact": "e"},
            {"log_attribute": "kind", "exact": "k"}, {"log_field": "scope_name", "exact": "structlog"},
            {"resource_attribute": "telemetry.sdk.language", "exact": "python"},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_rules_may_read(self, build, spy, rules, matcher):
        """Every part of an OTel record can be matched."""
        logger = build([rules(("p", matcher, "none"))])
        made = record("m", kind="k")
        made.event_name = "e"
        logger.emit(made)
        assert spy.seen == []

    @pytest.mark.parametrize("body", [None, {"a": 1}, ["x"], b"frame", 5, ""])
    def test_bodies_that_are_no_text(self, build, spy, rules, body):
        """A structured body is kept where no rule can match it, and nothing raises."""
        build([rules(("p", "nowhere", "none"))]).emit(LogRecord(body=body))
        assert len(spy.seen) == 1

    def test_frame_policies_never_touch_warnings(self, build, spy):
        """The bundled set, which is the default, drops a frame line at INFO and keeps it at WARN."""
        logger = build(None)
        logger.emit(record("[AUDIO_DELTA] chunk 17"))
        logger.emit(record("[AUDIO_DELTA] chunk 17", SeverityNumber.WARN))
        assert [one.log_record.severity_number for one in spy.seen] == [SeverityNumber.WARN]


class TestOurs:
    def test_a_verdict_is_not_taken_again(self, build, spy, rules):
        """A record that carries its verdict passes, and is not counted again."""
        made = record("a frame")
        setattr(made, VERDICT, KEPT)
        build([rules(("p", "frame", "none"))]).emit(made)
        assert len(spy.seen) == 1
        assert otel_logging.stats()["created"] == 0

    def test_an_override_passes(self, build, spy, rules):
        """What an override let through carries its trigger, and no policy's `keep` applies to it."""
        build([rules(("p", "frame", "none"))]).emit(record("a frame", **{TRIGGER: "ERROR"}))
        assert len(spy.seen) == 1
        assert_balanced()


class TestEnabled:
    def ask(self, build, policies, **about):
        """Ask the SDK's logger, which asks the processor."""
        return build(policies, about.pop("name", "structlog")).enabled(**about)

    def test_a_scope_that_is_dropped_whole(self, build, rules):
        """Where a rule drops a whole scope, its records need not be made."""
        path = [rules(("p", {"log_field": "scope_name", "exact": "noisy"}, "none"))]
        assert not self.ask(build, path, name="noisy", severity_number=SeverityNumber.INFO)
        assert self.ask(build, path, name="other", severity_number=SeverityNumber.INFO)

    def test_what_depends_on_the_body_is_open(self, build, rules):
        """Where the body decides, the answer is yes."""
        assert self.ask(build, [rules(("p", "frame", "none"))], severity_number=SeverityNumber.INFO)

    def test_limits_are_open(self, build, rules):
        """A limited scope may still be kept."""
        path = [rules(("p", {"log_field": "scope_name", "exact": "noisy"}, "1/s"))]
        assert self.ask(build, path, name="noisy", severity_number=SeverityNumber.INFO)

    def test_never_raises(self, spy):
        """Whatever is asked, the answer is an answer."""
        processor = SamplingLogRecordProcessor(spy, PolicySet([]))
        processor.policies = None
        assert processor.enabled()
        assert processor.enabled(severity_number="x", event_name=5)


class TestAroundAnyProcessor:
    def test_passes_on(self, spy):
        """Flush and shutdown reach the wrapped processor, with their arguments and answers."""
        processor = SamplingLogRecordProcessor(spy, [])
        assert processor.force_flush(123) is False
        processor.shutdown()
        assert spy.calls == [123, "shutdown"]

    def test_a_processor_that_breaks(self, build, spy, capsys):
        """An exception out of the wrapped processor does not reach the application; the record is counted."""
        spy.broken = True
        build([]).emit(record("m"))
        assert otel_logging.stats()["dropped"] == {"internal_error": 1}
        assert "RuntimeError: broken" in capsys.readouterr().err
        assert_balanced()

    def test_policies_that_break(self, build, spy, monkeypatch):
        """An engine that breaks costs no record."""
        monkeypatch.setattr(PolicySet, "evaluate", lambda *_: 1 // 0)
        build([]).emit(record("m"))
        assert len(spy.seen) == 1
        assert trouble.counts()["policy"] == 1

    @pytest.mark.parametrize("wrapped", [SimpleLogRecordProcessor, BatchLogRecordProcessor])
    def test_the_official_processors(self, wrapped, rules):
        """It wraps the SDK's own processors; beside the official way of using a handler, the books balance."""
        exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(
            SamplingLogRecordProcessor(wrapped(exporter), policies=[rules(("p", "frame", "none"))])
        )
        logger = logging.getLogger("sampling.test")
        handler = LoggingHandler(logger_provider=provider)
        logger.addHandler(handler)
        try:
            logger.warning("a frame")
            logger.warning("a line")
        finally:
            logger.removeHandler(handler)
        provider.force_flush()
        assert [one.log_record.body for one in exporter.get_finished_logs()] == ["a line"]
        assert otel_logging.stats()["created"] == 2
        assert_balanced()
        provider.shutdown()


class TestReadPolicies:
    def named(self, policies, **more):
        """The ids of a set, without the redactions that come along."""
        found = {policy.id for policy in read_policies(policies, **more).policies}
        return found - {policy.id for policy in read_policies([]).policies}

    def test_what_may_be_given(self, rules):
        """A compiled set, one source, several, or nothing for the bundled set."""
        compiled = PolicySet([])
        assert read_policies(compiled) is compiled
        assert self.named(rules(("p", "x", "none"))) == {"p"}
        assert self.named([rules(("p", "x", "none")), rules(("q", "x", "none"))]) == {"p", "q"}
        assert len(self.named(None)) > 5
        assert self.named([]) == set()

    def test_a_missing_file_is_a_sentence(self, capsys):
        """A rule file that is not there is one line on stderr, and the rest counts."""
        assert self.named(["/nowhere/rules.yaml"]) == set()
        assert "/nowhere/rules.yaml" in capsys.readouterr().err

    def test_without_frame_policies(self):
        """At LOG_LEVEL=DEBUG the bundled set has nothing left."""
        assert self.named(None, frame_policies=False) == set()

    def test_privacy_comes_along(self, monkeypatch):
        """The redactions of the privacy mode are part of every set, by default those of the environment."""
        secrets, off = len(read_policies([], privacy="secrets")), len(read_policies([], privacy="off"))
        assert secrets > off
        assert len(read_policies([])) == secrets
        monkeypatch.setenv("OTEL_LOGGING_PRIVACY", "off")
        assert len(read_policies([])) == off
