"""Make any Python value safe to export: text without lone surrogates, numbers that fit, structures that end.

One bad value must not cost its record, and one bad record must not cost its neighbours. What cannot be kept is replaced
by a marker that says so. Nothing here raises, and nothing here knows of log records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from otel_logging.export.text import passes, type_name

__all__ = [
    "clean_key", "clean_name", "clean_text", "clean_value", "free_name", "passes", "safe_str", "type_name"
]  # fmt: skip

MAX_DEPTH: Final = 16  # levels of nesting that are kept; protobuf readers stop at about 100
MAX_ITEMS: Final = 1_000  # members of one list or mapping
MAX_NODES: Final = 20_000  # members of one value on all levels: lists that share lists grow by powers
MAX_TEXT: Final = 1_048_576  # characters of one text: CloudWatch's and Datadog's limit for a whole record is 1 MiB
MAX_NAME: Final = 1_024  # characters of what is a name: of an attribute, a logger, a level, an event
_INT64: Final = 1 << 63
_SCALARS: Final = frozenset({bool, float, type(None)})


def clean_text(text: str, most: int = MAX_TEXT) -> str:
    """`text` as it can be encoded: lone surrogates become visible escapes, and overlong text ends in a marker."""
    if len(text) > most:
        text = f"{text[:most]}… [otel-logging: {len(text) - most} characters cut]"
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def clean_name(value: Any) -> str:
    """What serves as a name, as text of a bounded length."""
    if type(value) is str and len(value) <= MAX_NAME and value.isascii():
        return value
    return clean_text(safe_str(value), MAX_NAME)


def safe_str(value: Any) -> str:
    """`str(value)`, or a marker with the type and the error when that fails."""
    try:
        text = value if type(value) is str else str(value)
        # A subclass may answer with a str of its own class; take the characters only.
        return clean_text(text if type(text) is str else str.__str__(text))
    except BaseException as error:
        if passes(error):
            raise
        return f"[otel-logging: {type_name(value)} has no text: {type_name(error)}]"


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
        if passes(error):
            raise
        return f"[otel-logging: {type_name(value)} cannot be read: {type_name(error)}]"


def _big_int(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # longer than sys.get_int_max_str_digits()
        return f"[otel-logging: an integer of {value.bit_length()} bits]"


def _clean_other(value: Any, walk: _Walk) -> Any:
    """Subclasses of the scalars, bytes, structures, and everything that only has a text."""
    # By type, not by isinstance: an object may lie about its class. And by the built-in's own methods, not by theirs.
    kind = type(value)
    if issubclass(kind, str):
        return clean_text(str.__str__(value))
    if issubclass(kind, int):  # enums and other subclasses
        return clean_value(int.__int__(value))
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, (bytes, bytearray, memoryview)):
        data = memoryview(value)
        return data.tobytes() if data.nbytes <= MAX_TEXT else f"[otel-logging: {data.nbytes} bytes]"
    if isinstance(value, (Mapping, Sequence)) and kind is not range:
        if id(value) in walk.above:
            return "[otel-logging: cyclic]"
        if len(walk.above) >= MAX_DEPTH:
            return "[otel-logging: nested too deeply]"
        walk.above.append(id(value))
        try:
            return _pairs(value, walk) if isinstance(value, Mapping) else _items(value, walk)
        finally:
            walk.above.pop()
    return safe_str(value)


def _pairs(value: Mapping[Any, Any], walk: _Walk) -> dict[str, Any]:
    found: dict[str, Any] = {}
    members, more = _members(value, walk, pairs=True)
    for key, item in members:
        found[free_name(clean_key(key), found)] = clean_value(item, walk)
    if more:
        found[free_name("otel_logging.cut", found)] = more
    return found


def _items(value: Sequence[Any], walk: _Walk) -> list[Any]:
    members, more = _members(value, walk, pairs=False)
    items = [clean_value(item, walk) for item in members]
    if more:
        items.append(f"[otel-logging: {more} more]" if isinstance(more, int) else more)
    return items


def _members(value: Any, walk: _Walk, *, pairs: bool) -> tuple[list[Any], int | str]:
    """What a structure holds, as far as there is room, and how much more there is, or why there is no more.

    What it says of its length is not believed: a subclass may say anything.
    """
    room = min(MAX_ITEMS, walk.left)
    kind = type(value)
    found: list[Any] = []
    more: int | str = 0
    if kind is dict or kind is list or kind is tuple:
        # In one step each, so that another thread that changes it meanwhile does not matter.
        found = list(islice(value.items(), room)) if pairs else list(value[:room])
        more = max(len(value) - room, 0)
    else:
        try:
            for member in value.items() if pairs else value:
                if len(found) >= room:
                    more = max(_length(value) - room, 1)
                    break
                found.append(_pair(member) if pairs else member)
        except BaseException as error:
            if passes(error) or isinstance(error, RecursionError):
                raise
            if issubclass(kind, (dict, list, tuple)):
                # What the built-in type holds can be read past the subclass's own methods.
                base: Any = dict if pairs else list if issubclass(kind, list) else tuple
                found = list(islice(base.items(value) if pairs else base.__iter__(value), room))
                more = max(base.__len__(value) - room, 0)
            elif not found:
                raise
            else:
                more = f"[otel-logging: {type_name(value)} cannot be read further: {type_name(error)}]"
    walk.left -= len(found)
    return found, more


def _pair(member: Any) -> tuple[Any, Any]:
    key, item = member
    return key, item


def _length(value: Any) -> int:
    try:
        return len(value)
    except Exception:
        return 0


def clean_key(key: Any) -> str:
    """`key` as an attribute name: text, of a bounded length, never empty."""
    if type(key) is str and len(key) <= MAX_NAME:
        return (key if key.isascii() else clean_text(key)) or "_"
    return clean_name(key) or "_"


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, or `name#2` and so on where it is taken: two keys that differ may have one text."""
    if name not in taken:
        return name
    number = 2
    while (other := f"{name}#{number}") in taken:
        number += 1
    return other
