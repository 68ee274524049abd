"""What a search asks of a place that holds records, and the local store as such a place.

A source may answer with more than was asked for, never with less: whoever asked checks every record again. So a source
pushes down what its query language can say safely, and leaves out the rest. Deciding what matches, printing, and the
query languages of single back ends do not belong here.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager

from otel_logging.places import plain_path
from otel_logging.plain import field, plain
from otel_logging.search import clock
from otel_logging.search.local import Searched, Wanted, Window, naming, needles, one_reading, scan, scan_spans
from otel_logging.search.record import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any, Protocol, TypeVar

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

    _Item = TypeVar("_Item")
else:
    Protocol = object

# What may stand in a back end's query, whatever its language.
_ASKABLE = r"[A-Za-z0-9._:@-]{1,128}"


LOCAL, CLOUDWATCH, DATADOG, CLICKHOUSE = "local", "cloudwatch", "datadog", "clickhouse"
KINDS = (LOCAL, CLOUDWATCH, DATADOG, CLICKHOUSE)


class BackEndError(Exception):
    """A back end could not be asked, or did not answer; the text is a sentence that says what to do about it."""


class Late(BackEndError):  # noqa: N818 (reads as what it is)
    """A back end had not answered when patience ended."""


_LATE = "gave no whole answer in time; what it had found is shown"


@plain(slots=True)
class Asked(Searched):
    """What was looked at, the back ends included."""

    asked: list[str] = field(default_factory=list)  # one phrase for each back end: where, how much, how long a time
    failed: list[str] = field(default_factory=list)  # back ends that did not answer, and why
    more: bool = False  # a back end has more than was read: totals are lower bounds

    def fail(self, name: str, why: str) -> None:
        """Remember that the back end `name` gave no whole answer."""
        text = f"{name}: {why}"
        if text not in self.failed:
            self.failed.append(text)
        self.missed = True

    def merge(self, other: Asked) -> None:
        """Count what another question to a back end looked at, too."""
        self.add(other)
        self.asked += other.asked
        self.failed += [text for text in other.failed if text not in self.failed]
        self.more = self.more or other.more

    def as_json(self) -> dict[str, Any]:
        """For `--format json`."""
        shown = Searched.as_json(self)
        if self.asked or self.failed:
            shown.update(asked=self.asked, failed=self.failed, more=self.more)
        return shown


@plain(frozen=True)
class Ids:
    """Call ids and trace ids, whole and beginnings; a record that carries one of them is wanted."""

    calls: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()
    call_starts: tuple[str, ...] = ()
    trace_starts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.calls or self.traces or self.call_starts or self.trace_starts)

    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.calls, *self.traces, *self.call_starts, *self.trace_starts)

    def within(self, other: Ids) -> bool:
        """Whether everything that carries one of these carries one of `other`."""
        mine = (self.calls, self.traces, self.call_starts, self.trace_starts)
        theirs = (other.calls, other.traces, other.call_starts, other.trace_starts)
        return all(set(few) <= set(many) for few, many in zip(mine, theirs, strict=True))

    def fits(self, item: Record | Span) -> bool:
        """Whether the record or span carries one of them."""
        call_sid, trace_id = item.call_sid or "", item.trace_id or ""
        return (
            call_sid in self.calls
            or trace_id in self.traces
            or call_sid.lower().startswith(tuple(start.lower() for start in self.call_starts))
            or trace_id.startswith(self.trace_starts)
        )


@plain(frozen=True)
class Ask:
    """What is asked of a source. Whatever is empty is not asked for. Times are nanoseconds since 1970 UTC.

    `run` is a piece of lower-case text that stands, in some case, in the message, the event name, the exception or an
    id of every wanted record. `newest`
    lets a back end stop after so many kept records, the newest first; 0 reads all.
    """

    ids: Ids | None = None
    since: int | None = None
    until: int | None = None
    level: str = ""
    services: tuple[str, ...] = ()
    run: str = ""
    attrs: tuple[tuple[str, str], ...] = ()
    keep: Callable[[Record], bool] | None = None
    newest: int = 0

    def kept(self, records: Iterator[Record], searched: Asked, *, newest_first: bool = True) -> Iterator[Record]:
        """The records that really are what is asked for, whatever the back end made of its query."""
        count = 0
        for record in records:
            searched.records += 1
            if self.since is not None and record.time < self.since:
                continue
            if self.until is not None and record.time >= self.until:
                continue
            if self.ids is not None and not self.ids.fits(record):
                continue
            if self.keep is not None and not self.keep(record):
                continue
            count += 1
            if newest_first and self.newest and count > self.newest:
                searched.more = True
                return
            yield record


class Source(Protocol):
    """A place that holds records. Raises BackEndError while it is read, if it cannot be."""

    name: str

    def records(self, ask: Ask, searched: Asked) -> Iterator[Record]:
        """At least the records asked for."""

    def spans(self, ask: Ask, searched: Asked) -> Iterator[Span]:
        """At least the spans asked for; a place without spans has none."""

    def explain(self, ask: Ask) -> list[str]:
        """The native query, as text for people."""


class Local:
    """The local store as a source."""

    name = LOCAL

    def __init__(self, store: str | os.PathLike[str]) -> None:
        self.place = plain_path(store)

    @property
    def store(self) -> Path:
        """The store's folder."""
        from pathlib import Path  # takes as long to import as half a look-up

        return Path(self.place)

    def records(self, ask: Ask, searched: Asked) -> Iterator[Record]:
        """The records of the lines that may hold what is asked for."""
        return scan(self.place, wanted=_wanted(ask), searched=searched, window=_window(ask))

    def spans(self, ask: Ask, searched: Asked) -> Iterator[Span]:
        """The spans of the lines that may hold what is asked for."""
        return scan_spans(self.place, wanted=_wanted(ask), searched=searched)

    def explain(self, ask: Ask) -> list[str]:
        """Which files are read, and what a line must contain to be parsed."""
        texts = ask.ids.texts() if ask.ids else (ask.run,)
        wanted = " or ".join(repr(text) for text in texts if text)
        which = f" that contains {wanted}, in any case" if wanted else ""
        return [f"every whole line of {self.place}/logs/ and traces/{which}"]


