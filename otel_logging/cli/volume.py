"""`otel-logging volume`: how many lines and bytes a store's services log, which are loudest, what a month makes.

Counting is done in `search.volume`; here it is asked for and printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_logging.cli import DONE, NOTHING, common
from otel_logging.search import clock
from otel_logging.search.record import LEVELS
from otel_logging.search.text import harmless
from otel_logging.search.volume import Amount, Volume, loudest, volume

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Iterator, Mapping

_TOP: Final = 10
_SHORT_SECONDS: Final = 3600.0  # what was observed for less is no basis for a month


def main(argv: list[str]) -> int:
    """Print what is logged and how much; 1 if there is nothing."""
    args = _parser().parse_args(argv)
    store = common.store_of(args)
    found = volume(store, since=args.since, until=args.until, services=args.service)
    if args.json:
        common.print_json([found.as_json(args.top, args.calls_per_day)])
    elif found.total.lines:
        common.print_lines(_lines(found, args.top, args.calls_per_day))
    common.tell_problems(found.searched)
    common.tell(common.searched_line(found.searched))
    if not found.total.lines:
        common.tell(f"nothing was logged, as far as {store} knows")
        return NOTHING
    return DONE


def _parser() -> ArgumentParser:
    parser = common.parser("volume", "Count what the store's services logged, and estimate a month.")
    parser.add_argument("--since", metavar="TIME", type=common.moment, help="from then on: 2h, 10:30, an ISO time")
    parser.add_argument("--until", metavar="TIME", type=common.moment, help="before then")
    parser.add_argument("--service", metavar="NAME", action="append", default=[], help="this service; may be repeated")
    parser.add_argument(
        "--top",
        metavar="N",
        type=common.count,
        default=_TOP,
        help=f"the loudest N calls and lines (default {_TOP}; 0: all)",
    )
    parser.add_argument(
        "--calls-per-day", metavar="N", type=common.count,
        help="estimate the month from so many calls a day, each like those counted",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _lines(found: Volume, top: int, calls_a_day: int | None) -> Iterator[str]:
    yield f"{_told(found.total)}, {common.plural(len(found.calls), 'call')}"
    if found.calls:
        yield f"a call    {_spread(found.per_call(found.calls))}"
    if found.given_back.lines:
        yield f"          {_spread(found.per_call(found.kept))}, without what was given back"
    yield f"no call   {_told(found.no_call)}"
    if found.given_back.lines:
        yield f"recovered {_told(found.given_back)}: given back by the flight recorder, as calls went wrong"
    yield _month(found, calls_a_day)
    yield from _table("LEVEL", [(level, found.levels[level]) for level in LEVELS if level in found.levels])
    yield from _table("SERVICE", loudest(found.services))
    yield from _table("DAY (UTC)", sorted(found.days.items()))
    yield from _table("LOUDEST CALLS", loudest(found.calls, top))
    yield from _table("LOUDEST LINES", loudest(found.kinds, top))


def _spread(calls: Mapping[str, float]) -> str:
    return (
        f"{calls['mean']:,.1f} lines on average, median {calls['median']:,}, 95 % up to {calls['p95']:,}, "
        f"most {calls['most']:,}; {_size(round(calls['bytes']))}"
    )


def _month(found: Volume, calls_a_day: int | None) -> str:
    month = found.month(calls_a_day)
    if month is None:
        why = "no call was counted" if calls_a_day is not None else "all of it has one and the same time"
        return f"a month   cannot be estimated: {why}"
    told = f"a month   about {month['lines']:,} lines, {_size(month['bytes'])}"
    if calls_a_day is not None:
        return f"{told}, at {calls_a_day:,} calls a day like these"
    observed = clock.duration(found.last - found.first)
    if month["seconds"] < _SHORT_SECONDS:
        return f"{told}, if it goes on as in these {observed}, which is little to go by: --calls-per-day N says more"
    return f"{told}, if it goes on as in these {observed}"


def _table(title: str, entries: Iterable[tuple[str, Amount]]) -> Iterator[str]:
    rows = list(entries)
    if rows:
        yield ""
        yield f"{'LINES':>10}  {'SIZE':>9}  {title}"
        for name, amount in rows:
            yield f"{amount.lines:>10,}  {_size(amount.bytes):>9}  {harmless(name)}"


def _told(amount: Amount) -> str:
    return f"{common.plural(amount.lines, 'line')}, {_size(amount.bytes)}"


def _size(number: int) -> str:
    """`812 B`, `4.2 kB`, `1.3 GB`: as back ends bill, a thousand to the next."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
