"""Whatever is logged: no exception for the caller, no lost neighbour, valid OTLP, no forged console line."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from record_shapes import Rig

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.hex"))
EXAMPLES = int(os.environ.get("OTEL_LOGGING_FUZZ_EXAMPLES", "0"))  # how many the slow test tries


@pytest.fixture(autouse=True)
def _quiet_library(monkeypatch):
    """The library's own handlers complain of records that cannot be rendered; here they are meant to be."""
    monkeypatch.setattr(logging, "raiseExceptions", False)


def run(examples: int) -> None:
    """Try so many records."""
    with Rig() as rig:

        @given(st.binary(max_size=150))
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        def any_record(data):
            rig.run_one(data)

        any_record()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_found_cases(path):
    """What once was wrong stays right."""
    with Rig() as rig:
        rig.run_one(bytes.fromhex(path.read_text()))


def test_any_record():
    """Records of any shape come out whole or repaired, and so do those before and after."""
    run(300)


@pytest.mark.slow
def test_very_many_records():
    """The same for as many as OTEL_LOGGING_FUZZ_EXAMPLES says, 20,000 by default."""
    run(EXAMPLES or 20_000)
