"""A process that is set up, and the logger of an application in it."""

from __future__ import annotations

import logging

import pytest
from applog_logger import LOGGER

from otel_logging.testing import capture


@pytest.fixture
def sink(monkeypatch):
    """A process that is set up, with LOG_LEVEL not given, and without the test runner's handlers."""
    with capture(policies=[]) as sink:
        monkeypatch.setattr(logging.root, "handlers", [])
        yield sink


@pytest.fixture
def log():
    """The application's logger, made before anything is configured."""
    return logging.getLogger(LOGGER)
