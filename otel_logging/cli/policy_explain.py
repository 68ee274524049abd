"""`otel-logging policy explain`: why records are kept or dropped: by which policy, which matcher, in which file."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_logging.cli import DONE, NOTHING, USAGE, common
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.explain import Explanation
    from otel_logging.search.record import Record

_CALL: Final = re.compile(r"CA[0-9a-fA-F]{32}")


def main(argv: list[str]) -> int:
    """Print a verdict and its reasons for each record; 1 if there is no record."""
    parser = common.parser("policy explain", "Say for each record whether it is kept, and which policy decided why.")
    parser.add_argument(
        "what", metavar="TEXT", help="a message; or a log file (OTLP/JSON or console lines; - is stdin); or a call id"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--message", dest="kind", action="store_const", const="message", help="TEXT is a message")
    kind.add_argument("--file", dest="kind", action="store_const", const="file", help="TEXT is a file")
    kind.add_argument("--call", dest="kind", action="store_const", const="call", help="TEXT is an id of a call")
    parser.add_argument("--policies", metavar="LIST", help="as OTEL_LOGGING_POLICIES, which is the default")
    parser.add_argument("--privacy", metavar="MODE", help="as OTEL_LOGGING_PRIVACY, which is the default")
    parser.add_argument("--level", metavar="LEVEL", default="INFO", help="the message's level (default INFO)")
    parser.add_argument("--logger", metavar="NAME", default="root", help="the message's logger (default root)")
    parser.add_argument("--attr", metavar="K=V", action="append", default=[], help="an attribute; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON object a record")
    args = parser.parse_args(argv)
    attributes = dict(pair.split("=", 1) for pair in args.attr if "=" in pair)
    if len(attributes) != len(args.attr):
        parser.error("--attr takes KEY=VALUE, each key once")
    try:
        records = list(_records(args, attributes))
    except _NothingFound as error:
        return error.code
    clock = _Clock()
    try:
        policies, floor = _policies(args, clock)
    except ValueError as error:
        parser.error(str(error))
    counts: Counter[str] = Counter()
    for record in records:
        outcome = _explain(record, policies, floor, clock)
        counts["kept" if outcome["kept"] else f"dropped by {outcome['by']}"] += 1
        if args.json:
            common.print_json([outcome])
        else:
            common.print_lines(_lines(outcome))
    if not records:
        common.tell("no records in it")
        return NOTHING
    common.tell(
        f"{common.plural(len(records), 'record')}: " + ", ".join(f"{n:,} {what}" for what, n in counts.most_common())
    )
    return DONE


class _NothingFound(Exception):  # noqa: N818 (an answer, not a failure)
    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class _Clock:
    """The time of the record at hand, so that rates come out as they did when it was made."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _policies(args: argparse.Namespace, clock: _Clock) -> tuple[PolicySet, int]:
    from otel_logging import settings
    from otel_logging.policy.sets import in_force

    read = settings.read({"policies": args.policies, "privacy": args.privacy})
    for problem in read.problems:
        if args.privacy is not None and problem.startswith("OTEL_LOGGING_PRIVACY="):
            raise ValueError(problem)
        if problem.startswith(("LOG_LEVEL=", "OTEL_LOGGING_PRIVACY=")):
            common.tell(problem)
    policies, errors = in_force(read.policies, read.privacy, frame_policies=not read.debug, clock=clock)
    for sentence in errors:
        common.tell(sentence)
    return policies, read.log_level


def _records(args: argparse.Namespace, attributes: dict[str, Any]) -> Iterator[Record]:
    from otel_logging.search.record import LEVELS, Record, level_of

    kind = args.kind or _kind(args.what)
    if kind == "file":
        yield from _of_file(args.what)
    elif kind == "call":
        yield from _of_call(args)
    else:
        level = args.level.strip().upper()
        number = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}.get(level_of(0, level), 9)
        if level not in (*LEVELS, "WARN", "FATAL", "TRACE"):
            common.tell(f"unknown level {args.level!r}; valid: {', '.join(LEVELS)}")
            raise _NothingFound(USAGE)
        call_sid = attributes.get("call_sid")
        yield Record(severity=number, severity_text=level, body=args.what, logger=args.logger, attributes=attributes,
                     call_sid=call_sid)  # fmt: skip


