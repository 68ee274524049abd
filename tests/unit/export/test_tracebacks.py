"""An exception is text of a bounded size, with its first and its last frames, whatever its own code does."""

from __future__ import annotations

import sys
import traceback

import pytest

from otel_logging.export import tracebacks
from otel_logging.export.tracebacks import qualified, shortened, stacktrace


def raised(error):
    """An exception with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def deep(frames):
    """An exception from so many different functions."""
    code = (
        "\n".join(f"def f{n}(): f{n + 1}()" for n in range(frames)) + f"\ndef f{frames}(): raise ValueError('the end')"
    )
    space: dict = {}
    exec(code, space)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + frames + 100)
    try:
        space["f0"]()
    except ValueError as error:
        return error
    finally:
        sys.setrecursionlimit(limit)


class BadText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class BadNotes(Exception):
    """Notes without end."""

    class Endless(list):
        """Comes to no end."""

        def __iter__(self):
            while True:
                yield "note"

    def __init__(self):
        self.__notes__ = self.Endless()


class BadCause(Exception):
    @property
    def __cause__(self):
        raise GeneratorExit


def test_as_python_prints_it():
    """An ordinary exception is told exactly as Python tells it."""
    error = raised(KeyError("gone"))
    error.__cause__ = raised(ValueError("the cause"))
    assert stacktrace(error, error.__traceback__) == "".join(traceback.format_exception(error))


@pytest.mark.parametrize("frames", [1000, 5000])
def test_many_frames(frames):
    """Of a very deep stack the first and the last frames are kept, and it says how many are not."""
    error = deep(frames)
    text = stacktrace(error, error.__traceback__)
    lines = text.splitlines()
    assert text.startswith("Traceback (most recent call last):")
    assert ", in deep" in lines[1]
    assert any(line.endswith(", in f0") for line in lines)
    assert any(line.endswith(f", in f{frames}") for line in lines)
    assert f"[otel-logging: {frames + 2 - 100} frames left out]" in text
    assert lines[-1] == "ValueError: the end"
    assert len(lines) < 300


def test_a_deep_cause():
    """The same goes for a cause."""
    error = raised(KeyError("gone"))
    error.__cause__ = deep(300)
    text = stacktrace(error, error.__traceback__)
    assert "frames left out" in text
    assert text.endswith("KeyError: 'gone'\n")


def test_a_cycle_in_the_chain():
    """A chain that comes back to itself ends."""
    first, second = raised(ValueError("first")), raised(ValueError("second"))
    first.__cause__, second.__cause__ = second, first
    text = stacktrace(first, first.__traceback__)
    assert "first" in text
    assert "second" in text


@pytest.mark.parametrize("error", [BadText(), BadNotes(), BadCause()], ids=lambda error: type(error).__name__)
def test_exceptions_whose_own_code_is_bad(error):
    """An exception that cannot be told still has its type and its frames."""
    text = stacktrace(raised(error), error.__traceback__)
    assert "in raised" in text
    assert type(error).__name__ in text
    assert len(text) <= tracebacks.MAX_CHARS + 200


def test_what_is_no_traceback():
    """Anything in the place of a traceback is no harm."""
    assert "ValueError" in stacktrace(ValueError("x"), "no traceback") or "cannot be formatted" in stacktrace(
        ValueError("x"), "x"
    )


def test_shortened():
    """Beginning and end stay, in whole lines where they are short; a short text stays as it is."""
    assert shortened("short") == "short"
    text = shortened("".join(f"line {n}\n" for n in range(10_000)), 1000)
    assert text.startswith("line 0\n")
    assert text.endswith("line 9999\n")
    assert "characters left out]\n" in text
    assert all(line.startswith(("line ", "  [otel-logging: ")) for line in text.splitlines())
    assert len(shortened("x" * 10_000, 1000)) < 1100


def test_qualified():
    """The type's name with its module, but for built-in ones."""
    assert qualified(ValueError) == "ValueError"
    assert qualified(BadText) == f"{__name__}.BadText"
