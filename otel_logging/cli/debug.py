"""`otel-logging debug`: see everything of one live call, without a restart. Edits the control file, nothing else.

What a rule does is `bridge.overrides`' business, how the file is kept is `boot.control_file`'s.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from otel_logging import ids, settings
from otel_logging.boot import control, control_file
from otel_logging.bridge.overrides import Rule
from otel_logging.cli import DONE, NOTHING, USAGE, common
from otel_logging.private_files import open_folder
from otel_logging.search import clock
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+", re.IGNORECASE)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DEFAULT: Final = 600.0


def main(argv: list[str]) -> int:
    """Add, list or take out debug rules; 1 if there was nothing to take out or list, or the file cannot be used."""
    parser = _parser()
    args = parser.parse_args(argv)
    _check(parser, args)
    read = settings.read({"store": args.store} if args.store else {})
    for problem in read.problems:
        if problem.startswith(("OTEL_LOGGING_STORE=", "OTEL_LOGGING_CONTROL=")):
            common.tell(problem)
    rule = None if args.off or args.list else _rule(args)
    path = control.path_of(read) if read.control is None or not args.store else read_store(read)
    if path is None:
        return _no_file(read, rule)
    try:
        if args.list:
            return _show(args, path, _live(control_file.read(path, for_owner=True)))
        if args.off:
            return _take_out(args, path)
        assert rule is not None  # noqa: S101 (neither --off nor --list)
        return _add(args, path, rule)
    except control_file.FolderRefused as error:
        common.tell(f"{path} {error}")
        return NOTHING
    except control_file.Refused as error:
        common.tell(f"{path} {error}; it is left as it is. `otel-logging debug --off` puts an empty one in its place")
        return NOTHING
    except OSError as error:
        common.tell(f"{path} cannot be used: {error.strerror or error}")
        return NOTHING


def read_store(read: settings.Settings) -> Path | None:
    """A store that is named on the command line means the control file in it."""
    return control.path_of(replace(read, control=None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-logging debug",
        description="Let everything that running processes log of a call reach the exporters, for a while. "
        "Without a restart, and without a line more on the console.",
        allow_abbrev=False,
        epilog="Exit codes: 0 done, 1 nothing found, 2 usage.",
    )
    parser.add_argument("call", metavar="CALL", nargs="?", help="a call id or trace id (with --off also a rule's id)")
    parser.add_argument("--all", action="store_true", help="all calls, and what is logged outside of any")
    parser.add_argument(
        "--where", metavar="K=V", action="append", default=[], type=_pair,
        help="calls that have not begun and will have this attribute; may be repeated, all must hold",
    )  # fmt: skip
    parser.add_argument("--next", metavar="N", type=_calls, help="so many such calls (default: 1)")
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="TIME",
        type=_seconds,
        help="such as 90s, 10m, 1h30m (default: 10m, at most 24h)",
    )
    parser.add_argument("--level", type=_level, help="from which level on (default: DEBUG)")
    parser.add_argument(
        "--logger", metavar="NAME", action="append", default=[], type=_name,
        help="only this logger and those below it; may be repeated. The only way to hear libraries: at DEBUG some "
        "log passwords and tokens",
    )  # fmt: skip
    parser.add_argument("--off", action="store_true", help="take rules out: those of CALL, else all")
    parser.add_argument("--list", action="store_true", help="show the rules in force")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--store", metavar="DIR", help="the store whose control file is meant")
    return parser


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.list and args.off:
        parser.error("--list and --off do not go together")
    targets = (args.call is not None) + args.all + bool(args.where)
    shaping = args.seconds is not None or args.level is not None or args.logger or args.next is not None
    if args.list and (targets or shaping):
        parser.error("--list stands alone")
    if args.off and (args.all or args.where or shaping):
        parser.error("--off takes a call, a rule's id or nothing")
    if targets > 1:
        parser.error("CALL, --all and --where do not go together")
    if not targets and not args.list and not args.off:
        parser.error("which calls? valid: a call id, --all, or --where NAME=VALUE")
    if args.next is not None and not args.where:
        parser.error("--next needs --where")
    if args.call is not None and not ids.is_call_id(_pasted(args.call)):
        parser.error(f"{args.call!r} is no call id; valid: 1 to 128 of A-Z a-z 0-9 . _ : @ -")


def _pasted(text: str) -> str:
    """The id in what somebody pasted: a traceparent names a trace."""
    pasted = ids.parse_pasted(text)
    return pasted.call_sid or pasted.trace_id or ""


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals or len(text) > 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return key, value


def _calls(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= control_file.MAX_CALLS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {control_file.MAX_CALLS}")
    return int(text)


def _seconds(text: str) -> float:
    found = sum(float(amount) * _SECONDS[unit.lower()] for amount, unit in _PART.findall(text))
    if not _DURATION.fullmatch(text) or not 0 < found <= control_file.MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no time up to 24h; valid: 90s, 10m, 1h30m")
    return found


def _level(text: str) -> int:
    found = settings.LEVELS.get(text.upper())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no level; valid: {', '.join(settings.LEVELS)}")
    return found


def _name(text: str) -> str:
    if not 0 < len(text) <= 256:
        raise argparse.ArgumentTypeError("a logger's name has 1 to 256 characters")
    return text


def _rule(args: argparse.Namespace) -> Rule:
    now = round(time.time(), 3)
    return Rule(
        id=control_file.new_id(),
        created=now,
        expires=round(now + (args.seconds or _DEFAULT), 3),
        call=_pasted(args.call) if args.call is not None else None,
        everything=args.all,
        where=tuple(sorted(dict(args.where).items())),
        calls=args.next or 1,
        level=args.level or settings.LEVELS["DEBUG"],
        loggers=tuple(dict.fromkeys(args.logger)),
    )


def _live(rules: Sequence[Rule]) -> list[Rule]:
    now = time.time()
    return [rule for rule in rules if rule.expires > now]


def _no_file(read: settings.Settings, rule: Rule | None) -> int:
    if read.control is None:
        common.tell("no store: name its folder with --store or OTEL_LOGGING_STORE")
        return USAGE
    common.tell(
        "OTEL_LOGGING_CONTROL is a URL, which this command cannot write to; put the document there yourself"
        + (":" if rule is not None else "")
    )
    if rule is not None:
        sys.stdout.write(control_file.document([rule]).decode())
    return USAGE


# -- edits -----------------------------------------------------------------------------------------------------------


def _add(args: argparse.Namespace, path: Path, rule: Rule) -> int:
    if not path.parent.is_dir():
        open_folder(path.parent, for_owner=True).close()
        common.tell(f"{path.parent} did not exist; is it the folder that the service uses?")
    with control_file.locked(path):
        rules = _live(control_file.read(path, for_owner=True))
        same = next((one for one in rules if _scope(one) == _scope(rule)), None)
        if same is not None:
            rules.remove(same)
            if rule.where:  # said again: it is the next calls from now on that are meant
                same = None
            else:  # the same rule, for another while
                rule = replace(rule, id=same.id, created=same.created)
        if len(rules) >= control_file.MAX_RULES:
            common.tell(f"{control_file.MAX_RULES} rules are in force already; take some out with --off")
            return NOTHING
        control_file.write(path, [*rules, rule])
    if args.json:
        common.print_json([_object(path, [*rules, rule], added=rule.id)])
        return DONE
    common.print_lines(
        [
            harmless(f"{'changed' if same else 'added'} {_line(rule)}"),
            harmless(f"written to {path}; processes that share it notice within 2 seconds"),
            f"what it lets through goes to their exporters as otel_logging.trigger={rule.trigger}, not to the console",
        ]
    )
    return DONE


def _scope(rule: Rule) -> tuple[Any, ...]:
    return rule.call, rule.everything, rule.where, rule.calls, rule.level, rule.loggers


def _take_out(args: argparse.Namespace, path: Path) -> int:
    if not path.parent.is_dir():
        return _nothing(args, path)
    with control_file.locked(path):
        try:
            rules = _live(control_file.read(path, for_owner=True))
        except control_file.Refused:
            if args.call is not None:
                raise
            control_file.write(path, ())
            common.tell(f"what {path} held was of no use; it is empty now")
            return _show(args, path, [], found=DONE)
        gone = [rule for rule in rules if args.call is None or _is(rule, args.call)]
        if not gone:
            return _nothing(args, path)
        control_file.write(path, [rule for rule in rules if rule not in gone])
    if args.json:
        left = [rule for rule in rules if rule not in gone]
        common.print_json([_object(path, left, removed=[rule.id for rule in gone])])
    else:
        common.print_lines(harmless(f"took out {_line(rule)}") for rule in gone)
        common.print_lines([harmless(f"written to {path}; processes that share it notice within 2 seconds")])
    return DONE


def _is(rule: Rule, text: str) -> bool:
    return text == rule.id or (rule.call is not None and bool(rule.traces & Rule("", 0.0, call=_pasted(text)).traces))


def _nothing(args: argparse.Namespace, path: Path) -> int:
    if args.json:
        common.print_json([_object(path, [])])
    common.tell(f"no such rule is in force in {path}")
    return NOTHING


# -- showing ---------------------------------------------------------------------------------------------------------


def _show(args: argparse.Namespace, path: Path, rules: list[Rule], found: int | None = None) -> int:
    if args.json:
        common.print_json([_object(path, rules)])
    else:
        common.print_lines(harmless(_line(rule)) for rule in rules)
        common.tell(f"{common.plural(len(rules), 'rule')} in {path}")
    return (DONE if rules else NOTHING) if found is None else found


def _object(path: Path, rules: Sequence[Rule], **more: Any) -> dict[str, Any]:
    return {"control": str(path), **more, "debug": [control_file.as_json(rule) for rule in rules]}


def _line(rule: Rule) -> str:
    return " ".join(_words(rule))


def _words(rule: Rule) -> Iterator[str]:
    level = next(name for name, number in settings.LEVELS.items() if number == rule.level)
    yield f"{rule.id}: {level} and above of"
    if rule.call is not None:
        yield f"call {rule.call},"
    elif rule.everything:
        yield "everything,"
    else:
        where = " and ".join(f"{key}={value}" for key, value in rule.where)
        yield f"the next {common.plural(rule.calls, 'call')} with {where},"
    yield f"loggers {', '.join(rule.loggers)}," if rule.loggers else "all loggers but quiet libraries,"
    yield f"until {clock.local(int(rule.expires * 1e9))[:-4]}"
