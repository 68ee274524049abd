"""The control document: how rules for running processes are written down, read with suspicion, and edited together.

Used by the processes that are steered and by the command that steers them. Nothing here knows what a rule does, and
nothing starts or watches anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from otel_logging import ids
from otel_logging.bridge.overrides import Rule
from otel_logging.private_files import NotPrivate, open_folder
from otel_logging.settings import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from otel_logging.private_files import Folder

VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024
MAX_RULES: Final = 64
MAX_SECONDS: Final = 24 * 60 * 60.0  # a rule lasts a day at most: what is forgotten ends by itself
MAX_CALLS: Final = 1000  # of one `where` rule
_SKEW: Final = 300.0  # seconds by which two machines' clocks may differ
_LOCK_SECONDS: Final = 5.0
_TEXT: Final = 256  # characters of a logger's name, an attribute's name or value
_KEYS: Final = frozenset({"id", "expires", "created", "call", "all", "where", "next", "level", "logger"})


class Refused(Exception):  # noqa: N818 (a verdict on outside data; its text is a sentence)
    """A control document that is not to be used; its text says why."""


class FolderRefused(Refused):
    """The folder of a control document is not to be used, whatever the document says."""


# -- text ------------------------------------------------------------------------------------------------------------


def parse(data: bytes, now: float | None = None) -> tuple[Rule, ...]:
    """The rules of a document. All or nothing: a document with one wrong rule is refused.

    Args:
        data: JSON, UTF-8.
        now: seconds since 1970; by default the present.

    Raises:
        Refused: with a sentence that names what is wrong and where.
    """
    if len(data) > MAX_BYTES:
        raise Refused(f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        found = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"is no JSON ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(found, dict):
        raise Refused("must be a JSON object")
    if found.get("version") != VERSION or isinstance(found["version"], bool):
        raise Refused(f"has no `version` that is known here; valid: {VERSION}")
    if unknown := found.keys() - {"version", "debug"}:
        raise Refused(f"has an unknown key {min(unknown)!r}; valid: version, debug")
    raws = found.get("debug", [])
    if not isinstance(raws, list) or len(raws) > MAX_RULES:
        raise Refused(f"`debug` must be a list of at most {MAX_RULES} rules")
    present = time.time() if now is None else now
    rules = [_rule_at(position, raw, present) for position, raw in enumerate(raws)]
    if len({rule.id for rule in rules}) < len(rules):
        raise Refused("`debug` uses one id twice")
    return tuple(rules)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _rule_at(position: int, raw: Any, now: float) -> Rule:
    try:
        return _rule(raw, now)
    except Refused as error:
        raise Refused(f"debug[{position}]: {error}") from None


def _rule(raw: Any, now: float) -> Rule:
    if not isinstance(raw, dict):
        raise Refused("must be an object")
    if unknown := raw.keys() - _KEYS:
        raise Refused(f"unknown key {min(unknown)!r}; valid: {', '.join(sorted(_KEYS))}")
    made = Rule(
        id=_id(raw.get("id")),
        expires=_time(raw, "expires"),
        created=_time(raw, "created") if "created" in raw else now,
        call=_call(raw["call"]) if "call" in raw else None,
        everything=_true(raw["all"]) if "all" in raw else False,
        where=_where(raw["where"]) if "where" in raw else (),
        calls=_calls(raw.get("next", 1)),
        level=_level(raw.get("level", "DEBUG")),
        loggers=_loggers(raw.get("logger", [])),
    )
    if (made.call is not None) + made.everything + bool(made.where) != 1:
        raise Refused("needs exactly one of `call`, `all` and `where`")
    if made.expires > now + MAX_SECONDS + _SKEW:
        raise Refused(f"`expires` is more than {MAX_SECONDS / 3600:.0f} hours away")
    return made


def _id(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= 32 and value.isascii() and value.isalnum():
        return value
    raise Refused("`id` must be 1 to 32 letters and digits")


def _time(raw: dict[str, Any], key: str) -> float:
    value = raw.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e11:
        return float(value)
    raise Refused(f"`{key}` must be a time in seconds since 1970")


def _call(value: Any) -> str:
    if ids.is_call_id(value):
        return str(value)
    raise Refused("`call` must be a call id or a trace id")


def _true(value: Any) -> bool:
    if value is True:
        return True
    raise Refused("`all` must be true or left out")


def _where(value: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(value, dict) and 0 < len(value) <= 8:
        pairs = tuple(sorted(value.items()))
        if all(isinstance(text, str) and len(text) <= _TEXT for pair in pairs for text in pair) and all(value):
            return pairs
    raise Refused("`where` must be an object of 1 to 8 attributes with text values")


def _calls(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_CALLS:
        return value
    raise Refused(f"`next` must be a number from 1 to {MAX_CALLS}")


def _level(value: Any) -> int:
    if isinstance(value, str) and value in LEVELS:
        return LEVELS[value]
    raise Refused(f"`level` must be one of {', '.join(LEVELS)}")


def _loggers(value: Any) -> tuple[str, ...]:
    if (
        isinstance(value, list)
        and len(value) <= 16
        and all(isinstance(name, str) and 0 < len(name) <= _TEXT for name in value)
    ):
        return tuple(value)
    raise Refused("`logger` must be a list of at most 16 names")


def as_json(rule: Rule) -> dict[str, Any]:
    """One rule as it stands in a document."""
    found: dict[str, Any] = {"id": rule.id, "created": rule.created, "expires": rule.expires}
    if rule.call is not None:
        found["call"] = rule.call
    if rule.everything:
        found["all"] = True
    if rule.where:
        found["where"] = dict(rule.where)
        found["next"] = rule.calls
    found["level"] = next(name for name, number in LEVELS.items() if number == rule.level)
    if rule.loggers:
        found["logger"] = list(rule.loggers)
    return found


def document(rules: Sequence[Rule]) -> bytes:
    """The document that holds `rules`."""
    text = json.dumps({"version": VERSION, "debug": [as_json(rule) for rule in rules]}, ensure_ascii=False, indent=1)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def new_id() -> str:
    """An id for a new rule."""
    return secrets.token_hex(3)


# -- file ------------------------------------------------------------------------------------------------------------


def read_bytes(path: Path, limit: int = MAX_BYTES, *, for_owner: bool = False) -> bytes:
    """The content of a file that only we or root can have written.

    Args:
        path: the file, in a folder as `private_files.open_folder` accepts it.
        limit: bytes.
        for_owner: for commands of root: a folder of another user, and a file of that same user in it, are accepted.

    Raises:
        FileNotFoundError: there is none.
        Refused: it is a link or no plain file, somebody else's, writable for others, or too large; or its folder is.
        OSError: it cannot be read.
    """
    with _refusing(path), open_folder(path.parent, make=False, for_owner=for_owner) as folder:
        return read_in(folder, path.name, limit)


def read_in(folder: Folder, name: str, limit: int = MAX_BYTES) -> bytes:
    """As `read_bytes`, of a file in an open folder; what is not private is NotPrivate here."""
    data = folder.read(name, limit + 1)
    if len(data) > limit:
        raise Refused(f"is larger than {limit // 1024} KiB")
    return data


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What is not private is Refused, in words that follow the file's name."""
    try:
        yield
    except NotPrivate as error:
        if error.filename == str(path.parent):
            raise FolderRefused(f"cannot be used: its folder {error}") from None
        raise Refused(str(error.strerror)) from None


