"""`otel-logging doctor`: what is wrong between the application and its back end, and what to do about it.

The checks themselves are in `otel_logging.doctor`; here they are asked for and printed.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging import settings
from otel_logging.cli import DONE, NOTHING, common
from otel_logging.doctor.examination import Wishes, examine
from otel_logging.doctor.finding import FAILED, OK, WARNING, Finding, worst
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COLOURS: Final = {OK: "32", WARNING: "33", FAILED: "31"}
_LONGEST_WAIT: Final = 3600.0


def main(argv: list[str]) -> int:
    """Look at everything and print a verdict on each thing with its cure; 1 if one failed."""
    args = _parser().parse_args(argv)
    read = settings.read({"store": args.store} if args.store else {})
    wishes = Wishes(
        configs=[path for several in args.config for path in several],
        outputs=args.output,
        metrics=args.metrics,
        health=args.health,
        record=not args.no_record,
        wait=args.wait,
        patience=args.patience,
    )
    found = examine(read, wishes, settings.received_environ())
    verdict = worst(found)
    if args.json:
        common.print_json([{"verdict": verdict, "checks": [one.as_json() for one in found]}])
    else:
        common.print_lines(_lines(found, colour=common.colours()))
    common.tell(_summary(found))
    return NOTHING if verdict == FAILED else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-logging doctor",
        description="Look at everything between an application started from here and its back end: settings, boot "
        "hooks, policies, store, spool, endpoint, a record's way through the Collector, clock, old keys in Collector "
        "configurations. Run it where the application runs, with its environment.",
        allow_abbrev=False,
        epilog="Exit codes: 0 nothing failed (warnings may be there), 1 something failed, 2 usage.",
    )
    parser.add_argument(
        "--config", metavar="FILE", nargs="+", action="append", default=[], type=Path,
        help="Collector configurations to look through, in the order of its --config",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--wait", metavar="SECONDS", type=_seconds, default=0.0,
        help="try the endpoint again for so long while something fails: for health checks and start scripts",
    )  # fmt: skip
    parser.add_argument(
        "--no-record", action="store_true",
        help="send an empty request instead of a record: proves less, and nothing is paid for",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="PATH", action="append", default=[], type=Path,
        help="a file or folder that the Collector's file exporter writes; may be repeated. `logs` of the store is "
        "looked at anyway",
    )  # fmt: skip
    parser.add_argument("--metrics", metavar="URL", help="the Collector's internal metrics (default: port 8888)")
    parser.add_argument("--health", metavar="URL", help="the Collector's health check (default: port 13133)")
    parser.add_argument(
        "--patience", metavar="SECONDS", type=_seconds, default=10.0,
        help="how long to wait for proof of the record's way (default: 10)",
    )  # fmt: skip
    parser.add_argument("--store", metavar="DIR", help="the store that the application uses")
    return parser


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to {_LONGEST_WAIT:g}")
    return number


def _lines(found: Sequence[Finding], *, colour: bool) -> Iterator[str]:
    width = max((len(one.check) for one in found), default=0)
    for one in found:
        mark = f"{one.verdict:<7}"
        if colour and one.verdict in _COLOURS:
            mark = f"\x1b[{_COLOURS[one.verdict]}m{mark}\x1b[0m"
        yield f"{mark}  {one.check:<{width}}  {harmless(one.says)}"
        if one.cure:
            yield f"{'':<7}  {'':<{width}}  -> {harmless(one.cure)}"


def _summary(found: Sequence[Finding]) -> str:
    counted = [(sum(one.verdict == verdict for one in found), verdict) for verdict in (OK, WARNING, FAILED)]
    return ", ".join(f"{number} {verdict}" for number, verdict in counted)
