"""The matrix's queues: workers of RQ and Celery on a real Redis."""

from __future__ import annotations

import sys

import matrix
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes and signals")


@pytest.mark.parametrize("case", matrix.QUEUES, ids=lambda case: case.name)
def test_queue(case, run_case, redis_socket):
    """Jobs in whichever process executes them: every line once, and the worker's own events once."""
    run_case(case, redis_socket)
