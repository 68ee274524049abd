"""One whole call out of the local store or a back end: which call was pasted, which traces it met, what belongs to it.

A trace alone never decides that a record belongs to a call: calls share traces. Filtering and printing do not belong
in here.
"""

from __future__ import annotations

from operator import attrgetter

from otel_logging.ids import Pasted, parse_pasted, trace_id_for
from otel_logging.plain import field, plain
from otel_logging.search import clock
from otel_logging.search.call_view import CallView, state_of
from otel_logging.search.missing import missing_of
from otel_logging.search.source import Ask, Asked, Ids, Source, reading, source_of
from otel_logging.search.spans import Owners, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_logging.search.local import Searched
    from otel_logging.search.record import Record

# How well a record fits what was pasted; only the best fit that occurs counts.
_EXACT, _NO_CASE, _OWN, _TRACE, _PREFIX, _TRACE_PREFIX = range(6)
_SURE = 900 * clock.NANOS  # no call is silent for so long
_HEX = frozenset("0123456789abcdef")


@plain(slots=True)
class Candidate:
    """A call, or a trace without one, that what was pasted may mean."""

    call_sid: str | None
    traces: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    seen: int = 0
    first: int = 0

    @property
    def name(self) -> str:
        """What to paste to mean this one."""
        return self.call_sid or min(self.traces)


class NotFound(LookupError):  # noqa: N818 (an answer, not a failure)
    """Nothing fits; `searched` says what was looked at."""

    def __init__(self, pasted: str, searched: Searched) -> None:
        super().__init__(f"nothing found for {pasted!r}")
        self.searched = searched


class Ambiguous(LookupError):  # noqa: N818 (an answer, not a failure)
    """What was pasted fits several calls; `candidates` are listed newest first."""

    def __init__(self, pasted: str, candidates: list[Candidate], searched: Searched) -> None:
        super().__init__(f"{pasted!r} fits {len(candidates)} calls")
        self.candidates = sorted(candidates, key=lambda item: (-item.first, item.name))
        self.searched = searched


def find_call(
    store: Path | Source,
    pasted: str | Pasted,
    *,
    now: int | None = None,
    since: int | None = None,
    until: int | None = None,
    searched: Asked | None = None,
) -> CallView:
    """Everything of the call that is meant, of every service, in time order.

    Args:
        store: the local store's folder, or another source.
        pasted: a CallSid or other call id, a trace id, a traceparent, or a prefix of one.
        now: the present in nanoseconds; decides whether the call is still live.
        since: read nothing older, in nanoseconds; back ends need a range.
        until: read nothing from then on.
        searched: counts are added to it while this reads.

    Raises:
        NotFound: nothing fits.
        Ambiguous: a prefix, or a trace that several calls share, fits more than one call.
    """
    meant = parse_pasted(pasted) if isinstance(pasted, str) else pasted
    searched = Asked() if searched is None else searched
    reader = _Reader(source_of(store), since, until)
    with reading(reader.source):
        return _find(reader, meant, searched, clock.now() if now is None else now)


def _find(reader: _Reader, meant: Pasted, searched: Asked, now: int) -> CallView:
    grade, candidate = _identify(reader, meant, searched)
    traces = set(candidate.traces)
    if candidate.call_sid is not None:
        traces.add(own_trace(candidate.call_sid))
        if grade >= _TRACE:  # the lines parsed so far need not be all that name the call
            traces |= _traces_of(reader, candidate.call_sid)
    return _collect(reader, candidate.call_sid, traces, searched, now)


def own_trace(call_sid: str) -> str:
    """The call's own trace id in hex."""
    # A store may hold anything, lone surrogates included, which have no hash.
    return f"{trace_id_for(call_sid.encode('utf-8', 'replace').decode()):032x}"


def seen_traces(item: Record | Span) -> Iterator[str]:
    """The traces that a record or span ties to its call: its own, and the links of a span that names its call."""
    if item.trace_id:
        yield item.trace_id
    if isinstance(item, Span) and item.call_sid:
        yield from item.links


def belongs(item: Record | Span, call_sid: str | None, traces: set[str], owners: Owners) -> bool:
    """Whether this is of the call: by its own word, else by its trace, unless its span says another call."""
    if item.call_sid is not None:
        return item.call_sid == call_sid
    return item.trace_id in traces and owners.of(item.trace_id, item.span_id) in (None, call_sid)


