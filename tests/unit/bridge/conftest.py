"""Rule files of a test's own."""

from __future__ import annotations

import json
import logging

import pytest
from gated import Keeps


@pytest.fixture
def rules(tmp_path):
    """Write policies, each given as (id, matcher or text that the body must have, keep), and return the file's path."""
    written = 0

    def write(*policies):
        nonlocal written
        written += 1
        found = []
        for name, what, keep in policies:
            matcher = {"log_field": "LOG_FIELD_BODY", "contains": what} if isinstance(what, str) else what
            found.append({"id": name, "name": name, "log": {"match": [matcher], "keep": keep}})
        path = tmp_path / f"rules{written}.json"
        path.write_text(json.dumps({"policies": found}), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def keeps():
    """A handler on a logger of the test's own, which does not propagate: `(logger, handler)`."""
    logger = logging.getLogger("gate.test")
    handler = Keeps()
    logger.addHandler(handler)
    logger.setLevel(1)
    yield logger, handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.filters.clear()
    logger.propagate, logger.disabled = True, False
