"""Text on a terminal and in JSON lines: made harmless, measured, wrapped. Knows nothing of records.

Log bodies hold what callers, models and attackers wrote. Nothing of it may move the cursor, forge a line or turn the
reading direction of what follows; Hebrew, Arabic and emoji stay as they are.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

# C1 controls, line and paragraph separators, bidi embeddings, overrides and isolates, annotations, lone surrogates.
_BEYOND_C0 = "\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ufff9-\\ufffb\\ud800-\\udfff"
_CONTROL = f"[\\x00-\\x1f{_BEYOND_C0}]"
# JSON's own escapes cover C0; the rest would reach a terminal raw.
_JSON_UNSAFE = f"[{_BEYOND_C0}]"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "    "}


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if char < "\x80" else f"\\u{ord(char):04x}")


def harmless(text: str) -> str:
    r"""One line that a terminal shows and does not obey: control characters appear as `\x1b`, `\n`, `\u202e`."""
    # Nothing that is printable needs an escape; the pattern is compiled when it is first needed.
    return text if text.isprintable() else re.sub(_CONTROL, _escape, text)


def harmless_lines(text: str) -> list[str]:
    """As `harmless`, but line breaks of the text stay line breaks: for tracebacks and messages of several lines."""
    return [harmless(line.rstrip("\r")) for line in text.split("\n")]


def json_line(value: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """One JSON object on one line, readable (Hebrew, emoji), and harmless to a terminal and to `splitlines()`."""
    line = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"), default=str)
    return line if ascii_only else re.sub(_JSON_UNSAFE, lambda found: f"\\u{ord(found[0]):04x}", line)


def cells(text: str) -> int:
    """How many columns a terminal gives the text."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    import unicodedata  # most names of services need none of it

    if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, width: int) -> str:
    """The text followed by blanks up to `width` columns."""
    return text + " " * (width - cells(text))


def wrap(text: str, width: int) -> Iterator[str]:
    """The text in pieces of at most `width` columns, broken at a blank if there is one; only that blank is left out."""
    start = used = 0
    blank = -1  # the last blank of the piece at hand
    place = 0
    while place < len(text):
        size = _cells(text[place])
        if used + size > width and place > start:
            if text[place] == " ":
                end = resume = place
            elif blank > start + (place - start) // 2:
                end = resume = blank
            else:
                end, resume = place, place - 1
            yield text[start:end]
            start = place = resume + 1
            used, blank = 0, -1
            continue
        if text[place] == " ":
            blank = place
        used += size
        place += 1
    yield text[start:]
