"""The promises of otel_logging.boot.bounded."""

from __future__ import annotations

import threading

from otel_logging.boot.bounded import bounded


def test_kept_to_its_time():
    """A flush that takes longer than it was given is left behind, and counts as failed."""
    release = threading.Event()
    assert bounded(lambda _millis: release.wait(30))(50) is False
    release.set()


def test_outcome():
    """What it says is passed on; None means that it worked, an exception that it did not."""
    assert bounded(lambda millis: millis == 5000)(5000) is True
    assert bounded(lambda _millis: None)(5000) is True
    assert bounded(lambda _millis: False)(5000) is False
    assert bounded(lambda _millis: 1 // 0)(5000) is False


def test_without_threads(monkeypatch):
    """Where no thread can be started any more, it is done by the caller."""

    def refuse(_thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert bounded(lambda _millis: True)(5000) is True
