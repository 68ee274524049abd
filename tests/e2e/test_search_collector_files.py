"""`call` and `search` on files that the real Collector's file exporter wrote: what a service sent, each exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from collector_process import Collector

from otel_logging.search.keeping import keep

CALL = "CA" + "a1" * 16
OTHERS = 60  # calls that fill a megabyte
SERVICE = f"""
import logging, sys, otel_logging
otel_logging.configure()
log = logging.getLogger("media")
with otel_logging.call({CALL!r}, direction="inbound"):
    log.info("connected")
    log.warning("the 1st half")
otel_logging.force_flush(30)
for n in range(int(sys.argv[1])):
    with otel_logging.call(f"CA{{n:032x}}"):
        log.warning("no answer yet, " * 2_000 + f"attempt {{n}}.")
    if n % 10 == 9:  # a request has to fit into a file
        otel_logging.force_flush(30)
with otel_logging.call({CALL!r}):
    log.error("the 2nd half")
assert otel_logging.shutdown(30)
"""
ROTATION = {"exporters": {"file/logs": {"rotation": {"max_megabytes": 1}}}}


def serve(collector, others=0):
    """A service whose records and spans our exporter sends to the Collector."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOG_"))}
    env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "media", "NO_PROXY": "127.0.0.1",
            "OTEL_LOGGING_STORE": str(collector.folder / "service"), "OTEL_METRICS_EXPORTER": "none"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, str(others)], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def run(*argv):
    """The command, its lines of JSON and what it said beside them."""
    done = subprocess.run(
        [sys.executable, "-m", "otel_logging", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def written(collector, call=CALL, records=5, spans=2):
    """Wait until the Collector has written so many records and spans of the call."""

    def there():
        (view,), _ = run("call", call, "--store", collector.files, "--format", "json")
        return len(view["records"]) >= records and len(view["spans"]) >= spans

    collector.until(there, "records and spans in the files")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The folder of a Collector as deployed that rotates at a megabyte, after a service has sent more than that."""
    with Collector(tmp_path_factory.mktemp("files"), "config.yaml", ROTATION) as collector:
        serve(collector, OTHERS)
        written(collector)
        yield collector.files
        assert collector.stop() == 0


def check(files):
    """The call's records and spans, and a text of it and of another call: all there, nothing twice."""
    (view,), said = run("call", CALL, "--store", files, "--format", "json")
    found = Counter(record["message"] for record in view["records"] if record["logger"] == "media")
    assert found == {"connected": 1, "the 1st half": 1, "the 2nd half": 1}, said
    assert sum("Call summary" in record["message"] for record in view["records"]) == 2
    assert Counter(span["name"] for span in view["spans"]) == {"call": 2}
    assert len({span["span_id"] for span in view["spans"]}) == 2
    assert (view["parties"], view["missing"]) == ({"direction": "inbound"}, [])
    assert view["searched"]["problems"] == []
    for text, number in (
        ("the 2nd half", 1),
        (f"attempt {OTHERS - 1}.", 1),
        ("no answer yet", OTHERS),
        ("Call summary", OTHERS + 2),
    ):
        records, said = run("search", text, "--store", files, "--format", "jsonl")
        assert len(records) == number, (text, said)
        assert f"{number} of {number} record" in said


def test_each_exactly_once(files):
    """While the Collector has its file open: both halves of a call, of which one stands in a file it has put aside."""
    (rotated,) = {path.name for path in (files / "logs").iterdir()} - {"collector.jsonl"}
    assert rotated.startswith("collector-")
    halves = [name for name in (rotated, "collector.jsonl") if CALL in (files / "logs" / name).read_text("utf-8")]
    assert len(halves) == 2
    check(files)


def test_after_keeping_order(files):
    """The file put aside is sealed, the open one is left alone, and the answers are the same."""
    for name in ("", "logs", "traces"):
        os.chmod(files / name, 0o700)
    assert keep(files).sealed == 1
    suffixes = sorted("".join(path.suffixes[-2:]) for path in (files / "logs").iterdir())
    assert suffixes[0] == ".jsonl"
    assert suffixes[1].endswith((".jsonl.zst", ".jsonl.gz", ".zst", ".gz"))
    check(files)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"compression": "zstd"}, "compressed by the Collector's file exporter; leave `compression` off there"),
        ({"format": "proto"}, "no lines of JSON: the Collector's file exporter has to write `format: json`"),
        ({"path": "${env:COLLECTOR_OUTPUT_DIR}/logs/collector.json"}, "the names of a store's files end in .jsonl"),
    ],
)
def test_what_is_not_read(settings, sentence, tmp_path):
    """Another form of its files is not read, and that is said with what to do, not taken for an empty store."""
    with Collector(tmp_path, "config.yaml", {"exporters": {"file/logs": settings}}) as collector:
        serve(collector)
        logs = Path(collector.files / "logs")
        collector.until(lambda: any(path.stat().st_size for path in logs.glob("*")), "a file")
        collector.stop()
    records, said = run("search", "half", "--store", collector.files, "--format", "jsonl")
    assert records == []
    assert sentence in said
    assert "0 of 0 records shown" in said
