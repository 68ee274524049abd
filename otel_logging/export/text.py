"""Making any text safe to print: one line, no terminal escapes, no letters that cannot be encoded.

Pure functions over strings, used by the console. Nothing here knows of log records, streams or formats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

# What could end a line (C0 with CR and LF, NEL, U+2028/2029), drive a terminal (ESC, C1), reorder what is read (bidi
# overrides, embeddings and isolates) or not be encoded at all (lone surrogates). Right-to-left letters and the plain
# marks LRM, RLM and ALM are ordinary text and stay.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# The same for a text that is JSON already: C0 is escaped there.
_UNSAFE_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_TYPE_NAME: Final[Any] = type.__dict__["__name__"]
_MAX_REPR: Final = 4096  # characters kept of the repr of an object that JSON does not know
_MAX_DEPTH: Final = 16
_MAX_NODES: Final = 10_000


def _visible(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def neutralise(text: str) -> str:
    r"""`text` on one line: every control character, line separator, bidi override and lone surrogate as visible text.

    A newline becomes the two characters `\n`, an escape `\x1b`, a bidi override `\u202e`. Backslashes that are there
    already stay as they are, so that paths remain readable; the result is for people, not for parsing back.
    """
    if text.isprintable():  # by far the most common case, in any language, and faster than a search
        return text
    return _UNSAFE.sub(_visible, text)


def _json_visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    # A strict parser refuses an escaped lone surrogate, so it becomes text; all others are plain JSON escapes.
    return f"\\\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def neutralise_json(encoded: str) -> str:
    r"""The same for a text that is JSON: what JSON itself leaves raw is escaped, without changing what a parser reads.

    Only a lone surrogate changes: strict parsers refuse the whole line for one, so it turns into the text `\udc80`.
    """
    if (encoded.isascii() and "\x7f" not in encoded) or encoded.isprintable():
        return encoded
    return _UNSAFE_IN_JSON.sub(_json_visible, encoded)


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def ascii_json(encoded: str) -> str:
    """The same JSON in ASCII, for a stream whose encoding lacks some of its letters."""
    return _NOT_ASCII.sub(_json_escape, encoded)


def passes(error: BaseException) -> bool:
    """Whether an exception is none of ours to hold back: somebody wants the process to end."""
    return isinstance(error, (KeyboardInterrupt, SystemExit))


def type_name(value: Any) -> str:
    """The name of a value's type, whatever that type's own type does."""
    name: str = _TYPE_NAME.__get__(type(value))
    return name


def safe_repr(value: Any, limit: int = _MAX_REPR) -> str:
    """`repr(value)` of at most `limit` characters; a marker with the type's name where repr itself fails."""
    try:
        text = repr(value)
        text = text if type(text) is str else str.__str__(text)
    except BaseException as error:
        if passes(error):
            raise
        return f"<{type_name(value)} whose repr() failed: {type_name(error)}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _Budget:
    """How many more values one record may bring; a small bomb of nested lists must not become a large line."""

    def __init__(self) -> None:
        self.left = _MAX_NODES


def plain(value: Any, _path: tuple[int, ...] = (), _budget: _Budget | None = None) -> Any:
    """`value` made of what JSON knows: mappings and sequences copied, all else repr'd, NaN and infinities as text.

    Cycles, depth and size are cut off with a visible marker. Never raises.
    """
    budget = _budget or _Budget()
    budget.left -= 1
    if budget.left < 0:
        return "<cut off: too many values>"
    try:
        if value is None or isinstance(value, (bool, str, int, float)):
            return _scalar(value)
        if isinstance(value, (Mapping, list, tuple)):
            if id(value) in _path:
                return "<cycle>"
            if len(_path) >= _MAX_DEPTH:
                return "<cut off: too deep>"
            path = (*_path, id(value))
            if isinstance(value, Mapping):
                return {_key(key): plain(item, path, budget) for key, item in list(value.items())}
            return [plain(item, path, budget) for item in list(value)]
    except BaseException as error:  # a class that lies about what it is: its repr says the rest
        if passes(error):
            raise
    return safe_repr(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    int.__repr__(value)  # raises for a number of more digits than Python prints
    return int(value)


def _key(key: Any) -> str:
    return str.__str__(key) if isinstance(key, str) else safe_repr(key)
