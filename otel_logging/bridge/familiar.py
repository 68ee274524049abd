"""Familiar lines of code: what they log is printed from parts that are ready, if nothing about it is special.

What stands around a message is learned from a line that `late` has made with all due care. A message that no policy
has a say about, and in which there is nothing to redact, is then printed without a record. A running service logs old
texts with new numbers: where neither a verdict nor a redaction depends on which digits stand in a text (see
`policy.blind`), one look-up tells both from the third message of its kind on, in place of two searches. For any other
message `take` says so, with nothing done; what is right for it is not decided here.

Hot path, hence one long function and functions made to measure; `python -m benchmarks --only compare` measures it.
"""

from __future__ import annotations

import logging
import sys
from operator import attrgetter
from time import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from otel_logging.bridge import makerecord, ordinary, scope, suppressed
from otel_logging.bridge.known import LONGEST
from otel_logging.bridge.snapshot import SHOWN
from otel_logging.bridge.this_thread import thread
from otel_logging.export import json_text
from otel_logging.export.guard import exporting
from otel_logging.export.lines import NO_EXTRAS
from otel_logging.policy.blind import ALIKE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_logging.bridge.known import Known
    from otel_logging.bridge.late import Late
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.export.ordinary_lines import HumanLines, JsonLines

UNKNOWN: Final = 0
DONE: Final = 1
PASSED: Final = 2
"""What `take` answers: nothing was done; all is done; the gate lets it pass, and it goes the usual way."""
KEPT: Final = 3
"""What `search` may answer beside these: no policy has a say about it."""

NOT_SHOWN: Final = ("code.", "exception.")  # beginnings of the names of extras that the console leaves out
_WARNING: Final = logging.WARNING
_PLAIN: Final = frozenset({int, str, float, bool})  # rendering them runs no code of the application's
_SCALARS: Final = frozenset({*_PLAIN, type(None)})
_MOST: Final = 4_096  # kinds of texts, lines of code, calls
_MOST_LOOKS: Final = 512  # combinations of extras; a function is made for each
_MOST_EXTRAS: Final = 32
_LONGEST: Final = 4_096  # characters: the line is short enough for any log driver, however much of it is escaped
_TOLD_APART: Final = -1  # in place of a length: digits matter in a text
_INT64: Final = 1 << 63
_Logger: Final[Any] = logging.Logger
_module: Final[Any] = logging
_level_names: Final[dict[int, str]] = logging._levelToName  # noqa: SLF001 (a table that `addLevelName` writes to)
_SOURCE: Final = logging.addLevelName.__code__.co_filename
_current: Final = scope.current.get
_frame: Final = sys._getframe  # noqa: SLF001 (documented; as `Logger.findCaller`)
_methods: Final = attrgetter("callHandlers", "makeRecord", "handle")
_usual: tuple[Any, ...] | None = None


def learn_methods(hook: Any, behind: Any) -> None:
    """Learn what records pass through while nobody has put anything of their own there.

    Args:
        hook: ours, in the place of `Logger.callHandlers`.
        behind: what it calls.
    """
    global _usual
    found = _methods(_Logger)
    library = (behind, makerecord.behind(found[1]), found[2], _Logger._log, _Logger.findCaller)  # noqa: SLF001
    usual = all(getattr(getattr(one, "__code__", None), "co_filename", None) == _SOURCE for one in library)
    _usual = found if usual and found[0] is hook else None


def nobody_looks(logger: logging.Logger) -> bool:
    """Whether nobody but us would see a record of this logger."""
    if _methods(_Logger) != _usual or _module._logRecordFactory is not logging.LogRecord:  # noqa: SLF001
        return False
    node: logging.Logger | None = logger
    while node is not None:
        if node.handlers:
            return False
        if not node.propagate:
            return True
        node = node.parent
    return True


class _Tables:
    """What has been learned for one set of policies and one console.

    Attributes:
        known: what is known of messages under these policies.
        parts: what makes lines.
        met: kinds of texts that were shown once.
        seen: kinds of texts, extras included, that are kept and shown as they are, with the length of the text alone.
        looks: by names and types of extras, what gives the text in which a secret would stand; see `_look_of`.
        places: by line of code, level and logger, its code, its place, and what stands around a message.
        ids: by ids of call, trace and span, their part of a line.
    """

    __slots__ = ("ids", "known", "looks", "met", "parts", "places", "seen")

    def __init__(self, known: Known, parts: JsonLines | HumanLines) -> None:
        self.known = known
        self.parts = parts
        self.met: set[bytes] = set()
        self.seen: dict[bytes, int] = {}
        self.looks: dict[tuple[Any, ...], Callable[..., str | None]] = {}
        self.places: dict[tuple[Any, ...], tuple[Any, tuple[Any, ...], tuple[str, str]]] = {}
        self.ids: dict[tuple[Any, ...], str] = {}


