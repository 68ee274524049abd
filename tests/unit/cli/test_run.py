"""`otel-logging run` and `otel-logging demo` hand over to their rooms."""

from __future__ import annotations

import builtins
import sys

import pytest

from otel_logging.boot import run as boot_run


def test_run_hands_everything_over(run, monkeypatch):
    """What stands after `run` reaches the room unchanged, options of the program included, and its code comes back."""
    seen = []
    monkeypatch.setattr(boot_run, "main", lambda argv: seen.append(argv) or 7)
    result = run("run", "--local", "--", "uvicorn", "--store", "app:app", "--json")
    assert (result.code, seen) == (7, [["--local", "--", "uvicorn", "--store", "app:app", "--json"]])


@pytest.mark.parametrize("missing", ["starlette", "websockets", "rich"])
def test_demo_without_its_packages(run, monkeypatch, missing):
    """Without the extra, `demo` names what is missing and how to get it, and exits with 2."""
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "otel_logging.demo.main":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("demo")
    assert (result.code, result.out) == (2, "")
    assert missing in result.err
    assert "pip install 'otel-logging[demo]'" in result.err


def test_demo_that_is_broken_itself(run, monkeypatch):
    """A missing module of our own is a fault and is not dressed up as a missing package."""
    monkeypatch.setitem(sys.modules, "otel_logging.demo.main", None)
    with pytest.raises(ModuleNotFoundError):
        run("demo")
