"""An OTLP endpoint in the place of a sender: it answers as a test wants it to, and what it took outlives its processes.

Also in forked children, which change their own copy of how it answers. What a test makes of that is `outage_world`'s
business; an endpoint with sockets is `otlp_sink`.
"""

from __future__ import annotations

import os
import signal
import struct
import threading

from otlp_flat import flat_records
from recorder_world import RECOVERED

from otel_logging import testing
from otel_logging.export import otlp_request
from otel_logging.export.answers import TAKEN, of_status, of_words

MODES = ["up", "refuses", "busy", "asks for a pause", "hangs", "picky", "small"]
DEADLY = ["kills", "takes and kills", "takes and says nothing"]  # for a child that is killed then
HANG_SECONDS = 5.0  # unless the endpoint changes before
FLUSH_SECONDS = 20.0  # as it takes a moment only, but for a machine that does a lot else
MARK = "[MARKED]"  # in a record that a picky endpoint refuses
_SMALL = 6_000  # bytes of a request that are not too many
_ENTRY = struct.Struct("<II")


class Endpoint:
    """See the module.

    Args:
        folder: where it puts down what it took.
    """

    endpoint = "http://there:4318"

    def __init__(self, folder):
        self.headers = {}
        self.path = folder / "taken"
        self.path.touch()
        self.mode = "up"
        self.life = 0
        self._changed = threading.Event()

    def becomes(self, mode):
        """Answer otherwise from now on, also what hangs."""
        before, self._changed = self._changed, threading.Event()
        self.mode = mode
        before.set()

    def send(self, blob, seconds=None):
        if self.mode == "hangs":
            self._changed.wait(HANG_SECONDS if seconds is None else min(HANG_SECONDS, seconds))
        mode = self.mode
        if mode == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "hangs":
            return of_words("timed out")
        if mode == "refuses":
            return of_words("connection refused")
        if mode == "busy":
            return of_status(503)
        if mode == "asks for a pause":
            return of_status(503, pause=20.0)
        if mode == "picky" and MARK.encode() in blob:
            return of_status(400)
        if mode == "small" and len(blob) > _SMALL:
            return of_status(413)
        with self.path.open("ab", buffering=0) as journal:
            journal.write(_ENTRY.pack(self.life, len(blob)) + blob)
        if mode == "takes and kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "takes and says nothing":
            self._changed.wait(FLUSH_SECONDS)
        return TAKEN

    def close(self):
        pass

    def after_fork(self):
        self._changed = threading.Event()

    def taken(self):
        """What was taken: for each request the life that sent it, and its records."""
        data, found = self.path.read_bytes(), []
        while data:
            life, length = _ENTRY.unpack_from(data)
            blob, data = data[_ENTRY.size : _ENTRY.size + length], data[_ENTRY.size + length :]
            found.append((life, [_plain(one) for one in flat_records(otlp_request._request(blob), 0, ("", 0))]))
        return found


def is_recovered(record):
    """Whether a record carries the mark; a summary tells a number by the same name."""
    return (record.attributes or {}).get(RECOVERED) is True


def _plain(one):
    sid = one.attributes.get("call_sid")
    return testing.Record(
        body=one.body,
        level=testing._LEVELS.get(one.level, one.level),
        logger=one.logger,
        call_sid=sid,
        trace_id=one.trace_id or None,
        span_id=one.span_id or None,
        event_name=one.event or None,
        timestamp=one.time,
        attributes=one.attributes,
    )
