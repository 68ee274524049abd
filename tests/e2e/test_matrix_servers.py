"""The matrix's servers: uvicorn, gunicorn, hypercorn, as they are stopped, reloaded and renewed."""

from __future__ import annotations

import sys

import matrix
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes and signals")


@pytest.mark.parametrize("case", matrix.SERVERS, ids=lambda case: case.name)
def test_server(case, run_case):
    """A server is used and stopped: every request's line once, and those of the start and the stop."""
    run_case(case)
