"""The question, and its answer over the local store or a back end: a filter over all records, with context if asked.

The same words mean the same in every back end and every verb. Printing does not belong here.
"""

from __future__ import annotations

import heapq

from otel_logging.ids import parse_pasted
from otel_logging.plain import field, plain
from otel_logging.search import clock
from otel_logging.search.one_call import Ambiguous, NotFound, find_call
from otel_logging.search.record import LEVELS, Record, as_text
from otel_logging.search.source import Ask, Asked, Ids, Local, Source, source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_logging.search.local import Searched

__all__ = ["Ambiguous", "BadQuery", "Block", "NotFound", "Query", "Result", "find_call", "search"]

# `k` and `i` may come from lower-casing a letter outside ASCII (KELVIN SIGN, I WITH DOT ABOVE): they rule nothing out.
_SURE_ASCII = frozenset("abcdefghjlmnopqrstuvwxyz0123456789_ ")
_SHORTEST = 3
_AROUND = 60 * clock.NANOS
_LEVEL_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL"}


class BadQuery(ValueError):  # noqa: N818 (reads as what it is)
    """A filter that cannot be understood; its text is a sentence for the person who typed it."""


@plain(frozen=True)
class Query:
    """What to look for. All given filters must hold. Times are nanoseconds since 1970 UTC.

    `text` is looked for in the message and the exception, without regard to case, and a whole call id, trace id or
    traceparent also finds the records that carry it. `level` is the least level. `until` itself is not included.
    `limit` keeps the newest hits (0: all). `context` adds that many neighbours before and after each hit: of the same
    call, or of the same file where there is no call.
    """

    text: str = ""
    call: str = ""
    trace: str = ""
    services: tuple[str, ...] = ()
    level: str = ""
    since: int | None = None
    until: int | None = None
    grep: str = ""
    attrs: tuple[tuple[str, str], ...] = ()
    limit: int = 0
    context: int = 0


@plain(slots=True)
class Block:
    """Neighbouring records in time order, and which of them are hits."""

    records: list[Record]
    hits: list[bool]


@plain(slots=True)
class Result:
    """The answer: blocks in time order (one block where no context was asked for) and how many there were in all."""

    blocks: list[Block]
    total: int
    searched: Searched
    first: int | None = None  # the call's first time, where the query was for one call
    shown: int = field(init=False)

    def __post_init__(self) -> None:
        self.shown = sum(sum(block.hits) for block in self.blocks)

    @property
    def services(self) -> set[str]:
        """The services of the records shown."""
        return {record.service for block in self.blocks for record in block.records}


def search(store: Path | Source, query: Query, *, searched: Asked | None = None) -> Result:
    """Answer `query` from the local store's folder, or from another source.

    Args:
        store: the local store's folder, or another source.
        query: what to look for.
        searched: counts are added to it while this reads.

    Raises:
        BadQuery: a filter cannot be understood.
        NotFound: `call` names no call of the store.
        Ambiguous: `call` fits several.
    """
    matcher = Matcher(query)
    source = source_of(store)
    searched = Asked() if searched is None else searched
    if query.call:
        view = find_call(source, query.call, since=query.since, until=query.until, searched=searched)
        hits = [record for record in view.records if matcher.matches(record)]
        shown = hits[-query.limit :] if query.limit else hits
        chosen = {id(record) for record in shown}
        marks = [id(record) in chosen for record in view.records]
        blocks = _windows(view.records, marks, query.context) if query.context else _block(shown)
        return Result(blocks, len(hits), view.searched, view.first)
    found = _Newest(query.limit)
    for record in source.records(matcher.ask(), searched):
        if matcher.matches(record):
            found.add(record)
    shown = found.in_order()
    blocks = _with_context(source, shown, query, matcher) if query.context else _block(shown)
    return Result(blocks, found.total, searched)


