"""`search/files.py`: which files a store has, and which it only seems to have."""

from __future__ import annotations

import re

import pytest

from otel_logging.search.files import is_own
from otel_logging.search.local import Searched, scan

FRAME = b"\x28\xb5\x2f\xfd"


def read(store):
    """The messages that can be read, and what is said about the rest."""
    searched = Searched()
    return [record.body for record in scan(store.root, searched=searched)], searched


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x00\x00\x01\x00" + FRAME + b"..", "compressed by the Collector's file exporter; leave `compression` off"),
        (b"\x00\x00\x00\x09\n\x07\n\x05abcde", "no lines of JSON: the Collector's file exporter has to write `format: json`"),
    ],
)  # fmt: skip
def test_other_forms_of_the_collector(store, data, sentence):
    """A file of lengths and messages is no file of lines: that is told, and makes an answer incomplete."""
    store.log("a", store.record("1"))
    store.raw("logs", "b", data)
    bodies, searched = read(store)
    assert bodies == ["1"]
    assert [problem for problem in searched.problems if sentence in problem] == searched.problems != []
    assert searched.missed
    assert searched.broken == 0


@pytest.mark.parametrize(
    "head", [b"\0" * 100 + b"\n", b"\n\n\n\n\n\n\n\n\n", b"\x00\x00\xff\xff\n", FRAME + FRAME[:1] + b"\n", b""]
)
def test_lines_behind_rubbish(store, head):
    """Zeroes that a rotation left, empty lines and rubbish cost themselves only."""
    store.raw("logs", "a", head)
    store.log("a", store.record("1"))
    assert read(store)[0] == ["1"]


def test_other_names(store):
    """A file whose name is not a store's is not read, and not passed over in silence if it may be somebody's records."""
    store.log("a", store.record("1"))
    for name in ("collector.json", "old.jsonl.zst.part", ".hidden.json", "notes.txt", "app.log"):
        (store.root / "logs" / name).write_text("{}\n")
    bodies, searched = read(store)
    assert bodies == ["1"]
    assert sorted(searched.problems) == [
        "logs/app.log: the names of a store's files end in .jsonl",
        "logs/collector.json: the names of a store's files end in .jsonl",
    ]
    assert not searched.missed


_PATTERN = re.compile(r".+-\d+-\d{8}T\d{12}Z\.jsonl")


@pytest.mark.parametrize(
    "name",
    ["a-1-20240121T193026000000Z.jsonl", "a-b-12-20240121T193026000000Z.jsonl", "-1-20240121T193026000000Z.jsonl", "--1-20240121T193026000000Z.jsonl",
     "a-1-20240121T193026000000Z.jsonl.gz", "a-1-2024012T193026000000Z.jsonl", "a-x-20240121T193026000000Z.jsonl", "a--20240121T193026000000Z.jsonl",
     "a-1-20240121T19302600000Z.jsonl", "a-1-20240121193026000000Z.jsonl", "collector.jsonl", "", "Z.jsonl"],
)  # fmt: skip
def test_is_own(name):
    """Service, process and moment, and nothing else."""
    assert is_own(name) == bool(_PATTERN.fullmatch(name))
