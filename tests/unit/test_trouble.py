"""Where otel-logging reports its own trouble: stderr, once a minute per kind, and a count."""

from __future__ import annotations

import io
import sys

import pytest

from otel_logging import trouble


@pytest.fixture
def now(monkeypatch):
    """A clock that the test turns."""
    clock = [1000.0]
    monkeypatch.setattr(trouble.time, "monotonic", lambda: clock[0])
    return clock


class TestReport:
    def test_one_line_on_stderr(self, capsys):
        """An incident is one line on stderr that says who speaks, and a count."""
        trouble.report("kind", "something went wrong")
        assert capsys.readouterr().err == "otel-logging: something went wrong\n"
        assert trouble.counts() == {"kind": 1}

    def test_once_a_minute_per_kind_with_the_number_unsaid(self, capsys, now):
        """Repetitions within a minute are counted, and the next line says how many there were."""
        for _ in range(4):
            trouble.report("kind", "wrong")
        trouble.report("other kind", "also wrong")
        now[0] += 61
        trouble.report("kind", "wrong")
        lines = capsys.readouterr().err.splitlines()
        assert lines == [
            "otel-logging: wrong",
            "otel-logging: also wrong",
            "otel-logging: wrong (3 more of this kind since the last line)",
        ]
        assert trouble.counts() == {"kind": 5, "other kind": 1}

    def test_a_line_cannot_be_forged(self, capsys):
        """Line breaks, escapes and lone surrogates in a message stay on the one line, harmless."""
        trouble.report("kind", "a\nb\x1b[31m\ud800\r\u2028é")
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert all(character.isprintable() for character in err[:-1])
        assert "\\ud800" in err

    @pytest.mark.parametrize("stream", [None, "closed", "full"])
    def test_never_raises(self, monkeypatch, stream):
        """No stderr, a closed one or a full one: the incident is counted and nothing is raised."""

        class Full(io.StringIO):
            def write(self, _text):
                raise OSError(28, "No space left on device")

        made = None if stream is None else Full()
        if stream == "closed":
            made.close()
        monkeypatch.setattr(sys, "stderr", made)
        trouble.report("kind", "wrong")
        assert trouble.counts() == {"kind": 1}

    def test_kinds_are_bounded(self, capsys):
        """More kinds than there can be share one, so that a mistake cannot eat the memory."""
        for number in range(400):
            trouble.report(f"kind {number}", "wrong")
        assert len(trouble.counts()) <= 257
        assert sum(trouble.counts().values()) == 400


class TestCount:
    def test_counts_without_a_line(self, capsys):
        """`count` says nothing."""
        trouble.count("kind")
        trouble.count("kind")
        assert trouble.counts() == {"kind": 2}
        assert capsys.readouterr().err == ""

    def test_counts_is_a_copy(self):
        """What is handed out cannot change the books."""
        trouble.count("kind")
        trouble.counts()["kind"] = 99
        assert trouble.counts() == {"kind": 1}

    def test_reset_forgets_counts_and_silence(self, capsys):
        """After a reset the next incident is the first."""
        trouble.report("kind", "wrong")
        trouble.reset()
        assert trouble.counts() == {}
        trouble.report("kind", "wrong")
        assert capsys.readouterr().err.count("wrong") == 2


def test_sentence():
    """An error that has no text is named all the same, and a long one is cut."""

    class Bad(Exception):
        def __str__(self):
            raise RuntimeError("no")

    assert trouble.sentence(Bad()) == "Bad (its text cannot be had)"
    assert trouble.sentence(ValueError("x")) == "ValueError: x"
    assert len(trouble.sentence(ValueError("x" * 10_000))) == 300
