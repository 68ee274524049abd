"""`web/upkeep.py`: a store that is served is kept in order while somebody writes to it, and only then."""

from __future__ import annotations

import os
import threading
import time

import pytest

from otel_logging.search import keeping
from otel_logging.web import upkeep
from otel_logging.web.upkeep import Upkeep

OLD = "media-1-20240101T000000000000Z"
PATIENCE = 60


@pytest.fixture
def served(store):
    """A store with a file that is past retention and one that is not, in private folders."""
    for name in (OLD, "open"):
        store.log(name, store.record("x" * 5000))
    for folder in (store.root, store.root / "logs"):
        os.chmod(folder, 0o700)
    week = time.time() - 8 * 24 * 3600
    os.utime(store.root / "logs" / f"{OLD}.jsonl", (week, week))
    return store


def names(store):
    return sorted(path.name for path in (store.root / "logs").iterdir())


def test_a_store_put_aside_is_left_alone(served):
    """Nothing is written to it: it is shown as it is, however old."""
    kept = Upkeep(served.root)
    assert kept.once() is None
    assert kept.once() is None
    assert names(served) == [f"{OLD}.jsonl", "open.jsonl"]


@pytest.mark.parametrize("name", ["open", "new"])
def test_a_store_in_use(served, name):
    """Once a file grows or comes, what is past retention goes, from then on every time."""
    kept = Upkeep(served.root)
    served.log(name, served.record("more"))
    assert kept.once() == keeping.Kept(sealed=0, removed=1)
    assert f"{OLD}.jsonl" not in names(served)
    assert kept.once() == keeping.Kept()


def test_in_a_thread_of_its_own(served, monkeypatch):
    """It goes on by itself, in no thread that serves, and stops."""
    seen = []
    twice = threading.Event()

    def keep(store, pause):
        seen.append((store, threading.current_thread().name, threading.current_thread().daemon))
        if len(seen) > 1:
            twice.set()

    monkeypatch.setattr(upkeep, "keep", keep)
    kept = Upkeep(served.root, first=0, every=0.01)
    served.log("open", served.record("more"))
    kept.start()
    assert twice.wait(PATIENCE)
    kept.stop()
    assert set(seen) == {(served.root, "otel-logging-upkeep", True)}


def test_one_that_may_not_be_touched(served, monkeypatch, capsys):
    """A store of somebody else's, or read-only, is shown all the same; why it is not kept is told once."""
    twice = threading.Event()
    calls = []

    def keep(store, pause):
        calls.append(1)
        if len(calls) > 2:
            twice.set()
        raise PermissionError(13, "not yours\n")

    monkeypatch.setattr(upkeep, "keep", keep)
    kept = Upkeep(served.root, first=0, every=0.01)
    served.log("open", served.record("more"))
    kept.start()
    assert twice.wait(PATIENCE)
    kept.stop()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("otel-logging: the store is shown, but not kept in order here: [Errno 13] not yours")
