"""The matrix: whatever begins and ends a process, each line arrives once and the books balance. Ends and births."""

from __future__ import annotations

import sys

import comparison
import matrix
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes and signals")


@pytest.mark.parametrize("case", [*matrix.ENDS, *matrix.UNHANDLED, *matrix.BIRTHS], ids=lambda case: case.name)
def test_process(case, run_case):
    """A program ends or has children: every line once, nothing dropped, the exit code its own."""
    run_case(case)


def test_the_page_has_the_matrixs_rows(request):
    """The documentation's table has the rows of the matrix, in their order: it was written after the last change."""
    if request.config.getoption("--write-comparison", default=False):
        pytest.skip("the page is written when this run is over")
    assert comparison.rows_of_the_page() == [case.about for case in matrix.CASES]


def test_names_are_unique():
    """Each row has an id and a description of its own."""
    for field in ("name", "about"):
        found = [getattr(case, field) for case in matrix.CASES]
        assert len(found) == len(set(found))
