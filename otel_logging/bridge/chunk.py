"""What a ring holds: entries by the chunk, their times and texts each as one, counted in records and bytes.

To give up 256 entries takes as long as to free 256 times and 256 texts that nobody has touched for a minute, which is
more than all else that is done for them together. As one they are freed while the memory is at hand, and take half of
it. When a chunk is made or given up is decided in `ring`.

Hot path: `make` runs once for 256 messages, in the thread that logs.
"""

from __future__ import annotations

import functools
import struct
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from otel_logging.bridge.place import Site, Why

WIDTH: Final = 3
"""Fields of an entry as it is appended, where they follow one another: its time in seconds since 1970, its text (a
`str`, or as UTF-8), its site or that one's number. Where the site has a template, the text is the number to be filled
in, or a tuple."""

PER_RECORD: Final = 50  # bytes of content counted for a record beside its text and extras: times, ids, level
OVERHEAD: Final = (
    10  # bytes of memory that an entry takes beside its text: its time, its site's number, what stands between
)
_PER_EXTRA: Final = 150  # bytes of memory that an extra takes beside its content
_SITE: Final = 160  # bytes that a site takes
_REFERENCE: Final = 8  # bytes that a reference takes
_ALONE: Final = 65  # bytes that a text which stands by itself takes beside its characters, the reference included
_NUMBER: Final = 32  # bytes that a number takes
_BETWEEN: Final = b"\xff"  # two texts that were made one: no character begins so, or goes on so
_UTF8: Final = "utf-8"
_ANY: Final = "surrogatepass"  # how half characters become bytes and come back
_MOST_CODES: Final = 256  # what fits into a byte
_NUMBERS: Final = {int}
_BOTH: Final = {str, bytes}


class Entry(NamedTuple):
    """What is remembered of one message, as it is read.

    Attributes:
        time: when it was logged, in nanoseconds since 1970.
        text: the message.
        name: its logger's name.
        ids: trace and span id of that moment.
        why: its level, and why it was dropped.
        extras: pairs of name and value.
    """

    time: int
    text: str
    name: str
    ids: tuple[int, int]
    why: Why
    extras: tuple[tuple[str, Any], ...]


class Chunk(NamedTuple):
    """Entries in the order of their making.

    Attributes:
        began: when the first was made, in seconds since 1970.
        times: when each was made, as doubles.
        texts: their texts as one, or by themselves where numbers are among them.
        codes: where each comes from, by number.
        sites: where they come from.
        number: how many they are.
        content: what they say, in bytes.
        memory: what they take, in bytes.
    """

    began: float
    times: bytes
    texts: bytes | tuple[Any, ...]
    codes: bytes | tuple[int, ...]
    sites: tuple[Site, ...]
    number: int
    content: int
    memory: int


_made: Final[Any] = tuple.__new__  # a named tuple in a third of the time


def coded(codes: list[int | Site], sites: list[Site]) -> bytes | tuple[int, ...]:
    """The numbers of the sites of entries; sites that have none yet are added.

    Numbers, as the garbage collector goes through all references that are younger than its last pass.
    """
    try:
        return bytes(codes)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        numbers = []
        for one in codes:
            if type(one) is int:
                numbers.append(one)
            else:
                numbers.append(len(sites))
                sites.append(one)  # type: ignore[arg-type]
        return bytes(numbers) if len(sites) <= _MOST_CODES else tuple(numbers)


