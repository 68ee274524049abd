"""The repeat guard and the storm guard: what keeps an application quiet that no rule has ever named.

The repeat guard: a place in the code that logs at frame rate within one call (more than ten lines in a second) logs
frames. Its first lines are kept, the others are counted. Lines of one place that begin with other words are other
lines, so that an application's own `log()` is not taken for one line. WARNING and above are none of its business.

The storm guard: the same error at the same place within one call. The first five are kept whole, then one in 10 s.
Errors that differ (place, type, or what they say but for numbers and ids) are never held against each other.

Both keep their tables on the call's page, so they end with the call. Part of the hot path: a line that is held back
costs two look-ups, so its place is known by code object and instruction, never by a line number.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import suppressed
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.reasons import REPEAT_GUARD, STORM_GUARD
from otel_logging.bridge.this_thread import thread
from otel_logging.policy.blind import ALIKE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.scope import CallScope

BURST: Final = 5.0  # lines that a place may log at once
RATE: Final = 6.0  # and as many in each second that goes by: about ten in the first one
LISTING: Final = 15  # further lines of a call that follow their own kind at once, with no other line between: a list
LISTING_GAP: Final = 0.005  # seconds between two lines of a list
LISTING_REST: Final = 10.0  # seconds after which a call may print a list again
PAUSE: Final = 0.5  # seconds without a line that end a burst
CALM: Final = 3  # pauses in a row after which frames are no frames any more
FIRST_SIGN: Final = 10.0  # seconds until a new burst of known frames shows one line; doubles from burst to burst

STORM_WHOLE: Final = 5  # of the same error are kept
STORM_SECONDS: Final = 10.0  # between two of the same error after that

MAX_PLACES: Final = 256  # per call; the one met first goes first
MAX_KINDS: Final = 24  # of lines at one place; what comes then is one kind more
MAX_ERRORS: Final = 16  # of one type at one place; what comes then is one more
_FEW_KINDS: Final = 8  # a place with more kinds than these, one of them frames, shows each further kind once
_HEAD: Final = 64  # characters that tell one kind of line from another
_WORDS: Final = 3  # so many of their words
_OTHERS: Final = "*"  # the kind of all lines after the first MAX_KINDS kinds
_ERROR_HEAD: Final = 256  # and one error from another

_above: Final = sys._getframe  # noqa: SLF001 (documented; there is no other way to know the place of a line)
_LOGGING_FILE: Final = logging.addLevelName.__code__.co_filename
_TOKEN: Final = re.compile(r"(\w*\d\w*)|[^\W\d]{2,}")
# Numbers and ids are what differs between two of the same error, but for the numbers that name an error.
_VARIABLE: Final = re.compile(
    r"(\bhttp/\d(?:\.\d)?\W{1,3}\d{3}\b|\b(?:http|status|code|errno)\b\W{0,3}\d{1,5}\b)|\w*\d\w*", re.IGNORECASE
)


class _Line:
    """One kind of line at one place."""

    __slots__ = ("calm", "last", "next_sign", "quiet", "refused", "tokens", "wait")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.last = now
        self.quiet = False  # known as frames
        self.refused = 0  # since a line of it passed
        self.calm = 0
        self.next_sign = 0.0
        self.wait = FIRST_SIGN


class _Place:
    """A place in the code that logs within one call. Holds its code object, whose address is its key."""

    __slots__ = ("by_prefix", "code", "cut", "kinds")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.cut = 0  # so many first characters tell the first kind; no kind yet
        self.by_prefix: dict[str, _Line] = {}
        self.kinds: dict[str, _Line] = {}


class _Repeats:
    """The repeat guard's table of one call."""

    __slots__ = ("latest", "listed_at", "listing", "places", "quiet")

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], _Place] = {}
        self.latest: _Line | None = None
        self.listing = LISTING
        self.listed_at = 0.0
        self.quiet = False  # whether any line was ever known as frames


class _Storm:
    """One error at one place."""

    __slots__ = ("kept", "last", "refused")

    def __init__(self) -> None:
        self.kept = 0
        self.last = 0.0
        self.refused = 0