def _kind(what: str) -> str:
    """What a text is that comes without a word: an existing file, a Twilio call id, else a message."""
    if what == "-":
        return "file"
    if _CALL.fullmatch(what.strip()):
        return "call"
    try:
        return "file" if Path(what).is_file() else "message"
    except (OSError, ValueError):
        return "message"


def _of_call(args: argparse.Namespace) -> Iterable[Record]:
    from otel_logging.search.one_call import Ambiguous, NotFound, find_call

    store = common.store_of(args)
    try:
        return find_call(store, args.what).records
    except NotFound as error:
        raise _NothingFound(common.nothing_found(error, store)) from None
    except Ambiguous as error:
        raise _NothingFound(common.ambiguous(error)) from None


def _of_file(name: str) -> Iterator[Record]:
    from otel_logging.cli.log_file import records

    try:
        yield from records(name)
    except OSError as error:
        common.tell(f"{name}: cannot be read ({error.strerror or error})")
        raise _NothingFound(NOTHING) from None


def _explain(record: Record, policies: PolicySet, floor: int, clock: _Clock) -> dict[str, Any]:
    from otel_logging.policy.explain import explain
    from otel_logging.policy.view import LogView

    attributes = {"logger.name": record.logger, **record.attributes}
    if record.call_sid is not None:
        attributes["call_sid"] = record.call_sid
    outcome: dict[str, Any] = {"level": record.level, "logger": record.logger, "call_sid": record.call_sid}
    outcome["message"] = record.body
    trigger = record.attributes.get("otel_logging.trigger")
    if trigger or record.recovered:
        why = f"let through by {trigger}" if trigger else "given back by the flight recorder"
        return {**outcome, "kept": True, "by": None, "why": why, "policies": [], "changed": False}
    number = record.severity or 9
    if number < floor // 10 * 4 + 1:  # the severity that OTel gives that level
        why = "below LOG_LEVEL: no record is made; within a call the flight recorder remembers it"
        return {**outcome, "kept": False, "by": "LOG_LEVEL", "why": why, "policies": [], "changed": False}
    text = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(record.severity_text, record.severity_text)
    view = LogView(
        record.body, number, text or None, attributes=attributes, event_name=record.event_name or None,
        trace_id=record.trace_id, span_id=record.span_id, resource_attributes=record.resource,
        scope_name=record.logger or None,
    )  # fmt: skip
    clock.now = record.time / 1e9 or clock.now  # a line without a time came at the time of the one before
    found = explain(policies, view, record.call_sid)
    return {**outcome, **_outcome(found)}


def _outcome(found: Explanation) -> dict[str, Any]:
    decider = next((one for one in found.matched if one.decided), None)
    if decider is not None:
        why = f"keep: {decider.keep}"
        if not found.reason.startswith("policy:"):
            why += " (used up)" if found.reason.startswith("rate_limited:") else " (not in the sample)"
    else:
        why = "every policy that matches keeps it" if found.matched else "no policy matches"
    outcome: dict[str, Any] = {"kept": found.keep, "by": decider.policy if decider else None, "why": why}
    outcome["policies"] = [one.as_json() for one in found.matched]
    outcome["changed"] = found.changed
    outcome["redacted_by"] = list(found.redacted_by)
    if found.changed:
        outcome["message"] = found.body
    return outcome


def _lines(outcome: dict[str, Any]) -> Iterator[str]:
    verdict = "kept" if outcome["kept"] else "dropped"
    message = harmless(str(outcome["message"]))
    redacted = " (changed)" if outcome["changed"] else ""
    if names := outcome.get("redacted_by"):
        redacted = f" (redacted by {', '.join(names)})"
    yield f"{verdict:<8} {outcome['level']:<8} {message}{redacted}"
    if not outcome["policies"]:
        yield f"    {outcome['why']}"
    for one in outcome["policies"]:
        word = (
            "by"
            if one["decided"]
            else "also by"
            if one["agreed"]
            else "matched by"
            if outcome["kept"]
            else "overridden:"
        )
        why = f", {outcome['why']}" if one["decided"] else f", keep: {one['keep']}"
        yield harmless(f"    {word} {one['policy']} ({one['file']}){why}")
        for condition in one["matchers"]:
            yield harmless(f"        {condition}")
