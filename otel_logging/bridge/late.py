"""A kept record is taken where it was logged, and translated where it is sent.

Most records are a text and a few numbers, and everything that is to be made of them can be made later, on the exporting
thread, where no audio frame waits for it. What could change in between is looked up at once: the text, the call, the
trace. Where nobody else would see it (no handlers, no filters, no factory), not even the standard library's record is
made. Where somebody looks at records, or the console prints them, there is no later: then these functions say no, with
nothing done, and the record goes its way at once.

Hot path; `python -m benchmarks --only kept` measures it. What becomes of what was taken is in `snapshot`. A property
test holds all ways to one another.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from operator import itemgetter
from time import time, time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import INVALID_SPAN_CONTEXT, get_current_span

from otel_logging.bridge import direct, entries, ordinary, scope, suppressed, translate
from otel_logging.bridge.familiar import NOT_SHOWN, Familiar, nobody_looks
from otel_logging.bridge.snapshot import PLACE, SHOWN, Snapshot, Taken, known_place
from otel_logging.bridge.this_thread import MAX_DEPTH, thread
from otel_logging.export import record_size
from otel_logging.export.entry import OVERHEAD, PER_EXTRA, Entry
from otel_logging.export.guard import exporting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from opentelemetry._logs import Logger

    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.scope import CallScope
    from otel_logging.export.console import Console
    from otel_logging.policy.engine import PolicySet

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_place: Final = itemgetter(*map(ordinary.OWN.index, PLACE))
_NAME, _MSG, _ARGS, _CREATED = map(ordinary.OWN.index, ("name", "msg", "args", "created"))
_EXC_INFO, _EXC_TEXT, _STACK_INFO = map(ordinary.OWN.index, ("exc_info", "exc_text", "stack_info"))
_SOURCE: Final = logging.addLevelName.__code__.co_filename
_MOST: Final = 4_096  # lines of code, or loggers, that are known
_INT64: Final = 1 << 63
_NONE: Final[Mapping[str, Any]] = {}
_level_names: Final[dict[int, str]] = logging._levelToName  # noqa: SLF001 (a table that `addLevelName` writes to)
_new: Final[Any] = object.__new__
_tuple: Final[Any] = tuple.__new__
_ALONE: Final[dict[str, Any]] = {}  # nobody asks for more, where records go to the console alone


class _Shown:
    """What the console asks of a record."""

    __slots__ = ("created", "levelname", "module", "msg", "name")

    def __init__(self, msg: str, place: tuple[Any, ...], created: float) -> None:
        self.msg = msg
        self.name, _, self.levelname, path, *_ = place
        self.module = module_of(path)
        self.created = created


_modules: Final[dict[str, str]] = {}


def module_of(path: str) -> str:
    """The name of a module, as the standard library has it."""
    module = _modules.get(path)
    if module is not None:
        return module
    if len(_modules) >= _MOST:
        _modules.clear()
    module = _modules[path] = os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 (as it does)
    return module


class Late:
    """From a stdlib record straight into our queues, where nothing but them is behind a provider, and nobody prints.

    Args:
        pipeline: whose records they are.
        way: past the SDK; None where there is only the console.
    """

    def __init__(self, pipeline: Pipeline, way: direct.Direct | None) -> None:
        self._pipeline = pipeline
        self._direct = way
        self.familiar = Familiar(pipeline, self)
        self.queues = way.queues if way is not None else ()
        self.context = entries.context_getter()
        self.last: tuple[Any, Any] = (self, INVALID_SPAN_CONTEXT)  # OTel's context, and its span's
        self._lines: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.shared: dict[str, dict[str, Any]] = {}
        """By a logger's name, what the SDK's records have beside the record itself."""
        _all.add(self)

    def take(self, record: logging.LogRecord) -> bool:
        """Queue a record that the gate has let pass; False, with nothing done, if it has to go its way at once."""
        pipeline = self._pipeline
        console = pipeline.console
        if (
            self._direct is None
            or thread.inside
            or thread.suppressed
            or thread.depth > MAX_DEPTH
            or exporting.active
            or (console is not None and not console.silent(record.levelno))
            or pipeline.before_first_line is not None
        ):
            return False
        handle = scope.current.get()
        try:
            entry = self._snapshot(record, handle)
        except Exception:
            return False  # whatever it is, the usual way has an answer to it
        if entry is None:
            return False
        if handle is not None:
            memory = handle.memory
            memory.counts["kept"] = memory.counts.get("kept", 0) + 1
            if pipeline.recorder is not None:
                pipeline.recorder.saw(memory, record)  # first, as what led to it comes first
        record.__dict__[translate.MARK] = True
        pipeline.books.created()
        for queue in self.queues:
            queue.put(entry)
        return True

    def _snapshot(self, record: logging.LogRecord, call: CallScope | None) -> Entry | None:
        fields = record.__dict__
        keys = [*fields]
        own = [*fields.values()]  # in the order in which the standard library sets them
        shared = self._shared(own[_NAME])
        body = own[_MSG]
        if (
            shared is None
            or keys[ordinary.LAST_AT] != ordinary.LAST_OWN
            or type(body) is not str
            or own[_EXC_INFO] is not None
            or own[_EXC_TEXT] is not None
            or own[_STACK_INFO] is not None
            or type(record) is not logging.LogRecord
            or suppressed.this_thread.offered is not None
        ):
            return None
        args = own[_ARGS]
        if args:
            body %= args
        names: Sequence[Any] = ()
        values: Sequence[Any] = ()
        if len(keys) > ordinary.OWN_COUNT:
            names, values = keys[ordinary.OWN_COUNT :], own[ordinary.OWN_COUNT :]
        return self._entry(shared, body, _place(own), own[_CREATED], names, values, call)

    def _entry(
        self,
        shared: dict[str, Any],
        body: str,
        place: tuple[Any, ...],
        created: Any,
        names: Sequence[Any],
        values: Sequence[Any],
        call: CallScope | None,
    ) -> Entry | None:
        size = OVERHEAD + len(body)
        if names:
            kinds = set(map(type, values))
            if not kinds <= _SCALARS:
                return None
            size += PER_EXTRA * len(names)
            if str in kinds:
                size += len("".join([value for value in values if type(value) is str]))
        if size > record_size.SUSPECT:
            return None
        sid, bound = None, _NONE
        if call is not None:
            sid, bound = call.call_sid, call.attributes
            if sid is None:
                return None
        context = self.context()
        last = self.last
        if last[0] is not context:
            last = self.last = (context, get_current_span(context).get_span_context())
        late = _new(Snapshot)
        late.taken = _tuple(Taken, (body, place, created, names, values, sid, call, bound, last[1], time_ns()))
        late.pipeline, late.shared, late.made, late.clean = self._pipeline, shared, None, None
        entry: Entry = _tuple(Entry, (late, size))
        return entry

    def entry_of(
        self,
        name: str,
        body: str,
        place: tuple[Any, ...],
        created: float,
        extra: Mapping[str, Any] | None,
        call: CallScope | None,
        policies: PolicySet | None,
    ) -> Entry | None:
        """What is queued of a message in which these policies have nothing to redact; None if it needs a record."""
        shared = self._shared(name)
        if shared is None:
            return None
        names, values = ([*extra], [*extra.values()]) if extra else ((), ())
        entry = self._entry(shared, body, place, created, names, values, call)
        if entry is not None:
            late: Any = entry.record
            late.clean = policies
        return entry

    def message(  # noqa: C901, PLR0912 (one pass; a function for each condition would cost more than the condition)
        self, logger: logging.Logger, level: int, msg: Any, args: tuple[Any, ...], kwargs: Any
    ) -> bool:
        """Queue a message that the gate has let pass, without a record; False, with nothing done, if it needs one.

        Called by the method that was called to log it.
        """
        pipeline = self._pipeline
        recorder = pipeline.recorder
        if (
            level >= logging.WARNING  # the standard library has a handler of last resort for these
            or type(msg) is not str
            or type(logger) is not logging.Logger
            or logger.filters
            or thread.trigger is not None
            or thread.suppressed
            or thread.inside
            or thread.depth >= MAX_DEPTH
            or exporting.active
            or pipeline.before_first_line is not None
            or suppressed.this_thread.offered is not None
            or not nobody_looks(logger)
        ):
            return False
        call = scope.current.get()
        try:
            shared = self._shared(logger.name)
            if shared is None:
                return False
            if call is not None and recorder is not None and level >= recorder.lowest:
                return False
            names: Sequence[Any] = ()
            values: Sequence[Any] = ()
            if kwargs:
                extra = kwargs.get("extra")
                if len(kwargs) > 1 or type(extra) is not dict or not ordinary.extras.keys() >= extra.keys():
                    return False
                names, values = [*extra], [*extra.values()]
            frame: Any = sys._getframe(2)  # noqa: SLF001 (documented; as `Logger.findCaller`)
            code = frame.f_code
            while code.co_filename == _SOURCE:
                frame = frame.f_back
                code = frame.f_code
            key = (id(code), frame.f_lasti, _level_names.get(level), logger.name)
            known = self._lines.get(key)
            if known is None:
                known = self._know(key, frame, level, logger.name)
            entry = self._entry(shared, msg % args if args else msg, known[1], time(), names, values, call)
            if entry is None:
                return False
            console, line = pipeline.console, None
            if console is not None and not console.silent(level):
                line = self._line(console, entry)
                if line is not None:
                    self.familiar.meet(known[1], code, frame.f_lasti, names, values)
            if line is None and (not self.queues or (console is not None and not console.silent(level))):
                return False
        except Exception:
            return False
        if call is not None:
            memory = call.memory
            memory.counts["kept"] = memory.counts.get("kept", 0) + 1
        pipeline.books.created()
        for queue in self.queues:
            queue.put(entry)
        if line is not None and console is not None:
            printed = self.print(console, line)
            if printed and not self.queues:
                pipeline.books.exported()
            elif not self.queues:
                pipeline.books.dropped("no_destination")
        return True

    def _line(
        self,
        console: Console,
        entry: Entry,
    ) -> str | None:
        """What the console shows of a message in which there is nothing to redact; None of any other."""
        late: Any = entry.record
        body, place, created, names, values, sid, call, bound, span, _ = late.taken
        policies = self._pipeline.policies
        if bound or known_place(place, policies) is None:
            return None
        attributes, text = None, body
        if names:
            attributes = dict(zip(names, values, strict=True))
            for name, value in attributes.items():
                head = ordinary.extras[name]
                if head is not None and type(value) in SHOWN:
                    text += f"{head}{value}"
                if name == "call_sid" or name.startswith(NOT_SHOWN):
                    return None
                if type(value) is int and not -_INT64 <= value < _INT64:
                    return None
        if not policies.leaves(text):
            return None
        late.clean = policies
        trace_id, span_id = span.trace_id, span.span_id
        if call is not None and not trace_id:
            trace_id, span_id = call.trace_id, call.span_id
        shown: Any = _Shown(body, place, created)
        return console.line_of(shown, sid, trace_id, span_id, attributes)

    def print(self, console: Console, line: str) -> bool:
        """Write a line, as `Pipeline` does: what is logged meanwhile by the stream itself is our own."""
        thread.inside = True
        try:
            return console.write_line(line)
        finally:
            thread.inside = False
            if thread.late:
                self._pipeline.catch_up()

    def _know(self, key: tuple[Any, ...], frame: FrameType, level: int, name: str) -> tuple[Any, ...]:
        """Learn a line of code; its code is held, so that no other has its identity."""
        if len(self._lines) >= _MOST:
            self._lines.clear()
        code = frame.f_code
        place = (name, level, logging.getLevelName(level), code.co_filename, frame.f_lineno, code.co_name)
        known = self._lines[key] = (code, place)
        return known

    def _shared(self, name: Any) -> dict[str, Any] | None:
        """What records of a logger have beside the record itself; None where they have to take the usual way."""
        way = self._direct
        if way is None:
            return _ALONE if self._pipeline.provider is None else None
        return self.shared.get(name) if way.open() else None

    def learn(self, name: str, logger: Logger) -> None:
        """Records of the stdlib logger `name` go by this logger of the SDK, and may be taken from now on."""
        shared = self._direct.shared(logger) if self._direct is not None else None
        if shared is not None:
            if len(self.shared) >= _MOST:
                self.shared.clear()
            self.shared[name] = shared


_all: Final[weakref.WeakSet[Late]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """The SDK gives a forked child a Resource of its own, with another instance id."""
    for one in list(_all):
        one.shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
