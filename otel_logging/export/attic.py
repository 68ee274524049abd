"""The attic: what was dropped in calls that ended well, kept for a day, in case somebody asks tomorrow.

`<store>/attic/<call id>~<service>-<pid>.json.gz`, one file per call and process, private and replaced as a whole. Kept
to 24 hours and 512 MiB. Bringing a call back writes its records into the store's logs, under a name that follows from
the file's, so that doing it twice changes nothing. What is kept has been redacted before it comes here.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from otel_logging import trouble
from otel_logging.export.jsonl_file import JsonlFile
from otel_logging.export.otlp_json import attributes as otlp_attributes
from otel_logging.export.otlp_json import line
from otel_logging.private_files import NotPrivate, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otel_logging.private_files import Folder

KEEP_SECONDS: Final = 24 * 60 * 60
MAX_BYTES: Final = 512 * 1024 * 1024
RECALL: Final = "recall"
"""The trigger that recalled records carry."""

FOLDER: Final = "attic"
_SUFFIX: Final = ".json.gz"
_TIDY_SECONDS: Final = 60.0
_PER_LINE: Final = 500  # records in one line of the store
_NOT_FOR_NAMES: Final = re.compile(r"[^A-Za-z0-9._]+")


class Attic:
    """Writes and tidies the attic of one store. Nothing raises: what cannot be written is said in one line.

    Args:
        store: the store's folder.
        service: this process's service.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        service: str,
        *,
        max_bytes: int = MAX_BYTES,
        keep_seconds: float = KEEP_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = Path(store)
        self._folder = self._store / FOLDER
        self._service = _NOT_FOR_NAMES.sub("_", service).strip("._")[:60] or "unknown_service"
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._tidied = 0.0
        self._lock = threading.RLock()
        self._born = f"{time.time_ns() // 1_000_000:x}"
        self._file: JsonlFile | None = None

    def _name(self, call_sid: str) -> str:
        # `~` is in no call id and in no service's name.
        return f"{quote(call_sid, safe='')}~{self._service}-{os.getpid()}-{self._born}{_SUFFIX}"

    def put(self, page: Mapping[str, Any]) -> bool:
        """Keep what this process remembers of a call, in place of what it kept of it before; whether that worked."""
        try:
            data = gzip.compress(_dump(page), compresslevel=6)
            with open_folder(self._store) as store, store.inner(FOLDER) as folder:
                folder.replace(self._name(page["call_sid"]), [data])
                self._tidy(folder, len(data))
        except Exception as error:
            trouble.report("attic", f"a call could not be kept for recall in {self._folder} ({_reason(error)})")
            return False
        return True

    def discard(self, call_sid: str) -> None:
        """The call has been given back: there is nothing to recall of it any more."""
        try:
            with open_folder(self._store, make=False) as store, store.inner(FOLDER, make=False) as folder:
                folder.remove(self._name(call_sid))
        except FileNotFoundError:
            pass
        except OSError as error:
            trouble.report("attic", f"{self._folder} cannot be changed ({_reason(error)})")

    def to_store(self, page: Mapping[str, Any], trigger: str) -> bool:
        """Write a call's records into the store's logs, and nowhere else; whether that worked."""
        try:
            with self._lock:
                if self._file is None:
                    self._file = JsonlFile(self._store / "logs", f"{self._service}.recovered")
                for one in lines(page, trigger):
                    self._file.append(one)
        except Exception as error:
            trouble.report("attic", f"remembered records could not be written to {self._store} ({_reason(error)})")
            return False
        return True

    def close(self) -> None:
        """Close the file in the store's logs."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def _tidy(self, folder: Folder, size: int) -> None:
        """Forget what is too old or too much. Looked at once a minute, or when a lot came."""
        now = self._clock()
        if now - self._tidied < _TIDY_SECONDS and size < self._max_bytes // 64:
            return
        self._tidied = now
        found = []
        for name in folder.names():
            try:
                about = folder.stat(name)
            except OSError:
                continue  # another process was faster
            if not stat.S_ISREG(about.st_mode):
                continue  # none of ours
            if now - about.st_mtime > self._keep_seconds:
                folder.remove(name)
            else:
                found.append((about.st_mtime, about.st_size, name))
        room = self._max_bytes
        for _, taken, name in sorted(found, reverse=True):
            room -= taken
            if room < 0:
                folder.remove(name)


def _reason(error: Exception) -> str:
    if isinstance(error, NotPrivate):
        return str(error)
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"


def _dump(page: Mapping[str, Any]) -> bytes:
    # ASCII only: a lone surrogate must not cost the call.
    return json.dumps(page, separators=(",", ":"), default=str).encode()


def kept(store: Path) -> dict[str, list[Path]]:
    """The calls in the attic of `store`, each with its files, in the order of their names. Links are not followed."""
    found: dict[str, list[Path]] = {}
    try:
        names = sorted((store / FOLDER).iterdir())
    except OSError:
        return found
    for path in names:
        sid, separator, _ = path.name.partition("~")
        if separator and path.name.endswith(_SUFFIX) and path.is_file() and not path.is_symlink():
            found.setdefault(unquote(sid), []).append(path)
    return found


def bring_back(store: Path, path: Path) -> tuple[int, bool]:
    """Write the records of one of `kept`'s files into the store's logs.

    Returns how many there are, and whether they are new there: they are replaced if they were brought back before.

    Raises:
        OSError, ValueError: if the file cannot be read, or the store cannot be written.
    """
    with open_folder(store, make=False, for_owner=True) as folder:
        with folder.inner(FOLDER, make=False) as attic:
            page: Any = json.loads(gzip.decompress(attic.read(path.name, MAX_BYTES)))
        if not isinstance(page, dict) or not isinstance(page.get("records"), list):
            raise ValueError(f"{path.name} is no page of the attic")  # noqa: TRY004 (a file's content, not a type)
        with folder.inner("logs") as logs:
            target = f"recalled-{path.name.removesuffix(_SUFFIX)}.jsonl"
            new = target not in logs.names()
            logs.replace(target, lines(page, RECALL))
    return len(page["records"]), new


def lines(page: Mapping[str, Any], trigger: str) -> Iterator[bytes]:
    """A page as lines of the local store: OTLP/JSON, each record marked as recovered because of `trigger`."""
    bound = dict(page.get("attributes") or {})
    resource = {"attributes": otlp_attributes(page.get("resource") or {})}
    records = page["records"]
    for start in range(0, len(records), _PER_LINE):
        scopes: dict[str, list[dict[str, Any]]] = {}
        for row in records[start : start + _PER_LINE]:
            scopes.setdefault(str(row[3]), []).append(_record(row, page, bound, trigger))
        groups = [{"scope": {"name": name}, "logRecords": found} for name, found in scopes.items()]
        yield line({"resourceLogs": [{"resource": resource, "scopeLogs": groups}]})


def _record(row: list[Any], page: Mapping[str, Any], bound: Mapping[str, Any], trigger: str) -> dict[str, Any]:
    made_at, number, severity, name, body, trace_id, span_id, extras = row
    values = {**bound, **(extras or {}), "logger.name": name}
    if page.get("call_sid"):
        values["call_sid"] = page["call_sid"]
    values |= {"otel_logging.recovered": True, "otel_logging.trigger": trigger}
    encoded: dict[str, Any] = {
        "timeUnixNano": str(made_at),
        "observedTimeUnixNano": str(made_at),
        "severityNumber": number,
        "severityText": severity,
        "body": {"stringValue": body},
        "attributes": otlp_attributes(values),
    }
    if trace_id:
        encoded |= {"flags": 1, "traceId": trace_id}
    if span_id:
        encoded["spanId"] = span_id
    return encoded
