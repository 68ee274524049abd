"""`otel-logging calls`: the calls of the store, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_logging.cli import asking, common
from otel_logging.cli.progress import Progress
from otel_logging.search import clock, lines
from otel_logging.search.overview import Summary, overview
from otel_logging.search.source import Ask, is_remote
from otel_logging.search.text import cells, harmless, pad

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LIMIT = 50
_MOST = 100_000  # records of a back end that are read for a list of calls


def main(argv: list[str]) -> int:
    """Print one line for each call; 1 if there is none."""
    parser = common.parser("calls", "List the calls of the store, newest first.")
    parser.add_argument(
        "--since", metavar="TIME", type=common.moment, help="calls with a record from then on: 2h, 10:30, an ISO time"
    )
    parser.add_argument("--until", metavar="TIME", type=common.moment, help="calls that began before then")
    parser.add_argument(
        "--service",
        metavar="NAME",
        action="append",
        default=[],
        help="calls this service had a part in; may be repeated",
    )
    parser.add_argument("--errors", action="store_true", help="only calls with a record of ERROR or above")
    parser.add_argument(
        "--limit", metavar="N", type=common.count, default=_LIMIT, help=f"the newest N (default {_LIMIT}; 0: all)"
    )
    asking.add_places(parser)
    common.add_format(parser, "one call")
    args = parser.parse_args(argv)
    source = asking.source_of(args)
    since = asking.since_of(args, source)
    # A store is read as a whole: a call that began before `--since` is counted with all its records.
    ask = Ask(since=since, until=args.until, newest=_MOST) if is_remote(source) else Ask()
    if args.explain:
        common.tell_native(source, ask)
    with Progress(source) as searched:
        view = overview(source, ask, searched)
    wanted = frozenset(args.service)
    found = [
        call
        for call in view.calls
        if (args.since is None or call.last >= args.since)
        and (args.until is None or call.first < args.until)
        and (not wanted or wanted & call.services)
        and (not args.errors or call.errors)
    ]
    shown = found[: args.limit] if args.limit else found
    now = clock.now()
    if args.format == common.TABLE:
        common.print_lines(_table(shown, now, colour=common.colours()))
    elif args.format == common.LINES:
        common.print_json(call.as_json(now) for call in shown)
    else:
        calls = [call.as_json(now) for call in shown]
        common.print_json(
            [{"calls": calls, "shown": len(shown), "total": len(found), "searched": view.searched.as_json()}]
        )
    common.tell_problems(view.searched)
    total = common.total_text(len(found), "call", view.searched)
    common.tell(f"{len(shown):,} of {total} shown; {common.searched_line(view.searched)}")
    return common.code_of(shown, view.searched)


def _table(calls: Sequence[Summary], now: int, *, colour: bool) -> Iterator[str]:
    if not calls:
        return
    room = max(*(cells(harmless(call.call_sid)) for call in calls), len("CALL"))
    titles = f"{'STARTED':<19}  {'LASTED':>7}  {'RECORDS':>7}  {'WARNINGS':>8}  {'ERRORS':>6}  {'STATE':<8}  SERVICES"
    yield lines.paint(f"{pad('CALL', room)}  {titles}", lines.BOLD, colour=colour)
    for call in calls:
        started = clock.local(call.first)[:19] if call.first else "?"
        errors = lines.paint(f"{call.errors:>6,}", lines.RED if call.errors else "", colour=colour)
        services = harmless(", ".join(sorted(call.services)))
        yield (
            f"{pad(harmless(call.call_sid), room)}  {started:<19}  {clock.duration(call.last - call.first):>7}  "
            f"{call.records:>7,}  {call.levels['WARNING']:>8,}  {errors}  {call.state(now):<8}  {services}"
        )
