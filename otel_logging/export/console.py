"""The console: writes each record's line at once, whole, to whatever standard output is at the moment.

How a line looks is the business of `lines`. Which records belong on the console (a recovered one, say) is the caller's
decision, and so is where a record's call comes from. Nothing here may raise, and no lock is held while a line is made.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from otel_logging import trouble
from otel_logging.export.lines import human_line, json_line
from otel_logging.export.text import ascii_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_logging.export.lines import Texts

__all__ = ["Console", "Stream", "human_line", "json_line"]

_KEPT_WHILE_BUSY: Final = 16


class Stream(Protocol):
    """What is needed of a text stream."""

    def write(self, text: str, /) -> Any:
        """Take the text."""

    def flush(self) -> Any:
        """Pass on what was taken."""


class _Busy(threading.local):
    stream: object | None = None  # the stream this thread is writing to
    kept: list[str] | None = None  # lines that came meanwhile
    reentered: bool = False


class Console:
    """Writes records to standard output, whole lines at once.

    Args:
        settings_json: True for JSON lines, False for lines for people.
        mode: `on`, `errors` (ERROR and above) or `off`.
        service: the service's name in JSON lines.
        stream: gives the stream to write to; asked at every write, because applications and tests exchange stdout.
    """

    def __init__(
        self,
        settings_json: bool,
        mode: Literal["on", "errors", "off"] | str,  # noqa: PYI051 (says what is meant)
        service: str,
        stream: Callable[[], Stream | None] | None = None,
    ) -> None:
        self._json = settings_json
        self._floor: float = {"off": float("inf"), "errors": logging.ERROR}.get(mode, float("-inf"))
        self._service = service
        self._stream: Callable[[], Stream | None] = stream or _standard_output
        self._lock = threading.Lock()  # held while a finished line is written, so that lines never interleave
        self._busy = _Busy()
        self._broken = False
        self._loop: Stream | None = None  # a stream that was found to log what is written to it
        _consoles.add(self)

    def write(
        self,
        record: logging.LogRecord,
        call_sid: str | None = None,
        trace_id: int | str | None = None,
        span_id: int | str | None = None,
        attributes: Mapping[str, Any] | None = None,
        texts: Texts | None = None,
    ) -> bool:
        """Format the record and write it through, if the mode lets it pass; tells whether it did. Never raises.

        `texts` is what the record says, where that is known already.
        """
        try:
            # A record made by hand may have a level that is no number: shown rather than hidden.
            level = record.levelno if isinstance(record.levelno, (int, float)) else logging.CRITICAL
            if level < self._floor:
                return False
            if self._json:
                line = json_line(
                    record,
                    service=self._service,
                    call_sid=call_sid,
                    trace_id=trace_id,
                    span_id=span_id,
                    attributes=attributes,
                    texts=texts,
                )
            else:
                line = human_line(record, texts)
        except Exception as error:
            trouble.report("console_format", f"a record could not be shown on the console ({type(error).__name__})")
            return False
        return self.write_line(line)

    def silent(self, level: Any) -> bool:
        """Whether a record of this level is surely not shown."""
        return isinstance(level, (int, float)) and level < self._floor

    def write_line(self, line: str) -> bool:
        """Write one finished line, newline added, in one call and through; tells whether it did. Never raises."""
        busy = self._busy
        if busy.stream is not None:
            # This thread is in the middle of writing: a signal handler logs, or the stream's own write() does.
            busy.reentered = True
            if busy.kept is not None and len(busy.kept) < _KEPT_WHILE_BUSY:
                busy.kept.append(line)
                return True
            trouble.count("console_reentered")
            return False
        try:
            stream = self._usable()
            if stream is None:
                self._trouble("standard output is closed")
                return False
            busy.stream, busy.kept, busy.reentered = stream, [], False
            try:
                self._put(stream, line)
                kept = busy.kept
                busy.kept = None  # what comes while these are written is a loop, and ends here
                if busy.reentered:
                    self._after_reentry(stream, line, kept)
            finally:
                busy.stream = busy.kept = None
            self._broken = False
            return True
        except Exception as error:
            self._trouble(f"standard output cannot be written ({trouble.sentence(error)})")
            return False

    def _usable(self) -> Stream | None:
        stream = self._stream()
        if stream is None or stream is sys.__stdout__:
            return stream
        # Celery's worker, and a common recipe: it would log our line anew, so it is not even tried.
        is_logger = isinstance(getattr(stream, "logger", None), (logging.Logger, logging.LoggerAdapter))
        return sys.__stdout__ if is_logger or stream is self._loop else stream

    def _after_reentry(self, stream: Stream, line: str, kept: list[str]) -> None:
        """Write what this thread logged while it was writing.

        An application that turns `sys.stdout` into a logger gets its own line back through us: then the line itself
        goes to the real stdout, now and from now on, and the echo goes nowhere. On the real stdout it can only have
        been a signal handler that logged.
        """
        real = sys.__stdout__
        if stream is not real and real is not None:
            self._loop = stream
            self._put(real, line)
            return
        for other in kept:
            self._put(stream, other)

    def _put(self, stream: Stream, line: str) -> None:
        text = line + "\n"
        with self._lock:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                # Nothing was written: a text stream encodes the whole text first.
                if self._json:
                    text = ascii_json(text)
                else:
                    encoding = getattr(stream, "encoding", None) or "ascii"  # the error says `charmap` for most
                    text = text.encode(encoding, "backslashreplace").decode(encoding)
                stream.write(text)
            stream.flush()

    def _trouble(self, message: str) -> None:
        if self._broken:
            trouble.count("console")
        else:
            self._broken = True
            trouble.report("console", f"{message}; records go on to the other exporters without the console")

    @property
    def writing(self) -> bool:
        """True in a thread that is inside a write: what is logged there is an echo of the line being written."""
        return self._busy.stream is not None

    def after_fork_in_child(self) -> None:
        """A thread of the parent may have held the lock: begin with a new one."""
        self._lock = threading.Lock()
        self._busy = _Busy()


def _standard_output() -> Stream | None:
    return sys.stdout


_consoles: weakref.WeakSet[Console] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for console in list(_consoles):
        console.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
