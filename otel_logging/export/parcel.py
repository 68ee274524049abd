"""Records on their way in one request: how many of them are done with, and where they are on disk, if they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_logging.export.otlp_request import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_logging.export.spool_files import SpoolFile


class Parcel:
    """One encoded request of `count` records, done with from its beginning on.

    Args:
        blob: the request.
        count: its records.
        file: where it is in the spool; None while it is in memory only.
        start: where it begins there: the offset of a frame, and the records of that frame that are not part of it.
        ends: for each of its frames, where it ends and how many of the records lie in it.
    """

    def __init__(
        self,
        blob: bytes,
        count: int,
        file: SpoolFile | None = None,
        start: tuple[int, int] = (0, 0),
        ends: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.blob = blob
        self.count = count
        self.done = 0
        self.own = True  # this process's records
        self.file = file
        self._start = start
        self._ends = ends
        self._base = 0  # records that were done with before it came to disk

    @property
    def left(self) -> int:
        """Records that are not done with."""
        return self.count - self.done

    def part(self, start: int, stop: int) -> bytes:
        """The request of the records from `start` up to `stop`."""
        return self.blob if start == 0 and stop == self.count else cut(self.blob, start, stop)

    def rest(self) -> bytes:
        """The request of the records that are not done with."""
        return self.part(self.done, self.count)

    def stored(self, file: SpoolFile, start: int, end: int) -> None:
        """What is left of it is on disk now, in the frame from `start` to `end` of `file`."""
        self.file, self._start, self._ends, self._base = file, (start, 0), ((end, self.left),), self.done

    def advance(self, count: int) -> tuple[int, int]:
        """`count` more records are done with; gives where the file's cursor is to stand."""
        self.done += count
        done = self.done - self._base
        offset, skip = self._start
        for end, held in self._ends:
            if done < held:
                return offset, done + skip
            done -= held
            offset, skip = end, 0
        return offset, 0
