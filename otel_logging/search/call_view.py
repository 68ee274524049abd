"""One call as people and programs see it: its records of every service, its spans, its counts and its state.

Made by `query.find_call`; rendering to text and to one JSON object stands here, finding does not.
"""

from __future__ import annotations

from collections import Counter

from otel_logging.plain import field, plain
from otel_logging.search import clock, lines
from otel_logging.search.record import LEVELS, flat, level_of
from otel_logging.search.spans import end_reasons
from otel_logging.search.text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from otel_logging.search.books import Told
    from otel_logging.search.local import Searched
    from otel_logging.search.missing import Missing
    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span
    from otel_logging.search.timing import Gap, Skew
    from otel_logging.search.turns import Turn

# A call with no hang-up on record counts as live while its last record is younger than this; at INFO it may well be
# silent for a minute. After a hang-up, late records (a worker's summary, a recovered ring) may arrive for some time.
QUIET = 120 * clock.NANOS
SETTLING = 60 * clock.NANOS


@plain(slots=True)
class CallView:
    """Everything the store holds of one call, in time order.

    `call_sid` is None for a trace that no call was seen with. `state` is `live`, `settling`, `complete` or `truncated`
    (something that may belong to the call could not be read). Times are nanoseconds since 1970 UTC, 0 if unknown.
    `missing` is what is known not to be here; only who has all of a call's records can say.
    """

    call_sid: str | None
    trace_ids: tuple[str, ...]
    records: list[Record]
    spans: list[Span]
    searched: Searched
    state: str = "complete"
    notes: list[str] = field(default_factory=list)
    looked: int = field(default_factory=clock.now)  # when this was the state of things
    missing: list[Missing] = field(default_factory=list)
    services: dict[str, int] = field(init=False)
    levels: dict[str, int] = field(init=False)
    ends: dict[str, str] = field(init=False)
    first: int = field(init=False)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        services = Counter([record.service for record in self.records])
        for span in self.spans:
            services.setdefault(span.service, 0)
        self.services = dict(sorted(services.items()))
        levels: Counter[str] = Counter()
        for said, count in Counter([(record.severity, record.severity_text) for record in self.records]).items():
            levels[level_of(*said)] += count
        self.levels = {level: levels[level] for level in LEVELS if levels[level]}
        self.ends = end_reasons(self.spans)
        # Relative times count from the first record; spans tell where there is none.
        times = [record.time for record in self.records if record.time]
        spans = [moment for span in self.spans for moment in (span.start, span.end) if moment]
        self.first = min(times or spans, default=0)
        self.last = max(times or spans, default=0)

    @property
    def recovered(self) -> int:
        """Records that were dropped at first and given back when the call went wrong."""
        return sum([record.recovered for record in self.records])

    @property
    def gaps(self) -> list[Gap]:
        """Where no service logged anything for three seconds or more."""
        from otel_logging.search.timing import gaps_of

        return gaps_of(self.records)

    @property
    def skews(self) -> list[Skew]:
        """Clocks of services that disagree."""
        from otel_logging.search.timing import skews_of

        return skews_of(self.records, self.spans, self.looked)

    @property
    def parties(self) -> dict[str, str]:
        """`direction`, `from` and `to`, as far as the records and spans tell."""
        from otel_logging.search.parties import parties_of

        return parties_of(self.records, self.spans, self.call_sid)

    @property
    def books(self) -> Told:
        """What the call's own summaries say was made, kept, recovered and dropped."""
        from otel_logging.search.books import SUMMARY_EVENT, Told

        told = Told()
        for record in self.records:
            if record.event_name == SUMMARY_EVENT:
                told.add(record)
        return told

    @property
    def turns(self) -> list[Turn]:
        """The conversation's turns, from turn events alone; none where there are no such events."""
        from otel_logging.search.turns import turns_of

        return turns_of(self.records, self.spans)

    def flat_records(self) -> Iterator[dict[str, Any]]:
        """The records as flat mappings with their relative times, for JSON lines."""
        for record in self.records:
            yield flat(record, since=self.first)

    def as_json(self) -> dict[str, Any]:
        """The whole view as one object."""
        return {
            "call_sid": self.call_sid,
            "trace_ids": list(self.trace_ids),
            "start": clock.rfc3339(self.first) if self.first else None,
            "end": clock.rfc3339(self.last) if self.last else None,
            "seconds": round((self.last - self.first) / clock.NANOS, 6),
            "state": self.state,
            "ends": self.ends,
            "parties": self.parties,
            "services": self.services,
            "levels": self.levels,
            "recovered": self.recovered,
            "books": self.books.as_json(),
            "missing": [item.as_json(self.first) for item in self.missing],
            "notes": self.notes,
            "gaps": [gap.as_json(self.first) for gap in self.gaps],
            "skews": [skew.sentence() for skew in self.skews],
            "turns": [turn.as_json() for turn in self.turns],
            "records": list(self.flat_records()),
            "spans": [span.flat() for span in self.spans],
            "searched": self.searched.as_json(),
        }


