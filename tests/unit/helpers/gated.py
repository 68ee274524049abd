"""What tests of the gate share: a handler that keeps records, and the methods of `logging.Logger` as they stand."""

from __future__ import annotations

import logging

METHODS = ("debug", "info", "warning", "error", "critical", "log", "callHandlers")


class Keeps(logging.Handler):
    """A handler that keeps the records it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        self.seen.append(record)


def originals():
    """The methods as they stand now."""
    return {name: logging.Logger.__dict__[name] for name in METHODS}
