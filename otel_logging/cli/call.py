"""`otel-logging call ID`: one call, every service, in time order."""

from __future__ import annotations

from otel_logging.cli import DONE, NOTHING, common
from otel_logging.search.call_view import render_text
from otel_logging.search.one_call import Ambiguous, NotFound, find_call


def main(argv: list[str]) -> int:
    """Print the call that was pasted; 1 if the store has none, 2 if it may be several."""
    parser = common.parser("call", "Show one call of all services in time order.")
    parser.add_argument(
        "id", metavar="ID", help="a CallSid or other call id, a trace id, a traceparent, or a prefix of one"
    )
    common.add_format(parser, "one record")
    args = parser.parse_args(argv)
    if not args.id.strip():
        parser.error("ID is empty")
    store = common.store_of(args)
    try:
        view = find_call(store, args.id)
    except NotFound as error:
        return common.nothing_found(error, store)
    except Ambiguous as error:
        return common.ambiguous(error)
    if args.format == common.TABLE:
        common.print_lines(render_text(view, width=common.columns(), colour=common.colours()))
    elif args.format == common.LINES:
        common.print_json(view.flat_records())
    else:
        common.print_json([view.as_json()])
    common.tell_problems(view.searched)
    services = common.plural(len(view.services), "service")
    shown = f"{common.plural(len(view.records), 'record')} shown, {services}, {view.state}"
    common.tell(f"{shown}; {common.searched_line(view.searched)}")
    return DONE if view.records or view.spans else NOTHING