def read(path: Path, *, for_owner: bool = False) -> tuple[Rule, ...]:
    """The rules in the file at `path`; none where there is no file. Raises as `read_bytes` and `parse` do."""
    try:
        return parse(read_bytes(path, for_owner=for_owner))
    except FileNotFoundError:
        return ()


def write(path: Path, rules: Sequence[Rule]) -> None:
    """Replace the file by one that holds `rules`, at once for every reader; as root, for the folder's owner.

    Raises:
        Refused: its folder is not to be used.
        OSError: it cannot be written, and stays as it was.
    """
    with _refusing(path), open_folder(path.parent, make=False, for_owner=True) as folder:
        folder.replace(path.name, [document(rules)], sync=True)


@contextlib.contextmanager
def locked(path: Path, seconds: float = _LOCK_SECONDS, *, for_owner: bool = True) -> Iterator[Folder]:
    """Keep other editors of the file at `path` out for the block; gives its folder.

    Raises:
        TimeoutError: another one does not finish.
        Refused: the folder is not to be used.
        OSError: the folder cannot be written.
    """
    with _refusing(path), open_folder(path.parent, make=False, for_owner=for_owner) as folder:
        descriptor = folder.open(path.name + ".lock", os.O_RDWR | os.O_CREAT)
        try:
            _wait_for(descriptor, path.name + ".lock", seconds)
            yield folder
        finally:
            os.close(descriptor)  # which unlocks


def _wait_for(descriptor: int, lock: str, seconds: float) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: the replacing is atomic all the same, the last editor wins
        return
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:  # noqa: PERF203 (waiting is what this loop is for)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process holds {lock}") from None
            time.sleep(0.02)
