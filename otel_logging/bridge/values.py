"""Make any Python value safe to export: text without lone surrogates, numbers that fit, structures that end.

One bad value must not cost its record, and one bad record must not cost its neighbours. What cannot be kept is replaced
by a marker that says so. Nothing here raises, and nothing here knows of log records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

MAX_DEPTH: Final = 16  # levels of nesting that are kept; protobuf readers stop at about 100
MAX_ITEMS: Final = 1_000  # members of one list or mapping
MAX_NODES: Final = 20_000  # members of one value on all levels: lists that share lists grow by powers
MAX_TEXT: Final = 1_048_576  # characters of one text: CloudWatch's and Datadog's limit for a whole record is 1 MiB
_INT64: Final = 1 << 63
_SCALARS: Final = frozenset({bool, float, type(None)})


def clean_text(text: str) -> str:
    """`text` as it can be encoded: lone surrogates become visible escapes, and overlong text ends in a marker."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… [otel-logging: {len(text) - MAX_TEXT} characters cut]"
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def safe_str(value: Any) -> str:
    """`str(value)`, or a marker with the type and the error when that fails."""
    try:
        text = value if type(value) is str else str(value)
        # A subclass may answer with a str of its own class; take the characters only.
        return clean_text(text if type(text) is str else str.__str__(text))
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return f"[otel-logging: {type(value).__name__} has no text: {type(error).__name__}]"


class _Walk:
    """The way through one nested value: what it is inside of, and how many members may still come."""

    __slots__ = ("above", "left")

    def __init__(self) -> None:
        self.above: list[int] = []
        self.left = MAX_NODES


def clean_value(value: Any, walk: _Walk | None = None) -> Any:
    """`value` as an OTel attribute value: scalars, bytes, lists, mappings with text keys; anything else as text."""
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if -_INT64 <= value < _INT64 else _big_int(value)
    try:
        return _clean_other(value, walk or _Walk())
    except RecursionError:
        return "[otel-logging: nested too deeply]"
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return f"[otel-logging: {kind.__name__} cannot be read: {type(error).__name__}]"


def _big_int(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # longer than sys.get_int_max_str_digits()
        return f"[otel-logging: an integer of {value.bit_length()} bits]"


def _clean_other(value: Any, walk: _Walk) -> Any:
    """Subclasses of the scalars, bytes, structures, and everything that only has a text."""
    if isinstance(value, str):
        return clean_text(str.__str__(value))
    if isinstance(value, int):  # enums and other subclasses
        return clean_value(int(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value) if len(value) <= MAX_TEXT else f"[otel-logging: {len(value)} bytes]"
    if isinstance(value, (Mapping, Sequence)) and not isinstance(value, range):
        if id(value) in walk.above:
            return "[otel-logging: cyclic]"
        if len(walk.above) >= MAX_DEPTH:
            return "[otel-logging: nested too deeply]"
        walk.above.append(id(value))
        try:
            return _clean_nested(value, walk)
        finally:
            walk.above.pop()
    return safe_str(value)


def _clean_nested(value: Mapping[Any, Any] | Sequence[Any], walk: _Walk) -> Any:
    room = min(len(value), MAX_ITEMS, walk.left)
    walk.left -= room
    more = len(value) - room
    if isinstance(value, Mapping):
        pairs = {clean_key(key): clean_value(item, walk) for key, item in islice(value.items(), room)}
        if more:
            pairs["otel_logging.cut"] = more
        return pairs
    # Not by slicing: a deque is a sequence that has no slices.
    items = [clean_value(item, walk) for item in islice(value, room)]
    if more:
        items.append(f"[otel-logging: {more} more]")
    return items


def clean_key(key: Any) -> str:
    """`key` as an attribute name: text, never empty."""
    return (clean_text(key) if type(key) is str else safe_str(key)) or "_"
