"""The facts of all records of our own writers' lines, and of the Collector's, without JSON: for the index.

Nothing is known of these lines yet, so that the pattern here takes only what is JSON for certain: every text is without
escapes and control characters, every record has its keys in the order of the protocol, and what stands around the
records was parsed once. The rest is for `json` and `glance`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otel_logging.search import glance
from otel_logging.search.digest import Columns
from otel_logging.search.record import RECOVERED, hex_id
from otel_logging.search.slices import END, FIRST, NEXT, RECORDS, owner_of_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_logging.search.otlp import Owner

# Of texts without backslashes and control characters, that is.
_PAIR: Final = (
    rb'\{"key":"[^"]*","value":\{"(?:stringValue":"[^"]*"|intValue":"-?[0-9]+"|boolValue":(?:true|false)'
    rb'|doubleValue":-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\}\}'
)
# One record on each line, from its time on and without its last brace; what is none is the last group.
_ROWS: Final = re.compile(
    rb'^(?:([^"]*)",(?:"observedTimeUnixNano":"[^"]*",)?"severityNumber":([^,]*),"severityText":"[^"]*",'
    rb'"body":\{"stringValue":"(\{?)[^"]*"\},'
    rb'"attributes":\[((?:\{"key":"call_sid","value":\{"stringValue":"([^"]*)"\}\}|'
    + _PAIR
    + rb")(?:,"
    + _PAIR
    + rb")*)\]"
    rb'(?:,"flags":[1-9][0-9]*)?(?:,"traceId":"([^"]*)")?(?:,"spanId":"([^"]*)")?|(.+))$',
    re.MULTILINE,
)
_NO_CONTROLS: Final = bytes(92 if code < 32 and code != 10 else code for code in range(256))  # backslashes instead
_RANKS: Final = {str(number).encode(): glance.RANKS[number] for number in range(1, 25)}
_NAMED_CALL: Final = b'{"key":"call_sid",'
_CALL: Final = _NAMED_CALL + b'"value":{"stringValue":"'
_NAMED_RECOVERED: Final = b'{"key":"' + RECOVERED.encode() + b'",'
_RECOVERED: Final = _NAMED_RECOVERED + b'"value":{"boolValue":true}}'
_DIGITS: Final = 19  # of a time from 2001 to 2286
_HEADS: Final = 1000
_OFTEN: Final = 50_000  # ids remembered


class LineFacts:
    """Reads lines; remembers what stands around the records of those it has seen, and the ids."""

    def __init__(self) -> None:
        self._owners: dict[bytes, Owner | None] = {}
        self._calls: dict[bytes, str | None] = {}
        self._traces: dict[bytes, str | None] = {}

    def of(self, lines: Sequence[bytes]) -> Columns | None:
        """The facts of all records of some lines, those of `glance.facts`, or None: ask `json`.

        None for a single line that is JSON is possible, facts for one that is not are not.
        """
        if not lines:
            return None
        areas: list[bytes] = []
        services: list[str] = []
        for line in lines:
            area = line.find(RECORDS) + len(RECORDS)
            head = line[:area]
            if head not in self._owners:
                if len(self._owners) > _HEADS:
                    self._owners.clear()
                self._owners[head] = owner_of_head(head)
            owner = self._owners[head]
            if owner is None or not line.startswith(FIRST, area) or not line.endswith(END):
                return None
            areas.append(line[area + len(FIRST) : -len(END) - 1])
            services.append(owner.service)
        whole = b"\n".join(areas).replace(NEXT, b"\n")
        if b"\\" in whole.translate(_NO_CONTROLS) or not _is_utf8(whole):
            return None
        rows = _ROWS.findall(whole)
        if len(set(services)) == 1:
            services = services[:1] * (whole.count(b"\n") + 1)
        else:
            services = [service for area, service in zip(areas, services, strict=True) for _ in area.split(NEXT)]
        return self._facts(rows, services) if len(rows) == len(services) else None  # an empty one is no row

    def _facts(self, rows: list[tuple[bytes, ...]], services: list[str]) -> Columns | None:  # noqa: C901, PLR0912 (checks)
        stamps, numbers, consoles, attributes, named, traces, spans, others = zip(*rows, strict=True)
        pairs = b"".join(attributes)
        if (
            any(others)
            or any(consoles)  # a console line may stand in the message
            or not _RANKS.keys() >= set(numbers)
            or set(map(len, stamps)) != {_DIGITS}
            or not b"".join(stamps).isdigit()
        ):
            return None
        if pairs.count(_NAMED_CALL) != len(named) - named.count(b""):  # it is not the first one, or no text, or twice
            if pairs.count(_NAMED_CALL) != pairs.count(_CALL):
                return None
            named = tuple(map(_named_in, attributes))
        recovered: list[bool] = []
        if _NAMED_RECOVERED in pairs:
            if pairs.count(_NAMED_RECOVERED) != pairs.count(_RECOVERED):
                return None
            recovered = [_RECOVERED in pair for pair in attributes]
        times = list(map(int, stamps))
        if min(times) <= 0:
            return None
        calls, ids = self._calls, self._traces
        for text in {text for text in named if text not in calls}:
            calls[text] = text.decode() or None
        for text in {text for text in traces if text not in ids}:
            ids[text] = hex_id(text.decode(), 32)
        keys: list[str | tuple[str, str | None] | None] = [*map(calls.__getitem__, named)]
        found = [*map(ids.__getitem__, traces)]
        if b"" in named:
            for number, name in enumerate(named):
                if not name:
                    keys[number] = _loose(found[number], spans[number])
        made = Columns(keys, found, times, list(map(_RANKS.__getitem__, numbers)), services, recovered)
        for known in (calls, ids):
            if len(known) > _OFTEN:
                known.clear()
        return made


def _loose(trace: str | None, span: bytes) -> tuple[str, str | None] | None:
    """What a record without a call is counted under."""
    return None if trace is None else (trace, hex_id(span.decode(), 16))


def _named_in(pairs: bytes) -> bytes:
    """The call that a record names; of several, the last."""
    place = pairs.rfind(_CALL)
    return b"" if place < 0 else pairs[place + len(_CALL) : pairs.find(b'"', place + len(_CALL))]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
