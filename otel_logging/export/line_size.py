"""A JSON line that every log driver takes whole: what is too long in it is cut, its call and its ids never are.

Docker's awslogs driver makes several events of a line above 262,118 bytes, and the Datadog Agent several logs above
900,000 (256,000 in older versions): none of them is JSON, and most have lost their call. So a line has an end before
that. Only for lines that are too long: what others cost is one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

MAX_BYTES: Final = 250_000
"""Of one JSON line as UTF-8, its newline not counted."""
SUSPECT: Final = MAX_BYTES // 4
"""A line of more characters may be too long: a character takes four bytes at most. Shorter ones need not be asked."""
CUT: Final = "otel_logging.cut"
"""On a line of which something was left out: how many extras."""

_IDS: Final = frozenset({"timestamp", "level", "call_sid", "trace_id", "span_id"})
_MARKER_BYTES: Final = 64


def too_long(line: str) -> bool:
    """Whether a line would not be taken whole."""
    return _bytes(line) > MAX_BYTES


def fitted(fields: dict[str, Any], fixed: Collection[str], encode: Callable[[Any], str]) -> str:
    """The line of `fields`, cut to `MAX_BYTES`: the longest values lose their ends, until all have the same room.

    Args:
        fields: by key, in order; made of what `encode` knows.
        fixed: keys that stay; if cutting does not help, all others go, and `CUT` says how many.
        encode: makes JSON of a value.
    """
    line = encode(_cut(fields, encode))
    if _bytes(line) <= MAX_BYTES:
        return line
    kept = {key: value for key, value in fields.items() if key in fixed}
    return encode({**_cut(kept, encode), CUT: len(fields) - len(kept)})


def _cut(fields: dict[str, Any], encode: Callable[[Any], str]) -> dict[str, Any]:
    sizes = {key: _bytes(encode(value)) for key, value in fields.items() if key not in _IDS}
    around = _bytes(encode({key: "" if key in sizes else value for key, value in fields.items()}))
    room = _room(list(sizes.values()), MAX_BYTES - around - _MARKER_BYTES)
    return {
        key: value if sizes.get(key, 0) <= room else _shortened(value, room - _MARKER_BYTES, encode)
        for key, value in fields.items()
    }


def _room(sizes: list[int], total: int) -> int:
    """The most that each value may have, so that together they have no more than `total`."""
    waiting = sorted(sizes)
    while waiting:
        share = max(total, 0) // len(waiting)
        if waiting[0] > share:
            return share
        total -= waiting.pop(0)
    return max(total, 0)


def _shortened(value: Any, most: int, encode: Callable[[Any], str]) -> str:
    """The beginning of a value, of which JSON takes no more than `most` bytes, and how much is missing."""
    text = value if isinstance(value, str) else encode(value)
    size, kept = _bytes(encode(text)), len(text)
    while size > most and kept:
        # A little less than the share: characters differ in size.
        kept = max(0, min(kept - 1, int(kept * most / size * 0.98))) if most > 0 else 0
        size = _bytes(encode(text[:kept]))
    return f"{text[:kept]}… [otel-logging: {len(text) - kept} characters cut]"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
