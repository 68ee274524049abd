"""`otel-logging recall ID`: bring back what was remembered of a call that ended well, into the store's logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_logging import ids
from otel_logging.cli import DONE, NOTHING, USAGE, common
from otel_logging.export import attic

if TYPE_CHECKING:
    from pathlib import Path


def main(argv: list[str]) -> int:
    """Bring one call back; 1 if the attic has nothing of it, 2 if the id may mean several calls."""
    parser = common.parser(
        "recall",
        "Bring back the records that were dropped or below their level in a call that ended well, for 24 hours after "
        "it. They become part of the call in the store, marked as recovered. Recalling a call twice changes nothing.",
    )
    parser.add_argument("id", metavar="ID", help="call id, trace id, traceparent, or the beginning of a call id")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args(argv)
    store = common.store_of(args)
    kept = attic.kept(store)
    found = _meant(args.id, kept)
    if len(found) > 1:
        common.tell(f"{args.id!r} may mean {len(found)} calls: {', '.join(found[:20])}; paste more of it")
        return USAGE
    if not found:
        common.tell(
            f"nothing to recall of {args.id!r} in {store / attic.FOLDER}; calls are kept for 24 hours after their end, "
            "what a failed call had remembered was given back at once"
        )
        return NOTHING
    return _recall(store, found[0], kept[found[0]], as_json=args.json)


def _meant(text: str, kept: dict[str, list[Path]]) -> list[str]:
    pasted = ids.parse_pasted(text)
    if pasted.call_sid in kept:
        return [pasted.call_sid] if pasted.call_sid is not None else []
    if pasted.trace_id is not None:
        of_trace = [sid for sid in kept if f"{ids.trace_id_for(sid):032x}" == pasted.trace_id]
        if of_trace:
            return of_trace
    return [sid for sid in kept if pasted.prefix and sid.startswith(pasted.text)]


def _recall(store: Path, call_sid: str, files: list[Path], *, as_json: bool) -> int:
    recalled = already = 0
    problems = []
    for path in files:
        try:
            records, new = attic.bring_back(store, path)
        except (OSError, ValueError, EOFError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        if new:
            recalled += records
        else:
            already += records
    if as_json:
        common.print_json(
            [
                {
                    "call_sid": call_sid,
                    "recalled": recalled,
                    "already": already,
                    "files": len(files),
                    "problems": problems,
                }
            ]
        )
    else:
        again = f"; {common.plural(already, 'record')} had been recalled before" if already else ""
        common.print_lines(
            [f"{common.plural(recalled, 'record')} of {call_sid} recalled{again}", f"otel-logging call {call_sid}"]
        )
    for problem in problems:
        common.tell(f"not recalled: {problem}")
    return DONE if recalled or already else NOTHING