class Guards:
    """Both guards, for all calls of a process.

    Args:
        repeat: whether the repeat guard is on; it is off with the frame policies.
        clock: seconds, monotonic.
    """

    def __init__(self, *, repeat: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._repeat = repeat
        self._clock = clock

    def check(self, call: CallScope | None, level: int, msg: Any, kwargs: Mapping[str, Any]) -> str | None:
        """None to let the message pass, else the reason it is dropped for. Called two frames below the log call."""
        if call is None:
            return None
        if level >= logging.WARNING:
            if level < logging.ERROR and not kwargs.get("exc_info"):
                return None
            return self._check_error(call.memory, str(msg), kwargs, _frame(_above(3), kwargs))
        if not self._repeat or type(msg) is not str:
            return None
        frame = _above(3)  # the log method; its file is logging's
        frame = frame.f_back or frame
        if kwargs or frame.f_code.co_filename == _LOGGING_FILE:
            frame = _frame(frame, kwargs)
        memory = call.memory
        table: _Repeats | None = memory.guards.get(REPEAT_GUARD)
        if table is None:
            table = memory.guards.setdefault(REPEAT_GUARD, _Repeats())
        now = self._clock()
        place = table.places.get((id(frame.f_code), frame.f_lasti))
        line = place.by_prefix.get(msg[: place.cut]) if place is not None else None
        if line is None:
            line = self._line(table, frame, place, msg, now)
        elif line.quiet and now - line.last < PAUSE:
            line.last = now
            line.calm = 0
            line.refused += 1
            return REPEAT_GUARD
        return _decide(table, line, now, memory)

    def known_frame(self, call: CallScope, msg: str, kwargs: Mapping[str, Any]) -> bool:
        """Whether a line is one more of what `check` knows as frames: it need not be looked at by the policies first.

        Called two frames below the log call, for lines below WARNING.
        """
        table: _Repeats | None = call.memory.guards.get(REPEAT_GUARD)
        if table is None or not table.quiet or kwargs:
            return False
        frame = _above(4)
        place = table.places.get((id(frame.f_code), frame.f_lasti))
        line = place.by_prefix.get(msg[: place.cut]) if place is not None else None
        if line is None or not line.quiet:
            return False
        now = self._clock()
        if now - line.last >= PAUSE:
            return False
        line.last = now
        line.calm = 0
        line.refused += 1
        return True

    def _line(self, table: _Repeats, frame: FrameType, place: _Place | None, msg: str, now: float) -> _Line:
        """The kind of line that `msg` is, at this place; a new one if need be."""
        if place is None:
            place = _Place(frame.f_code)
            _put(table.places, (id(frame.f_code), frame.f_lasti), place, MAX_PLACES)
        kind, known = _kind(msg)
        line = place.kinds.get(kind)
        if line is None:
            if len(place.kinds) >= MAX_KINDS:
                known = 0
                line = place.kinds.setdefault(_OTHERS, _Line(BURST, now))
            else:
                crowd = len(place.kinds) >= _FEW_KINDS and any(one.quiet for one in place.kinds.values())
                line = place.kinds[kind] = _Line(1.0 if crowd else BURST, now)
        if known:
            place.cut = place.cut or known
            # The same first characters tell the same kind only if they reach as far as was looked.
            if known <= place.cut and len(place.by_prefix) < MAX_KINDS:
                place.by_prefix[msg[: place.cut]] = line
        return line

    def _check_error(self, memory: CallMemory, text: str, kwargs: Mapping[str, Any], frame: FrameType) -> str | None:
        table: dict[tuple[Any, ...], dict[str, _Storm]] | None = memory.guards.get(STORM_GUARD)
        if table is None:
            table = memory.guards.setdefault(STORM_GUARD, {})
        kind, says = _error(kwargs.get("exc_info"))
        key = (frame.f_code, frame.f_lasti, kind)
        errors = table.get(key)
        if errors is None:
            errors = {}
            _put(table, key, errors, MAX_PLACES)
        what = _VARIABLE.sub(_alike, f"{text[:_ERROR_HEAD]}\n{says[:_ERROR_HEAD]}")
        storm = errors.get(what)
        if storm is None:
            if len(errors) >= MAX_ERRORS:
                what = "*"
            storm = errors.setdefault(what, _Storm())
        now = self._clock()
        if storm.kept >= STORM_WHOLE and now - storm.last < STORM_SECONDS:
            storm.refused += 1
            return STORM_GUARD
        storm.kept += 1
        storm.last = now
        if storm.refused:
            _tell(memory, STORM_GUARD, storm)
        return None


def _decide(table: _Repeats, line: _Line, now: float, memory: CallMemory) -> str | None:
    """Whether a line passes that is not simply one more frame."""
    gap = now - line.last
    line.last = now
    together, table.latest = table.latest is line, line
    if line.quiet:
        if gap < PAUSE:
            line.calm = 0
            line.refused += 1
            return REPEAT_GUARD
        line.calm += 1
        if line.calm < CALM:
            if now < line.next_sign:
                line.refused += 1
                return REPEAT_GUARD
            line.next_sign = now + line.wait
            line.wait *= 2
        else:
            line.quiet = False
            line.tokens = BURST
    else:
        line.tokens = min(BURST, line.tokens + gap * RATE)
        if line.tokens >= 1:
            line.tokens -= 1
        elif not (together and gap <= LISTING_GAP and _lists(table, now)):
            line.quiet = table.quiet = True
            line.calm = 0
            line.next_sign = now + line.wait
            line.refused += 1
            return REPEAT_GUARD
    if line.refused:
        _tell(memory, REPEAT_GUARD, line)
    return None


_kinds: Final[dict[bytes, tuple[str, int]]] = {}  # of heads in which each digit is a 0, as it does not matter which
_MAX_KNOWN: Final = 4_096


def _kind(msg: str) -> tuple[str, int]:
    """As `_find_kind`, which takes longer than all the rest of a line: each call has its first line of each kind."""
    try:
        head = msg[:_HEAD].encode().translate(ALIKE)
    except UnicodeEncodeError:
        return _find_kind(msg)
    found = _kinds.get(head)
    if found is None:
        if len(_kinds) >= _MAX_KNOWN:
            _kinds.clear()
        found = _kinds[head] = _find_kind(msg)
    return found


def _find_kind(msg: str) -> tuple[str, int]:
    """The first words of `msg`, up to three and up to the first number after one, and how many characters tell them.

    That is 0 where only the whole of its head does.
    """
    words: list[str] = []
    for found in _TOKEN.finditer(msg, 0, _HEAD):
        at = found.start()
        if found[1] is None:
            words.append(found[0])
            if len(words) == _WORDS:
                return " ".join(words), found.end() + 1
        elif words:
            return " ".join(words), at + 1 if msg[at].isdigit() else 0
    return " ".join(words), 0


def _lists(table: _Repeats, now: float) -> bool:
    """Whether the call may print one more line of a list."""
    if now - table.listed_at > LISTING_REST:
        table.listing = LISTING
    if not table.listing:
        return False
    table.listing -= 1
    table.listed_at = now
    return True


def _tell(memory: CallMemory, reason: str, held: _Line | _Storm) -> None:
    """The line that passes now tells of those before it."""
    n, held.refused = held.refused, 0
    thread.suppressed = n
    suppressed.tell(memory, reason, n)


def _frame(frame: FrameType, kwargs: Mapping[str, Any]) -> FrameType:
    """The frame that a record made under `frame` would name, as `findCaller` finds it."""
    found: FrameType | None = frame
    while found is not None and found.f_code.co_filename == _LOGGING_FILE:
        found = found.f_back
    for _ in range(kwargs.get("stacklevel", 1) - 1):
        if found is None or found.f_back is None:
            break
        found = found.f_back
    return found or frame


def _error(info: Any) -> tuple[type | None, str]:
    """Type and text of what `exc_info` says."""
    if not info:
        return None, ""
    error = info if isinstance(info, BaseException) else (info if isinstance(info, tuple) else sys.exc_info())[1]
    if not isinstance(error, BaseException):
        return None, ""
    return type(error), str(error)


def _alike(found: re.Match[str]) -> str:
    return found[1] or "#"


def _put(table: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Add to a bounded table; what it holds longest makes room."""
    if len(table) >= most:
        try:
            del table[next(iter(table))]
            ledger.evicted("guards")
        except (KeyError, RuntimeError, StopIteration):
            pass  # another thread made room
    table[key] = value
