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
    """Slices lines; what it has parsed once it gives again, the very same object, as long as there is room.

    Args:
        room: bytes of records that are kept.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._heads: dict[bytes, dict[str, Any] | None] = {}
        self._parsed: dict[tuple[str, int, int], dict[str, Any]] = {}

    def payload(self, file: str, place: int, line: bytes, wanted: Sequence[bytes]) -> dict[str, Any] | None:
        """The line with only the records that contain one of `wanted` (lower case), or None: parse all of it.

        Args:
            file: its name.
            place: where in the file the line begins.
            line: the line, which is JSON.
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
        area = line[start : -len(_END)]
        pieces, lowered = area.split(_NEXT), area.lower().split(_NEXT_LOWER)
        if len(pieces) != len(lowered):
            return None
        try:
            line.decode()
            found = [
                self._record(file, place, number, pieces)
                for number, piece in enumerate(lowered)
                if any(needle in piece for needle in wanted)
            ]
        except ValueError:
            return None  # no UTF-8, or times in a place where none are expected
        group = skeleton["resourceLogs"][0]
        scoped = {**group["scopeLogs"][0], "logRecords": found}
        return {"resourceLogs": [{**group, "scopeLogs": [scoped]}]}

    def _record(self, file: str, place: int, number: int, pieces: list[bytes]) -> dict[str, Any]:
        key = (file, place, number)
        record = self._parsed.get(key)
        if record is None:
            text = pieces[number]
            text = (text if number == 0 else _FIRST + text) + (b"" if number == len(pieces) - 1 else b"}")
            record = json.loads(text)
            self._room -= len(text)
            if self._room > 0:
                self._parsed[key] = record
        return record


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
