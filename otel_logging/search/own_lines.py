"""Records as our own writers put them into a line, and as the Collector's file exporter does: read without JSON.

Both write compact JSON with the keys in the order of the protocol, and in nearly all records a message without escapes,
a few attributes that are no lists, a trace and a span. Such a record is cut at the places that are known, several times
faster than it is parsed. What looks different in any way is left to `json` and `otlp`, record by record.

Only for texts that are known to be JSON: then a quote can stand within a text only behind a backslash, so that where
there is no backslash, no text can look like the end of itself.
"""

from __future__ import annotations

import json
import re

from otel_logging.search.otlp import attributes, record_of
from otel_logging.search.record import Record, dull, hex_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from otel_logging.search.otlp import Owner

# One record on each line, as bytes; what is none is the last group. Whether the values are what they should be is seen
# afterwards, many at a time: for `re`, "anything but a quote" is much quicker than "one of these characters".
_ROWS: Final = (
    rb'^(?:\{"timeUnixNano":"([^"]*)",(?:"observedTimeUnixNano":"([^"]*)",)?"severityNumber":([^,]*),'
    rb'"severityText":"([^"]*)","body":\{"stringValue":"([^"]*)"\},"attributes":\[([^\]]*)\](?:,"flags":[0-9]+)?'
    rb'(?:,"traceId":"([^"]*)","spanId":"([^"]*)")?\}|(.+))$'
)
_NUMBERS: Final = {str(number).encode(): number for number in range(1, 25)}
_CALL: Final = b"call_sid"
_LOGGER: Final = b"logger.name"
_HEX: Final = b"0123456789abcdef"
_NO_TIME: Final = b"0" * 19  # then it is the time when the record was seen


def records_of(pieces: list[bytes], owner: Owner, source: str) -> list[Record]:
    """The records of which these are the texts, parts of a line that is known to be JSON.

    Raises:
        ValueError: one of them is no JSON object after all, or no UTF-8.
        AttributeError: one of them is no JSON object.
    """
    rows = re.findall(_ROWS, b"\n".join(pieces), re.MULTILINE)
    if _usual(rows):
        return _made(rows, owner, source)
    marks = [_usual([row]) for row in rows]
    usual = iter(_made([row for row, mark in zip(rows, marks, strict=True) if mark], owner, source))
    return [
        next(usual) if mark else record_of(json.loads(piece), owner, source)
        for mark, piece in zip(marks, pieces, strict=True)
    ]


def _usual(rows: list[tuple[bytes, ...]]) -> bool:
    """Whether all values of some records are plain texts without escapes, ids and times what they should be."""
    times, seens, numbers, levels, bodies, attributes, traces, spans, others = zip(*rows, strict=True)
    texts, pairs = b"\n".join([b"", *bodies, *set(levels)]), b"".join(attributes)
    return not (
        any(others)
        or b"\\" in texts
        or b"\n{" in texts  # a console line may stand in it
        or b"\\" in pairs
        or b"[" in pairs
        or any(pairs.count(b'"' + name + b'"') != pairs.count(_named(name)) for name in (_CALL, _LOGGER))
        or not _NUMBERS.keys() >= set(numbers)
        or set(map(len, times)) != {19}
        or _NO_TIME in times
        or not set(map(len, seens)) <= {0, 19}
        or not b"".join([*times, *seens]).isdigit()
        or not set(map(len, traces)) <= {0, 32}
        or not set(map(len, spans)) <= {0, 16}
        or b"".join([*set(traces), *spans]).translate(None, _HEX)
    )


def _named(name: bytes) -> bytes:
    """What stands before the text of an attribute."""
    return b'{"key":"' + name + b'","value":{"stringValue":"'


def _made(rows: list[tuple[bytes, ...]], owner: Owner, source: str) -> list[Record]:
    """The records of rows that are all usual."""
    if not rows:
        return []
    times, seens, numbers, levels, bodies, pairs, traces, spans, _ = zip(*rows, strict=True)
    whole = b"".join(pairs)
    whole.decode()  # is it UTF-8?
    boring = dull(whole)
    known = {text: text.decode() for text in {*levels, *traces}}
    ids = {text: hex_id(known[text], 32) for text in set(traces)}
    return [
        Record(
            time, seen, number, known[level], body, owner.service, logger or owner.scope, call_sid or None, ids[trace],
            span if span.strip("0") else None, None, owner.resource, "", source, pair,
            boring or dull(pair),
        )
        for time, seen, number, level, body, call_sid, logger, trace, span, pair in zip(
            map(int, times), [int(seen or 0) for seen in seens], map(_NUMBERS.__getitem__, numbers), levels,
            b"\n".join(bodies).decode().split("\n"), _values(pairs, _CALL), _values(pairs, _LOGGER), traces,
            b"\n".join(spans).decode().split("\n"), pairs, strict=True,
        )
    ]  # fmt: skip


def _values(pairs: Sequence[bytes], name: bytes) -> Iterator[str]:
    """The texts of one attribute of each record, empty where there is none. The last one counts."""
    known: dict[bytes, str] = {}
    whole = _named(name)
    size = len(whole)
    # Where all of them stand in front, as our own writers put a call, none need be looked for from behind.
    first = sum([pair.startswith(whole) for pair in pairs]) == b"\n".join(pairs).count(whole)
    for pair in pairs:
        place = (0 if pair.startswith(whole) else -1) if first else pair.rfind(whole)
        if place < 0:
            yield ""
            continue
        place += size
        text = pair[place : pair.find(b'"', place)]
        if text not in known:
            known[text] = text.decode()
        yield known[text]


def attributes_of(pairs: bytes) -> dict[str, Any]:
    """The attributes of a record, from the text between the brackets; without those that are fields of the record."""
    made = attributes(json.loads(b"[" + pairs + b"]"))
    made.pop("logger.name", None)
    made.pop("call_sid", None)
    return made
