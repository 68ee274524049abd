"""What an application's own tests use: `capture()` with its in-memory sink, a `FakeClock`, `assert_balanced()`.

    with otel_logging.testing.capture(log_level="DEBUG") as sink:
        handle_webhook(...)
    assert [record.body for record in sink.records if record.level == "ERROR"] == []

Everything runs as under `configure()`, gate, policies, calls and queue included; only what lies outside of the process
is replaced. Nothing in here is used by the product itself.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_logging.boot import configure
from otel_logging.boot.stand_ins import StandIns
from otel_logging.bridge import scope, summary, suppressed
from otel_logging.bridge.ledger import ledger
from otel_logging.calls import limits, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["FakeClock", "Record", "Sink", "assert_balanced", "capture"]

_ON_ITS_WAY_SECONDS = 1.0


@dataclass(frozen=True)
class Record:
    """One exported record, in plain Python values. Ids are lower-case hex, None where there is none."""

    body: Any
    level: str
    """As `logging` names it: WARNING and CRITICAL, not OTel's WARN and FATAL."""
    logger: str
    call_sid: str | None
    trace_id: str | None
    span_id: str | None
    event_name: str | None
    timestamp: int
    """Nanoseconds since 1970."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """All of them, `call_sid` and `logger.name` included."""


class FakeClock:
    """A clock that only the test turns: seconds, as `time.monotonic()` gives them.

    `capture(clock=clock)` makes rate limits, `every()` and the calls' own times follow it.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time now."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds


class Sink:
    """What a captured block has exported and printed so far."""

    def __init__(self) -> None:
        self._logs = _Logs()
        self._spans = _Spans()
        self._console = io.StringIO()
        _sinks.add(self)

    @property
    def records(self) -> list[Record]:
        """The exported records in the order in which they were made.

        Records that wait for their call's name are not among them yet: see `flush`. What otel-logging itself says at
        the end of a call is not among them either: see `summaries`.
        """
        return [record for record in self._all() if record.event_name not in _SUMMARY_EVENTS]

    @property
    def summaries(self) -> list[Record]:
        """The records that tell what became of a call's records, one for each call that has ended."""
        return [record for record in self._all() if record.event_name in _SUMMARY_EVENTS]

    def _all(self) -> list[Record]:
        settle()
        return [_record(one) for one in self._logs.all()]

    @property
    def spans(self) -> list[ReadableSpan]:
        """The `call` spans that have ended, as the SDK has them."""
        return self._spans.all()

    @property
    def console(self) -> str:
        """The text that went to the console."""
        return self._console.getvalue()

    @property
    def bodies(self) -> list[Any]:
        """The bodies of `records`."""
        return [record.body for record in self.records]

    def of_call(self, call_sid: str) -> list[Record]:
        """The records of one call."""
        return [record for record in self.records if record.call_sid == call_sid]

    def flush(self) -> None:
        """Have everything exported, also records that wait for their call's name."""
        configure.force_flush(5.0)

    def clear(self) -> None:
        """Forget what came so far."""
        settle()
        self._forget()

    def _forget(self) -> None:
        self._logs.clear()
        self._spans.clear()
        self._console.seek(0)
        self._console.truncate()


@contextlib.contextmanager
def capture(*, clock: FakeClock | None = None, **settings: Any) -> Iterator[Sink]:
    """Set this process up as `configure(**settings)` would, but exporting to memory, for the length of a block.

    The environment is not read, so that a test means the same on every machine; `configure()` does nothing within the
    block; no line is printed at boot. Afterwards everything is taken down and `logging` (levels, handlers, filters,
    what the block's code did to them included) is as it was. A child forked within the block has an empty sink and
    books of its own.

    Args:
        clock: tells the time to rate limits, `every()` and calls; by default real time passes.
        **settings: as for `configure()`; `logs_exporter="none"` exports nothing.

    Raises:
        TypeError: for a keyword that is no setting.
        ValueError: for a value that is not valid: in a test that is a mistake.
    """
    sink = Sink()
    stand_ins = StandIns(sink._logs, sink._spans, sink._console, clock)  # noqa: SLF001 (one module, one idea)
    with contextlib.ExitStack() as undo:
        undo.callback(_Logging().restore)
        undo.callback(_forget_calls)
        undo.enter_context(_clocks(clock))
        _forget_calls()
        token = scope.current.set(None)
        undo.callback(_leave, token)
        undo.enter_context(configure.rehearsal(settings, stand_ins))
        ledger.reset()
        yield sink


def settle() -> None:
    """Wait until what has been handed to the exporting side is exported."""
    active = configure.configured()
    for flush in active.flushers if active is not None else ():
        flush(5000)