@plain(frozen=True)
class _Reader:
    """A source, asked for ids within a time range."""

    source: Source
    since: int | None
    until: int | None

    def _ask(self, ids: Ids) -> Ask:
        return Ask(ids=ids, since=self.since, until=self.until)

    def records(self, ids: Ids, searched: Asked) -> Iterator[Record]:
        found = self.source.records(self._ask(ids), searched)
        return found if self.since is None and self.until is None else self._within(found)

    def _within(self, found: Iterator[Record]) -> Iterator[Record]:
        for record in found:
            if (self.since is None or record.time >= self.since) and (self.until is None or record.time < self.until):
                yield record

    def spans(self, ids: Ids, searched: Asked) -> Iterator[Span]:
        return self.source.spans(self._ask(ids), searched)

    def items(self, ids: Ids, searched: Asked) -> Iterator[Record | Span]:
        yield from self.records(ids, searched)
        yield from self.spans(ids, searched)


def ids_meant(pasted: Pasted) -> Ids:
    """What records of the call may carry, as far as what was pasted tells."""
    return _Meaning(pasted).ids


def _identify(reader: _Reader, pasted: Pasted, searched: Asked) -> tuple[int, Candidate]:
    found: dict[int, dict[tuple[str | None, str | None], Candidate]] = {}
    meaning = _Meaning(pasted)
    if not meaning.text:
        raise NotFound(pasted.text, searched)
    # Records that carry the same ids fit alike.
    known: dict[tuple[str | None, str | None], Candidate | None] = {}
    for item in reader.items(meaning.ids, searched):
        ids = (item.call_sid, item.trace_id)
        if ids not in known:
            known[ids] = _candidate(found, meaning, item)
        candidate = known[ids]
        if candidate is None:
            continue
        if isinstance(item, Span):
            candidate.traces.update(item.links if item.call_sid else ())
            time = item.start
        else:
            time = item.time
        if time < candidate.first or not candidate.first:
            candidate.first = time
        candidate.services.add(item.service)
        candidate.seen += 1
    if not found:
        raise NotFound(pasted.text, searched)
    grade = min(found)
    choice = _choose(list(found[grade].values()), meaning)
    if len(choice) > 1:
        raise Ambiguous(pasted.text, choice, searched)
    return grade, choice[0]


def _candidate(
    found: dict[int, dict[tuple[str | None, str | None], Candidate]], meaning: _Meaning, item: Record | Span
) -> Candidate | None:
    """What a record or span speaks for, among those found so far; None if it does not fit."""
    grade = meaning.grade(item)
    if grade is None:
        return None
    call_sid = item.call_sid or (meaning.call_sid if grade == _OWN else None)
    key = (call_sid, None if call_sid else item.trace_id)
    candidate = found.setdefault(grade, {}).setdefault(key, Candidate(call_sid))
    if item.trace_id:
        candidate.traces.add(item.trace_id)
    return candidate


class _Meaning:
    """What was pasted, and how well a record fits it."""

    def __init__(self, pasted: Pasted) -> None:
        self.call_sid = pasted.call_sid
        self.text = pasted.text.lower()
        literal = pasted.call_sid is None or pasted.call_sid.lower() == pasted.trace_id
        self.trace = pasted.trace_id if literal else None  # pasted as such
        self.own = None if literal else pasted.trace_id  # follows from the call id
        self.prefix = pasted.prefix
        self.hex_prefix = self.prefix and set(self.text) <= _HEX
        self.ids = self._ids(pasted)

    def _ids(self, pasted: Pasted) -> Ids:
        if self.trace:
            # The first is a CallSid's usual spelling; the trace id alone finds it in a plain scan.
            calls = dict.fromkeys((f"CA{self.trace}", *((pasted.call_sid,) if pasted.call_sid else ())))
            return Ids(calls=tuple(calls), traces=(self.trace,))
        calls = dict.fromkeys(text for text in (pasted.call_sid, self.text, pasted.text) if text)
        traces = (self.own,) if self.own else ()
        if not self.prefix:
            return Ids(calls=tuple(calls), traces=traces)
        starts = dict.fromkeys((pasted.text, *((f"CA{self.text}",) if self.hex_prefix else ())))
        if pasted.text[:2].upper() == "CA":
            starts["CA" + self.text[2:]] = None
        return Ids(tuple(calls), traces, tuple(starts), (self.text,) if self.hex_prefix else ())

    def grade(self, item: Record | Span) -> int | None:
        call_sid, trace_id = item.call_sid, item.trace_id or ""
        if call_sid is not None and call_sid == self.call_sid:
            return _EXACT
        lowered = (call_sid or "").lower()
        if self.call_sid is not None and lowered == self.text:
            return _NO_CASE
        if call_sid is None and trace_id == self.own:
            return _OWN  # a call of which no record says its name
        # A call id that the trace follows from by a hash is not looked for: lines that name it need not hold the trace.
        if self.trace and (
            trace_id == self.trace or (self.trace in lowered and own_trace(call_sid or "") == self.trace)
        ):
            return _TRACE
        if self.prefix and lowered.startswith(self.text):
            return _PREFIX
        if self.hex_prefix and lowered.startswith("ca" + self.text):
            return _PREFIX
        if self.hex_prefix and trace_id.startswith(self.text):
            return _TRACE_PREFIX
        return None


