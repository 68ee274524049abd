"""What tests of the batching processor share: patience, an exporter that waits, and filling a queue."""

from __future__ import annotations

import threading

from export_kit import sdk_record

PATIENCE = 30  # seconds an event may take on a busy machine; never waited for in full when all is well


class Gate:
    """An exporter's behaviour: waits inside its first export until let go."""

    def __init__(self, result=None):
        self.entered = threading.Event()
        self.go = threading.Event()
        self.result = result

    def __call__(self, batch):
        self.entered.set()
        assert self.go.wait(PATIENCE)
        return self.result


def fill(processor, bodies):
    for body in bodies:
        processor.on_emit(sdk_record(body))