def assert_balanced(stats: Mapping[str, Any] | None = None) -> None:
    """Fail unless every record made is exported, held, or dropped with a reason.

    A record that is on its way in another thread is waited for, a second at most.

    Args:
        stats: what `otel_logging.stats()` gave; by default the books as they are now.

    Raises:
        AssertionError: names the difference and the books.
    """
    if stats is None:
        settle()
        stats = configure.stats()
        latest = time.monotonic() + _ON_ITS_WAY_SECONDS
        while _difference(stats) and time.monotonic() < latest:
            time.sleep(_ON_ITS_WAY_SECONDS / 100)
            stats = configure.stats()
    if difference := _difference(stats):
        dropped = sum(stats["dropped"].values())
        what = f"{difference} unaccounted for" if difference > 0 else f"{-difference} accounted for twice"
        raise AssertionError(
            f"the books do not balance, records {what}: created {stats['created']}, exported {stats['exported']}, "
            f"held {stats['held']}, dropped {dropped} {dict(stats['dropped'])}"
        )


def _difference(stats: Mapping[str, Any]) -> int:
    """How many more records were made than became of."""
    left: int = stats["created"] - stats["exported"] - stats["held"] - sum(stats["dropped"].values())
    return left


# -- the inside --------------------------------------------------------------------------------------------------------


class _Kept:
    """Keeps what is exported, also across the set-up being taken down."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._lock = threading.Lock()
        self._items: list[Any] = []

    def all(self) -> list[Any]:
        with self._lock:
            return list(self._items)

    def clear(self) -> None:
        with self._lock:
            self._items.clear()

    def keep(self, items: Sequence[Any]) -> None:
        with self._lock:
            self._items.extend(items)

    def shutdown(self) -> None:
        """What was kept stays readable."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        return True


class _Logs(_Kept, LogRecordExporter):
    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self.keep(batch)
        return LogRecordExportResult.SUCCESS


class _Spans(_Kept, SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.keep(spans)
        return SpanExportResult.SUCCESS


_SUMMARY_EVENTS = frozenset({summary.EVENT, summary.LIMITS_EVENT})
_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"}


def _record(one: ReadableLogRecord) -> Record:
    log = one.log_record
    attributes = dict(log.attributes or {})
    sid = attributes.get("call_sid")
    level = log.severity_text or ""
    return Record(
        body=log.body,
        level=_LEVELS.get(level, level),
        logger=one.instrumentation_scope.name if one.instrumentation_scope is not None else "",
        call_sid=sid if isinstance(sid, str) else None,
        trace_id=f"{log.trace_id:032x}" if log.trace_id else None,
        span_id=f"{log.span_id:016x}" if log.span_id else None,
        event_name=log.event_name,
        timestamp=log.timestamp or 0,
        attributes=attributes,
    )


class _Logging:
    """The state of `logging` as it is when this is made: levels, handlers, filters, switches of every logger."""

    def __init__(self) -> None:
        self._disable = logging.root.manager.disable
        self._before = {name: self._state(logger) for name, logger in self._loggers()}

    @staticmethod
    def _loggers() -> list[tuple[str, logging.Logger]]:
        found = logging.root.manager.loggerDict
        named = [(name, logger) for name, logger in found.items() if isinstance(logger, logging.Logger)]
        return [("", logging.root), *named]

    @staticmethod
    def _state(logger: logging.Logger) -> tuple[int, bool, bool, list[Any], list[Any]]:
        return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)

    def restore(self) -> None:
        fresh: tuple[int, bool, bool, list[Any], list[Any]] = (logging.NOTSET, True, False, [], [])
        for name, logger in self._loggers():
            level, propagate, disabled, handlers, filters = self._before.get(name, fresh)
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, disabled
            logger.handlers[:], logger.filters[:] = handlers, filters
        logging.disable(self._disable)


@contextlib.contextmanager
def _clocks(clock: FakeClock | None) -> Iterator[None]:
    if clock is None:
        yield
        return
    before = limits.clock, registry.clock
    limits.clock = registry.clock = clock
    try:
        yield
    finally:
        limits.clock, registry.clock = before


def _forget_calls() -> None:
    registry.reset()
    limits.reset()
    suppressed.reset()


def _leave(token: Any) -> None:
    try:
        scope.current.reset(token)
    except ValueError:
        scope.current.set(None)  # the block began in another context, as a fixture's may


_sinks: weakref.WeakSet[Sink] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """What the parent made is the parent's, as `boot.ends` has it where no test stands in for the world."""
    active = configure.configured()
    if active is None or active.stand_ins is None:
        return
    configure.after_fork()
    for sink in list(_sinks):
        sink._logs.begin()  # noqa: SLF001 (one module, one idea)
        sink._spans.begin()  # noqa: SLF001
        sink._forget()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
