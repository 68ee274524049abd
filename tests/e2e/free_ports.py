"""Loopback ports for programs that must have the same port again after a restart."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, below those that the system gives to outgoing connections.

    A port of the system's own range may be taken by any connection while the program that had it is down.
    """
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", random.randrange(12_000, 32_000)))
            except OSError:
                continue
            found.append(int(one.getsockname()[1]))
        return found