def state_of(*, latest: int, hung_up: int, now: int) -> str:
    """Whether more is to come: `live`, `settling` or `complete`.

    Args:
        latest: time of the call's last record, in nanoseconds; 0 if it has none.
        hung_up: time of the hang-up, 0 if none is on record.
        now: the present.
    """
    if hung_up:
        return "settling" if now - max(latest, hung_up) < SETTLING else "complete"
    return "live" if now - latest < QUIET else "complete"


def render_text(view: CallView, *, width: int | None = None, colour: bool = False) -> Iterator[str]:
    """The call as `otel-logging call` shows it, line by line, without line ends.

    Args:
        view: the call.
        width: columns of the terminal, where long messages are wrapped; None leaves them whole.
        colour: paint levels and marks with ANSI colours.
    """
    yield from _header(view, colour=colour)
    if not view.records:
        return
    yield from _turns(view, colour=colour)
    yield ""
    room = lines.service_width(view.records)
    gaps = {gap.end: gap for gap in view.gaps}
    first = view.first
    heads: dict[tuple[int, str, str, str], str] = {}
    for record in view.records:
        if record.time in gaps:
            yield from _gap(gaps.pop(record.time), colour=colour)
        when = clock.relative(record.time - first) if record.time else "    ?     "
        if width is None and record.dull and (text := record.body).isprintable() and text:  # nearly all into a pipe
            head = (record.severity, record.severity_text, record.service, record.logger)
            if head not in heads:
                heads[head] = lines.head_of(record, service_width=room, colour=colour)
            yield f"{when}{heads[head]}{text}"
            continue
        yield from lines.table_lines(record, when, service_width=room, width=width, colour=colour)


def _header(view: CallView, *, colour: bool) -> Iterator[str]:
    title = f"Call {harmless(view.call_sid)}" if view.call_sid else f"Trace {view.trace_ids[0]}, seen with no call"
    yield lines.paint(title, lines.BOLD, colour=colour)
    if view.call_sid and view.trace_ids:
        yield f"  traces    {', '.join(view.trace_ids)}"
    if view.first:
        yield f"  started   {clock.local(view.first)}, lasted {clock.duration(view.last - view.first)}"
    if parties := view.parties:
        from otel_logging.search.parties import sentence

        yield f"  parties   {harmless(sentence(parties))}"
    services = ", ".join(f"{harmless(name) or '(no name)'} {count:,}" for name, count in view.services.items())
    yield f"  services  {services or 'none'}"
    yield f"  records   {_counts(view)}"
    if view.spans:
        failed = sum(span.failed for span in view.spans)
        yield f"  spans     {len(view.spans):,}{f', {failed:,} failed' if failed else ''}"
    ends = ", ".join(f"{harmless(service)} {harmless(reason)}" for service, reason in view.ends.items())
    yield f"  state     {view.state}{f'; ended in {ends}' if ends else ''}"
    for item in view.missing:
        when = f" (at {clock.relative(item.at - view.first)})" if not item.kept else ""
        yield lines.paint(f"  missing   {item.sentence()}{when}", lines.YELLOW, colour=colour)
    for note in (*view.notes, *(skew.sentence() for skew in view.skews)):
        yield f"  note      {harmless(note)}"


def _gap(gap: Gap, *, colour: bool) -> Iterator[str]:
    # Indented less than the lines that continue a message, so that no message can look like this.
    what = "dead air" if gap.dead_air else "silence"
    text = f"      ---   {clock.duration(gap.end - gap.start)} without a record ({what})"
    yield lines.paint(text, lines.YELLOW if gap.dead_air else lines.DIM, colour=colour)


def _turns(view: CallView, *, colour: bool) -> Iterator[str]:
    turns = view.turns
    if not turns:
        return
    yield ""
    for turn in turns:
        parts = [f"{harmless(name)} {length:,.0f}" for name, length in turn.parts]
        if turn.parts and turn.latency is not None:
            parts.append(f"unattributed {turn.unattributed:,.0f}")
        waited = "     ?   " if turn.latency is None else f"{turn.latency:>6,.0f} ms"
        marks = " over budget" * turn.over_budget + " interrupted" * turn.interrupted
        when = clock.relative(turn.start - view.first)
        sum_of = f"  ({' + '.join(parts)})" if parts else ""
        line = f"  turn {turn.number:>3}  {when}  {waited}{sum_of}{marks}"
        yield lines.paint(line, lines.YELLOW if turn.over_budget else "", colour=colour)


def _counts(view: CallView) -> str:
    parts = [f"{count:,} {level}" for level, count in view.levels.items()]
    text = f"{len(view.records):,}" + (f" ({', '.join(parts)})" if parts else "")
    if recovered := view.recovered:
        text += f"; {lines.MARK} {recovered:,} recovered: dropped at the time, given back when the call went wrong"
    books = view.books
    if books.summaries:
        text += f"; {books.figures['kept']:,} of {books.figures['made']:,} made were kept"
    return text
