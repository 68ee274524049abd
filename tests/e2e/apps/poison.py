"""Logs every poison row there is, each between two good records; run as a program, or its ROWS used by other tests.

A row is a function that logs one record with the logger it is given, and what must be found in that record, as text of
its body or of one of its attributes.
"""

from __future__ import annotations

import collections
import logging
import math
import sys
import time


class Broken:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class BadCompare:
    def __eq__(self, other):
        raise RuntimeError("no equality")

    def __hash__(self):
        return 7


class Loud:
    def __str__(self):
        logging.getLogger("inner").warning("said while rendered")
        return "loud"

    __repr__ = __str__


class Slow:
    def __str__(self):
        time.sleep(0.01)
        return "slow"


class NoMemory:
    def __str__(self):
        raise MemoryError

    __repr__ = __str__


class LongDict(dict):
    def __len__(self):
        return 1 << 60


class Shouting(str):
    __slots__ = ()

    def __str__(self):
        return "SHOUTED"


class BadError(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def _cycle():
    ring: dict = {"a": [1]}
    ring["self"] = ring["a"].append(ring) or ring
    return ring


def _deep(levels):
    deep: list = ["bottom"]
    for _ in range(levels):
        deep = [deep]
    return deep


def _made(logger, **fields):
    record = logging.LogRecord(logger.name, 20, "/app.py", 7, "made by hand", (), None, "f")
    record.__dict__.update(fields)
    logger.handle(record)


def _failing(logger, error):
    try:
        raise error
    except BaseException as caught:
        logger.error("failed", exc_info=caught)


def _frames(count):
    code = (
        "\n".join(f"def f{n}(): f{n + 1}()" for n in range(count)) + f"\ndef f{count}(): raise ValueError('the end')\n"
    )
    space: dict = {}
    exec(code, space)
    return space["f0"]


def _deep_traceback(logger):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 1100)
    try:
        _frames(1000)()
    except ValueError:
        logger.exception("a thousand frames")
    finally:
        sys.setrecursionlimit(limit)


def _cyclic_chain(logger):
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__context__ = second, first
    _failing(logger, first)


def _group(logger):
    if sys.version_info < (3, 11):
        _failing(logger, ValueError("one of many"))
        return
    _failing(logger, ExceptionGroup("many", [ValueError(f"one of many {n}") for n in range(40)]))  # noqa: F821 (3.11)


def _chain(logger):
    error: BaseException = ValueError("innermost")
    for n in range(1000):
        outer = ValueError(f"outer {n}")
        outer.__cause__ = error
        error = outer
    _failing(logger, error)


