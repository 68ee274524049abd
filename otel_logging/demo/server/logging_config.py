"""The service's own logging set-up, of the kind found in most voice services.

It clears the root logger, adds a StreamHandler with its own format, and silences modules that once annoyed somebody.
Nothing else belongs here.
"""

from __future__ import annotations

import logging
import os
import sys

_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"


def setup_logging() -> None:
    """Set the process's logging up, as the service's author meant it: stdout, one format, some modules at WARNING."""
    root = logging.getLogger()
    root.handlers.clear()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
    root.setLevel(os.environ.get("LOG_LEVEL", "INFO").upper())

    # "Too noisy", said somebody, once.
    for name in ("server.metrics", "server.crm.cache", "asyncio", "httpx", "httpcore", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