def make(
    times: tuple[float, ...],
    texts: tuple[Any, ...],
    codes: bytes | tuple[int, ...],
    sites: tuple[Site, ...],
    *,
    rich: bool,
) -> Chunk:
    """A chunk of entries, some of which have extras if they are `rich`."""
    count = len(texts)
    kept: bytes | tuple[Any, ...]
    try:
        kept = packed = _BETWEEN.join(texts)  # as the gate has encoded them
        content = memory = len(packed)
    except TypeError:
        try:
            text = "".join(texts)  # constants, which are there anyway; below their level
            kept, content = texts, len(text)
            memory = _ALONE * count + (content if text.isascii() else _wide(texts, text))
        except TypeError:
            kept, content, memory = _mixed(texts)
    if rich:
        for site in map(sites.__getitem__, codes):
            if site[4]:
                more = _extras_size(site[4])
                content += more
                memory += more + _PER_EXTRA * len(site[4])
    content += PER_RECORD * count
    memory += OVERHEAD * count + _SITE * len(sites)
    made: Chunk = _made(Chunk, (times[0], _doubles(count).pack(*times), kept, codes, sites, count, content, memory))
    return made


def _mixed(texts: tuple[Any, ...]) -> tuple[bytes | tuple[Any, ...], int, int]:
    """Texts of several kinds, or numbers, as they are kept; their content and memory."""
    kinds = set(map(type, texts))
    count = len(texts)
    if kinds == _NUMBERS:
        return texts, 8 * count, (_REFERENCE + _NUMBER) * count
    if kinds == _BOTH:
        packed = _BETWEEN.join([one if type(one) is bytes else one.encode(_UTF8, _ANY) for one in texts])
        return packed, len(packed), len(packed)
    alone = [one for one in texts if type(one) is str or type(one) is bytes]
    numbers = count - len(alone)
    if tuple in kinds:
        numbers += sum([len(one) - 1 for one in texts if type(one) is tuple])
    content = sum(map(len, alone))
    memory = content + _ALONE * len(alone) + (_REFERENCE + _NUMBER) * numbers
    return texts, content + 8 * numbers, memory


def _wide(texts: tuple[Any, ...], text: str) -> int:
    """Bytes that characters take where not all are ASCII: in each text all take what the widest needs.

    An estimate: texts of ASCII and others as long on average, and the widest of all in each of the others.
    """
    plain = sum(map(str.isascii, texts))
    return (getsizeof(text) * (len(texts) - plain) + len(text) * plain) // len(texts)


@functools.lru_cache(maxsize=64)  # most chunks are as large as most others
def _doubles(number: int) -> struct.Struct:
    return struct.Struct(f"{number}d")


def entries(chunk: Chunk) -> list[Entry]:
    """The entries of a chunk, with numbers in their texts.

    An entry whose site is not known has the last one. That can be if a finalizer logs while an entry is being made.
    """
    last = len(chunk.sites) - 1
    codes = chunk.codes if max(chunk.codes) <= last else [min(code, last) for code in chunk.codes]
    return [
        Entry(int(time * 1e9), _text(text, template), name, ids, why, extras)
        for time, text, (name, ids, why, template, extras) in zip(
            _times(chunk), _texts(chunk), map(chunk.sites.__getitem__, codes), strict=True
        )
    ]


def cut(chunk: Chunk, number: int) -> tuple[Chunk, Chunk]:
    """A chunk in two, with so many entries in the first one; together they are as large as it was."""
    times, texts = _times(chunk), _texts(chunk)
    first, second = (
        make(times[part], texts[part], chunk.codes[part], chunk.sites, rich=True)
        for part in (slice(number), slice(number, None))
    )
    return first._replace(content=chunk.content - second.content, memory=chunk.memory - second.memory), second


def _times(chunk: Chunk) -> tuple[float, ...]:
    return _doubles(chunk.number).unpack(chunk.times)


def _texts(chunk: Chunk) -> tuple[Any, ...]:
    return tuple(chunk.texts.split(_BETWEEN)) if isinstance(chunk.texts, bytes) else chunk.texts


def _text(text: Any, template: str | None) -> str:
    """The message of one entry."""
    found: str = text.decode(_UTF8, _ANY) if type(text) is bytes else text if template is None else template % text
    return found


def _extras_size(extras: tuple[Any, ...]) -> int:
    return sum(len(key) + (len(value) if isinstance(value, str) else 8) for key, value in extras)
