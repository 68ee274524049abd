"""The command `otel-logging`: which verb is meant, and nothing else. Each verb is one file, imported only when it runs.

Exit codes: 0 done, 1 nothing found, 2 wrong usage. Results go to stdout, everything about them to stderr.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

DONE: Final = 0
NOTHING: Final = 1
USAGE: Final = 2
_INTERRUPTED: Final = 130

VERBS: Final = {
    "run": "start a program with otel-logging in each of its processes: run [--local] -- CMD ARGS...",
    "call": "one call of all services in time order, whatever you paste: call id, trace id, traceparent, prefix",
    "search": "records by text, level, service, time, attribute, pattern",
    "calls": "the calls of the store, newest first",
    "await": "wait until records are there, or a call has ended; for tests and scripts",
    "serve": "the calls as pages in a browser, on this machine only",
    "recall": "bring back what was remembered of a call that ended well",
    "policy": "why a record is kept or dropped, what is wrong with policy files: policy check|explain|eval",
    "stats": "what the store holds",
    "volume": "how much is logged: by call, service, day, level, loudest lines; and in a month",
    "doctor": "what is wrong between the application and its back end, and what to do about it",
    "debug": "see everything of a live call for a while, without a restart: debug CALL --for 10m",
    "demo": "a small voice service under otel-logging, called for real",
}

_BRIEF: Final = frozenset({"call", "search"})  # over before there is garbage worth collecting
_FILES: Final = {"await": "wait"}  # Python keeps that word for itself


def main(argv: Sequence[str] | None = None) -> int:  # noqa: C901 (one option after the other)
    """Run the verb in `argv` (by default this process's arguments) and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    leading: list[str] = []
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option in {"-h", "--help"}:
            print(_help())
            return DONE
        if option in {"-V", "--version"}:
            print(f"otel-logging {_version()}")
            return DONE
        if option != "--store" and not option.startswith("--store="):
            return _wrong(f"unknown option {option}")
        leading.append(option)
        if option == "--store":
            if not arguments:
                return _wrong("--store needs a folder")
            leading.append(arguments.pop(0))
    if not arguments:
        return _wrong("a verb is missing")
    verb = arguments.pop(0)
    if verb not in VERBS:
        return _wrong(f"unknown verb {verb!r}")
    brief = argv is None and verb in _BRIEF and "--follow" not in arguments
    if brief:
        gc.disable()
    name = f"otel_logging.cli.{_FILES.get(verb, verb)}"
    __import__(name)  # not by importlib, which is not light
    module = sys.modules[name]
    code = _run(module.main, leading + arguments)
    if brief:
        gc.freeze()  # or everything is looked at once more at the end
    return code


def _run(verb: Callable[[list[str]], int], arguments: list[str]) -> int:
    try:
        code = verb(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. What is still buffered must not raise at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except SystemExit as end:  # argparse: 0 after --help, 2 after wrong usage
        return end.code if isinstance(end.code, int) else USAGE
    return code


def _wrong(why: str) -> int:
    print(f"otel-logging: {why}\n\n{_help()}", file=sys.stderr)
    return USAGE


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {sentence}" for verb, sentence in VERBS.items())
    return (
        f"usage: otel-logging [--store DIR] VERB ...\n\nverbs:\n{verbs}\n\n"
        "`otel-logging VERB --help` tells the rest; `otel-logging --version` the version.\n"
        "Exit codes: 0 done, 1 nothing found, 2 wrong usage."
    )


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("otel-logging")
    except metadata.PackageNotFoundError:
        return "(not installed)"
