"""No exported record is larger than the back ends take: 1 MB as JSON, at Datadog and at CloudWatch alike.

They cut or refuse what is larger, some with the whole request. So the longest parts are cut here, each to the same
length, and say by how much. Only records that may be too large are measured: the queue knows a rough size of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord

MAX_BYTES: Final = 900_000  # of one record as JSON; the rest of the megabyte is for what a Collector writes around it
SUSPECT: Final = MAX_BYTES // 6  # of the rough size, in characters: a control character takes six bytes in JSON
_PER_ATTRIBUTE: Final = 8  # bytes of quotes, colon and comma
_MARKER: Final = 64  # bytes for what says that something was cut


def fit(record: LogRecord) -> int:
    """Cut `record`, whose attributes others may share, to `MAX_BYTES`; gives the bytes that it has then."""
    given: Any = record.attributes
    attributes = dict(given or {})
    over = 0
    room = MAX_BYTES // 2
    for key in list(attributes):
        room -= _bytes(key) + _PER_ATTRIBUTE
        if room < 0:
            del attributes[key]
            over += 1
    names = MAX_BYTES // 2 - max(room, 0)
    sizes = {key: _bytes(value) for key, value in attributes.items()}
    body = _bytes(record.body)
    total = names + body + sum(sizes.values())
    if total > MAX_BYTES:
        most = _share([body, *sizes.values()], MAX_BYTES - names)
        record.body = _cut(record.body, body, most)
        attributes = {key: _cut(value, sizes[key], most) for key, value in attributes.items()}
        total = MAX_BYTES
    elif not over:
        return total
    bounded = BoundedAttributes(attributes=attributes, immutable=False)
    bounded.dropped = getattr(given, "dropped", 0) + over
    record.attributes = bounded
    return total


def _share(sizes: list[int], room: int) -> int:
    """The size to which each part must be cut so that all of them fit: small ones leave their room to the others."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            break
        room -= size
        left -= 1
    return room // max(left, 1)


def _bytes(value: Any) -> int:
    """Bytes of a value in JSON; of one that has no end, more than a record may have."""
    total, waiting = 0, [value]
    while waiting and total <= MAX_BYTES * 4:
        one = waiting.pop()
        if isinstance(one, str):
            total += len(json.dumps(one, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        elif isinstance(one, (bytes, bytearray)):
            total += len(one) * 4 // 3 + 4
        elif isinstance(one, Mapping):
            total += 2 + 2 * len(one)
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, (list, tuple)):
            total += 2 + len(one)
            waiting += one
        else:
            total += 24
    return total


def _cut(value: Any, size: int, most: int) -> Any:
    """`value` in no more than `most` bytes."""
    if size <= most or isinstance(value, (bool, int, float, type(None))):
        return value
    if isinstance(value, (bytes, bytearray)):
        return f"[otel-logging: {len(value)} bytes]"
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    except Exception:
        return f"[otel-logging: a {type(value).__name__} without end]"
    keep = min(len(text), most)
    while keep and _bytes(text[:keep]) > most - _MARKER:
        keep = min(keep - 1, keep * max(most - _MARKER, 0) // _bytes(text[:keep]))
    return f"{text[:keep]}… [otel-logging: {len(text) - keep} characters cut]"
