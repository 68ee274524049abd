"""One record as lines of a table on a terminal. Shared by every verb that shows records; knows nothing of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_logging.search.text import cells, harmless, harmless_lines, pad, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_logging.search.record import Record

MARK = "~"  # a recovered record
BOLD, DIM, YELLOW, RED, BRIGHT_RED = "1", "2", "33", "31", "1;31"
_COLOURS = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": BRIGHT_RED, "DEBUG": DIM}
_INDENT = " " * 12  # continuation lines never start where a record does, so that no message can forge a record
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
) -> Iterator[str]:
    """The record's line, `+03:12.481  INFO     service  [logger] message`, then indented what does not fit in one.

    Args:
        record: the record.
        when: its time, ready to print.
        service_width: columns of the service names.
        width: columns of the terminal, or None to leave long lines whole.
        colour: paint levels and marks.
        call: shown before the message where records of several calls are mixed.
    """
    level = record.level
    mark = f" {MARK}" if record.recovered else "  "
    service = pad(harmless(record.service), service_width)
    logger = f"[{harmless(record.logger)}] " if record.logger else ""
    first, *more = harmless_lines(record.body or record.event_name)
    plain = f"{when}{mark}{level:<8} {service}  {call}{logger}"
    # Painted after measuring: escapes take no columns.
    painted = plain.replace(f"{mark}{level}", f"{mark}{paint(level, _COLOURS.get(level, ''), colour=colour)}", 1)
    if width is None or width < _NARROW:
        yield painted + first
        yield from ((_INDENT + line).rstrip() for line in more)
    else:
        inner = width - len(_INDENT)
        beside = max(width - cells(plain), 20)  # columns left for the message on the record's own line
        head = next(wrap(first, beside))
        yield painted + head
        rest = first[len(head) :].removeprefix(" ")
        for line in [rest, *more] if rest else more:
            yield from ((_INDENT + piece).rstrip() for piece in wrap(line, inner))
    if record.exception:
        for line in harmless_lines(record.exception):
            yield (_INDENT + line).rstrip()