class Matcher:
    """`Query` made ready: `matches(record)` decides, `ask()` is what a source is asked for."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._text = query.text.lower()
        self._services = frozenset(query.services)
        levels = _levels_from(query.level)
        self._levels = frozenset(levels)
        self._levels_text = levels[0] if levels else ""
        self._grep = _compiled(query.grep)
        self._trace, self._whole_trace = _trace_filter(query.trace)
        pasted = parse_pasted(query.text)
        self._id_call = pasted.call_sid
        self._id_trace = None if pasted.prefix else pasted.trace_id

    def ask(self) -> Ask:
        """At least what matches, in the terms that a source understands."""
        query = self._query
        ids = None
        if self._trace:
            ids = Ids(traces=(self._trace,)) if self._whole_trace else Ids(trace_starts=(self._trace,))
        run = sure_run(self._text)
        if self._id_trace:
            # A whole id contains its trace id, so this covers all ways to match (but for a CallSid of zeros).
            run = self._id_trace if self._id_trace in self._text else ""
        return Ask(
            ids=ids, since=query.since, until=query.until, level=self._levels_text, services=query.services, run=run,
            attrs=query.attrs, keep=self.matches, newest=query.limit,
        )  # fmt: skip

    def matches(self, record: Record) -> bool:
        """Whether all filters hold for the record (`call` apart, which is no matter of one record)."""
        query = self._query
        if query.since is not None and record.time < query.since:
            return False
        if query.until is not None and record.time >= query.until:
            return False
        if self._levels and record.level not in self._levels:
            return False
        if self._services and record.service not in self._services:
            return False
        if self._trace and not self._in_trace(record.trace_id or ""):
            return False
        if self._text and not self._has_text(record):
            return False
        if self._grep and not self._grep(visible_text(record)):
            return False
        return all(_has_attribute(record, key, value) for key, value in query.attrs)

    def _in_trace(self, trace_id: str) -> bool:
        return trace_id == self._trace if self._whole_trace else trace_id.startswith(self._trace)

    def _has_text(self, record: Record) -> bool:
        if self._text in visible_text(record).lower():
            return True
        if self._id_call is not None and record.call_sid == self._id_call:
            return True
        return self._id_trace is not None and record.trace_id == self._id_trace


def visible_text(record: Record) -> str:
    """What a reader of the record sees as its text: message, event name, exception."""
    return "\n".join(part for part in (record.body, record.event_name, record.exception) if part)


def sure_run(text: str) -> str:
    """The longest piece of a lower-case text that stands in a JSON line as it is, if the text occurs in it at all."""
    best = run = ""
    for char in text:
        sure = char in _SURE_ASCII if char.isascii() else char.lower() == char == char.upper() and char > "\u036f"
        run = run + char if sure and not "\u2000" <= char <= "\u206f" else ""
        best = max(best, run, key=len)
    return best if len(best) >= _SHORTEST and best not in "null" else ""


def _levels_from(level: str) -> tuple[str, ...]:
    if not level:
        return ()
    name = _LEVEL_ALIASES.get(level.strip().upper(), level.strip().upper())
    if name not in LEVELS:
        raise BadQuery(f"--level {level!r} is no level; valid: {', '.join(LEVELS)}, in any case")
    return LEVELS[LEVELS.index(name) :]


def _compiled(pattern: str) -> Callable[[str], bool] | None:
    """RE2, as in policies: callers and models wrote what is searched, so no pattern may take more than linear time."""
    if not pattern:
        return None
    import re2

    options = re2.Options()
    options.log_errors = False  # it would print to stderr; the sentence below says it better
    try:
        made = re2.compile(pattern, options=options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if isinstance(error, re2.error) and error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadQuery(f"--grep {pattern!r} is no regular expression (RE2): {text}") from None

    def found(text: str) -> bool:
        try:
            return made.search(text) is not None
        except UnicodeEncodeError:  # a lone surrogate, which RE2's UTF-8 cannot carry
            return made.search(text.encode("utf-8", "replace").decode()) is not None

    return found


def _trace_filter(text: str) -> tuple[str, bool]:
    if not text:
        return "", True
    pasted = parse_pasted(text)
    if pasted.trace_id and not pasted.prefix:
        return pasted.trace_id, True
    if set(pasted.text.lower()) <= set("0123456789abcdef"):
        return pasted.text.lower(), False
    raise BadQuery(f"--trace {text!r} is no trace id; valid: 32 hex digits, the first of them, or a traceparent")


def _has_attribute(record: Record, key: str, value: str) -> bool:
    return any(key in place and as_text(place[key]) == value for place in (record.attributes, record.resource))


class _Newest:
    """The newest `limit` records, however many come by; ties stay in the order they came."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit
        self._kept: list[tuple[int, int, int, Record]] = []

    def add(self, record: Record) -> None:
        self.total += 1
        entry = (*record.order, self.total, record)
        if self._limit and len(self._kept) >= self._limit:
            heapq.heappushpop(self._kept, entry)
        elif self._limit:
            heapq.heappush(self._kept, entry)
        else:
            self._kept.append(entry)

    def in_order(self) -> list[Record]:
        return [entry[-1] for entry in sorted(self._kept)]


def _block(records: list[Record]) -> list[Block]:
    return [Block(records, [True] * len(records))] if records else []


def _group(record: Record) -> tuple[str, str]:
    return ("call", record.call_sid) if record.call_sid else ("file", record.source)


def _with_context(source: Source, shown: list[Record], query: Query, matcher: Matcher) -> list[Block]:
    """Read again what stands around the hits: a hit's neighbours need not match anything."""
    if not shown:
        return []
    groups: dict[tuple[str, str], list[Record]] = {_group(record): [] for record in shown}
    oldest = shown[0].order
    for record in _around(source, [name for kind, name in groups if kind == "call"], shown, query):
        if (members := groups.get(_group(record))) is not None:
            members.append(record)
    blocks: list[Block] = []
    for members in groups.values():
        members.sort(key=lambda record: record.order)
        marks = [record.order >= oldest and matcher.matches(record) for record in members]
        blocks.extend(_windows(members, marks, query.context))
    return sorted(blocks, key=lambda block: block.records[0].order)


def _around(source: Source, calls: list[str], shown: list[Record], query: Query) -> Iterator[Record]:
    """What may stand around the hits. What is in no call is a whole file in a store, and some minutes elsewhere."""
    loose = [record.time for record in shown if not record.call_sid]
    if calls and not (loose and isinstance(source, Local)):
        # A neighbour need not match anything, the range included; but a back end must not be read from its beginning.
        since, until = (None, None) if isinstance(source, Local) else (query.since, query.until)
        yield from source.records(Ask(ids=Ids(calls=tuple(calls)), since=since, until=until), Asked())
    if loose and isinstance(source, Local):
        yield from source.records(Ask(), Asked())
    elif loose:
        ask = Ask(since=min(loose) - _AROUND, until=max(loose) + _AROUND)
        yield from (record for record in source.records(ask, Asked()) if not record.call_sid)


def _windows(records: list[Record], marks: list[bool], context: int) -> list[Block]:
    blocks: list[Block] = []
    for start, end in _spans_of(marks, context):
        blocks.append(Block(records[start:end], marks[start:end]))
    return blocks


def _spans_of(marks: list[bool], context: int) -> Iterator[tuple[int, int]]:
    start = end = -1
    for place, hit in enumerate(marks):
        if not hit:
            continue
        if start >= 0 and place - context <= end:
            end = place + context + 1
            continue
        if start >= 0:
            yield start, min(end, len(marks))
        start, end = max(place - context, 0), place + context + 1
    if start >= 0:
        yield start, min(end, len(marks))
