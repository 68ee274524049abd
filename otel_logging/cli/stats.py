"""`otel-logging stats`: what the store holds, and what its summaries of calls say was made, kept and dropped.

What a running process counts is `otel_logging.stats()` inside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_logging.cli import DONE, NOTHING, common
from otel_logging.search import clock
from otel_logging.search.overview import Overview, overview
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(argv: list[str]) -> int:
    """Print the store's totals; 1 if it holds nothing."""
    parser = common.parser("stats", "Show what the store holds: files, records, calls, its oldest and newest record.")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args(argv)
    store = common.store_of(args)
    view = overview(store)
    if args.json:
        common.print_json([view.as_json()])
    else:
        common.print_lines(_table(view))
    common.tell_problems(view.searched)
    if not view.searched.files:
        common.tell(f"nothing in {store}")
        return NOTHING
    return DONE


def _table(view: Overview) -> Iterator[str]:
    searched = view.searched
    services = ", ".join(f"{name or '(no name)'} {count:,}" for name, count in sorted(view.services.items()))
    rows = [
        ("store", searched.store),
        ("files", f"{searched.files:,} ({searched.bytes:,} bytes, {common.plural(searched.lines, 'line')})"),
        ("records", f"{view.records:,}" + (f" ({view.without_call:,} of no call)" if view.without_call else "")),
        ("spans", f"{searched.spans:,}"),
        ("calls", f"{len(view.calls):,} ({sum(bool(call.errors) for call in view.calls):,} with errors)"),
        ("levels", ", ".join(f"{level} {count:,}" for level, count in view.as_json()["levels"].items()) or "-"),
        ("services", services or "-"),
        ("oldest", clock.local(view.first) if view.first else "-"),
        ("newest", clock.local(view.last) if view.last else "-"),
    ]
    if view.told.summaries:
        told = view.told
        figures = ", ".join(f"{told.figures[name]:,} {name}" for name in ("made", "kept", "recovered"))
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in told.dropped.most_common())
        rows += [
            ("books", f"{figures} (as {common.plural(told.summaries, 'ended call')} told)"),
            ("dropped", dropped or "-"),
        ]
    if searched.broken or searched.unfinished:
        unfinished = common.plural(searched.unfinished, "unfinished line")
        rows.append(("unread", f"{common.plural(searched.broken, 'broken line')}, {unfinished}"))
    for name, value in rows:
        yield f"{name:<9} {harmless(value)}"
