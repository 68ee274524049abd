"""`otel-logging call ID`: one call, every service, in time order."""

from __future__ import annotations

import time
from types import SimpleNamespace

from otel_logging.cli import DONE, asking, common
from otel_logging.cli.progress import Progress
from otel_logging.ids import parse_pasted
from otel_logging.search import clock, lines
from otel_logging.search.call_view import CallView, render_text
from otel_logging.search.one_call import Ambiguous, NotFound, find_call, ids_meant
from otel_logging.search.record import flat
from otel_logging.search.source import Ask, Asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from otel_logging.search.follow import Follower
    from otel_logging.search.query import Query
    from otel_logging.search.source import Source

_RANGE = 24 * asking.HOUR  # how far back a back end is asked where nobody says
_LOOK_AGAIN = 5 * clock.NANOS  # while following, how often it is asked whether the call has ended


def main(argv: list[str]) -> int:
    """Print the call that was pasted; 1 if there is none, 2 if it may be several."""
    args = _plain_question(argv) or _parsed(argv)
    source = asking.source_of(args)
    args.since = asking.since_of(args, source, _RANGE)
    if args.explain:
        common.tell_native(source, Ask(ids=ids_meant(parse_pasted(args.id)), since=args.since, until=args.until))
    with asking.following(source, _query(args), wanted=args.follow) as follower:
        try:
            with Progress(source) as searched:
                view = find_call(source, args.id, since=args.since, until=args.until, searched=searched)
        except NotFound as error:
            return common.nothing_found(error, asking.store_of(source))
        except Ambiguous as error:
            return common.ambiguous(error)
        code = _shown(view, args.format)
        if code != DONE:
            return code
        common.tell_problems(view.searched)
        services = common.plural(len(view.services), "service")
        shown = f"{common.plural(len(view.records), 'record')} shown, {services}, {view.state}"
        common.tell(f"{shown}; {common.searched_line(view.searched)}")
        if follower is not None:
            _followed(follower, source, view, args)
    return common.code_of(view.records or view.spans, view.searched)


def _plain_question(argv: list[str]) -> Any:
    """What `[--store DIR] ID` means, without argparse, which takes half as long as the look-up; None for all else."""
    words = argv[2:] if argv[:1] == ["--store"] else argv
    if len(words) != 1 or not words[0].strip() or any(word.startswith("-") for word in (words[0], *argv[1:2])):
        return None
    return SimpleNamespace(
        id=words[0], store=None if words is argv else argv[1], since=None, until=None, places=[], explain=False,
        follow=False, format=common.TABLE,
    )  # fmt: skip


def _parsed(argv: list[str]) -> argparse.Namespace:
    parser = common.parser("call", "Show one call of all services in time order.")
    parser.add_argument(
        "id", metavar="ID", help="a CallSid or other call id, a trace id, a traceparent, or a prefix of one"
    )
    asking.add_range(parser)
    asking.add_places(parser)
    parser.add_argument("--follow", action="store_true", help="stay, and print what comes, until the call is complete")
    common.add_format(parser, "one record", page=True)
    args = parser.parse_args(argv)
    if not args.id.strip():
        parser.error("ID is empty")
    if args.follow and args.format not in {common.TABLE, common.LINES}:
        parser.error("--follow prints as table or jsonl")
    return args


def _query(args: argparse.Namespace) -> Query | None:
    """The call as a query, for who follows it; all others do without that module."""
    if not args.follow:
        return None
    from otel_logging.search.query import Query

    return Query(call=args.id, since=args.since, until=args.until)


def _shown(view: CallView, form: str) -> int:
    if form == common.PAGE:
        from otel_logging.cli import page

        return page.write(view)
    if form == common.TABLE:
        common.print_lines(render_text(view, width=common.columns(), colour=common.colours()))
    elif form == common.LINES:
        common.print_json(view.flat_records())
    else:
        common.print_json([view.as_json()])
    return DONE


def _followed(follower: Follower, source: Source, view: CallView, args: argparse.Namespace) -> None:
    """Print the records that come, until the call is complete."""
    follower.shown(view.records, view)
    looked, state = clock.now(), view.state
    pasted = view.call_sid or view.trace_ids[0]
    room = lines.service_width(view.records)
    searched = Asked()
    while state not in {"complete", "truncated"}:
        common.flush()
        time.sleep(follower.pause)
        for record in follower.poll(searched):
            if args.format == common.LINES:
                common.print_json([flat(record, since=view.first)])
                continue
            when = clock.relative(record.time - view.first)
            common.print_lines(
                lines.table_lines(record, when, service_width=room, width=common.columns(), colour=common.colours())
            )
        if clock.now() - looked >= _LOOK_AGAIN:
            looked = clock.now()
            state = find_call(source, pasted, since=args.since, until=args.until).state
    common.flush()
    common.tell_problems(searched)
    common.tell(f"the call is {state}")
