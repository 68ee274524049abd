"""Between whom a call is, and who called whom: as its records and spans say, masked as they were stored.

Nothing is asked of a carrier, and nothing is guessed: `from` and `to` are also what a change of state is logged with.
"""

from __future__ import annotations

from otel_logging.search.spans import CALL_SPAN

TYPE_CHECKING = False  # `call` waits for this module: it loads nothing that it can do without
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

DIRECTION, FROM, TO = "direction", "from", "to"
_LONGEST = 128  # characters; more is no party


def parties_of(records: Iterable[Record], spans: Iterable[Span], call_sid: str | None) -> dict[str, str]:
    """`direction`, `from` and `to` of a call, as far as they are known.

    The call's own spans have them if it was opened with `call(…, direction=…)`; else a record of the call that names
    its direction.
    """
    found: dict[str, str] = {}
    for span in spans:
        if span.name == CALL_SPAN and span.call_sid == call_sid:
            _take(span.attributes, found)
    if not found:
        told = (record for record in records if record.call_sid == call_sid and record.attribute(DIRECTION))
        for record in told:
            _take(record.attributes, found)
            if len(found) == 3:
                break
    return {name: found[name] for name in (DIRECTION, FROM, TO) if name in found}


def sentence(parties: Mapping[str, str]) -> str:
    """The parties in words: `inbound, from +15550100 to +15550101`."""
    ends = " ".join(f"{name} {parties[name]}" for name in (FROM, TO) if name in parties)
    return ", ".join(part for part in (parties.get(DIRECTION, ""), ends) if part)


def _take(attributes: Mapping[str, Any], found: dict[str, str]) -> None:
    for name in (DIRECTION, FROM, TO):
        if text := _text(attributes, name):
            found.setdefault(name, text)


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""
