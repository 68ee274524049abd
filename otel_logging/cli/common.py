"""What the verbs that read a store share: their options, where the store is, how they print."""

from __future__ import annotations

import os
import sys
from itertools import islice

from otel_logging.cli import DONE, NOTHING, USAGE
from otel_logging.search import clock
from otel_logging.search.text import harmless, json_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from otel_logging.search.local import Searched
    from otel_logging.search.one_call import Ambiguous, NotFound
    from otel_logging.search.source import Ask, Source

TABLE, LINES, OBJECT, PAGE = "table", "jsonl", "json", "html"
_AT_ONCE = 250  # lines in one write; many more at once would take new memory, and four times as much for one emoji
_LISTED = 20  # candidates shown for an ambiguous prefix


def parser(verb: str, description: str) -> argparse.ArgumentParser:
    """An argument parser with the options that every reading verb has."""
    import argparse

    made = argparse.ArgumentParser(
        prog=f"otel-logging {verb}",
        description=description,
        allow_abbrev=False,
        epilog="Exit codes: 0 done, 1 nothing found, 2 usage.",
        formatter_class=_formatter,
    )
    made.add_argument(
        "--store",
        metavar="DIR",
        help="folder of the local store (default: OTEL_LOGGING_STORE, else the user's state folder)",
    )
    return made


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Help as wide as the terminal; argparse would import shutil to find out, for every argument there is."""
    import argparse

    room = os.environ.get("COLUMNS", "")
    return argparse.HelpFormatter(prog, width=max((int(room) if room.isdigit() else columns() or 80) - 2, 20))


def add_format(made: argparse.ArgumentParser, lines: str, *, page: bool = False) -> None:
    """Add `--json` and `--format`; `lines` says what one JSON line is, `page` whether there is an HTML page."""
    made.add_argument(
        "--format",
        choices=(TABLE, LINES, OBJECT, *((PAGE,) if page else ())),
        default=TABLE,
        help=f"table for people, jsonl: {lines} a line, json: one object"
        + (", html: one self-contained file of one call" if page else ""),
    )
    made.add_argument("--json", dest="format", action="store_const", const=LINES, help="the same as --format jsonl")


def moment(text: str) -> int:
    """Argparse type of `--since` and `--until`."""
    try:
        return clock.parse_moment(text, clock.now())
    except ValueError as error:
        import argparse

        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """Argparse type of a number that is not negative."""
    if not (text.isascii() and text.isdigit()):
        import argparse

        raise argparse.ArgumentTypeError(f"{text!r} is no number; valid: 0, 1, 2, ...")
    return int(text)


def store_of(args: argparse.Namespace) -> Path:
    """The store's folder; raises as `place_of`."""
    from pathlib import Path

    return Path(place_of(args.store))


def place_of(given: str | None) -> str:
    """The store's folder as text: what `--store` gave, or the usual one.

    Ends the process with a usage error where there is neither a setting nor a home folder.
    """
    usual = _usual_store(given)
    if usual is not None:
        return usual
    from otel_logging import settings

    # As a writer to the local store would choose it, a home folder missing included.
    read = settings.read({"logs_exporter": "local", "store": given})
    for problem in read.problems:
        if problem.startswith("OTEL_LOGGING_STORE="):
            tell(problem)
    if read.store is None:
        tell("no store: name its folder with --store or OTEL_LOGGING_STORE")
        raise SystemExit(USAGE)
    return str(read.store)


def _usual_store(given: str | None) -> str | None:
    """The store where there is nothing to say about it, without the table of settings: half of a look-up's time."""
    from otel_logging.places import default_place

    text = os.environ.get("OTEL_LOGGING_STORE") if given is None else given
    if text is None:
        return default_place(os.environ)
    return text if text.strip() == text and text and "\0" not in text and text[0] != "~" else None


def tell(sentence: str) -> None:
    """One line to the person, on stderr."""
    print(f"otel-logging: {harmless(sentence)}", file=sys.stderr)


def colours() -> bool:
    """Whether stdout is a terminal that wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int | None:
    """Columns of the terminal on stdout, None where it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None if sys.stdout.isatty() else None
    except (OSError, ValueError):
        return None


def print_json(values: Iterable[Mapping[str, Any]]) -> None:
    """Each value as one JSON line, readable where stdout can carry it."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    for value in values:
        sys.stdout.write(json_line(value, ascii_only=ascii_only) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Lines as they are; what stdout's encoding cannot carry is escaped instead of ending the command."""
    encoding = sys.stdout.encoding or "utf-8"
    left = iter(lines)
    while some := list(islice(left, _AT_ONCE)):
        text = "\n".join([*some, ""])
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def flush() -> None:
    """What is printed shall be seen now."""
    sys.stdout.flush()


def plural(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `2,000 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def searched_line(searched: Searched) -> str:
    """What was looked at: `searched 3 files, 1,204 lines in /var/lib/otel-logging`, and each back end in its words."""
    asked = getattr(searched, "asked", [])
    parts = []
    if searched.store or not asked:
        read = [plural(searched.files, "file"), plural(searched.lines, "line")]
        if searched.broken:
            read.append(f"{plural(searched.broken, 'broken line')} skipped")
        if searched.unfinished:
            read.append(f"{plural(searched.unfinished, 'unfinished line')} left")
        parts.append(f"{', '.join(read)} in {searched.store}" if searched.store else "nothing")
    return f"searched {'; '.join([*parts, *asked])}"


def total_text(total: int, noun: str, searched: Searched) -> str:
    """How many there are in all; `at least` where a back end has more than was read."""
    return ("at least " if getattr(searched, "more", False) else "") + plural(total, noun)


def tell_problems(searched: Searched) -> None:
    """One line for each file that was not read, and for each back end that did not answer."""
    for problem in searched.problems:
        tell(f"not read: {problem}")
    for failed in getattr(searched, "failed", ()):
        tell(f"no whole answer from {failed}")


def code_of(found: object, searched: Searched) -> int:
    """0 if something was found and everybody answered, else 1."""
    return DONE if found and not getattr(searched, "failed", ()) else NOTHING


def tell_native(source: Source, ask: Ask) -> None:
    """What each place is asked, in its own language, on stderr."""
    for text in source.explain(ask):
        for line in text.split("\n"):
            print(f"  {harmless(line)}", file=sys.stderr)


def nothing_found(error: NotFound, store: Path | None) -> int:
    """Say that nothing was found and where; returns the exit code."""
    tell_problems(error.searched)
    tell(f"{error}; {searched_line(error.searched)}")
    if store is not None and not store.is_dir():
        tell("that folder does not exist; is OTEL_LOGGING_STORE the one the service writes to?")
    return NOTHING


def ambiguous(error: Ambiguous) -> int:
    """List what a prefix or a shared trace may mean; returns the exit code."""
    tell(f"{error}; paste more of the one you mean:")
    for candidate in error.candidates[:_LISTED]:
        services = ", ".join(sorted(candidate.services))
        line = f"  {candidate.name}  {clock.local(candidate.first)}  {services}"
        print(harmless(line), file=sys.stderr)
    if len(error.candidates) > _LISTED:
        print(f"  and {len(error.candidates) - _LISTED:,} more", file=sys.stderr)
    return USAGE