ROWS = {
    "surrogate in the body": (lambda log: log.info("lone \ud800 surrogate"), "lone \\ud800 surrogate"),
    "file name as argument": (lambda log: log.info("file %s", b"caf\xe9".decode("utf-8", "surrogateescape")), "caf\\udce9"),
    "surrogate in the logger's name": (lambda log: logging.getLogger(f"{log.name}.\ud800").info("odd logger"), ".\\ud800"),
    "surrogate in the level's name": (lambda log: _made(log, levelname="\ud800"), "made by hand"),
    "event name is a number": (lambda log: log.info("event", extra={"otel.event.name": 5}), "event"),
    "event name is a dict": (lambda log: log.info("event", extra={"event.name": {"a": 1}}), "event"),
    "event name has a surrogate": (lambda log: log.info("event", extra={"event.name": "\ud800"}), "event"),
    "before 1970": (lambda log: _made(log, created=-5.0), "timestamp"),
    "created is NaN": (lambda log: _made(log, created=math.nan), "timestamp"),
    "level is no number": (lambda log: _made(log, levelno="HIGH"), "severity"),
    "wrong format": (lambda log: log.info("%d calls", "five"), "[otel-logging: not rendered, TypeError; args=('five',)]"),
    "too many arguments": (lambda log: log.info(*("calls", 5, 6)), "[otel-logging: not rendered, TypeError; args=(5, 6)]"),
    "message without a text": (lambda log: log.info(Broken()), "[otel-logging: Broken has no text: RuntimeError]"),
    "argument without a text": (lambda log: log.info("a %s b %s", Broken(), 7), "args=([Broken: RuntimeError], 7)"),
    "extra without a text": (lambda log: log.info("x", extra={"bad": Broken()}), "[otel-logging: Broken has no text: RuntimeError]"),
    "cyclic extra": (lambda log: log.info("x", extra={"ring": _cycle()}), "[otel-logging: cyclic]"),
    "cyclic argument": (lambda log: log.info("ring %s", _cycle()), "ring {'a': [1, {...}]"),
    "surrogates in key and value": (lambda log: log.info("x", extra={"k\ud800": "v\udfff"}), "v\\udfff"),
    "an integer beyond 64 bits": (lambda log: log.info("x", extra={"big": 2**64}), "18446744073709551616"),
    "an integer beyond printing": (lambda log: log.info("x", extra={"big": 10**10_000}), "[otel-logging: an integer of 33220 bits]"),
    "nested surrogate": (lambda log: log.info("x", extra={"n": {"a": ["\ud800"]}}), "\\ud800"),
    "exception with a surrogate": (lambda log: _failing(log, ValueError("bad \ud800 text")), "bad \\ud800 text"),
    "key None": (lambda log: _made(log, x=1) if log.name is None else log.info("x", extra={None: "no key"}), "no key"),
    "empty key": (lambda log: log.info("x", extra={"": "empty key"}), "empty key"),
    "keys with one text": (lambda log: log.info("x", extra={5: "first", "5": "second"}), "second"),
    "key that cannot be compared": (lambda log: log.info("x", extra={BadCompare(): "odd key"}), "odd key"),
    "key of the record's own": (lambda log: log.info("x", extra={"message": "overwritten", "name": "n"}), "overwritten"),
    "bytes, sets, NaN": (lambda log: log.info("x", extra={"b": b"\xff", "s": {1}, "n": math.nan}), "{1}"),
    "stack_info": (lambda log: log.info("x", stack_info=True), "Stack (most recent call last)"),
    "dict as message": (lambda log: log.info({"a": 1}), "{'a': 1}"),
    "None as message": (lambda log: log.info(None), "None"),
    "10 MB body": (lambda log: log.info("é" * 10_000_000), "characters cut]"),
    "10 MB of control characters": (lambda log: log.info("\0" * 10_000_000), "characters cut]"),
    "10 MB extra": (lambda log: log.info("x", extra={"a": "x" * 10_000_000, "b": b"x" * 10_000_000}), "[otel-logging: 10000000 bytes]"),
    "10,000 attributes": (lambda log: log.info("many", extra={f"k{n}": n for n in range(10_000)}), "many"),
    "very long key": (lambda log: log.info("x", extra={"k" * 100_000: "long key"}), "long key"),
    "deep nesting": (lambda log: log.info("x", extra={"deep": _deep(5_000)}), "[otel-logging: nested too deeply]"),
    "deep argument": (lambda log: log.info("deep %s", _deep(50_000)), "RecursionError"),
    "NUL and control characters": (lambda log: log.info("a\0b\x1b[31mc\x9bd\u2028e\u202ef\r\ng"), "a\0b\x1b[31mc\x9bd\u2028e\u202ef\r\ng"),
    "forged line": (lambda log: log.info("x\n[2024-01-21 19:30:26] INFO     [x] forged"), "forged"),
    "forged traceback line": (lambda log: _failing(log, ValueError("x\n[2024-01-21 19:30:26] INFO     [x] forged")), "forged"),
    "object that logs": (lambda log: log.info("it is %s", Loud()), "it is loud"),
    "object that is slow": (lambda log: log.info("it is %s", Slow()), "it is slow"),
    "object without memory": (lambda log: log.info("it is %s", NoMemory()), "MemoryError"),
    "dict that lies about its length": (lambda log: log.info("x", extra={"d": LongDict(a="inside")}), "inside"),
    "argument that lies about its length": (lambda log: log.info("%(a)s", LongDict(a="inside")), "inside"),
    "generator": (lambda log: log.info("%s", (n for n in range(3))), "<generator object"),
    "str with another text": (lambda log: log.info(Shouting("quiet")), "SHOUTED"),
    "deque and counter": (lambda log: log.info("x", extra={"d": collections.deque(["in"]), "c": collections.Counter("a")}), "in"),
    "error without a text": (lambda log: _failing(log, BadError()), "[otel-logging: BadError has no text: RuntimeError]"),
    "chain with a cycle": (_cyclic_chain, "first"),
    "long chain": (_chain, "characters left out]"),
    "group": (_group, "one of many"),
    "1,000 frames": (_deep_traceback, "frames left out]"),
    "exc_info that is none": (lambda log: _made(log, exc_info=(ValueError, 5, "x")), "made by hand"),
}  # fmt: skip


def main() -> None:
    """Log all rows."""
    good, bad = logging.getLogger("good"), logging.getLogger("bad")
    logging.raiseExceptions = False
    for number, (log, _) in enumerate(ROWS.values()):
        good.info("before %d", number, extra={"number": number})
        log(logging.getLogger(f"bad.{number}"))
        good.info("after %d", number, extra={"number": number})
    del bad


if __name__ == "__main__":
    import otel_logging

    otel_logging.configure()
    main()
