"""The matrix's outages: endpoints that are down, hang, refuse or are overloaded, in mid-run and to the end."""

from __future__ import annotations

import sys

import matrix
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes and signals")


@pytest.mark.parametrize("case", matrix.OUTAGES, ids=lambda case: case.name)
def test_outage(case, run_case):
    """Each line arrives once, from its process or the next, with the exit code its own; the books say where each is."""
    run_case(case)
