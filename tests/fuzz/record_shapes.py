"""Records of any shape, made from bytes, sent through the whole of the bridge, and looked at where they come out.

`run_one(data)` is the fuzz target: it logs a good record, one that `data` describes, and another good one, encodes what
comes out as OTLP/protobuf, as OTLP/JSON and as console lines of both kinds, and raises `AssertionError` if anything is
wrong: an exception into the caller, a lost neighbour, invalid OTLP, a console line that could be taken for another.

Used by `test_record_shapes.py` (Hypothesis, and the kept corpus) and by `atheris_records.py`. How to run them is told
in README.md beside this file.
"""

from __future__ import annotations

import collections
import contextlib
import io
import logging
import math
import struct
import sys

from odd_values import (
    OBJECTS,
    TEXTS,
    BadCompare,
    BadError,
    BadText,
    Halfway,
    LongDict,
    Mood,
    Nameless,
    NegativeList,
    NoItems,
    ShortDict,
    Shouting,
    Without,
)
from opentelemetry._logs import LogRecord as OtelRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LogRecordProcessor
from record_checks import check_console, check_otlp

from otel_logging import call, trouble
from otel_logging.boot import configure
from otel_logging.bridge.handler import LoggingHandler
from otel_logging.bridge.ledger import ledger
from otel_logging.export.console import Console
from otel_logging.export.entry import entry_of
from otel_logging.testing import capture


