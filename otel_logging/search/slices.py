"""Only the wanted records out of a long line: those that are not wanted are not even parsed.

For lines that are known to be JSON, which the index has seen to, of the shape that our own writers and the Collector's
give them: one resource, one scope, records that begin with their time. For every other line the answer is None, and the
whole line is parsed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_BEGIN: Final = b'{"resourceLogs":[{'
_RECORDS: Final = b'"logRecords":['
_FIRST: Final = b'{"timeUnixNano":"'
_NEXT: Final = b'},{"timeUnixNano":"'
_NEXT_LOWER: Final = _NEXT.lower()
_END: Final = b"]}]}]}"


class Slicer:
    """Slices lines; remembers what stands around the records of those it has seen."""

    def __init__(self) -> None:
        self._heads: dict[bytes, dict[str, Any] | None] = {}

    def payload(self, line: bytes, wanted: Sequence[bytes]) -> dict[str, Any] | None:
        """The line with only the records that contain one of `wanted` (lower case), or None: parse all of it.

        Args:
            line: a whole line, which is JSON.
            wanted: as in `local.scan`.
        """
        start = line.find(_RECORDS) + len(_RECORDS)
        if (
            not line.startswith(_BEGIN)
            or not line.endswith(_END)
            or not line.startswith(_FIRST, start)
            or line.find(_RECORDS, start) >= 0
        ):
            return None
        head = line[:start]
        if head not in self._heads:
            self._heads[head] = _skeleton(head)
        skeleton = self._heads[head]
        if skeleton is None:
            return None
        area = line[start + len(_FIRST) : -len(_END) - 1]
        pieces, lowered = area.split(_NEXT), area.lower().split(_NEXT_LOWER)
        if len(pieces) != len(lowered):
            return None
        found: list[bytes] = []
        for needle in wanted:
            found += [piece for piece, lower in zip(pieces, lowered, strict=True) if needle in lower]
        if len(wanted) > 1:
            chosen = set(found)
            found = [piece for piece in pieces if piece in chosen]
        try:
            line.decode()
            records = json.loads(b"[" + _FIRST + _NEXT.join(found) + b"}]") if found else []
        except ValueError:
            return None  # no UTF-8, or times in a place where none are expected
        group = skeleton["resourceLogs"][0]
        scoped = {**group["scopeLogs"][0], "logRecords": records}
        return {"resourceLogs": [{**group, "scopeLogs": [scoped]}]}


def _skeleton(head: bytes) -> dict[str, Any] | None:
    """What stands around the records, if it is one resource with one scope."""
    try:
        payload = json.loads(head + _END)
        (group,) = payload["resourceLogs"]
        (scoped,) = group["scopeLogs"]
    except (ValueError, KeyError, TypeError):
        return None
    usual = isinstance(group, dict) and isinstance(scoped, dict) and len(payload) == 1
    return payload if usual and scoped.get("logRecords") == [] else None
