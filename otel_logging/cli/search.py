"""`otel-logging search [TEXT]`: records by text, call, trace, service, level, time, attribute or pattern."""

from __future__ import annotations

import time
from types import SimpleNamespace

from otel_logging.cli import DONE, asking, common
from otel_logging.cli.progress import Progress
from otel_logging.plain import replace
from otel_logging.search import clock, lines
from otel_logging.search.one_call import find_call, ids_meant
from otel_logging.search.query import Ambiguous, BadQuery, Matcher, NotFound, Query, Result, search
from otel_logging.search.record import flat
from otel_logging.search.source import Ask, Asked
from otel_logging.search.text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from otel_logging.search.follow import Follower
    from otel_logging.search.source import Source

_LIMIT = 1000
_CALL_COLUMNS = 12  # enough of a call id to paste it into `call`


def main(argv: list[str]) -> int:
    """Print the records that match; 1 if there are none."""
    args = _plain_question(argv)
    try:
        if args is not None:
            return _answered(args, Query(text=args.text, limit=args.limit))
        parser = _parser()
        args = _parsed(parser, argv)
        return _answered(args, replace(asking.query_of(parser, args), limit=args.limit, context=args.context))
    except BadQuery as error:
        _parser().error(str(error))


def _plain_question(argv: list[str]) -> Any:
    """What `[--store DIR] TEXT [--limit N]` means, without argparse, which takes longer than starting; else None."""
    words = argv[2:] if argv[:1] == ["--store"] else argv
    given = (*words[:1], *words[2:], *(argv[1:2] if words is not argv else ()))
    if any(word.startswith("-") for word in given) or len(words) not in {1, 3}:
        return None
    text, limit = words[0], words[2] if len(words) == 3 else str(_LIMIT)
    if words[1:2] not in ([], ["--limit"]) or not (limit.isascii() and limit.isdigit()):
        return None
    return SimpleNamespace(
        text=text, limit=int(limit), context=0, call="", store=None if words is argv else argv[1], since=None,
        until=None, places=[], explain=False, follow=False, format=common.TABLE,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = common.parser("search", "Show the records that match all filters, oldest first.")
    asking.add_filters(parser)
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
    asking.add_places(parser)
    parser.add_argument("--follow", action="store_true", help="stay, and print what matches as it comes")
    common.add_format(parser, "one record", page=True)
    return parser


def _parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    args = parser.parse_args(argv)
    if args.follow and (args.context or args.format not in {common.TABLE, common.LINES}):
        parser.error("--follow prints as table or jsonl, without -C")
    if args.format == common.PAGE and not args.call:
        parser.error("--format html shows one call: give --call ID")
    return args


def _answered(args: argparse.Namespace, query: Query) -> int:
    source = asking.source_of(args)
    query = replace(query, since=asking.since_of(args, source))
    try:
        if args.explain:
            common.tell_native(source, _ask(query))
        if args.format == common.PAGE:
            return _page(source, query)
        with asking.following(source, query, wanted=args.follow) as follower:
            with Progress(source) as searched:
                result = search(source, query, searched=searched)
            _print(result, args.format, context=args.context > 0)
            _tell(result)
            if follower is not None:
                _followed(follower, source, query, result, as_lines=args.format == common.LINES)
    except NotFound as error:
        return common.nothing_found(error, asking.store_of(source))
    except Ambiguous as error:
        return common.ambiguous(error)
    return common.code_of(result.shown, result.searched)


def _ask(query: Query) -> Ask:
    """What a source is asked for first; a call is read as a whole and filtered here."""
    ask = Matcher(query).ask()
    if not query.call:
        return ask
    from otel_logging.ids import parse_pasted

    return Ask(ids=ids_meant(parse_pasted(query.call)), since=query.since, until=query.until)


def _page(source: Source, query: Query) -> int:
    """One call as a file, with the records that match."""
    from otel_logging.cli import page

    matcher = Matcher(query)
    with Progress(source) as searched:
        view = find_call(source, query.call, since=query.since, until=query.until, searched=searched)
    kept = [record for record in view.records if matcher.matches(record)]
    code = page.write(replace(view, records=kept))
    common.tell_problems(searched)
    total = common.total_text(len(view.records), "record", searched)
    common.tell(f"{len(kept):,} of {total} shown; {common.searched_line(searched)}")
    return code if code != DONE else common.code_of(kept, searched)


def _tell(result: Result) -> None:
    common.tell_problems(result.searched)
    services = common.plural(len(result.services), "service")
    total = common.total_text(result.total, "record", result.searched)
    common.tell(f"{result.shown:,} of {total} shown, {services}; {common.searched_line(result.searched)}")


def _print(result: Result, form: str, *, context: bool) -> None:
    if form == common.TABLE:
        common.print_lines(_table(result, width=common.columns(), colour=common.colours()))
    elif form == common.LINES:
        common.print_json(_flat(result, context=context))
    else:
        records = list(_flat(result, context=context))
        totals = {"shown": result.shown, "total": result.total, "searched": result.searched.as_json()}
        common.print_json([{"records": records, **totals}])


def _followed(follower: Follower, source: Source, query: Query, result: Result, *, as_lines: bool) -> None:
    """Print what comes, until the reader has enough."""
    view = find_call(source, query.call, since=query.since) if query.call else None
    follower.shown((record for block in result.blocks for record in block.records), view)
    room = lines.service_width([record for block in result.blocks for record in block.records])
    while True:
        common.flush()
        time.sleep(follower.pause)
        searched = Asked()
        for record in follower.poll(searched):
            if as_lines:
                common.print_json([flat(record, since=result.first)])
                continue
            call = "" if query.call else _call_column(record.call_sid)
            common.print_lines(
                lines.table_lines(
                    record,
                    clock.local(record.time),
                    service_width=room,
                    width=common.columns(),
                    colour=common.colours(),
                    call=call,
                )
            )
        common.tell_problems(searched)


def _flat(result: Result, *, context: bool) -> Iterator[dict[str, Any]]:
    for block in result.blocks:
        for record, hit in zip(block.records, block.hits, strict=True):
            line = flat(record, since=result.first)
            if context:
                line["match"] = hit
            yield line


def _call_column(call_sid: str | None) -> str:
    return f"{harmless(call_sid or '')[:_CALL_COLUMNS]:<{_CALL_COLUMNS}}  "


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
            call = _call_column(record.call_sid) if mixed else ""
            yield from lines.table_lines(record, when, service_width=room, width=width, colour=colour, call=call)
