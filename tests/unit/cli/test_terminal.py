"""On a real terminal: colours, and none where they are not wanted."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

A = "CA" + "a1" * 16


def on_terminal(*argv, env):
    """What the command writes to a terminal."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "otel_logging", *argv],
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", **env},
    )
    os.close(follower)
    chunks = []
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(leader)
    assert child.wait(60) == 0
    return b"".join(chunks).decode()


@pytest.mark.parametrize(("env", "painted"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours(store, env, painted):
    """Warnings and errors are painted on a terminal, unless NO_COLOR or a dumb terminal says no."""
    text = on_terminal("call", A, env=env)
    assert ("\x1b[33mWARNING\x1b[0m" in text) is painted
    assert ("\x1b[31mERROR\x1b[0m" in text) is painted
    assert ("\x1b" in text) is painted
