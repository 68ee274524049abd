"""Times as people and files write them: RFC 3339 in and out, `2h` and `10:30` in, relative times out.

All times inside search are whole nanoseconds since 1970 UTC. No query logic in here.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from functools import lru_cache

NANOS = 1_000_000_000
LATEST = 2**64 - 1  # what OTLP's fixed64 can hold; anything beyond is a broken writer's

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Compiled when first used: the command `call` uses none of them.
_STAMP = (
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,12}))?)?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d\d:?\d\d)?"
)
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_OF_DAY = r"(\d{1,2}):(\d\d)(?::(\d\d))?"
_AGO = r"(?i)(?:\d+(?:\.\d+)?[smhdw])+"
_AGO_PART = r"(?i)(\d+(?:\.\d+)?)([smhdw])"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def now() -> int:
    """The present, in nanoseconds."""
    return time.time_ns()


def rfc3339(nanos: int) -> str:
    """RFC 3339 in UTC with all nine digits, so that such times sort as text: `2024-01-21T19:30:26.123456789Z`."""
    seconds, rest = divmod(min(max(nanos, 0), LATEST), NANOS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def local(nanos: int) -> str:
    """Local time to the millisecond for people: `2024-01-21 19:30:26.123`."""
    seconds, rest = divmod(min(max(nanos, 0), LATEST), NANOS)
    return f"{(_EPOCH + timedelta(seconds=seconds)).astimezone():%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def relative(nanos: int) -> str:
    """Time since a beginning: `+03:12.481`, from an hour on `+1:03:12.481`."""
    seconds, rest = divmod(max(nanos, 0), NANOS)
    return f"{_since(seconds)}.{rest // 1_000_000:03d}"


@lru_cache(64)
def _since(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{f'{hours}:' if hours else ''}{minutes:02d}:{seconds:02d}"


def duration(nanos: int) -> str:
    """A length of time in words short enough for a table: `0.4s`, `12.5s`, `3m12s`, `1h03m`."""
    tenths = max(nanos, 0) // 100_000_000
    if tenths < 600:
        return f"{tenths // 10}.{tenths % 10}s"
    minutes, seconds = divmod(tenths // 10, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def parse_stamp(text: str) -> int | None:
    """Nanoseconds of an RFC 3339 time or of one without a zone (then local), or None if it is no such time."""
    found = re.fullmatch(_STAMP, text.strip())
    if not found:
        return None
    year, month, day, hour, minute, second = (int(found[key] or 0) for key in _PARTS)
    leap = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, second - leap)  # noqa: DTZ001 (without a zone, local is meant)
        moment = moment.replace(tzinfo=_zone(found["zone"])) if found["zone"] else moment.astimezone()
        whole = (moment - _EPOCH) // timedelta(seconds=1) + leap
    except (ValueError, OverflowError, OSError):
        return None
    return max(whole, 0) * NANOS + int((found["fraction"] or "").ljust(9, "0")[:9])


def _zone(text: str) -> timezone:
    if text in "Zz":
        return timezone.utc
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def parse_moment(text: str, at: int) -> int:
    """Nanoseconds of what a person types after `--since` or `--until`.

    Args:
        text: `2h`, `1h30m` (ago), `10:30` (the latest such time), an ISO date or time (local unless it names a zone),
            `now`, or a Unix time in seconds, milliseconds, microseconds or nanoseconds.
        at: the present, in nanoseconds.

    Raises:
        ValueError: with a sentence that says what would be valid.
    """
    text = text.strip()
    if text.lower() == "now":
        return at
    if re.fullmatch(_AGO, text):
        ago = sum(float(amount) * _SECONDS[unit.lower()] for amount, unit in re.findall(_AGO_PART, text))
        return at - int(ago * NANOS) if ago * NANOS < at else 0
    if text.isascii() and text.isdigit() and len(text) in {10, 13, 16, 19}:
        return int(text.ljust(19, "0"))
    if found := re.fullmatch(_OF_DAY, text):
        today = (_EPOCH + timedelta(microseconds=at // 1000)).astimezone()
        stamp = parse_stamp(f"{today:%Y-%m-%d} {int(found[1]):02d}:{found[2]}:{found[3] or '00'}")
        if stamp is not None:
            return stamp if stamp <= at else stamp - 86_400 * NANOS
    elif (stamp := parse_stamp(text)) is not None:
        return stamp
    raise ValueError(f"{text!r} is no time; valid: 2h, 1h30m, 10:30, 2024-01-21, 2024-01-21T19:30:26Z or a Unix time")
