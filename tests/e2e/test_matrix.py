"""The matrix: whatever begins and ends a process, each line arrives once and the books balance. Ends and births."""

from __future__ import annotations

import matrix
import pytest


@pytest.mark.parametrize("case", [*matrix.ENDS, *matrix.UNHANDLED, *matrix.BIRTHS], ids=lambda case: case.name)
def test_process(case, run_case):
    """A program ends or has children: every line once, nothing dropped, the exit code its own."""
    run_case(case)
