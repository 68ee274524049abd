"""A value as compact JSON text: by msgspec where it is installed, by the standard library otherwise, the same text.

The two write the same for what `ordinary_lines` gives them: texts, and flat mappings of text to texts, whole numbers,
booleans, None and floats that `alike` admits. Nothing else may come here: msgspec has its own idea of bytes, dates,
NaN and keys that are no text. A lone surrogate makes either one raise, or neither; the caller looks for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOW: Final = 1e-4
HIGH: Final = 1e16
"""Floats of which `LOW <= abs(x) < HIGH` are written alike; beyond, Python writes `1e+16` and msgspec `1e16`."""


def as_bytes() -> Callable[[Any], bytes]:
    """What `fastest` gives, as UTF-8: one call less where msgspec is installed."""
    try:
        import msgspec
    except Exception:
        encode = plain()
        return lambda value: encode(value).encode()
    return msgspec.json.Encoder().encode


def plain() -> Callable[[Any], str]:
    """The standard library's encoder."""
    return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def fastest() -> Callable[[Any], str]:
    """The fastest encoder at hand. Loads it: ten milliseconds, which only a console that writes JSON is to pay."""
    try:
        import msgspec
    except Exception:  # not installed, or built for another machine: the text is the same without it
        return plain()
    encode = msgspec.json.Encoder().encode
    return lambda value: encode(value).decode()