class Familiar:
    """Prints messages that are familiar, and queues them where they go elsewhere too.

    Args:
        pipeline: whose messages they are.
        late: what takes them where they are not familiar.
    """

    def __init__(self, pipeline: Pipeline, late: Late) -> None:
        self._pipeline = pipeline
        self._late = late
        self._console: Any = None  # the one that was bound; another one has other lines
        self._tables: _Tables | None = None
        self._search: Callable[..., int] = _nothing
        self._guarded: Callable[..., bool] = _nothing
        self._outside: tuple[Any, str] = (self, "")  # a span context, and its part of a line where there is no call

    def bind(
        self, known: Known | None, search: Callable[..., int], guarded: Callable[..., bool]
    ) -> Callable[..., int] | None:
        """Begin anew, if `known` is new; gives `take`, or None where there is nothing to take.

        Args:
            known: what is known of messages under the policies in force; None where something may let any pass.
            search: tells what policies have to say about a message.
            guarded: tells whether the guards let a message pass, which the policies keep.
        """
        console = self._pipeline.console
        if known is None or console is None or console.silent(logging.INFO) or console.parts is None:
            return None
        policies = known.policies
        if policies is None or known.table is None or known.blind is None or not policies.leaves_alike:
            return None
        tables = self._tables
        if tables is None or tables.known is not known or self._console is not console:
            self._tables = _Tables(known, console.parts)
            self._outside = (self, "")
        self._console, self._search, self._guarded = console, search, guarded
        return self.take

    def take(  # noqa: C901, PLR0912, PLR0915 (one pass; a function for each condition would cost more than it)
        self, logger: logging.Logger, level: int, msg: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> int:
        """Print a message that is enabled, if its line of code is familiar; `UNKNOWN`, with nothing done, otherwise.

        Called by the method that was called to log it, before the gate is asked.
        """
        if type(msg) is not str or level >= _WARNING:  # the library has a handler of last resort for warnings
            return UNKNOWN
        answer, pipeline, late = UNKNOWN, self._pipeline, self._late
        tables: Any = self._tables
        console: Any = pipeline.console
        try:
            text = msg
            if args:
                for arg in args:
                    if type(arg) not in _PLAIN:
                        return UNKNOWN
                text = msg % args
            extra: Any = None
            look_at: Any = text
            if kwargs:
                extra = kwargs.get("extra")
                if len(kwargs) > 1 or type(extra) is not dict:
                    return UNKNOWN
                look = tables.looks.get((*extra, *map(type, extra), *map(type, extra.values())))
                if look is None or (look_at := look(text, *extra.values())) is None:
                    return UNKNOWN
            shape = look_at.encode().translate(ALIKE)
            fresh = tables.seen.get(shape) != len(text)
            frame: Any = _frame(2)
            code = frame.f_code
            while code.co_filename == _SOURCE:
                frame = frame.f_back
                code = frame.f_code
            known = tables.places.get((id(code), frame.f_lasti, level, _level_names.get(level), logger.name))
            if (
                known is None
                or thread.depth
                or thread.inside
                or exporting.active
                or suppressed.this_thread.offered is not None
                or console is not self._console
                or pipeline.before_first_line is not None
                or level < pipeline.floor
                or type(logger) is not _Logger
                or logger.filters
                or not nobody_looks(logger)
                or (fresh and len(shape) > _LONGEST)
            ):
                return UNKNOWN
            call, context, last = _current(), late.context(), late.last
            if last[0] is not context:
                last = late.last = (context, get_current_span(context).get_span_context())
            span = last[1]
            sid: str | None = None
            if call is None:
                outside = self._outside
                if outside[0] is not span:
                    outside = self._outside = (span, self._ids(tables, None, span.trace_id, span.span_id))
                ids = outside[1]
            else:
                sid, recorder = call.call_sid, pipeline.recorder
                if sid is None or call.attributes or (recorder is not None and level >= recorder.lowest):
                    return UNKNOWN
                trace_id, span_id = (span.trace_id, span.span_id) if span.is_valid else (call.trace_id, call.span_id)
                ids = tables.ids.get((sid, trace_id, span_id)) or self._ids(tables, sid, trace_id, span_id)
            if fresh:
                found = self._search(pipeline, logger, level, text, kwargs)
                if found != KEPT:
                    return found
                if not tables.known.policies.leaves(look_at):
                    return UNKNOWN
            if sid is not None and not self._guarded(pipeline, logger, level, text, (), kwargs):
                return DONE
            answer = PASSED
            if thread.suppressed:
                return PASSED
            now = time()
            line = tables.parts.ready(now, known[2], text, ids, extra)
            if fresh:
                if not line.isprintable():
                    return PASSED
                _remember(tables, shape, text)
            entry: Any = None
            if late.queues:
                entry = late.entry_of(logger.name, text, known[1], now, extra, call, tables.known.policies)
                if entry is None:
                    return PASSED
        except Exception:
            return answer
        if call is not None:
            counts = call.memory.counts
            counts["kept"] = counts.get("kept", 0) + 1
        if late.queues:
            pipeline.books.created()
            for queue in late.queues:
                queue.put(entry)
            late.print(console, line)
        elif late.print(console, line):
            pipeline.books.printed()
        else:
            pipeline.books.created()
            pipeline.books.dropped("no_destination")
        return DONE

    def _ids(self, tables: _Tables, sid: str | None, trace_id: int, span_id: int) -> str:
        """As a line has it.

        Raises:
            ValueError: there is anything special about them.
        """
        text = tables.parts.ids(sid, trace_id, span_id)
        if text is None:
            raise ValueError(sid)
        if sid is not None:
            if len(tables.ids) >= _MOST:
                tables.ids.clear()
            tables.ids[sid, trace_id, span_id] = text
        return text

    def meet(self, place: tuple[Any, ...], code: Any, lasti: int, names: Sequence[Any], values: Sequence[Any]) -> None:
        """A message was shown that had nothing to redact: learn its line of code, and its extras. May raise.

        Args:
            place: of its record, as `snapshot.PLACE` has it.
            code: the code that logged it.
            lasti: where in that code.
            names: of its extras.
            values: of its extras.
        """
        tables = self._tables
        if tables is None or tables.known.policies is not self._pipeline.policies:
            return
        _learn_place(tables, place, code, lasti)
        if names:
            _learn_look(tables, names, values)


def _nothing(*_: Any) -> Any:
    """Nothing is asked before anything is bound."""


def _remember(tables: _Tables, shape: bytes, text: str) -> None:
    """A text was shown as it is: the second time, learn whether all texts are that differ from it in their digits only.

    Texts that come once, such as what a caller says, would only take room.
    """
    if len(shape) > LONGEST or tables.seen.get(shape) == _TOLD_APART or tables.known.blind is None:
        return
    if shape not in tables.met:
        if len(tables.met) >= _MOST:
            tables.met.clear()
        tables.met.add(shape)
        return
    if len(tables.seen) >= _MOST:
        tables.seen.clear()
    tables.seen[shape] = len(text) if tables.known.blind.same_for_all_digits(text) else _TOLD_APART


def _learn_place(tables: _Tables, place: tuple[Any, ...], code: Any, lasti: int) -> None:
    """Learn a line of code; its code is held, so that no other has its identity."""
    from otel_logging.bridge.late import module_of  # `late` is what this belongs to

    name, level, level_name, path, *_ = place
    around = tables.parts.around(level_name, module_of(path), name)
    if around is None:
        return
    if len(tables.places) >= _MOST:
        tables.places.clear()
    tables.places[id(code), lasti, level, _level_names.get(level), name] = (code, place, around)


def _learn_look(tables: _Tables, names: Sequence[Any], values: Sequence[Any]) -> None:
    kinds = [*map(type, values)]
    key = (*names, *map(type, names), *kinds)
    if key not in tables.looks and len(tables.looks) < _MOST_LOOKS:
        look = _look_of(names, kinds)
        if look is not None:
            tables.looks[key] = look


def _look_of(names: Sequence[Any], kinds: Sequence[type]) -> Callable[..., str | None] | None:
    """What gives, of a text and extras of these kinds, all that is to be looked at; None if there is anything special.

    It gives None itself for numbers that have no place in a line as they are. Made to measure: a loop takes thrice.
    """
    if len(names) > _MOST_EXTRAS or not _SCALARS.issuperset(kinds):
        return None
    heads: dict[str, str] = {}
    shown, tests = "", []
    for at, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        if type(name) is not str or not name.isprintable() or name in NO_EXTRAS or name.startswith(NOT_SHOWN):
            return None
        if kind in SHOWN:
            head = ordinary.extras.get(name)
            if head is None:
                return None
            heads[f"h{at}"] = head
            shown += f"{{h{at}}}{{v{at}}}"
        if kind is int:
            tests.append(f"-{_INT64} <= v{at} < {_INT64}")
        elif kind is float:
            low, high = json_text.LOW, json_text.HIGH
            tests.append(f"(not v{at} or {low} <= v{at} < {high} or {low} <= -v{at} < {high})")
    arguments = ", ".join(["text", *(f"v{at}" for at in range(len(names)))])
    source = f"lambda {arguments}: f'{{text}}{shown}' if {' and '.join(tests) or True} else None"
    made: Callable[..., str | None] = eval(source, heads)  # noqa: S307 (made of numbers; names are in `heads`)
    return made
