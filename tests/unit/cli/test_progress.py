"""How far a reading is, on a terminal."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from otel_logging.cli import progress
from otel_logging.search.source import Asked, Local, Several


class Terminal(io.StringIO):
    """A stderr that is a terminal; `written` is set by the first text."""

    def __init__(self, tty=True):
        super().__init__()
        self.tty, self.written = tty, threading.Event()

    def isatty(self):
        return self.tty

    def write(self, text):
        self.written.set()
        return super().write(text)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setenv("TERM", "xterm")


def test_shows_and_goes_away(store, monkeypatch, at_once):
    """A bar while it lasts; nothing of it is left afterwards."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(Local(store.root)) as searched:
        searched.bytes = 1
        assert terminal.written.wait(60)
    assert "searching [" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(("tty", "term"), [(False, "xterm"), (True, "dumb")])
def test_never_into_a_pipe(store, monkeypatch, at_once, tty, term):
    """Where there is no terminal, there is no bar."""
    monkeypatch.setenv("TERM", term)
    terminal = Terminal(tty)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(Local(store.root)) as searched:
        assert isinstance(searched, Asked)
    assert terminal.getvalue() == ""


def test_quick_answers_show_nothing(store, monkeypatch):
    """Within a second nothing is shown."""
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(Local(store.root)):
        pass
    assert terminal.getvalue() == ""


def test_lines():
    """With a known end a share, without one what was read."""
    searched = Asked(bytes=50_000_000, lines=1234, records=7)
    assert progress.line(searched, 100_000_000) == "searching [##########..........]  50%  50 MB, 1,234 lines"
    assert progress.line(searched, 1) == "searching [####################] 100%  50 MB, 1,234 lines"
    assert progress.line(Asked(records=7_000), 0) == "searching: 7,000 records"


def test_back_ends_have_no_end():
    """How much a back end has, nobody knows beforehand."""
    assert progress._bytes_of(Several([])) == 0
