"""The facts of all records of our own writers' lines, and of the Collector's, without JSON: for the index.

Nothing is known of these lines yet, so that the pattern here takes only what is JSON for certain: every text is without
escapes and control characters, every record has its keys in the order of the protocol, and what stands around the
records was parsed once. The rest is for `json` and `glance`.

Records have most of their text in common: the attributes of one place in the code, the ids of one call. So the pattern
only cuts, quickly, and what it cut out is checked and understood once for all records that have the same.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from otel_logging.search import glance
from otel_logging.search.digest import Columns, Group
from otel_logging.search.index import key_of_call, key_of_trace
from otel_logging.search.record import RECOVERED, hex_id
from otel_logging.search.slices import owner_of_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_logging.search.otlp import Owner

    Ids = tuple[str | tuple[str, str | None] | None, str | None, tuple[int, ...]]

# Records of whole lines, one after the other: the first of a line with what stands before it, the last one with what
# stands behind it. From the first place on that is anything else, all is the last group. For `re`, "anything but this
# character" is much quicker than all else that can be repeated, hence the search for the R of "logRecords". What may
# stand behind the attributes begins as flags and ids do and has a limit: otherwise a text full of brackets would be
# read from each of them to its end.
_ROWS: Final = re.compile(
    rb'(?:(?<=,)|^((?:[^R]*R)+?ecords":\[))'
    rb'\{"timeUnixNano":"([1-9][0-9]{18})",(?:"observedTimeUnixNano":"[0-9]*",|)'
    rb'"severityNumber":([^"]*"severityText":"[^"]*)","body":\{"stringValue":"([^"]*)"\},"attributes":\['
    rb'(?:\{"key":"call_sid","value":\{"stringValue":"([^"]*)"\}\}(?=[,\]])|(?=\{))((?:[^\]]*\])+?)(?=\}|,")([^}]{0,100})'
    rb"\}(?:,(?=\{)|\]\}\]\}\]\}\n)"
    rb"|(.+)",
    re.MULTILINE | re.DOTALL,
)
# Of texts without backslashes and control characters, these are.
_PAIR: Final = (
    rb'\{"key":"[^"]*","value":\{"(?:stringValue":"[^"]*"|intValue":"-?[0-9]+"|boolValue":(?:true|false)'
    rb'|doubleValue":-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\}\}'
)
_TAIL: Final = re.compile(rb"(?:" + _PAIR + rb")?(?:," + _PAIR + rb")*\]")
_LEVEL: Final = re.compile(rb'([1-9]|1[0-9]|2[0-4]),"severityText":"[^"]*')
_CONTEXT: Final = re.compile(rb'(?:,"flags":(?:0|[1-9][0-9]*))?(?:,"traceId":"([^"]*)")?(?:,"spanId":"([^"]*)")?')
_NO_CONTROLS: Final = bytes(92 if code < 32 else code for code in range(256))  # backslashes instead
_NAMED_CALL: Final = b'{"key":"call_sid",'
_CALL: Final = _NAMED_CALL + b'"value":{"stringValue":"'
_NAMED_RECOVERED: Final = b'{"key":"' + RECOVERED.encode() + b'",'
_RECOVERED: Final = _NAMED_RECOVERED + b'"value":{"boolValue":true}}'
_OFTEN: Final = 20_000  # texts of one kind remembered
_SHORT: Final = 2_000  # bytes of one that is


class _Unusual(Exception):  # noqa: N818 (nothing is wrong)
    """It may be JSON, and is not to be decided here."""


class _Memo(dict[Any, Any]):
    """What was made of a text; of a new one it is made when it is asked for."""

    def __init__(self, make: Callable[[Any], Any], size: Callable[[Any], int] = len) -> None:
        super().__init__()
        self._make = make
        self._size = size

    def __missing__(self, text: Any) -> Any:
        made = self._make(text)
        if self._size(text) <= _SHORT:
            if len(self) >= _OFTEN:
                self.clear()
            self[text] = made
        return made


class LineFacts:
    """Reads parts; remembers what the records of those it has seen have in common."""

    def __init__(self) -> None:
        self._services = _Memo(_service)
        self._tails = _Memo(_told_in)
        self._levels = _Memo(_level)
        self._ids = _Memo(_ids, lambda texts: sum(map(len, texts)))
        self._groups = _Memo(self._group, lambda texts: sum(map(len, texts)))

    def of(self, part: bytes) -> Columns | None:
        """The facts of all records of some whole lines, those of `glance.facts`, or None: ask `json`.

        None for lines that are JSON is possible, facts for one that is not are not.
        """
        rows = _ROWS.findall(part)
        if not rows or rows[-1][-1]:
            return None
        heads, times, levels, bodies, calls, tails, contexts, _ = zip(*rows, strict=True)
        texts = b'"'.join([b"", *bodies])
        if b'"{' in texts or not _is_plain(texts):  # a console line may stand in a message
            return None
        try:
            told = list(map(self._tails.__getitem__, tails))
            recovered: list[bool] = []
            if any(told):
                calls, recovered = _with_told(calls, told)
            keys = zip(self._of_heads(heads), levels, calls, contexts)  # noqa: B905 (the first may have no end)
            groups = list(map(self._groups.__getitem__, keys))
            return Columns(groups, list(times), recovered, len(heads) - heads.count(b""))
        except _Unusual:
            return None

    def _group(self, texts: tuple[str, bytes, bytes, bytes]) -> Group:
        """What the records have in common that have these texts in common."""
        service, level, call, context = texts
        key, trace, places = self._ids[call, context]
        return Group(key, trace, places, service, self._levels[level])

    def _of_heads(self, heads: tuple[bytes, ...]) -> Any:
        """The service of each record; only the first of a line has a head."""
        different = {*heads} - {b""}
        if len(different) == 1:
            return repeat(self._services[different.pop()])
        services: list[str] = []
        for head in heads:
            services.append(self._services[head] if head else services[-1])
        return services


def _with_told(
    calls: Sequence[bytes], told: Sequence[tuple[bytes | None, bool] | None]
) -> tuple[tuple[bytes, ...], list[bool]]:
    """The calls of records, and which were recovered, by their first attribute and those behind it."""
    both = [
        (call, False) if one is None else (call if one[0] is None else one[0], one[1])
        for call, one in zip(calls, told, strict=True)
    ]
    return tuple([call for call, _ in both]), [back for _, back in both]


def _service(head: bytes) -> str:
    """Who writes the records behind this."""
    owner: Owner | None = None if b"\n" in head else owner_of_head(head)
    if owner is None:
        raise _Unusual
    return owner.service


def _told_in(tail: bytes) -> tuple[bytes | None, bool] | None:
    """The call that is named among the attributes behind a record's first one, and whether it was recovered.

    None, as nearly always, if they say nothing of either.
    """
    if not _is_plain(tail) or not _TAIL.fullmatch(tail):
        raise _Unusual
    named, recovered = tail.count(_NAMED_CALL), tail.count(_NAMED_RECOVERED)
    if named != tail.count(_CALL) or recovered != tail.count(_RECOVERED):
        raise _Unusual
    if not named and not recovered:
        return None
    place = tail.rfind(_CALL) + len(_CALL)  # of several, the last
    return tail[place : tail.find(b'"', place)] if named else None, recovered > 0


def _level(level: bytes) -> int:
    """The rank of a level."""
    number = _LEVEL.fullmatch(level)
    if number is None or not _is_plain(level):
        raise _Unusual
    return glance.RANKS[int(number[1])]


def _ids(texts: tuple[bytes, bytes]) -> Ids:
    """What a record is counted under, its trace, and where the index finds it."""
    call, context = texts
    ids = _CONTEXT.fullmatch(context)
    if ids is None or not _is_plain(call + context):
        raise _Unusual
    trace = hex_id((ids[1] or b"").decode(), 32)
    places = () if trace is None else (key_of_trace(trace),)
    if call:
        key = call.decode()
        own = key_of_call(key)
        return key, trace, places if own in places else (*places, own)
    return None if trace is None else (trace, hex_id((ids[2] or b"").decode(), 16)), trace, places


def _is_plain(text: bytes) -> bool:
    """Whether a text is UTF-8 without escapes and control characters."""
    if b"\\" in text.translate(_NO_CONTROLS):
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
