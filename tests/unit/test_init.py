"""The package's face: light to import, names loaded when used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import otel_logging


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestImport:
    def test_importing_the_package_imports_nothing_of_otel(self):
        """`import otel_logging` loads no part of OpenTelemetry and none of our rooms."""
        loaded = _python(
            "import sys, otel_logging; "
            "print(sorted(n for n in sys.modules if n.startswith(('opentelemetry', 'otel_logging.'))))"
        )
        assert loaded == "[]"

    @pytest.mark.parametrize(
        "heavy", ["rich", "boto3", "uvicorn", "starlette", "flask", "rq", "celery", "grpc", "otel_logging.cli"]
    )
    def test_configuring_loads_nothing_that_the_application_did_not_ask_for(self, heavy):
        """`configure()` for the console imports no server, no queue, no cloud library and no command line."""
        assert (
            _python(
                f"import sys, otel_logging; otel_logging.configure(log_console='off'); print({heavy!r} in sys.modules)"
            )
            == "False"
        )


class TestNames:
    def test_every_public_name_is_there(self):
        """Each name in `__all__` is found where it says it lives."""
        for name in otel_logging.__all__:
            assert getattr(otel_logging, name) is not None

    def test_the_fixed_names(self):
        """The names that applications rely on are public."""
        assert set(otel_logging.__all__) >= {
            "configure", "call", "current_call", "bind", "every", "every_n", "once_per_call", "stats", "force_flush", "shutdown",
            "LoggingHandler", "SamplingLogRecordProcessor",
        }  # fmt: skip

    def test_dir_lists_them(self):
        """`dir()` shows names that have not been loaded yet."""
        assert set(otel_logging.__all__) <= set(dir(otel_logging))

    def test_an_unknown_name_is_an_attribute_error(self):
        """A name that does not exist fails as in any module."""
        with pytest.raises(AttributeError, match="no_such_name"):
            otel_logging.no_such_name

    def test_the_version_is_the_distributions(self):
        """`__version__` is the installed distribution's."""
        from importlib.metadata import version

        assert otel_logging.__version__ == version("otel-logging")
