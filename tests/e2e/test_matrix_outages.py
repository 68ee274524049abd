"""The matrix's outages: endpoints that are down, hang or are overloaded when the process ends."""

from __future__ import annotations

import sys

import matrix
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes and signals")


@pytest.mark.parametrize("case", matrix.OUTAGES, ids=lambda case: case.name)
def test_outage(case, run_case):
    """The process ends within its stop limit with its own exit code, and the books say where each line is."""
    run_case(case)
