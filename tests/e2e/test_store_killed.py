"""kill -9 at any point of writing, sealing and indexing loses no complete line. Real processes, killed at every step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap

import pytest

from otel_logging.search import keeping, reading, retention
from otel_logging.search.local import Searched, scan
from otel_logging.search.one_call import find_call

CALL = "CA" + "3f" * 16
OWN = "media-1-20240121T193026000000Z"
LINES = 400

# The process kills itself at the n-th call of one of these functions, before or after it.
KILLER = """
import os, signal, sys
left = int(sys.argv[2])
def deadly(owner, name, late):
    real = getattr(owner, name)
    def call(*args, **more):
        global left
        left -= 1
        if left == 0 and not late:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **more)
        finally:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, call)
late = sys.argv[3] == "late"
from pathlib import Path
store = Path(sys.argv[1])
"""

SEALER = """
from otel_logging.search import frames, keeping, retention
for owner, name in ((os, "open"), (os, "fsync"), (os, "replace"), (os, "unlink"), (os, "utime"), (frames, "compress")):
    deadly(owner, name, late)
keeping.keep(store, retention.Limits(2**60, 2**60))
"""

INDEXER = """
from otel_logging.search import index, indexing, reading
reading.WORTH_AN_INDEX = 0
indexing._SECTION = indexing._STRETCH = 100_000
for name in ("rows", "many"):
    deadly(index.Index, name, late)
indexing.catch_up(store, reading.Reading(store).files("logs"), 2**60)
"""

WRITER = """
import os, sys
from pathlib import Path
from otel_logging.export.jsonl_file import JsonlFile
file = JsonlFile(Path(sys.argv[1]) / "logs", "media", 200_000)
for number in range(10**9):
    file.append(b'{"timestamp":1,"message":"%d","call_sid":"CA' % number + b"3f" * 16 + b'","more":"' + b"x" * 900 + b'"}\\n')
    os.write(1, b"%d\\n" % number)
"""


def start(code, *arguments, **more):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, **more)


@pytest.fixture
def store(tmp_path):
    root = tmp_path / "store"
    (root / "logs").mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    fill(root)
    return root


def fill(root):
    """The same lines in one file of a writer that is gone, and no index."""
    for path in [*root.glob("index.db*"), *(root / "logs").iterdir()]:
        path.unlink()
    line = {"timestamp": 1, "call_sid": CALL, "more": "x" * 700}
    path = root / "logs" / f"{OWN}.jsonl"
    path.write_text("".join(json.dumps({**line, "message": str(number)}) + "\n" for number in range(LINES)))
    path.chmod(0o600)


def everything(root):
    searched = Searched()
    found = [int(record.body) for record in scan(root, searched=searched)]
    assert (searched.broken, searched.problems) == (0, [])
    return found


@pytest.mark.parametrize("late", ["late", "early"])
@pytest.mark.parametrize("code", [SEALER, INDEXER], ids=["sealer", "indexer"])
def test_killed_at_every_step(store, code, late, monkeypatch):
    """Whichever step a sealer or an indexer is killed at, before or after it, every line is read, once and in order."""
    monkeypatch.setattr(reading, "WORTH_AN_INDEX", 0)
    killed = 0
    for step in range(1, 200, 4 if code is INDEXER else 2):
        fill(store)
        ended = start(KILLER + code, store, step, late).wait(60)
        assert everything(store) == list(range(LINES))
        assert [int(record.body) for record in find_call(store, CALL).records] == list(range(LINES))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        killed += 1
    else:
        pytest.fail("it never came to an end")
    assert killed >= 3
    keeping.keep(store, retention.Limits(2**60, 2**60))
    assert everything(store) == list(range(LINES))
    assert not list((store / "logs").glob("*.jsonl"))


def test_killed_writer(tmp_path):
    """Every line that a writer has written when it is killed is read, while others seal and index all the time."""
    root = tmp_path / "store"
    writer = start(WRITER, root, stdout=subprocess.PIPE)
    written = -1
    with writer:
        for line in writer.stdout:
            written = int(line)
            if written % 200 == 199:
                keeping.keep(root, retention.Limits(2**60, 2**60))
                assert len(find_call(root, CALL).records) >= written + 1
            if written >= 600:
                writer.kill()
                break
        written = max([written, *(int(line) for line in writer.stdout.read().split(b"\n")[:-1])])
    found = everything(root)
    assert found == list(range(len(found)))
    assert len(found) > written
    keeping.keep(root, retention.Limits(2**60, 2**60))
    assert everything(root) == found
    assert not list((root / "logs").glob("*.jsonl"))
