"""`otel-logging policy VERB`: which of its verbs is meant, and nothing else. Each is a file of its own."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Final, cast

from otel_logging.cli import DONE, USAGE, common

if TYPE_CHECKING:
    from collections.abc import Callable

VERBS: Final = {
    "check": "read policy files and say what is wrong with them: file, policy, place",
    "explain": "why a message, a log file's records or a call's are kept or dropped: by which policy, matcher, file",
    "eval": "apply policies to OTLP/JSON and count, as the conformance suite's runners do",
    "render": "the same rules as configuration of the OpenTelemetry Collector",
}


def main(argv: list[str]) -> int:
    """Run the verb in `argv`; exit codes as all of the command's."""
    taken = 2 if argv[:1] == ["--store"] else 1 if argv and argv[0].startswith("--store=") else 0
    argv = [*argv[taken : taken + 1], *argv[:taken], *argv[taken + 1 :]]  # it belongs to the verb
    if not argv or argv[0] in {"-h", "--help"}:
        print(_help(), file=sys.stdout if argv else sys.stderr)
        return DONE if argv else USAGE
    if argv[0] not in VERBS:
        common.tell(f"unknown verb {argv[0]!r} of `policy`")
        print(_help(), file=sys.stderr)
        return USAGE
    module = importlib.import_module(f"otel_logging.cli.policy_{argv[0]}")
    return cast("Callable[[list[str]], int]", module.main)(argv[1:])


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {sentence}" for verb, sentence in VERBS.items())
    return (
        f"usage: otel-logging policy VERB ...\n\nverbs:\n{verbs}\n\n`otel-logging policy VERB --help` tells the rest."
    )
