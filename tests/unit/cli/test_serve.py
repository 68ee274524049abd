"""`otel-logging serve` starts only where it may, and says why not."""

from __future__ import annotations

import builtins
import socket

import pytest

from otel_logging.cli import serve


def test_port_is_taken(run, store):
    """A port that another program has is named, with exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("serve", "--port", port)
    assert done.code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in done.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_machines_need_a_token(run, store, monkeypatch, host):
    """An address that other machines can reach is refused without a token of the operator's."""
    monkeypatch.delenv(serve.TOKEN_VARIABLE, raising=False)
    done = run("serve", "--host", host)
    assert done.code == 2
    assert serve.TOKEN_VARIABLE in done.err


def test_short_token(run, store, monkeypatch):
    """A token that can be guessed is refused, and not repeated."""
    monkeypatch.setenv(serve.TOKEN_VARIABLE, "hunter2")
    done = run("serve")
    assert done.code == 2
    assert "at least 22" in done.err
    assert "hunter2" not in done.err + done.out


def test_no_such_port(run, store):
    """A number that is no port is an answer, not a traceback."""
    assert run("serve", "--port", "99999").code == 1


def test_without_the_extra(run, store, monkeypatch):
    """Without Starlette the command says what to install."""
    real = builtins.__import__

    def missing(name, *rest):
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    done = run("serve")
    assert done.code == 2
    assert "pip install 'otel-logging[web]'" in done.err
