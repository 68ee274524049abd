"""What a policy file says about the flight recorder."""

from __future__ import annotations

import json
import logging

import pytest

import otel_logging
from otel_logging import settings, testing, trouble
from otel_logging.bridge import recorder_config
from otel_logging.bridge.recorder_config import Config, RecordTrigger, parse
from otel_logging.policy.load import load

RECOVERED = "otel_logging.recovered"


@pytest.fixture
def policy(tmp_path):
    """Write a policy file with the extension and this config; returns its path."""

    def write(config, **more):
        extension = {"type": "otel-logging/flight-recorder", "version": "1.0.0", "mode": "dropped", "config": config}
        one = {
            "id": "frames", "name": "frames", "extensions": [{**extension, **more}],
            "log": {"match": [{"log_field": "LOG_FIELD_BODY", "starts_with": "frame"}], "keep": "none"},
        }  # fmt: skip
        path = tmp_path / "rules.json"
        path.write_text(json.dumps({"policies": [one]}), encoding="utf-8")
        return str(path)

    return write


def test_the_bundled_set_states_the_defaults():
    """`voice` has the extension, and what it says are the defaults."""
    policies = load(["voice"]).policies
    assert any(extension.type == recorder_config.EXTENSION for policy in policies for extension in policy.extensions)
    assert recorder_config.read(policies, settings.Settings()) == Config()


def test_without_the_extension_the_defaults_hold():
    """The recorder is on where no policy speaks of it."""
    assert recorder_config.read([], settings.Settings()) == Config()


def test_settings_win(policy):
    """OTEL_LOGGING_RECORDER wins over the file, for budgets and for off."""
    policies = load([policy({"bytes_per_call": 1000, "seconds_after": 2})]).policies
    assert recorder_config.read(policies, settings.Settings()).bytes_per_call == 1000
    given = settings.read({"recorder": "call=4KiB,process=1MiB"}, {})
    found = recorder_config.read(policies, given)
    assert (found.bytes_per_call, found.bytes_per_process, found.seconds_after) == (4096, 1 << 20, 2)
    assert recorder_config.read(policies, settings.read({"recorder": "off"}, {})) is None


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"bytes_per_cal": 1}, "bytes_per_cal"),
        ({"bytes_per_call": "much"}, "much"),
        ({"replays_per_call": -1}, "-1"),
        ({"triggers": "ERROR"}, "list"),
        ({"triggers": [{"event": "rain"}]}, "rain"),
        ({"triggers": [{"level": "LOUD"}]}, "LOUD"),
        ({"triggers": [{"pattern": "("}]}, "RE2"),
        ({"ignore": [3]}, "3"),
    ],
)
def test_what_is_wrong_is_said(config, word, capsys):
    """One sentence names the field and the value; the rest of the config is in force."""
    assert parse({**config, "seconds_after": 3}, "rules.json").seconds_after == 3
    assert trouble.counts()["policy"] == 1
    assert word in capsys.readouterr().err


def test_matchers():
    """All conditions of a trigger must hold; a logger's children are meant too."""
    (one,) = parse({"triggers": [{"level": "WARNING", "logger": "server", "pattern": "lost|dead"}]}, "x").records
    assert one.matches(30, "server.media", lambda: "it is lost")
    assert not one.matches(20, "server.media", lambda: "it is lost")
    assert not one.matches(30, "serverless", lambda: "it is lost")
    assert not one.matches(30, "server", lambda: "fine")
    assert RecordTrigger().matches(logging.ERROR, "any", str)


def test_healthy_errors_are_ignored(policy):
    """`ignore` names the errors that happen on healthy calls; a pattern may trigger at any level."""
    rules = policy(
        {"triggers": [{"level": "ERROR"}, {"pattern": "^HANGUP bad"}], "ignore": [{"logger": "crm", "pattern": "404"}]}
    )
    with testing.capture(policies=rules) as sink:
        with otel_logging.call("call-1"):
            logging.getLogger("app").info("frame 1")
            logging.getLogger("crm").error("404 not found")
            sink.flush()
            assert not any(RECOVERED in record.attributes for record in sink.records)
            logging.getLogger("app").info("HANGUP bad luck")
        sink.flush()
        assert [record.body for record in sink.records if RECOVERED in record.attributes] == ["frame 1"]
        testing.assert_balanced()
