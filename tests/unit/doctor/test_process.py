"""What an application started from here would get: each wrong setting, hook and policy is named with its cure."""

from __future__ import annotations

from importlib import metadata

import pytest

from otel_logging import settings
from otel_logging.doctor import process
from otel_logging.doctor.finding import FAILED, OK, WARNING, worst

OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SERVICE_NAME": "calls"}


def of_settings(environ):
    return list(process.settings_findings(settings.read(environ=environ), environ))


def of_hooks(environ):
    return list(process.hook_findings(settings.read(environ=environ), environ))


class TestSettings:
    def test_what_is_in_force(self):
        """With nothing wrong, one line says what is in force."""
        (one,) = of_settings(OTLP)
        assert (one.verdict, one.facts["service"], one.facts["exporters"]) == (OK, "calls", ["otlp"])

    @pytest.mark.parametrize(
        ("more", "verdict", "says", "cure"),
        [
            ({"LOG_LEVEL": "LOUD"}, WARNING, "LOG_LEVEL='LOUD' is not valid", "set LOG_LEVEL"),
            ({"OTEL_LOGGING": "off"}, WARNING, "inert", "unset"),
            ({"OTEL_SDK_DISABLED": "true"}, WARNING, "inert", "unset"),
            ({"LOG_LEVEL": "debug"}, WARNING, "frame policies are off", "LOG_LEVEL=INFO"),
            ({"OTEL_LOGGING_POLICY": "x.yaml"}, WARNING, "OTEL_LOGGING_POLICY is no setting", "OTEL_LOGGING_POLICIES?"),
            ({"OTEL_SERVICE_NAME": ""}, WARNING, "no service name", "OTEL_SERVICE_NAME"),
            ({"OTEL_EXPORTER_OTLP_HEADERS": "Bearer x"}, FAILED, "no header", "authorization=Bearer%20TOKEN"),
        ],
    )
    def test_each_trouble_is_named(self, more, verdict, says, cure):
        """Every trouble is one finding with its verdict and its cure, beside what is in force."""
        (trouble, last) = of_settings({**OTLP, **more})
        assert (trouble.verdict, last.verdict) == (verdict, OK)
        assert says in trouble.says
        assert cure in trouble.cure

    def test_a_header_that_is_none_is_not_shown(self, monkeypatch):
        """What cannot be read as a header may be the secret itself."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "s3cr3t-token-value")
        found = of_settings({**OTLP, "OTEL_EXPORTER_OTLP_HEADERS": "s3cr3t-token-value"})
        assert worst(found) == FAILED
        assert not any("s3cr3t" in str(one.as_json()) for one in found)


class TestHooks:
    def test_ours_are_found(self):
        """Where the package is installed and nothing is in the way, one line says so."""
        (one,) = of_hooks({})
        assert one.verdict == OK

    def test_a_copied_folder_has_none(self, monkeypatch):
        """A package that is only on the path has no entry points, and nothing would be set up."""
        monkeypatch.setattr(process, "_entry_points", lambda group: [])
        assert [(one.verdict, "pip install" in one.cure) for one in of_hooks({})] == [(FAILED, True)]

    def test_two_distros(self, monkeypatch):
        """Only one distro loads; which one is to be said."""
        ours = process._entry_points
        distros = [metadata.EntryPoint(name, "x:Y", "opentelemetry_distro") for name in ("aws_distro", "distro")]
        monkeypatch.setattr(
            process, "_entry_points", lambda group: distros if group == "opentelemetry_distro" else ours(group)
        )
        (one,) = of_hooks({})
        assert (one.verdict, "aws_distro, distro" in one.says) == (WARNING, True)
        assert "OTEL_PYTHON_DISTRO" in one.cure
        assert worst(of_hooks({"OTEL_PYTHON_DISTRO": "distro"})) == OK

    @pytest.mark.parametrize(
        ("environ", "verdict", "says"),
        [
            ({"OTEL_PYTHON_DISTRO": "nope"}, WARNING, "no such distro"),
            ({"OTEL_PYTHON_CONFIGURATOR": "nope"}, WARNING, "no such configurator"),
            ({"OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "true"}, WARNING, "official handler"),
            ({"OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true"}, WARNING, "twice"),
            ({"OTEL_PYTHON_LOG_CORRELATION": "true"}, WARNING, "console handler"),
            ({"OTEL_CONFIG_FILE": "/no/such/file.yaml"}, FAILED, "is no file"),
        ],
    )
    def test_what_is_in_the_way(self, environ, verdict, says):
        """Each variable that gives logging a second owner is named."""
        (one,) = of_hooks(environ)
        assert (one.verdict, says in one.says) == (verdict, True)
        assert one.cure


class TestPolicies:
    def test_the_bundled_ones_load(self):
        """The bundled policies are right, and counted."""
        (one,) = process.policy_findings(settings.read(environ={}))
        assert (one.verdict, one.facts["policies"] > 5) == (OK, True)

    def test_a_broken_file_is_told(self, tmp_path):
        """Each error of a policy file is a failure with its place."""
        path = tmp_path / "mine.yaml"
        path.write_text("policies: [{id: x, log: {match: [{log_field: nope}]}}]", "utf-8")
        found = list(process.policy_findings(settings.read({"policies": f"voice,{path}"}, environ={})))
        assert {one.verdict for one in found} == {FAILED}
        assert any("mine.yaml" in one.says for one in found)

    def test_a_missing_file_is_told(self):
        """So is one that is not there."""
        found = list(process.policy_findings(settings.read({"policies": "/no/such.yaml"}, environ={})))
        assert worst(found) == FAILED
        assert "/no/such.yaml" in found[0].says

    def test_an_empty_file_keeps_everything(self, tmp_path):
        """No policies at all is not wrong, and yet dear."""
        path = tmp_path / "empty.yaml"
        path.write_text("policies: []", "utf-8")
        assert worst(process.policy_findings(settings.read({"policies": str(path)}, environ={}))) == WARNING
