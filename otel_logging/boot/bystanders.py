"""Which Python processes are no part of the application, although they inherit its environment.

The command lines that start an application, and Python's own helper processes. To boot there would print a boot line
that belongs to nobody and cost start-up time. Only the process's own command line is looked at.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = frozenset({"otel-logging", "opentelemetry-instrument", "opentelemetry-bootstrap", "pip", "pip3"})
_MODULES: Final = frozenset({"pip", "otel_logging", "otel_logging.cli", "venv", "ensurepip"})
_HELPERS: Final = ("from multiprocessing.resource_tracker import", "from multiprocessing.semaphore_tracker import")


def is_bystander(argv: Sequence[str] | None = None) -> bool:
    """Whether this process (or the one started by the full command line `argv`) is no part of an application."""
    words = list(sys.orig_argv if argv is None else argv)[1:]
    while words:
        word = words.pop(0)
        if word in {"-W", "-X", "--check-hash-based-pycs"}:  # options of the interpreter with a value of their own
            words[:1] = []
        elif word == "-m":
            return bool(words) and words[0] in _MODULES
        elif word == "-c":
            return bool(words) and words[0].startswith(_HELPERS)
        elif not word.startswith("-"):
            name = word.replace("\\", "/").rsplit("/", 1)[-1].lower()
            return name.removesuffix(".exe").removesuffix("-script.py") in _COMMANDS
    return False
