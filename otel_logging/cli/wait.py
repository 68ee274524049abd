"""`otel-logging await`: blocks until enough records match, or a call has ended; for tests and scripts."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from otel_logging.cli import DONE, NOTHING, asking, common
from otel_logging.plain import replace
from otel_logging.search.local import LOGS, TRACES
from otel_logging.search.one_call import Ambiguous, NotFound, find_call
from otel_logging.search.query import BadQuery, Query, search
from otel_logging.search.source import Asked, Local, Several, is_remote

if TYPE_CHECKING:
    from otel_logging.search.call_view import CallView
    from otel_logging.search.source import Source

_TIMEOUT = 30.0
_LOCAL_PAUSE, _REMOTE_PAUSE = 0.1, 5.0  # seconds between two looks; back ends count requests
_ENDED = ("settling", "complete")


def main(argv: list[str]) -> int:
    """Wait; 0 once it is so, 1 if it is not in time."""
    parser = common.parser("await", "Wait until at least N records match all filters, or until a call has ended.")
    asking.add_filters(parser)
    parser.add_argument("--count", metavar="N", type=common.count, default=1, help="so many records (default 1)")
    parser.add_argument("--ended", action="store_true", help="the call of --call has hung up as well")
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, default=_TIMEOUT, help=f"seconds to wait (default {_TIMEOUT:.0f})"
    )
    asking.add_places(parser, explain=False)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args(argv)
    if args.ended and not args.call:
        parser.error("--ended needs --call")
    source = asking.source_of(args)
    query = replace(asking.query_of(parser, args), since=asking.since_of(args, source))
    started = time.monotonic()
    seen = None
    while True:
        now_seen = _sizes(source)
        if now_seen is None or now_seen != seen:
            seen = now_seen
            try:
                total, state, searched = _looked(source, query, ended=args.ended)
            except BadQuery as error:
                parser.error(str(error))
            except Ambiguous as error:
                return common.ambiguous(error)
        waited = time.monotonic() - started
        met = total >= args.count and (not args.ended or state in _ENDED) and not searched.failed
        if met or waited >= args.timeout:
            break
        time.sleep(min(_REMOTE_PAUSE if is_remote(source) else _LOCAL_PAUSE, max(args.timeout - waited, 0)))
    if args.json:
        answer = {"met": met, "total": total, "wanted": args.count, "state": state, "seconds": round(waited, 3)}
        common.print_json([{**answer, "searched": searched.as_json()}])
    common.tell_problems(searched)
    ended = f", the call is {state or 'not there'}" if args.ended else ""
    common.tell(
        f"{'there' if met else 'not there'} after {waited:.1f} s: {total:,} of {common.plural(args.count, 'record')}"
        f"{ended}; {common.searched_line(searched)}"
    )
    return DONE if met else NOTHING


def _looked(source: Source, query: Query, *, ended: bool) -> tuple[int, str, Asked]:
    """How many match now, and the call's state if that is asked for."""
    searched = Asked()
    if isinstance(source, Several):
        source.forget()
    try:
        total = search(source, query, searched=searched).total
        view = find_call(source, query.call, since=query.since, until=query.until) if ended else None
    except NotFound:
        return 0, "", searched
    return total, _state(view), searched


def _state(view: CallView | None) -> str:
    """Its state, where a call that only fell silent has not ended: only a hang-up on record says so."""
    if view is None:
        return ""
    return view.state if any(span.hung_up for span in view.spans) else "live"


def _sizes(source: Source) -> object:
    """What tells whether a store has changed; None for a place that must be asked."""
    if not isinstance(source, Local):
        return None
    found = []
    for folder in (LOGS, TRACES):
        try:
            entries = sorted(os.scandir(source.store / folder), key=lambda entry: entry.name)
            found += [(entry.name, entry.stat(follow_symlinks=False).st_size) for entry in entries]
        except OSError:  # noqa: PERF203 (two folders)
            continue
    return found


def _seconds(text: str) -> float:
    """Argparse type of a length of time."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; valid: 0 to 86400")
    return seconds