def _wanted(ask: Ask) -> tuple[bytes, ...]:
    if ask.ids is None:
        return needles(ask.run) if ask.run else ()
    texts = {text.lower() for text in ask.ids.texts() if text}
    # Each needle is one more pass over the file, and a CallSid contains its trace id.
    wanted = Wanted(needles(*sorted(text for text in texts if not any(other in text for other in texts - {text}))))
    wanted.ids = naming(*texts, prefix=bool(ask.ids.call_starts or ask.ids.trace_starts)).ids
    return wanted


def _window(ask: Ask) -> Window:
    return Window(ask.since, ask.until, LEVELS.index(ask.level) if ask.level else 0)


class Several:
    """Several sources as one; a record that two of them hold comes once.

    Back ends are asked at the same time and heard in the order in which they are named. One that fails, or does not
    answer in time, is noted in `Asked.failed` and does not hide what the others have.

    Args:
        sources: the places.
        patience: seconds that all of them may take for one question; by default `together.PATIENCE`.
    """

    def __init__(self, sources: Sequence[Source], *, patience: float | None = None) -> None:
        self.sources = tuple(sources)
        self.name = ", ".join(source.name for source in sources)
        self._patience = patience
        self._known: dict[int, tuple[Ask, list[Record]]] = {}
        self._late: set[int] = set()  # those that did not answer once are not asked again

    def records(self, ask: Ask, searched: Asked) -> Iterator[Record]:
        """The records of all sources, one source after the other."""
        import re

        odd = [text for text in ask.ids.texts() if not re.fullmatch(_ASKABLE, text)] if ask.ids is not None else []
        wanted = [number for number, source in enumerate(self.sources) if not isinstance(source, Local)]
        # A call is asked for twice, first by what was pasted, then by all its ids; often that is the same.
        wanted = [number for number in wanted if not odd and not self._knows(number, ask)]
        seen: Counter[tuple[object, ...]] = Counter()
        with self._asking(wanted, lambda source, asked: source.records(ask, asked)) as answers:
            for number, source in enumerate(self.sources):
                mine: Counter[tuple[object, ...]] = Counter()
                if isinstance(source, Local):
                    found = source.records(ask, searched)
                elif odd:
                    why = f"not asked: {odd[0]!r} is no id; ids have letters, digits and . _ : @ - only"
                    searched.fail(source.name, why)
                    continue
                elif number in answers:
                    found = self._heard(number, ask, answers[number](searched), searched)
                else:
                    if number in self._late:
                        searched.fail(source.name, _LATE)
                    found = ask.kept(iter(self._known[number][1]), Asked())
                for record in found:
                    key = _same(record)
                    mine[key] += 1
                    if mine[key] > seen[key]:
                        yield record
                seen |= mine

    def _knows(self, number: int, ask: Ask) -> bool:
        before = self._known.get(number)
        return before is not None and _covers(before[0], ask)

    def _heard(self, number: int, ask: Ask, answer: Iterator[Record], searched: Asked) -> Iterator[Record]:
        known: list[Record] = []
        self._known.pop(number, None)
        try:
            for record in answer:
                known.append(record)
                yield record
        except BackEndError as error:
            late = isinstance(error, Late)
            searched.fail(self.sources[number].name, _LATE if late else str(error))
            if not late:
                return
            self._late.add(number)
        if ask.ids is not None or number in self._late:
            self._known[number] = (ask, known)

    @contextmanager
    def _asking(
        self, numbers: Sequence[int], read: Callable[[Source, Asked], Iterator[_Item]]
    ) -> Iterator[dict[int, Callable[[Asked], Iterator[_Item]]]]:
        """How to hear the answers of these sources, which are asked at the same time where there are several."""
        numbers = [number for number in numbers if number not in self._late]
        import functools

        if len(self.sources) == 1:
            yield {number: functools.partial(read, self.sources[number]) for number in numbers}
            return
        import time

        from otel_logging.search import together

        until = time.monotonic() + (together.PATIENCE if self._patience is None else self._patience)
        asking = {
            number: together.Asking(self.sources[number].name, functools.partial(read, self.sources[number]), until)
            for number in numbers
        }
        try:
            yield {number: one.heard for number, one in asking.items()}
        finally:
            for one in asking.values():
                one.stop()

    def forget(self) -> None:
        """Ask anew what was asked before."""
        self._known.clear()
        self._late.clear()

    def spans(self, ask: Ask, searched: Asked) -> Iterator[Span]:
        """The spans of all sources."""
        remote = [number for number, source in enumerate(self.sources) if not isinstance(source, Local)]
        with self._asking(remote, lambda source, asked: source.spans(ask, asked)) as answers:
            for number, source in enumerate(self.sources):
                if isinstance(source, Local):
                    yield from source.spans(ask, searched)
                elif number in answers:
                    try:
                        yield from answers[number](searched)
                    except BackEndError as error:
                        searched.fail(source.name, _LATE if isinstance(error, Late) else str(error))

    def explain(self, ask: Ask) -> list[str]:
        """The native query of each source, under its name."""
        return [f"{source.name}: {line}" for source in self.sources for line in source.explain(ask)]


