"""The entry points that auto-instrumentation calls: they set up, keep the official handler away, and never raise."""

from __future__ import annotations

import os
from importlib.metadata import entry_points

import pytest

from otel_logging import settings, trouble
from otel_logging.boot import bystanders, configure, hooks

VARIABLE = "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION"


class TestPreInstrument:
    def test_keeps_the_official_handler_away(self, monkeypatch):
        """Two handlers would export every record twice."""
        monkeypatch.setenv(VARIABLE, "true")
        hooks.pre_instrument()
        assert os.environ[VARIABLE] == "false"

    @pytest.mark.parametrize(("name", "value"), [("OTEL_LOGGING", "off"), ("OTEL_SDK_DISABLED", "true")])
    def test_switched_off(self, monkeypatch, name, value):
        """Under the kill switch nobody's settings are touched."""
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(VARIABLE, "true")
        hooks.pre_instrument()
        assert os.environ[VARIABLE] == "true"

    def test_notes_what_a_distro_filled_in(self, monkeypatch):
        """What a distro has set by now is remembered as nobody's wish."""
        monkeypatch.setattr(settings, "_initial_environ", set)
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        monkeypatch.setenv(VARIABLE, "true")
        hooks.pre_instrument()
        assert settings.read().logs_exporter == ("console",)

    def test_never_raises(self, monkeypatch, capsys):
        """An exception in a hook would abort everyone's boot."""
        monkeypatch.setattr(settings, "note_foreign_defaults", lambda: 1 // 0)
        hooks.pre_instrument()
        assert trouble.counts() == {"boot": 1}


class TestPostInstrument:
    @pytest.fixture(autouse=True)
    def no_bystander(self, monkeypatch):
        """The test runner is a process of its own kind."""
        monkeypatch.setattr(bystanders, "is_bystander", lambda: False)

    def test_sets_up(self, capsys):
        """The process is set up."""
        hooks.post_instrument()
        assert configure.configured() is not None

    def test_not_twice(self, capsys):
        """What the application set up itself stays."""
        configure.configure(log_level="ERROR")
        hooks.post_instrument()
        assert configure.configured().settings.level_name == "ERROR"

    def test_not_in_a_process_that_only_starts_others(self, monkeypatch, capsys):
        """Command lines that start programs stay unconfigured."""
        monkeypatch.setattr(bystanders, "is_bystander", lambda: True)
        hooks.post_instrument()
        assert configure.configured() is None

    def test_never_raises(self, monkeypatch, capsys):
        """An exception in a hook would abort everyone's boot."""
        monkeypatch.setattr(configure, "configure", lambda: 1 // 0)
        hooks.post_instrument()
        assert trouble.counts() == {"boot": 1}
        assert "ZeroDivisionError" in capsys.readouterr().err


class TestEntryPoints:
    @pytest.mark.parametrize(
        ("group", "name"),
        [("opentelemetry_pre_instrument", "pre_instrument"), ("opentelemetry_post_instrument", "post_instrument")],
    )
    def test_registered(self, group, name):
        """The installed distribution offers the hooks where auto-instrumentation looks for them."""
        (found,) = entry_points(group=group, name="otel_logging")
        assert found.load() is getattr(hooks, name)