def _choose(candidates: list[Candidate], meaning: _Meaning) -> list[Candidate]:
    """The candidates that remain: a trace's own call wins over calls that merely passed through it."""
    calls = [candidate for candidate in candidates if candidate.call_sid is not None]
    if meaning.trace:
        own = [candidate for candidate in calls if own_trace(candidate.call_sid or "") == meaning.trace]
        return own[:1] or calls or candidates[:1]
    taken = {trace for candidate in calls for trace in (*candidate.traces, own_trace(candidate.call_sid or ""))}
    return calls + [
        candidate for candidate in candidates if candidate.call_sid is None and not candidate.traces & taken
    ]


def _traces_of(reader: _Reader, call_sid: str) -> set[str]:
    items = reader.items(Ids(calls=(call_sid,)), Asked())
    return {trace for item in items if item.call_sid == call_sid for trace in seen_traces(item)}


def _collect(reader: _Reader, call_sid: str | None, traces: set[str], searched: Asked, now: int) -> CallView:
    ids = Ids(calls=(call_sid,) if call_sid else (), traces=tuple(sorted(traces)))
    again = Asked()  # the files were counted once already
    met = [
        span
        for span in reader.spans(ids, again)
        if span.trace_id in traces or (call_sid is not None and span.call_sid == call_sid)
    ]
    owners = Owners(met)
    records: list[Record] = []
    others = {span.call_sid for span in met}
    for record in reader.records(ids, again):
        if record.call_sid is not None and record.call_sid == call_sid:  # nearly all; the same as below
            records.append(record)
        elif record.trace_id in traces:
            if belongs(record, call_sid, traces, owners):
                records.append(record)
            others.add(record.call_sid)
    spans = [span for span in met if belongs(span, call_sid, traces, owners)]
    latest = max([record.time for record in records], default=0)
    hung_up = max((span.end for span in spans if span.hung_up), default=0)
    for problem in again.problems:
        if problem not in searched.problems:
            searched.problems.append(problem)
    searched.failed.extend(failed for failed in again.failed if failed not in searched.failed)
    missed = again.missed or bool(searched.failed) or again.more or searched.more
    records.sort(key=attrgetter("time", "observed"))  # as `Record.order`
    whole = not missed and reader.until is None and (reader.since is None or _begins_later(records, reader.since))
    return CallView(
        call_sid=call_sid,
        trace_ids=tuple(sorted(traces, key=lambda trace: (call_sid is None or trace != own_trace(call_sid), trace))),
        records=records,
        spans=sorted(spans, key=lambda span: (span.start, span.end)),
        searched=searched,
        state="truncated" if missed else state_of(latest=latest, hung_up=hung_up, now=now),
        looked=now,
        missing=missing_of(records, spans) if whole else [],
        notes=_notes({other for other in others if other not in (None, call_sid) and other}),
    )


def _begins_later(records: list[Record], since: int) -> bool:
    """Whether the call cannot have begun before the range: nothing of it stands near the range's start."""
    return bool(records) and records[0].time - since >= _SURE


def _notes(others: set[str]) -> list[str]:
    if not others:
        return []
    names = ", ".join(sorted(others)[:3]) + (f" and {len(others) - 3:,} more" if len(others) > 3 else "")
    return [
        f"a trace is shared with {names}: their records are left out; one without any call id may be of either call"
    ]
