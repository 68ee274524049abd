"""How far a reading is, on a terminal, once it takes longer than a second. Nothing of it reaches a pipe or a file."""

from __future__ import annotations

import os
import sys

from otel_logging.search.source import Asked, Local

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from types import TracebackType

    from otel_logging.search.source import Source

PATIENCE = 1.0  # seconds before anything is shown
_EVERY = 0.2
_BAR = 20
_FOLDERS = ("logs", "traces")


class Progress:
    """Shows what `searched` counts while the block runs; `with Progress(source) as searched: …`."""

    def __init__(self, source: Source) -> None:
        self.searched = Asked()
        self._source = source
        self._done: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Asked:
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            import threading

            self._done = threading.Event()
            self._thread = threading.Thread(
                target=self._show, args=(self._done,), name="otel-logging-progress", daemon=True
            )
            self._thread.start()
        return self.searched

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._done is not None and self._thread is not None:
            self._done.set()
            self._thread.join()

    def _show(self, done: threading.Event) -> None:
        if done.wait(PATIENCE):
            return
        total = _bytes_of(self._source)
        while True:
            sys.stderr.write(f"\r\x1b[K{line(self.searched, total)}")
            sys.stderr.flush()
            if done.wait(_EVERY):
                break
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def line(searched: Asked, total: int) -> str:
    """One line: a bar where the end is known, and what was read so far."""
    read = f"{searched.records:,} records"
    if searched.bytes:
        read = f"{searched.bytes / 1e6:,.0f} MB, {searched.lines:,} lines"
    if not total:
        return f"searching: {read}"
    share = min(searched.bytes / total, 1.0)
    full = int(share * _BAR)
    return f"searching [{'#' * full}{'.' * (_BAR - full)}] {share:4.0%}  {read}"


def _bytes_of(source: Source) -> int:
    """Bytes to read, or 0 where nobody knows: back ends, and files that were sealed."""
    if not isinstance(source, Local):
        return 0
    total = 0
    for folder in _FOLDERS:
        try:
            for entry in os.scandir(source.store / folder):
                if not entry.name.endswith(".jsonl"):
                    return 0
                total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # noqa: PERF203 (two folders)
            continue
    return total
