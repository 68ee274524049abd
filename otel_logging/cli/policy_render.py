"""`otel-logging policy render --to collector`: the same rules as configuration of the OpenTelemetry Collector."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging.cli import DONE, NOTHING, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_logging.policy.load import Loaded
    from otel_logging.settings import Settings

_NO_PRIVACY: Final = "none"  # beside what OTEL_LOGGING_PRIVACY may be


def main(argv: list[str]) -> int:
    """Print or write the file; 1, and nothing is written, if something is refused or cannot be read."""
    parser = argparse.ArgumentParser(
        prog="otel-logging policy render",
        description="Turn policies into processors of the OpenTelemetry Collector: filter/policies and the like.",
        allow_abbrev=False,
        epilog="Exit codes: 0 done, 1 refused, or a file cannot be read or written, 2 usage.",
    )
    parser.add_argument("--to", choices=("collector",), required=True, help="what is to carry the rules out")
    parser.add_argument(
        "--policies", metavar="FILE", nargs="+", help="as OTEL_LOGGING_POLICIES, which is the default; or several words"
    )
    parser.add_argument(
        "--privacy", metavar="MODE", help="as OTEL_LOGGING_PRIVACY, the default; none: none of the bundled"
    )
    parser.add_argument(
        "--approximate", action="store_true", help="what the Collector cannot do exactly comes near, with a note"
    )
    parser.add_argument("--output", metavar="FILE", help="where to write it; default: stdout")
    parser.add_argument("--json", action="store_true", help="one JSON object: processors, notes, refused")
    args = parser.parse_args(argv)
    try:
        read = _settings(args)
    except ValueError as error:
        parser.error(str(error))
    from otel_logging.policy.collector_file import document, yaml_text
    from otel_logging.policy.render import render
    from otel_logging.policy.sets import asked_for

    privacy = _NO_PRIVACY if args.privacy == _NO_PRIVACY else read.privacy
    policies, loaded = asked_for(read.policies, privacy)
    for sentence in loaded.errors:
        common.tell(sentence)
    rendered = render(policies, approximate=args.approximate)
    for sentence in rendered.refused:
        common.tell(sentence)
    failed = bool(rendered.refused or _unread(loaded))
    if args.json:
        content = {} if failed else document(rendered)
        common.print_json([{**content, "notes": list(rendered.notes), "refused": list(rendered.refused)}])
    if failed:
        return NOTHING
    text = yaml_text(rendered, _command(read.policies, privacy, approximate=args.approximate))
    if args.output is None:
        if not args.json:
            common.print_lines(text.splitlines())
    else:
        try:
            Path(args.output).write_text(text, encoding="utf-8")
        except OSError as error:
            common.tell(f"{args.output}: cannot be written ({error.strerror or error})")
            return NOTHING
    counts = {"condition": rendered.conditions, "statement": rendered.statements, "note": rendered.notes}
    said = ", ".join(common.plural(len(lines), noun) for noun, lines in counts.items())
    common.tell(f"{said} in {args.output}" if args.output else said)
    return DONE


def _settings(args: argparse.Namespace) -> Settings:
    from otel_logging import settings

    privacy = None if args.privacy == _NO_PRIVACY else args.privacy
    read = settings.read({"policies": ",".join(args.policies) if args.policies else None, "privacy": privacy})
    for problem in read.problems:
        if problem.startswith("OTEL_LOGGING_PRIVACY="):
            if privacy is not None:
                raise ValueError(problem)
            common.tell(problem)
    return read


def _unread(loaded: Loaded) -> bool:
    """Whether a whole file is missing. A broken policy is not in force in the application either."""
    return len(loaded.errors) > sum(len(policy.errors) for policy in loaded.policies)


def _command(policies: Sequence[str], privacy: str, *, approximate: bool) -> str:
    words = ["otel-logging", "policy", "render", "--to", "collector", "--policies", ",".join(policies)]
    return shlex.join([*words, "--privacy", privacy, *(["--approximate"] if approximate else [])])
