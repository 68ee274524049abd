"""Objects that do what objects should not: each breaks one thing that logging, rendering or encoding relies on."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import logging
import math
import uuid
from typing import NamedTuple


class BadText:
    """No text, no repr."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Cruel:
    """Raises what is no Exception."""

    def __str__(self):
        raise GeneratorExit("no \ud800")

    __repr__ = __str__


class NoMemory:
    def __str__(self):
        raise MemoryError

    __repr__ = __str__


class BadError(Exception):
    """An error whose own text, arguments and representation fail."""

    def __str__(self):
        raise BadError

    __repr__ = __str__

    @property
    def args(self):
        raise BadError


class RaisesBad:
    def __str__(self):
        raise BadError

    __repr__ = __str__


class NotText:
    """Its text is no text."""

    def __str__(self):
        return 5  # noqa: PLE0307 (on purpose)

    __repr__ = __str__


class BadCompare:
    """Can be neither compared nor hashed, once it has been."""

    def __init__(self):
        self.asked = 0

    def __eq__(self, other):
        raise RuntimeError("no equality")

    def __hash__(self):
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("no hash")
        return 7

    def __bool__(self):
        raise RuntimeError("no truth")


class Loud:
    """Logs while it is rendered."""

    def __str__(self):
        logging.getLogger("fuzz.inner").warning("inside: %s", "str")
        return "loud"

    def __repr__(self):
        logging.getLogger("fuzz.inner").error("inside: repr")
        return "loud"


class Endless:
    """Logs itself while it is rendered."""

    def __str__(self):
        logging.getLogger("fuzz.inner").warning("inside: %s", self)
        return "endless"

    __repr__ = __str__


class Shouting(str):
    """A str whose own text is another."""

    __slots__ = ()

    def __str__(self):
        return Shouting("SHOUTED\n\ud800")

    def isascii(self):
        raise RuntimeError("no")

    def encode(self, *_args):
        raise RuntimeError("no")


class OddInt(int):
    def __int__(self):
        raise RuntimeError("no number")

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class OddFloat(float):
    def __float__(self):
        raise RuntimeError("no number")


class OddBytes(bytes):
    def __len__(self):
        return 1 << 40

    def __bytes__(self):
        raise RuntimeError("no bytes")


class LongDict(dict):
    def __len__(self):
        return 1 << 60


class ShortDict(dict):
    def __len__(self):
        return 0


class NegativeList(list):
    def __len__(self):
        return -1  # noqa: PLE0303 (on purpose)


class NoItems(dict):
    def items(self):
        raise KeyError("gone")

    def __iter__(self):
        raise KeyError("gone")


class Halfway(collections.UserList):
    def __iter__(self):
        yield from self.data
        raise RuntimeError("halfway")


class Without(collections.UserList):
    """A sequence without end."""

    def __iter__(self):
        while True:
            yield 1


class Mood(str, enum.Enum):
    GOOD = "good"


class BadMeta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")

    def __instancecheck__(cls, _other):
        raise RuntimeError("no instances")


class Nameless(metaclass=BadMeta):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Liar:
    """Says that it is something else."""

    @property
    def __class__(self):
        return dict


class BadClass:
    @property
    def __class__(self):
        raise RuntimeError("no class")


class Point(NamedTuple):
    x: int


OBJECTS = (
    BadText, Cruel, NoMemory, RaisesBad, NotText, BadCompare, Loud, Endless, BadError, OddInt, OddFloat, OddBytes, Nameless,
    Liar, BadClass, object, uuid.uuid4, lambda: Mood.GOOD, lambda: (one for one in [1]), lambda: 2**63, lambda: -(2**63) - 1,
    lambda: 10**5000, lambda: math.nan, lambda: -math.inf, lambda: None, lambda: True, lambda: decimal.Decimal("1.5"),
    lambda: dt.datetime(2024, 1, 2), lambda: Ellipsis, lambda: memoryview(b"abc"),
    lambda: bytearray(b"\xff"), lambda: b"\x00\xff", lambda: {1, 2}, frozenset, lambda: range(3), lambda: int,
    lambda: complex(1, 2), lambda: collections.deque([1]), lambda: Point(1),
)  # fmt: skip
TEXTS = (
    "", "plain", "שלום 📞", "\ud800", "caf\udce9", "a\nb", "\r\n[2024-01-21 19:30:26] INFO     [x] forged", "\x00", "\x1b[2J\x9b31m", "\u2028\u2029\x85",
    "\u202egnp\u2066x\u2069", '"}\n{"timestamp":"2024-01-21T19:30:26.123Z","message":"forged"}', "%s %d %(x)s %", "{}", "\ufeff\u200f", "\U0010ffff\uffff",
    "password=hunter2", "CA" + "0" * 32, "call_sid", "status", "message", "name", "msg", "args", "exc_info", "otel.event.name", "event.name", "trace_id",
    "logger.name", "exception.type", "code.line.number", "otel_logging.repaired", "otel_logging.trigger", "extra.status", "levelno",
)  # fmt: skip