def _covers(before: Ask, ask: Ask) -> bool:
    return (
        before.ids is not None
        and ask.ids is not None
        and ask.ids.within(before.ids)
        and (before.since, before.until, before.keep) == (ask.since, ask.until, ask.keep)
        and not before.newest
    )


def _same(record: Record) -> tuple[object, ...]:
    """What two copies of one record have in common: back ends keep times to the millisecond, and know fewer keys."""
    return record.time // 1_000_000, record.service, record.body, record.call_sid


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Within the block, all questions to a local store see it as it was at the beginning."""
    local = next((item for item in parts_of(source) if isinstance(item, Local)), None)
    if local is None:
        yield
        return
    with one_reading(local.place):
        yield


def parts_of(source: Source) -> tuple[Source, ...]:
    """The single places of a source."""
    return source.sources if isinstance(source, Several) else (source,)


def is_remote(source: Source) -> bool:
    """Whether a back end is among the places, which must not be read from its beginning."""
    return not isinstance(source, Local)


def source_of(place: str | os.PathLike[str] | Source) -> Source:
    """A folder as the local store in it; a source as it is."""
    return Local(place) if isinstance(place, (str, os.PathLike)) else place


def range_text(since: int | None, until: int | None) -> str:
    """The time range in words: `2024-01-21 19:30:26.000 to now`."""
    start = clock.local(since) if since else "the beginning"
    return f"{start} to {clock.local(until) if until else 'now'}"
