"""One record as lines of a table on a terminal. Shared by every verb that shows records; knows nothing of queries."""

from __future__ import annotations

from functools import lru_cache

from otel_logging.search.record import level_of
from otel_logging.search.text import cells, harmless, harmless_lines, pad, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_logging.search.record import Record

MARK = "~"  # a recovered record
BOLD, DIM, YELLOW, RED, BRIGHT_RED = "1", "2", "33", "31", "1;31"
_COLOURS = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": BRIGHT_RED, "DEBUG": DIM}
_INDENT = " " * 12  # continuation lines never start where a record does, so that no message can forge a record
_RETURN = "\r"
_NARROW = 60  # below this many columns wrapping makes things worse
_LONGEST_SERVICE = 24


def paint(text: str, code: str, *, colour: bool) -> str:
    """The text in an ANSI colour, or as it is."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def service_width(records: Sequence[Record]) -> int:
    """Columns that the service names of these records need."""
    return min(
        max((cells(harmless(name)) for name in {record.service for record in records}), default=0), _LONGEST_SERVICE
    )


def table_lines(
    record: Record, when: str, *, service_width: int = 0, width: int | None = None, colour: bool = False, call: str = ""
) -> list[str]:
    """The record's line, `+03:12.481  INFO     service  [logger] message`, then indented what does not fit in one.

    Args:
        record: the record.
        when: its time, ready to print.
        service_width: columns of the service names.
        width: columns of the terminal, or None to leave long lines whole.
        colour: paint levels and marks.
        call: shown before the message where records of several calls are mixed.
    """
    text, exception = record.body or record.event_name, "" if record.dull else record.exception
    plain, painted = _head(
        record.severity, record.severity_text, not record.dull and record.recovered, record.service, record.logger,
        service_width, call, colour,
    )  # fmt: skip
    if width is None or width < _NARROW:
        if not exception and "\n" not in text:  # nearly all
            return [f"{when}{painted}{harmless(text.rstrip(_RETURN))}"]
        first, *more = harmless_lines(text)
        made = [when + painted + first, *[(_INDENT + line).rstrip() for line in more]]
    else:
        first, *more = harmless_lines(text)
        inner = width - len(_INDENT)
        beside = max(width - cells(when + plain), 20)  # columns left for the message on the record's own line
        head = next(wrap(first, beside))
        made = [when + painted + head]
        rest = first[len(head) :].removeprefix(" ")
        for line in [rest, *more] if rest else more:
            made += [(_INDENT + piece).rstrip() for piece in wrap(line, inner)]
    if exception:
        made += [(_INDENT + line).rstrip() for line in harmless_lines(exception)]
    return made


def head_of(record: Record, *, service_width: int, colour: bool) -> str:
    """What stands between the time and the message of a record that was not recovered, as `table_lines` has it."""
    return _head(
        record.severity, record.severity_text, False, record.service, record.logger, service_width, "", colour
    )[1]  # fmt: skip


@lru_cache(512)
def _head(
    severity: int, said: str, recovered: bool, service: str, logger: str, room: int, call: str, colour: bool
) -> tuple[str, str]:
    """What stands between the time and the message, plain and painted."""
    level = level_of(severity, said)
    mark = f" {MARK}" if recovered else "  "
    rest = (
        f"{' ' * (8 - len(level))} {pad(harmless(service), room)}  {call}{f'[{harmless(logger)}] ' if logger else ''}"
    )
    return f"{mark}{level}{rest}", f"{mark}{paint(level, _COLOURS.get(level, ''), colour=colour)}{rest}"
