"""`otel-logging search [TEXT]`: records by text, call, trace, service, level, time, attribute or pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_logging.cli import DONE, NOTHING, common
from otel_logging.search import clock, lines
from otel_logging.search.query import Ambiguous, BadQuery, NotFound, Query, Result, search
from otel_logging.search.record import LEVELS, flat
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = 1000
_CALL_COLUMNS = 12  # enough of a call id to paste it into `call`


def main(argv: list[str]) -> int:
    """Print the records that match; 1 if there are none."""
    parser = common.parser("search", "Show the records that match all filters, oldest first.")
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        default="",
        help="text in the message or exception, in any case; or a whole id",
    )
    parser.add_argument("--call", metavar="ID", default="", help="records of this call; ID as for `call`")
    parser.add_argument(
        "--trace", metavar="ID", default="", help="records of this trace: trace id, prefix or traceparent"
    )
    parser.add_argument(
        "--service", metavar="NAME", action="append", default=[], help="records of this service; may be repeated"
    )
    parser.add_argument(
        "--level", metavar="LEVEL", default="", help=f"this level and above: {', '.join(LEVELS)}, in any case"
    )
    parser.add_argument(
        "--since", metavar="TIME", type=common.moment, help="from then on: 2h, 10:30, 2024-01-21T19:30:26Z, a Unix time"
    )
    parser.add_argument("--until", metavar="TIME", type=common.moment, help="before then")
    parser.add_argument(
        "--grep", metavar="REGEX", default="", help="a regular expression found in the message or exception"
    )
    parser.add_argument(
        "--attr",
        metavar="K=V",
        action="append",
        default=[],
        help="an attribute of the record or its resource; may be repeated",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=common.count,
        default=_LIMIT,
        help=f"the newest N matches (default {_LIMIT}; 0: all)",
    )
    parser.add_argument(
        "-C",
        "--context",
        metavar="N",
        type=common.count,
        default=0,
        help="N records before and after each match, of the same call",
    )
    common.add_format(parser, "one record")
    args = parser.parse_args(argv)
    attrs = [tuple(pair.split("=", 1)) for pair in args.attr]
    if any(len(pair) != 2 or not pair[0] for pair in attrs):
        parser.error("--attr takes KEY=VALUE")
    store = common.store_of(args)
    query = Query(
        text=args.text, call=args.call, trace=args.trace, services=tuple(args.service), level=args.level,
        since=args.since, until=args.until, grep=args.grep, attrs=tuple((key, value) for key, value in attrs),
        limit=args.limit, context=args.context,
    )  # fmt: skip
    try:
        result = search(store, query)
    except BadQuery as error:
        parser.error(str(error))
    except NotFound as error:
        return common.nothing_found(error, store)
    except Ambiguous as error:
        return common.ambiguous(error)
    if args.format == common.TABLE:
        common.print_lines(_table(result, width=common.columns(), colour=common.colours()))
    elif args.format == common.LINES:
        common.print_json(_flat(result, context=args.context > 0))
    else:
        records = list(_flat(result, context=args.context > 0))
        totals = {"shown": result.shown, "total": result.total, "searched": result.searched.as_json()}
        common.print_json([{"records": records, **totals}])
    common.tell_problems(result.searched)
    services = common.plural(len(result.services), "service")
    shown = f"{result.shown:,} of {common.plural(result.total, 'record')} shown, {services}"
    common.tell(f"{shown}; {common.searched_line(result.searched)}")
    return DONE if result.shown else NOTHING


def _flat(result: Result, *, context: bool) -> Iterator[dict[str, Any]]:
    for block in result.blocks:
        for record, hit in zip(block.records, block.hits, strict=True):
            line = flat(record, since=result.first)
            if context:
                line["match"] = hit
            yield line


def _table(result: Result, *, width: int | None, colour: bool) -> Iterator[str]:
    everything = [record for block in result.blocks for record in block.records]
    room = lines.service_width(everything)
    mixed = len({record.call_sid for record in everything}) > 1
    for number, block in enumerate(result.blocks):
        if number:
            yield "--"
        for record, hit in zip(block.records, block.hits, strict=True):
            when = clock.local(record.time)
            if not all(block.hits):
                when = f"{'>' if hit else ' '} {when}"
            call = f"{harmless(record.call_sid or '')[:_CALL_COLUMNS]:<{_CALL_COLUMNS}}  " if mixed else ""
            yield from lines.table_lines(record, when, service_width=room, width=width, colour=colour, call=call)
