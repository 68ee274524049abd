"""The two stateful answers: may this record pass within its rate, and is it in the sample. No knowledge of matching.

Part of the hot path: a rate-limited line costs one dict look-up and two additions.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from otel_logging.policy.view import ABSENT

MAX_KEYS: Final = 4096  # windows one policy keeps open at once; the one opened longest ago goes first
SPACE: Final = 1 << 56  # randomness of OTel's consistent probability sampling: 56 bits
_TRACE_ID_BYTES: Final = 16
_RANDOM_BYTES: Final = 7


class RateLimit:
    """At most `limit` records per `window` seconds, counted apart for each key.

    A window opens with the first record after the last one closed. Callers hold the policy set's lock where they can;
    without it two threads may let one record too many pass, and nothing worse happens.
    """

    __slots__ = ("_limit", "_max_keys", "_window", "_windows", "evicted")

    def __init__(self, limit: int, window: float, max_keys: int = MAX_KEYS) -> None:
        self._limit = limit
        self._window = window
        self._max_keys = max_keys
        self._windows: dict[Any, list[float]] = {}  # key -> [when it opened, records passed]; oldest first
        self.evicted = 0

    def allows(self, key: Any, now: float) -> bool:
        """Whether one more record of `key` fits now. Takes nothing: see `take`."""
        window = self._windows.get(key)
        return window is None or now - window[0] >= self._window or window[1] < self._limit

    def closed_until(self, key: Any, now: float) -> float:
        """When the next record of `key` may pass; 0.0 if one may now."""
        window = self._windows.get(key)
        return 0.0 if window is None or self.allows(key, now) else window[0] + self._window

    def take(self, key: Any, now: float) -> None:
        """Count one record of `key` that passes."""
        window = self._windows.get(key)
        if window is not None and now - window[0] < self._window:
            window[1] += 1
            return
        if window is not None:
            self._windows.pop(key, None)  # re-opened below, at the young end
        elif len(self._windows) >= self._max_keys:
            try:
                oldest = next(iter(self._windows))
                if now - self._windows.pop(oldest)[0] < self._window:
                    self.evicted += 1
            except (KeyError, RuntimeError, StopIteration):
                pass  # another thread changed the table meanwhile; it is as small as we wanted it
        self._windows[key] = [now, 1]

    def __len__(self) -> int:
        return len(self._windows)


def in_sample(value: Any, percent: float) -> bool:
    """Whether records with this sample key value are kept: the same answer in every process, for ever.

    Follows OTel's consistent probability sampling: the last 56 bits of a trace id, or of a hash of any other value,
    are compared with the threshold that `percent` sets.
    """
    return _randomness(value) >= threshold(percent)


def threshold(percent: float) -> int:
    """From which randomness on records are kept."""
    return int((1 - percent / 100) * SPACE)


def _randomness(value: Any) -> int:
    if isinstance(value, bytes | bytearray):
        data = bytes(value)
        if len(data) == _TRACE_ID_BYTES:
            return int.from_bytes(data[-_RANDOM_BYTES:], "big")
    elif value is ABSENT:
        data = b""
    else:
        data = str(value).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:_RANDOM_BYTES], "big")