class Bytes:
    """Decisions read from bytes; when they are used up, each further one is the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def pick(self, choices):
        return choices[self.byte() % len(choices)]

    def chance(self, of: int) -> bool:
        return self.byte() % of == 1

    def number(self) -> int:
        return int.from_bytes(bytes(self.byte() for _ in range(8)), "big", signed=True)

    def text(self) -> str:
        kind = self.byte()
        if kind < 160:
            return TEXTS[kind % len(TEXTS)]
        if kind < 240:
            raw = bytes(self.byte() for _ in range(kind % 24))
            return (
                raw.decode("utf-8", "surrogateescape")
                if kind % 2
                else raw.decode("utf-16-le", "surrogatepass" if len(raw) % 2 == 0 else "replace")
            )
        return TEXTS[kind % len(TEXTS)] * (1 << (self.byte() % 12))

    def value(self, depth: int = 0):
        kind = self.byte() % 24
        if kind < 6:
            return self.text()
        if kind < 12:
            return self.pick(OBJECTS)()
        if kind == 12:
            return self.number()
        if kind == 13:
            return struct.unpack("<d", bytes(self.byte() for _ in range(8)))[0]
        if kind == 14:
            return Shouting(self.text())
        if depth > 4:
            return self.byte()
        return self._nested(kind, depth)

    def _nested(self, kind: int, depth: int):
        if kind == 15:
            found: list = [self.value(depth + 1)]
            found.append(found)
            return found
        if kind == 16:
            deep: list = [self.text()]
            for _ in range(1 << (self.byte() % 12)):
                deep = [deep]
            return deep
        if kind == 17:
            bomb: list = [self.text()]
            for _ in range(self.byte() % 6):
                bomb = [bomb] * (self.byte() % 7)
            return bomb
        if kind < 21:
            made = self.pick((dict, LongDict, ShortDict, NoItems, collections.OrderedDict, collections.UserDict))()
            for _ in range(self.byte() % 5):
                with contextlib.suppress(Exception):
                    made[self.key()] = self.value(depth + 1)
            if self.chance(8):
                made["self"] = made
            return made
        return self.pick((list, tuple, NegativeList, Halfway, Without))(
            [self.value(depth + 1) for _ in range(self.byte() % 5)]
        )

    def key(self):
        if self.chance(6):
            return self.pick(
                (
                    None,
                    5,
                    5.5,
                    True,
                    b"k",
                    (),
                    Shouting("k"),
                    BadText(),
                    BadCompare(),
                    Nameless(),
                    "5",
                    "k" * 5000,
                    Mood.GOOD,
                    10**5000,
                )
            )
        return self.text()

    def mapping(self, most: int = 6) -> dict:
        made: dict = {}
        for _ in range(self.byte() % most):
            with contextlib.suppress(Exception):
                made[self.key()] = self.value()
        return made

    def error(self, depth: int = 0):
        """An exception with a traceback, a cause, a group, notes: and now and then with a cycle in its chain."""
        kind = self.pick(
            (
                ValueError,
                BadError,
                KeyError,
                FileNotFoundError,
                UnicodeDecodeError,
                SyntaxError,
                RecursionError,
                GeneratorExit,
                "group",
            )
        )
        try:
            if kind == "group" and sys.version_info >= (3, 11) and depth < 4:
                raise BaseExceptionGroup(self.text(), [self.error(depth + 1) for _ in range(1 + self.byte() % 3)])  # noqa: F821 (3.11)
            if kind is UnicodeDecodeError:
                b"\xff".decode("utf-8")
            if kind is RecursionError:
                _down(20 * (self.byte() % 20))
            if kind is SyntaxError:
                raise SyntaxError(self.text(), (self.text(), self.byte(), self.byte(), self.text()))
            raise (ValueError if kind == "group" else kind)(*[self.value() for _ in range(self.byte() % 3)])
        except BaseException as caught:
            error = caught
        if self.chance(3):
            error.__notes__ = self.value()
        if self.chance(3) and depth < 4:
            error.__cause__ = error if self.chance(3) else self.error(depth + 1)
        if self.chance(4) and depth < 4:
            error.__context__ = self.error(depth + 1)
            if self.chance(3):
                error.__context__.__context__ = error
        return error


def _down(frames: int) -> None:
    if frames <= 0:
        raise RecursionError("deep")
    _down(frames - 1)


# -- where records come out --------------------------------------------------------------------------------------------


class _Collected(LogRecordProcessor):
    """The exporting side without a thread: what would be queued."""

    def __init__(self) -> None:
        self.records: list = []

    def held(self) -> int:
        return 0

    def on_emit(self, log_record) -> None:
        self.records.append(entry_of(log_record).record)
        ledger.exported()

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class _Both:
    """Two consoles in the place of one."""

    writing = False

    def __init__(self) -> None:
        self.people, self.json = io.StringIO(), io.StringIO()
        self._consoles = (
            Console(False, "on", "fuzz", lambda: self.people),
            Console(True, "on", "fuzz", lambda: self.json),
        )

    def silent(self, level) -> bool:
        return all(console.silent(level) for console in self._consoles)

    def write(self, *args, **named) -> bool:
        written = [console.write(*args, **named) for console in self._consoles]
        return all(written)

    def clear(self) -> None:
        for stream in (self.people, self.json):
            stream.seek(0)
            stream.truncate()


class Rig:
    """The bridge set up once, for any number of records."""

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(capture(log_level="DEBUG", policies=[]))
        logging.getLogger("fuzz").propagate = False  # pytest's handlers are none of this
        active = configure.configured()
        self.pipeline = active.pipeline
        self.pipeline.console = self.console = _Both()
        self.collected = _Collected()
        for sampler in active.samplers:
            sampler._processor = self.collected
        self.handler = LoggingHandler(logger_provider=self.pipeline.provider)
        self._number = 0
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def run_one(self, data: bytes) -> None:
        """Send one record of the shape that `data` describes between two good ones. Raises AssertionError if it can."""
        self._number += 1
        self.collected.records.clear()
        self.console.clear()
        ledger.reset()
        trouble.reset()
        self._neighbour("before")
        printed = self._poison(Bytes(data))
        self._neighbour("after")
        records = [one for one in self.collected.records if one.instrumentation_scope.name != "otel_logging.calls"]
        # What the SDK says of an attribute that it takes off, and what objects say, are records like any other.
        others = ("opentelemetry.", "fuzz.inner")
        outer = [one for one in records if not one.instrumentation_scope.name.startswith(others)]
        self._check_books()
        assert len(outer) == 3, f"{len(outer)} records arrived instead of 3"
        assert self._is_neighbour(outer[0], "before")
        assert self._is_neighbour(outer[2], "after")
        check_otlp(records)
        check_console(self.console.people.getvalue(), self.console.json.getvalue(), len(records) - (not printed))

    def _neighbour(self, what: str) -> None:
        logging.getLogger("fuzz.good").info("%s %d", what, self._number, extra={"number": self._number, "what": what})

    def _is_neighbour(self, readable, what: str) -> bool:
        record = readable.log_record
        given = {key: record.attributes[key] for key in ("number", "what")}
        return record.body == f"{what} {self._number}" and given == {"number": self._number, "what": what}

    def _poison(self, data: Bytes) -> bool:
        """Log the record; whether the console is to show it."""
        route = data.pick(("log", "log", "log", "call", "handle", "handler", "bridge"))
        if route == "bridge":
            self.pipeline.provider.get_logger("fuzz.bridge").emit(self._otel_record(data))
            return False
        if route == "call":
            with call(f"CA-fuzz-{self._number}", **{f"bound{n}": data.value() for n in range(data.byte() % 3)}):
                self._log(data)
            return True
        if route == "log":
            self._log(data)
            return True
        record = self._std_record(data)
        if route == "handler":
            self.handler.handle(record)
            return False
        logging.getLogger("fuzz.handled").handle(record)
        return True

    @staticmethod
    def _log(data: Bytes) -> None:
        logger = logging.getLogger(data.pick(("fuzz.one", "fuzz.\ud800", "fuzz.\n[x]")))
        args = tuple(data.value() for _ in range(data.byte() % 4))
        named: dict = {}
        if data.chance(2):
            named["extra"] = data.mapping()
        if data.chance(3):
            named["exc_info"] = data.error()
        if data.chance(8):
            named["stack_info"] = True
        level = data.pick((20, 30, 40, 50, 10, 25, 99, 2**70))
        logger.log(level, data.pick((data.text, data.value))() if data.chance(2) else "%s " * len(args), *args, **named)

    @staticmethod
    def _std_record(data: Bytes) -> logging.LogRecord:
        """A record made by hand: any of its own fields may be anything."""
        record = logging.makeLogRecord({"name": "fuzz.made", "levelno": 20, "levelname": "INFO", "msg": data.text()})
        for key in (
            "name",
            "msg",
            "args",
            "levelname",
            "pathname",
            "lineno",
            "funcName",
            "module",
            "created",
            "msecs",
            "exc_text",
            "stack_info",
        ):
            if data.chance(4):
                record.__dict__[key] = data.value()
        if data.chance(6):
            record.levelno = data.pick((math.nan, math.inf, "ERROR", None, 20.5, 2**70, 15, 30.0))
        if data.chance(3):
            record.exc_info = data.pick(
                (
                    data.error,
                    lambda: (None, None, None),
                    lambda: (ValueError, 5, 6),
                    lambda: 5,
                    lambda: (1,),
                    lambda: (type(e := data.error()), e, "x"),
                )
            )()
        for key, value in data.mapping().items():
            with contextlib.suppress(Exception):
                record.__dict__.setdefault(key, value)
        return record

    @staticmethod
    def _otel_record(data: Bytes) -> OtelRecord:
        """A record made by another bridge. What the SDK itself refuses (attributes without a text) it never sees."""
        record = OtelRecord(body=data.value(), event_name=data.pick((None, "e", "\ud800", 5, Shouting("x"))))
        record.attributes = {
            data.text() or "key": data.pick(
                (1, 2**70, "\ud800", b"\xff", math.nan, ["\ud800", [1]], {"a": {"\ud800": 1}, "": 2}, None)
            )
            for _ in range(data.byte() % 4)
        }
        record.timestamp = data.pick((None, 0, -1, 2**64, 5, "now", 1.5))
        record.observed_timestamp = data.pick((1, None, -1, 2**64))
        record.severity_number = data.pick((SeverityNumber.INFO, None, 9, 99, "INFO", -1))
        record.severity_text = data.pick((None, "INFO", "\ud800", 5))
        record.trace_id = data.pick((0, None, 1, 2**128, -1, "x"))
        record.span_id = data.pick((0, None, 1, 2**64, -1))
        record.trace_flags = data.pick((None, 0, 1, 2**32, -1))
        return record

    @staticmethod
    def _check_books() -> None:
        stats = ledger.snapshot()
        assert not {"internal_error", "poison"} & set(stats["dropped"]), (
            f"lost: {stats['dropped']}, {stats['incidents']}"
        )
        assert not {"internal_error", "policy", "console_format"} & set(stats["incidents"]), (
            f"trouble: {stats['incidents']}"
        )
        assert stats["created"] == stats["exported"] + sum(stats["dropped"].values()), f"books: {stats}"


_rig: Rig | None = None


def run_one(data: bytes) -> None:
    """The fuzz target, for harnesses that know nothing of rigs."""
    global _rig
    if _rig is None:
        _rig = Rig().__enter__()
    _rig.run_one(data)
