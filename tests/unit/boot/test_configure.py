"""`configure()` and its way back: once, guarded, undone, and the books in between."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading

import pytest
from opentelemetry import _logs as api
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import otel_logging
from otel_logging import trouble
from otel_logging.boot import configure as configure_module
from otel_logging.boot import providers
from otel_logging.testing import assert_balanced, capture

LOG = logging.getLogger("configure.test")


@pytest.fixture(autouse=True)
def no_globals(monkeypatch):
    """OTel's global providers can be set only once: they are left alone."""
    monkeypatch.setattr(api, "set_logger_provider", lambda _provider: None)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _provider: None)


def lines(text):
    """Printed lines without their times."""
    return [re.sub(r"^\[[^\]]*\] ", "", line) for line in text.splitlines()]


def stored(folder):
    """The bodies of the records in a local store, in order."""
    found = []
    for path in sorted((folder / "logs").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for resource in json.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    found += [record["body"]["stringValue"] for record in scope["logRecords"]]
    return found


class TestBootLine:
    def test_first_line(self, capsys):
        """The first line of a process says how it is set up, at INFO, on stdout."""
        otel_logging.configure()
        LOG.info("m")
        out = capsys.readouterr()
        assert [line.partition("] ")[2] for line in lines(out.out)] == ["LOGGING CONFIGURED: level=INFO, json=0", "m"]
        assert out.out.startswith("[")
        assert out.err == ""

    def test_json(self, capsys):
        """With LOG_JSON it is a JSON line like any other."""
        otel_logging.configure(log_json=True, log_level="DEBUG")
        found = json.loads(capsys.readouterr().out)
        assert (found["level"], found["message"]) == ("INFO", "LOGGING CONFIGURED: level=DEBUG, json=1")

    def test_wrong_settings_are_warnings(self, capsys, monkeypatch):
        """Each wrong value is one WARNING that names variable, value, what is valid and what is used."""
        monkeypatch.setenv("LOG_LEVEL", "LOUD")
        monkeypatch.setenv("LOG_CONSOLE", "maybe")
        otel_logging.configure()
        out = capsys.readouterr().out.splitlines()
        assert len(out) == 3
        assert "WARNING" in out[1]
        assert (
            "LOG_LEVEL='LOUD' is not valid; valid: DEBUG, INFO, WARNING, ERROR, CRITICAL, in any case; using INFO"
            in out[1]
        )
        assert "LOG_CONSOLE='maybe' is not valid" in out[2]

    def test_not_below_its_level(self, capsys):
        """At LOG_LEVEL=WARNING an INFO line is not printed, not even this one."""
        otel_logging.configure(log_level="WARNING")
        assert capsys.readouterr().out == ""

    def test_in_a_child_it_waits_for_a_line(self, capsys, monkeypatch):
        """A child process, whose output somebody may read, prints it with its first real line."""
        monkeypatch.setenv("OTEL_LOGGING_BOOTED", "1")
        otel_logging.configure()
        assert capsys.readouterr().out == ""
        LOG.info("m")
        LOG.info("n")
        assert [line[-1] for line in capsys.readouterr().out.splitlines()] == ["0", "m", "n"]


class TestTwice:
    def test_the_same_settings_do_nothing(self, capsys):
        """A second call with the same settings changes nothing and prints nothing."""
        otel_logging.configure(log_level="ERROR")
        first = configure_module.configured()
        otel_logging.configure(log_level="error")
        assert configure_module.configured() is first

    def test_other_settings_set_up_anew(self, capsys):
        """Other settings count from then on, and each record is still printed once."""
        otel_logging.configure()
        first = configure_module.configured()
        otel_logging.configure(log_level="ERROR")
        LOG.warning("w")
        LOG.error("e")
        assert first.closed
        assert configure_module.configured() is not first
        assert [line[-1] for line in capsys.readouterr().out.splitlines()] == ["0", "e"]
        assert_balanced()

    def test_many_threads_at_once(self, capsys):
        """Threads that all configure get one set-up."""
        start = threading.Barrier(4)
        found = []

        def work():
            start.wait()
            otel_logging.configure()
            found.append(configure_module.configured())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1
        assert capsys.readouterr().out.count("LOGGING CONFIGURED") == 1

    def test_an_unknown_keyword(self):
        """A misspelt keyword is a TypeError, and nothing is set up."""
        with pytest.raises(TypeError, match="log_levle"):
            otel_logging.configure(log_levle="DEBUG")
        assert configure_module.configured() is None


class TestKillSwitch:
    @pytest.mark.parametrize(("name", "value"), [("OTEL_LOGGING", "off"), ("OTEL_SDK_DISABLED", "true")])
    def test_inert(self, name, value, monkeypatch, capsys):
        """Switched off, `configure()` touches nothing: no patch, no line, no level."""
        monkeypatch.setenv(name, value)
        before = (
            dict(vars(logging.Logger)),
            dict(vars(logging.Handler)),
            logging.root.level,
            logging.root.manager.disable,
        )
        otel_logging.configure()
        assert (
            dict(vars(logging.Logger)),
            dict(vars(logging.Handler)),
            logging.root.level,
            logging.root.manager.disable,
        ) == before
        LOG.warning("m")
        assert capsys.readouterr().out == ""
        assert otel_logging.stats()["created"] == 0

    def test_the_api_still_answers(self, monkeypatch):
        """The rest of the API works without a set-up: calls, limits, stats, flush, shutdown."""
        monkeypatch.setenv("OTEL_LOGGING", "off")
        otel_logging.configure()
        with otel_logging.call("CA1", who="x") as call:
            otel_logging.bind(a=1)
            assert otel_logging.current_call() is call
            assert otel_logging.every("k", 1)
        assert otel_logging.force_flush()
        assert otel_logging.shutdown()

    def test_switched_off_later(self, capsys):
        """A later `configure(enabled=False)` takes everything down."""
        before = dict(vars(logging.Logger))
        otel_logging.configure()
        otel_logging.configure(enabled=False)
        assert dict(vars(logging.Logger)) == before
        assert configure_module.configured() is None


class TestGuarded:
    @pytest.mark.parametrize("module", ["providers.logs", "providers.spans"])
    def test_a_step_that_fails_is_left_out(self, module, monkeypatch, capsys):
        """A part that cannot be set up is one line on stderr; the rest works, and records are printed."""
        monkeypatch.setattr(providers, module.rpartition(".")[2], lambda *_: 1 // 0)
        otel_logging.configure()
        LOG.info("m")
        out = capsys.readouterr()
        assert "is left out: ZeroDivisionError" in out.err
        assert lines(out.out)[-1].endswith("m")
        assert_balanced()

    def test_a_set_up_that_fails_leaves_logging_as_it_was(self, monkeypatch, capsys):
        """Where nothing can be set up, nothing is raised and nothing is half done."""
        before = dict(vars(logging.Logger))
        monkeypatch.setattr(configure_module, "_resource", lambda *_: 1 // 0)
        otel_logging.configure()
        assert configure_module.configured() is None
        assert dict(vars(logging.Logger)) == before
        assert "logging is left as it is: ZeroDivisionError" in capsys.readouterr().err
        monkeypatch.undo()
        otel_logging.configure()
        assert configure_module.configured() is not None

    def test_a_store_that_cannot_be_written(self, tmp_path, capsys):
        """An unwritable store folder: the service goes on, one line says what happened, it is counted."""
        (tmp_path / "file").write_text("in the way")
        otel_logging.configure(logs_exporter="local", store=tmp_path / "file")
        LOG.info("m")
        otel_logging.force_flush()
        out = capsys.readouterr()
        assert lines(out.out)[-1].endswith("m")
        assert out.err.count("otel-logging:") >= 1
        stats = otel_logging.stats()
        assert sum(stats["dropped"].values()) == 2
        assert_balanced()


class TestExport:
    def test_local(self, tmp_path, capsys):
        """`local` writes every record to the store, and prints it."""
        otel_logging.configure(logs_exporter="local", store=tmp_path / "s", service_name="voice")
        LOG.info("m")
        assert otel_logging.force_flush()
        assert stored(tmp_path / "s") == ["LOGGING CONFIGURED: level=INFO, json=0", "m"]
        (path,) = (tmp_path / "s" / "logs").iterdir()
        assert path.name.startswith(f"voice-{os.getpid()}-")
        assert_balanced()
        assert otel_logging.stats()["exported"] == 2

    def test_console_only(self, capsys):
        """Without an exporter, what is printed is exported; nothing else is counted as such."""
        otel_logging.configure(log_console="errors")
        LOG.info("i")
        LOG.error("e")
        stats = otel_logging.stats()
        assert (stats["exported"], stats["dropped"]) == (1, {"no_destination": 2})
        assert_balanced()

    def test_none(self, tmp_path, capsys):
        """`none` exports nothing; the console stays."""
        otel_logging.configure(logs_exporter="none")
        LOG.info("m")
        assert lines(capsys.readouterr().out)[-1].endswith("m")

    def test_two_destinations_are_counted_once(self, tmp_path, capsys, monkeypatch):
        """A record that arrives at two places was made once."""
        memory = InMemoryLogRecordExporter()
        real = providers._log_exporter
        monkeypatch.setattr(
            providers, "_log_exporter", lambda settings, name: memory if name == "otlp" else real(settings, name)
        )
        otel_logging.configure(logs_exporter="otlp,local", store=tmp_path / "s")
        LOG.info("m")
        assert otel_logging.force_flush()
        assert stored(tmp_path / "s")[-1] == "m"
        assert [one.log_record.body for one in memory.get_finished_logs()][-1] == "m"
        assert otel_logging.stats()["exported"] == otel_logging.stats()["created"] == 2
        assert_balanced()

    def test_resource(self, capsys, monkeypatch):
        """Records carry the service, what OTEL_RESOURCE_ATTRIBUTES says, and who we are."""
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod")
        memory = InMemoryLogRecordExporter()
        monkeypatch.setattr(providers, "_log_exporter", lambda *_: memory)
        otel_logging.configure(logs_exporter="otlp", service_name="voice")
        otel_logging.force_flush()
        resource = memory.get_finished_logs()[0].resource.attributes
        assert (resource["service.name"], resource["deployment.environment"], resource["telemetry.distro.name"]) == (
            "voice",
            "prod",
            "otel-logging",
        )


class TestForeignProvider:
    @pytest.fixture
    def foreign(self, monkeypatch):
        """A provider that the application, or a distro, has set up."""
        memory = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
        monkeypatch.setattr(api, "get_logger_provider", lambda: provider)
        yield memory
        provider.shutdown()

    def test_used_when_asked_for(self, foreign, capsys):
        """OTEL_LOGS_EXPORTER=otel_logging: records go to the provider that is there, and count as exported."""
        otel_logging.configure(logs_exporter="otel_logging")
        LOG.info("m")
        assert [one.log_record.body for one in foreign.get_finished_logs()][-1] == "m"
        assert otel_logging.stats()["exported"] == 2
        assert_balanced()

    def test_left_alone_otherwise(self, foreign, tmp_path, capsys):
        """Otherwise ours is a provider of its own beside it."""
        otel_logging.configure(logs_exporter="local", store=tmp_path)
        LOG.info("m")
        assert foreign.get_finished_logs() == ()

    def test_asked_for_and_not_there(self, capsys):
        """Where there is none, one line says so, and records are printed."""
        otel_logging.configure(logs_exporter="otel_logging")
        LOG.info("m")
        out = capsys.readouterr()
        assert "nothing has set up a LoggerProvider" in out.err
        assert lines(out.out)[-1].endswith("m")


class TestShutdown:
    def test_delivers_and_undoes(self, tmp_path, capsys):
        """What waits is delivered, and `logging` is as it was."""
        before = dict(vars(logging.Logger))
        otel_logging.configure(logs_exporter="local", store=tmp_path)
        LOG.info("m")
        assert otel_logging.shutdown()
        assert stored(tmp_path)[-1] == "m"
        assert dict(vars(logging.Logger)) == before
        assert_balanced()
        assert otel_logging.shutdown()

    def test_the_process_may_configure_again(self, tmp_path, capsys):
        """After a shutdown everything can be set up again."""
        otel_logging.configure()
        otel_logging.shutdown()
        otel_logging.configure(logs_exporter="local", store=tmp_path)
        LOG.info("again")
        otel_logging.shutdown()
        assert stored(tmp_path)[-1] == "again"

    def test_bounded(self, capsys, monkeypatch):
        """A destination that hangs does not hold the process up beyond the time given; what is lost is counted."""
        release = threading.Event()

        class Hangs(InMemoryLogRecordExporter):
            def export(self, batch):
                release.wait(30)
                return super().export(batch)

        monkeypatch.setattr(providers, "_log_exporter", lambda *_: Hangs())
        otel_logging.configure(logs_exporter="otlp", log_console="off")
        LOG.info("m")
        assert otel_logging.force_flush(0.05) is False
        done = []
        thread = threading.Thread(target=lambda: done.append(otel_logging.shutdown(0.2)))
        thread.start()
        thread.join(10)
        release.set()
        assert done == [False]

    def test_a_flush_that_fails(self, capsys):
        """A flusher that raises is reported, and the answer is no."""
        otel_logging.configure()
        configure_module.configured().flushers.append(lambda _millis: 1 // 0)
        assert otel_logging.force_flush() is False
        assert trouble.counts()["flush"] == 1
        configure_module.configured().flushers.clear()

    def test_waiting_records_are_delivered(self, capsys):
        """Records that wait for their call's name are given up by a flush."""
        from otel_logging.calls.call import open_call

        with capture(policies=[]) as sink:
            opened = open_call(origin="websocket")
            with opened.activate():
                LOG.info("m")
            assert sink.records == []
            assert otel_logging.stats()["held"] == 1
            assert_balanced()
            assert otel_logging.force_flush()
            assert sink.bodies == ["m"]
            opened.end()
            assert_balanced()


class TestPrint:
    def test_captured_on_request(self, capsys, monkeypatch):
        """LOG_CAPTURE_PRINT makes INFO records of what `print()` writes, and prints them once."""
        monkeypatch.setattr(sys, "__stdout__", sys.stdout)  # a redirected stdout is left alone
        with capture(log_capture_print=True, policies=[]) as sink:
            print("hello")
            assert [(record.body, record.logger, record.level) for record in sink.records] == [
                ("hello", "print", "INFO")
            ]
            assert sink.console.count("hello") == 1
        assert "hello" not in capsys.readouterr().out

    def test_left_alone_otherwise(self, capsys):
        """By default `print()` is nobody's business."""
        with capture() as sink:
            print("hello")
            assert sink.records == []
        assert capsys.readouterr().out == "hello\n"
