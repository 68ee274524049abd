"""Imports that sending makes on its way, made before there is a thread that sends.

A fork in the midst of an import, which the exporting thread was making, leaves the child with a module that is never
finished and a lock that is never released: whoever imports it there waits for ever, and the child's records are lost.
Which modules these are is found by the test beside it; nothing else is imported in here.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Final

_MODULES: Final = (
    "encodings.idna",  # the first name that is resolved
    "netrc",  # each request of `requests`
    "opentelemetry.instrumentation.utils",  # our own patches of HTTP clients
    "opentelemetry.propagate",
    "stringprep",
)


def up() -> None:
    """Import them. Never raises: what is missing is not needed, or will be told when it is."""
    for name in _MODULES:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
