"""Which processes are no part of an application."""

from __future__ import annotations

import pytest

from otel_logging.boot.bystanders import is_bystander


@pytest.mark.parametrize(
    "argv",
    [
        ["/v/bin/python", "/v/bin/otel-logging", "run", "--", "uvicorn"],
        ["/v/bin/python", "-X", "dev", "-W", "ignore", "/v/bin/opentelemetry-instrument", "x"],
        ["python", "-m", "pip", "install", "x"],
        ["python", "-I", "-m", "venv", "x"],
        ["python", "-s", "-c", "from multiprocessing.resource_tracker import main;main(4)"],
        ["C:\\v\\python.exe", "C:\\v\\Scripts\\otel-logging.exe", "demo"],
    ],
)
def test_bystander(argv):
    """Command lines that start applications and Python's own helpers are bystanders."""
    assert is_bystander(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["python"],
        ["python", "app.py", "pip"],
        ["python", "-m", "uvicorn", "pip:app"],
        ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"],
        ["python", "-c", "from multiprocessing.forkserver import main; main()"],
        ["/v/bin/python", "/v/bin/uvicorn", "app:app"],
        ["python", "-m"],
        ["python", "-W"],
    ],
)
def test_application(argv):
    """Everything else is an application, whatever its arguments say."""
    assert not is_bystander(argv)


def test_this_process():
    """Without a command line this process's own is looked at."""
    assert not is_bystander()
