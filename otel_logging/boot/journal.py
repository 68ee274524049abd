"""What the processes of one control folder tell each other: an append-only file of short lines, bounded in size.

Two things are told: a call's recorder was triggered, and a call was claimed for a debug rule. Everything that is read
is outside data; what it leads to is decided in `control`.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging import ids
from otel_logging.boot import control_file

if TYPE_CHECKING:
    from pathlib import Path

    from otel_logging.private_files import Folder

MAX_BYTES: Final = 256 * 1024  # from here on it is written anew, without what is old
TRIGGER_SECONDS: Final = 120.0  # a trigger is news for as long as the call lingers in some process
_KEPT_SECONDS: Final = {"trigger": TRIGGER_SECONDS, "claim": control_file.MAX_SECONDS}
_MAX_REASON: Final = 120
_MAX_BATCH: Final = 512
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Event(NamedTuple):
    """One line: what happened to which call, and when; `about` is a trigger's reason or a claim's rule."""

    kind: str
    call: str
    about: str
    at: float


class Journal:
    """The file at `path`, for one process. Used by one thread; the methods raise OSError and control_file.Refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[tuple[str, int]] = set()
        self._inode = -1
        self._offset = 0
        self.renew()

    def renew(self) -> None:
        """Take a name of our own, by which this process leaves out what it wrote itself: also in a forked child."""
        self._me = secrets.token_hex(6)
        self._written = 0

    def append(self, events: list[Event]) -> None:
        """Write `events`, unless the folder is missing: without it there is nobody to tell."""
        if not self._path.parent.is_dir():
            return  # nor is the folder made
        lines = b"".join(self._line(event) for event in events[-_MAX_BATCH:])
        with control_file.locked(self._path, 1.0, for_owner=False) as folder:
            descriptor = folder.open(self._path.name, _APPEND)
            try:
                if os.fstat(descriptor).st_size + len(lines) > MAX_BYTES:
                    self._shorten(folder)
                    os.close(descriptor)
                    descriptor = -1
                    descriptor = folder.open(self._path.name, _APPEND)
                os.write(descriptor, lines)
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def _line(self, event: Event) -> bytes:
        self._written += 1
        told = {"at": event.at, "by": self._me, "n": self._written, "kind": event.kind, "call": event.call}
        return json.dumps({**told, "about": event.about[:_MAX_REASON]}).encode() + b"\n"

    def _shorten(self, folder: Folder) -> None:
        """Leave out what is no news any more, and the older half if that is not enough. Under the lock."""
        data = control_file.read_in(folder, self._path.name, 2 * MAX_BYTES)
        now = time.time()
        kept = [line for line in data.splitlines(keepends=True) if _is_news(_parsed(line), now)]
        while kept and sum(map(len, kept)) > MAX_BYTES // 2:
            kept = kept[(len(kept) + 1) // 2 :]
        folder.replace(self._path.name, kept)

    def news(self) -> list[Event]:
        """What was written since the last time, by this process too where it is a claim: their order decides."""
        try:
            about = self._path.stat()
        except FileNotFoundError:
            return []
        if about.st_ino == self._inode and about.st_size == self._offset:
            return []
        data = control_file.read_bytes(self._path, 2 * MAX_BYTES)
        if about.st_ino != self._inode or len(data) < self._offset:
            self._inode, self._offset, before, self._seen = about.st_ino, 0, self._seen, set()
        else:
            before = set()
        end = data.rfind(b"\n") + 1
        fresh, self._offset = data[self._offset : end], max(end, self._offset)
        now = time.time()
        found = []
        for line in fresh.splitlines():
            raw = _parsed(line)
            if raw is None:
                continue
            key = (raw["by"], raw["n"])
            self._seen.add(key)
            mine = raw["by"] == self._me
            if key in before or not _is_news(raw, now) or (mine and raw["kind"] == "trigger"):
                continue
            found.append(Event(raw["kind"], raw["call"], raw["about"][:_MAX_REASON], raw["at"]))
        return found


def _parsed(line: bytes) -> dict[str, Any] | None:
    """One line as it must be, or None."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if (
        isinstance(raw, dict)
        and isinstance(raw.get("at"), float)
        and isinstance(raw.get("by"), str)
        and isinstance(raw.get("n"), int)
        and raw.get("kind") in _KEPT_SECONDS
        and ids.is_call_id(raw.get("call"))
        and isinstance(raw.get("about"), str)
    ):
        return raw
    return None


def _is_news(raw: dict[str, Any] | None, now: float) -> bool:
    return raw is not None and -60.0 < now - raw["at"] < _KEPT_SECONDS[raw["kind"]]
