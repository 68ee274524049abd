"""The words that say what to look for and where: the same in every verb that looks for records."""

from __future__ import annotations

from contextlib import closing, contextmanager

from otel_logging.cli import USAGE, common
from otel_logging.search import clock
from otel_logging.search.record import LEVELS
from otel_logging.search.source import KINDS, Local, is_remote, parts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from otel_logging.search.follow import Follower
    from otel_logging.search.query import Query
    from otel_logging.search.source import Source

HOUR = 3600 * clock.NANOS


def add_places(parser: argparse.ArgumentParser, *, explain: bool = True) -> None:
    """Add `--from` and `--explain`."""
    parser.add_argument(
        "--from",
        dest="places",
        metavar="BACKEND",
        action="append",
        default=[],
        help=f"where to look: {', '.join(KINDS)}, each with :WHERE if wanted, or a profile; may be repeated",
    )
    if explain:
        parser.add_argument(
            "--explain", action="store_true", help="also print what each place is asked, in its own language (stderr)"
        )


def add_range(parser: argparse.ArgumentParser) -> None:
    """Add `--since` and `--until`."""
    parser.add_argument(
        "--since", metavar="TIME", type=common.moment, help="from then on: 2h, 10:30, 2024-01-21T19:30:26Z, a Unix time"
    )
    parser.add_argument("--until", metavar="TIME", type=common.moment, help="before then")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the words that choose records: text, call, trace, service, level, times, pattern, attributes."""
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
    add_range(parser)
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


def query_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Query:
    """The filters as one query; ends the process where an attribute is no `K=V`."""
    attrs = [tuple(pair.split("=", 1)) for pair in args.attr]
    if any(len(pair) != 2 or not pair[0] for pair in attrs):
        parser.error("--attr takes KEY=VALUE")
    from otel_logging.search.query import Query

    return Query(
        text=args.text, call=args.call, trace=args.trace, services=tuple(args.service), level=args.level,
        since=args.since, until=args.until, grep=args.grep, attrs=tuple((key, value) for key, value in attrs),
    )  # fmt: skip


def source_of(args: argparse.Namespace) -> Source:
    """The places of `--from`; ends the process with a usage error where one cannot be understood."""
    if not args.places:
        return Local(common.place_of(args.store))
    from otel_logging.search.profiles import BadProfile, names_local, opened

    try:
        store = common.store_of(args) if names_local(args.places) else None
        return opened(args.places, store)
    except BadProfile as error:
        common.tell(str(error))
        raise SystemExit(USAGE) from None


def store_of(source: Source) -> Path | None:
    """The local store's folder, or None where nobody asks for it."""
    return next((item.store for item in parts_of(source) if isinstance(item, Local)), None)


@contextmanager
def following(source: Source, query: Query | None, *, wanted: bool) -> Iterator[Follower | None]:
    """What tells new records from then on, if that is wanted; its files are closed in the end."""
    if not wanted or query is None:
        yield None
        return
    from otel_logging.search.follow import Follower

    with closing(Follower(source, query)) as follower:
        yield follower


def since_of(args: argparse.Namespace, source: Source, span: int = HOUR) -> int | None:
    """`--since`, or so many nanoseconds ago where a back end is asked, which must not be read from its beginning."""
    if args.since is not None or not is_remote(source):
        return args.since  # type: ignore[no-any-return]
    return max((args.until or clock.now()) - span, 0)
