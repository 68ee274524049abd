"""The mark of a thread that is inside an export, and what other libraries logged there.

Exporting makes libraries log (urllib3, the official exporters). If those records were exported too, each export would
feed the next one. A thread that exports carries this mark: the bridge ignores what is logged there, and the exporter
turns it into one line of trouble. No part of the OTel SDK is imported here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_NOTES = 32


class Exporting(threading.local):
    """Per thread: whether it is inside an export, and the messages libraries logged meanwhile."""

    active: bool = False
    notes: list[str] | None = None

    def note(self, message: str) -> None:
        """Remember a message for the exporter to report; the last ones win, as they tell the outcome."""
        notes = self.notes
        if notes is not None:
            notes.append(message)
            del notes[:-_MAX_NOTES]


exporting = Exporting()
"""`exporting.active` is True in a thread that is inside an export."""


@contextmanager
def inside_export() -> Iterator[list[str]]:
    """Mark this thread for the block and keep other instrumentations away; gives the list of notes taken meanwhile."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    before = (exporting.active, exporting.notes)
    notes: list[str] = []
    exporting.active, exporting.notes = True, notes
    try:
        with suppress_instrumentation():
            yield notes
    finally:
        exporting.active, exporting.notes = before
