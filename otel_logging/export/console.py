"""The console: writes each record's line at once, whole, to whatever standard output is at the moment.

When the call returns, its line has been passed on, as with PYTHONUNBUFFERED; lines of threads that had to wait for one
another go out in one write. How a line looks is the business of `lines`. Which records belong on the console (a
recovered one, say) is the caller's decision, and so is where a record's call comes from. Nothing here may raise, and no
lock is held while a line is made.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import weakref
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from otel_logging import trouble
from otel_logging.export.lines import Texts, human_line, json_line, texts_of
from otel_logging.export.ordinary_lines import HumanLines, JsonLines
from otel_logging.export.text import ascii_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Console", "Stream", "human_line", "json_line"]

_KEPT_WHILE_BUSY: Final = 16


class Stream(Protocol):
    """What is needed of a text stream."""

    def write(self, text: str, /) -> Any:
        """Take the text."""

    def flush(self) -> Any:
        """Pass on what was taken."""


class _Waiting:
    """A line whose thread waits for another one that is writing."""

    __slots__ = ("line", "written")

    def __init__(self, line: str) -> None:
        self.line = line
        self.written: bool | None = None  # None until somebody has tried


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
        # Held while finished lines are written, so that they never interleave. A signal handler that logs may come
        # between its taking and the next statement, in the same thread: hence one that can be taken again.
        self._lock = threading.RLock()
        # The thread that is writing, and the lines that it logged meanwhile; a tuple takes no more of them.
        self._inside: list[Any] | tuple[Any, ...] | None = None
        self._waiting: deque[_Waiting] = deque()
        self._broken = False
        self._loop: Stream | None = None  # a stream that was found to log what is written to it
        self._human = HumanLines()
        self._ordinary = self._json_lines() if settings_json else None
        _consoles.add(self)

    def _json_lines(self) -> JsonLines | None:
        try:
            return JsonLines(self._service)
        except Exception:  # a service's name that is no text: the long way makes something of it
            return None

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
            if texts is None:
                texts = texts_of(record)
            line = self._short(record, call_sid, trace_id, span_id, attributes, texts)
            if line is not None:
                pass
            elif self._json:
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

    def _short(
        self,
        record: logging.LogRecord,
        call_sid: str | None,
        trace_id: int | str | None,
        span_id: int | str | None,
        attributes: Mapping[str, Any] | None,
        texts: Texts,
    ) -> str | None:
        try:
            if not self._json:
                return self._human.line(record, texts)
            if self._ordinary is not None:
                return self._ordinary.line(record, call_sid, trace_id, span_id, attributes, texts)
        except Exception:  # an odd record: the long way knows what to do with it
            pass
        return None

    def line_of(
        self,
        record: logging.LogRecord,
        call_sid: str | None,
        trace_id: int,
        span_id: int,
        attributes: Mapping[str, Any] | None,
    ) -> str | None:
        """The line of an ordinary record, for `write_line`; None for any other.

        Of the record, `created`, `levelname`, `module` and `name` are asked for, and `msg`, which is its message.
        """
        return self._short(record, call_sid, trace_id, span_id, attributes, Texts(record.msg))

    @property
    def parts(self) -> JsonLines | HumanLines | None:
        """What makes lines out of parts that are ready."""
        return self._ordinary if self._json else self._human

    def silent(self, level: Any) -> bool:
        """Whether a record of this level is surely not shown."""
        return isinstance(level, (int, float)) and level < self._floor

    def write_line(self, line: str) -> bool:
        """Write one finished line, newline added, in one call and through; tells whether it did. Never raises."""
        if self._inside is not None:
            return self._write_with_others(line)
        with self._lock:
            return self._write_through(line)

    def _write_with_others(self, line: str) -> bool:
        """Somebody is writing. Who has waited for them finds the line written, or writes it with all that wait."""
        inside = self._inside
        if inside is not None and inside[0] == get_ident():
            # This thread is in the middle of writing: a signal handler logs, or the stream's own write() does.
            if isinstance(inside, list) and len(inside) <= _KEPT_WHILE_BUSY:
                inside.append(line)
                return True
            trouble.count("console_reentered")
            return False
        mine = _Waiting(line)
        self._waiting.append(mine)
        try:
            with self._lock:
                if mine.written is None:
                    together = [self._waiting.popleft() for _ in range(len(self._waiting))]
                    written = self._write_through("\n".join([one.line for one in together]), len(together))
                    for one in together:
                        one.written = written
        except BaseException:
            # Ctrl-C while waiting: the line must not stay to be written at some other time.
            with contextlib.suppress(ValueError):
                self._waiting.remove(mine)
            raise
        return bool(mine.written)

    def _write_through(self, text: str, count: int = 1) -> bool:
        """Write a text of `count` records with the lock held; tells whether it could be written. Never raises."""
        try:
            stream = self._stream()
            if stream is not sys.__stdout__:
                stream = self._usable(stream)
            if stream is None:
                self._trouble("standard output is closed", count)
                return False
            inside = self._inside = [get_ident()]
            try:
                try:
                    stream.write(text + "\n")
                except UnicodeEncodeError:
                    self._put_escaped(stream, text)
                stream.flush()
                if len(inside) > 1:
                    self._inside = (inside[0],)  # what comes while these are written is a loop, and ends here
                    self._after_reentry(stream, text, inside[1:])
            finally:
                self._inside = None
            self._broken = False
            return True
        except Exception as error:
            self._trouble(f"standard output cannot be written ({trouble.sentence(error)})", count)
            return False

    def _usable(self, stream: Stream | None) -> Stream | None:
        if stream is None:
            return None
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
        try:
            stream.write(line + "\n")
        except UnicodeEncodeError:
            self._put_escaped(stream, line)
        stream.flush()

    def _put_escaped(self, stream: Stream, line: str) -> None:
        """Nothing was written: a text stream encodes the whole text first."""
        text = line + "\n"
        if self._json:
            text = ascii_json(text)
        else:
            encoding = getattr(stream, "encoding", None) or "ascii"  # the error says `charmap` for most
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        stream.write(text)

    def _trouble(self, message: str, count: int) -> None:
        if not self._broken:
            self._broken = True
            count -= 1
            trouble.report("console", f"{message}; records go on to the other exporters without the console")
        for _ in range(count):
            trouble.count("console")

    @property
    def writing(self) -> bool:
        """True in a thread that is inside a write: what is logged there is an echo of the line being written."""
        inside = self._inside
        return inside is not None and inside[0] == get_ident()

    def after_fork_in_child(self) -> None:
        """A thread of the parent may have held the lock: begin with a new one."""
        self._lock = threading.RLock()
        self._inside = None
        self._waiting = deque()


def _standard_output() -> Stream | None:
    return sys.stdout


_consoles: weakref.WeakSet[Console] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for console in list(_consoles):
        console.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
