"""`otel-logging recall`: which call is meant, what is printed, how it ends."""

from __future__ import annotations

import json

import pytest

from otel_logging.cli import recall
from otel_logging.export.attic import Attic

A, B = "CA" + "a" * 32, "CAab" + "b" * 30


@pytest.fixture
def store(tmp_path):
    """A store whose attic has two calls."""
    for call_sid in (A, B):
        rows = [[10**18, 9, "INFO", "media", "frame", "", "", None]]
        Attic(tmp_path, "media").put({"call_sid": call_sid, "attributes": {}, "resource": {}, "records": rows})
    return tmp_path


@pytest.mark.parametrize("pasted", [A, "a" * 32, f"call_sid={A}", A[:5]])
def test_whatever_is_pasted(store, capsys, pasted):
    """A call id, its trace id or its beginning name the call."""
    assert recall.main(["--store", str(store), pasted]) == 0
    assert f"1 record of {A} recalled" in capsys.readouterr().out


def test_json(store, capsys):
    """`--json` prints one object; the second time nothing is new."""
    for recalled in (1, 0):
        assert recall.main(["--store", str(store), A, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["call_sid"], found["recalled"], found["already"]) == (A, recalled, 1 - recalled)


def test_ambiguous(store, capsys):
    """A beginning of two calls is refused with 2, and names them."""
    assert recall.main(["--store", str(store), "CAa"]) == 2
    assert B in capsys.readouterr().err


def test_nothing(store, capsys):
    """A call that is not there ends with 1 and says why that may be."""
    assert recall.main(["--store", str(store), "CA" + "f" * 32]) == 1
    assert "24 hours" in capsys.readouterr().err


def test_a_broken_file(store, capsys):
    """A file that cannot be read is named, and nothing else breaks."""
    next((store / "attic").glob(f"{A}~*")).write_bytes(b"no gzip")
    assert recall.main(["--store", str(store), A]) == 1
    assert "not recalled" in capsys.readouterr().err
