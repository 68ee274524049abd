"""New records as they arrive: the ends of the local store's files, and back ends asked again and again.

A file is read by its descriptor, so that sealing, renaming or removing it takes nothing away that was not read yet.
Which records are shown is decided by the query; printing does not belong here.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from otel_logging.plain import replace
from otel_logging.search import clock, otlp
from otel_logging.search.local import LOGS, TRACES
from otel_logging.search.one_call import belongs, seen_traces
from otel_logging.search.query import Matcher
from otel_logging.search.source import Asked, Ids, Local, Several, parts_of
from otel_logging.search.spans import Owners

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otel_logging.search.call_view import CallView
    from otel_logging.search.query import Query
    from otel_logging.search.record import Record
    from otel_logging.search.source import Source
    from otel_logging.search.spans import Span

LOCAL_PAUSE = 0.25  # seconds between two looks at files
REMOTE_PAUSE = 5.0  # back ends count requests
_REMEMBERED = 50_000
_OVERLAP = 60 * clock.NANOS  # a back end shows records some time after they were made, and not in order
_FRESH = 3600.0  # seconds; a file that was written to so lately is held open from the start

_Key: TypeAlias = "tuple[int, str, str, str | None, str | None]"


@dataclass(slots=True)
class _Held:
    name: str
    stream: BinaryIO
    offset: int
    rest: bytes = b""


class Tail:
    """What is appended to a store's files from now on."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._held: dict[tuple[int, int], _Held] = {}
        self._known: dict[tuple[int, int], int] = {}
        self._look(first=True)

    def poll(self) -> tuple[list[Record], list[Span]]:
        """The records and spans of the whole lines that were added since the last time."""
        self._look(first=False)
        records: list[Record] = []
        spans: list[Span] = []
        for key, held in list(self._held.items()):
            data = held.rest + held.stream.read()
            cut = data.rfind(b"\n") + 1
            held.rest = data[cut:]
            for line in data[:cut].splitlines():
                payload = _parsed(line)
                if held.name.startswith(TRACES):
                    spans.extend(otlp.spans(payload, held.name))
                else:
                    records.extend(otlp.records(payload, held.name))
            if not cut and os.fstat(held.stream.fileno()).st_nlink == 0:
                held.stream.close()
                del self._held[key]
        return records, spans

    def close(self) -> None:
        """Let go of the files."""
        for held in self._held.values():
            held.stream.close()
        self._held.clear()

    def _look(self, *, first: bool) -> None:
        for folder in (LOGS, TRACES):
            try:
                entries = sorted(os.scandir(self._store / folder), key=lambda entry: entry.name)
            except OSError:
                continue  # not there yet
            for entry in entries:
                if entry.name.endswith(".jsonl") and entry.is_file(follow_symlinks=False):
                    self._take(f"{folder}/{entry.name}", entry, first=first)

    def _take(self, name: str, entry: os.DirEntry[str], *, first: bool) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return
        key = (status.st_dev, os.stat(entry.path, follow_symlinks=False).st_ino if os.name == "nt" else status.st_ino)
        if key in self._held:
            return
        start = self._known.setdefault(key, status.st_size if first else 0)
        if first and time.time() - status.st_mtime > _FRESH:
            return
        if not first and status.st_size <= start:
            return
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            stream = open(os.open(entry.path, flags), "rb")  # noqa: SIM115 (held open; a descriptor)
        except OSError:
            return
        # What stands behind the last newline is the beginning of a line that is not finished.
        stream.seek(start)
        held = self._held[key] = _Held(name, stream, start)
        if start:
            held.rest = _unfinished(stream, start)


def _unfinished(stream: BinaryIO, end: int) -> bytes:
    """The bytes after the last newline before `end`; the stream is left at `end`."""
    size = 65_536
    while True:
        start = max(end - size, 0)
        stream.seek(start)
        data = stream.read(end - start)
        cut = data.rfind(b"\n") + 1
        if cut or not start:
            return data[cut:]
        size *= 4


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class Follower:
    """New records that fit a query, of one source or several.

    Made before the first answer is read, so that nothing falls between; what the first answer held is then told by
    `shown`, and not given again.
    """

    def __init__(self, source: Source, query: Query) -> None:
        sources = parts_of(source)
        self._tails = [Tail(item.store) for item in sources if isinstance(item, Local)]
        self._remote = [item for item in sources if not isinstance(item, Local)]
        self._query = replace(query, call="", since=query.since if self._remote else None, limit=0, context=0)
        self._matcher = Matcher(self._query)
        self._call: _Call | None = None
        self._shown: Counter[_Key] = Counter()
        self._since = clock.now()

    @property
    def pause(self) -> float:
        """Seconds to wait between two polls."""
        return REMOTE_PAUSE if self._remote else LOCAL_PAUSE

    def shown(self, records: Iterable[Record], view: CallView | None = None) -> None:
        """These are known already; `view` is the call to stay with, if it is one call."""
        self._shown.update(_key(record) for record in records)
        if view is not None:
            self._call = _Call(view)

    def poll(self, searched: Asked) -> list[Record]:
        """What is new, in time order."""
        found: list[Record] = []
        for tail in self._tails:
            records, spans = tail.poll()
            if self._call is not None:
                self._call.learn(records, spans)
            found.extend(records)
        if self._remote:
            found.extend(self._asked(searched))
        fresh = []
        for record in found:
            if self._call is not None and not self._call.has(record):
                continue
            if not self._matcher.matches(record):
                continue
            key = _key(record)
            if self._shown[key] > 0:
                if not self._remote:  # back ends give the same record again in every poll
                    self._shown[key] -= 1
                continue
            if self._remote:
                self._shown[key] += 1
            fresh.append(record)
        return sorted(fresh, key=lambda record: record.order)

    def close(self) -> None:
        """Let go of the files."""
        for tail in self._tails:
            tail.close()

    def _asked(self, searched: Asked) -> list[Record]:
        now = clock.now()
        ask = replace(self._matcher.ask(), since=self._since - _OVERLAP, until=None)
        if self._call is not None:
            ask = replace(ask, ids=self._call.ids(), keep=None)
        records = list(Several(self._remote).records(ask, searched))
        self._since = now
        if len(self._shown) > _REMEMBERED:
            since = now - 2 * _OVERLAP
            self._shown = Counter({key: count for key, count in self._shown.items() if key[0] >= since})
        if self._call is not None:
            self._call.learn(records, ())
        return records


class _Call:
    """The call that is followed, and what ties records to it; grows as it is learnt."""

    def __init__(self, view: CallView) -> None:
        self._call_sid = view.call_sid
        self._traces = set(view.trace_ids)
        self._owners = Owners(view.spans)

    def learn(self, records: Iterable[Record], spans: Iterable[Span]) -> None:
        for span in spans:
            self._owners.add(span)
            if self._call_sid and span.call_sid == self._call_sid:
                self._traces.update(seen_traces(span))
        for record in records:
            if self._call_sid and record.call_sid == self._call_sid:
                self._traces.update(seen_traces(record))

    def has(self, record: Record) -> bool:
        return belongs(record, self._call_sid, self._traces, self._owners)

    def ids(self) -> Ids:
        return Ids(calls=(self._call_sid,) if self._call_sid else (), traces=tuple(sorted(self._traces)))


def _key(record: Record) -> _Key:
    return record.time, record.service, record.body, record.span_id, record.call_sid
