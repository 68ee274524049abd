"""The books of this process: every record made is exported, held, or dropped with a reason, and the sums agree.

The reasons are a closed set, told in `reasons`; docs/reference/ledger.md is the specification. Counting happens on the
hot path, so each thread counts in a cell of its own without a lock; reading adds the cells up. Incidents that are not
records (a refused call id, a setting that was wrong) are counted in `otel_logging.trouble`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from otel_logging import trouble

if TYPE_CHECKING:
    from collections.abc import Callable

CREATED = "created"
EXPORTED = "exported"
RECOVERED = "recovered"
_DROPPED = "-"  # before a reason
_KEYS: dict[str, str] = {}  # what `refused` counts under, by reason: a new text each time would be hashed anew
_EVICTED = "~"  # before the name of a bounded table


class _Cell(dict[str, int]):
    """One thread's counts. A dict of its own class so that it can be told apart when debugging."""

    def __missing__(self, key: str) -> int:
        return 0


class _Local(threading.local):
    cell: _Cell | None = None


def _family(total: _Cell, mark: str) -> dict[str, int]:
    """What is counted under `mark`, by name; what was taken back altogether is left out."""
    return {key[1:]: value for key, value in sorted(total.items()) if value and key.startswith(mark)}


def _read(gauge: Callable[[], int]) -> int:
    try:
        return gauge()
    except Exception:
        # The reader may be an application's health page.
        trouble.count("gauge_failed")
        return 0


class Ledger:
    """Counts of records. All methods may be called from any thread, and none raises."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # guards _cells and _gauges, never held while counting; signal handlers read
        self._cells: list[tuple[threading.Thread, _Cell]] = []
        self._settled = _Cell()  # what finished threads had counted
        self._gauges: dict[str, Callable[[], int]] = {}
        self._local = _Local()
        self._settle: Callable[[], None] | None = None

    def before_reading(self, settle: Callable[[], None]) -> None:
        """Have `settle` called before the books are read: what is counted elsewhere is brought in there."""
        self._settle = settle

    def _new_cell(self) -> _Cell:
        cell = _Cell()
        self._local.cell = cell
        with self._lock:
            alive = []
            for thread, old in self._cells:
                if thread.is_alive():
                    alive.append((thread, old))
                else:
                    for key, value in old.items():
                        self._settled[key] += value
            self._cells = [*alive, (threading.current_thread(), cell)]
        return cell

    def created(self, n: int = 1) -> None:
        """`n` records were made and passed their level."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[CREATED] += n

    def exported(self, n: int = 1) -> None:
        """`n` records reached their destination."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[EXPORTED] += n

    def printed(self) -> None:
        """One record was made and reached its destination, both at once: what goes to the console alone."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[CREATED] += 1
        cell[EXPORTED] += 1

    def dropped(self, reason: str, n: int = 1) -> None:
        """`n` records that were counted as created will not arrive, for `reason` (such as `policy:audio-frames`)."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[_DROPPED + reason] += n

    def refused(self, reason: str, n: int = 1) -> None:
        """`n` records were made and dropped for `reason`, both at once: what the gate counts most."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[CREATED] += n
        key = _KEYS.get(reason)
        if key is None:
            key = _KEYS[reason] = _DROPPED + reason
        cell[key] += n

    def recovered(self, n: int = 1) -> None:
        """`n` records that had been dropped were given back to the exporters. No part of the balance."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[RECOVERED] += n

    def evicted(self, table: str, n: int = 1) -> None:
        """`n` entries of a bounded table (`limits`, `guards`, `ring`) had to make room. No part of the balance."""
        cell = self._local.cell
        if cell is None:
            cell = self._new_cell()
        cell[_EVICTED + table] += n

    def gauge(self, name: str, read: Callable[[], int]) -> None:
        """Register something that holds records (`queue`, `waiting`); `read` returns how many at the moment."""
        with self._lock:
            self._gauges[name] = read

    def remove_gauge(self, name: str) -> None:
        """Forget a gauge; unknown names are ignored."""
        with self._lock:
            self._gauges.pop(name, None)

    def snapshot(self) -> dict[str, Any]:
        """The books: `created`, `exported`, `held`, `dropped` by reason.

        Beside the balance `recovered`, `evicted` by table, and `incidents` by kind.
        `created == exported + held + sum(dropped.values())` whenever no record is on its way in another thread.
        """
        if self._settle is not None:
            self._settle()
        with self._lock:
            total = _Cell(self._settled)
            for _, cell in self._cells:
                for key, value in list(cell.items()):
                    total[key] += value
            gauges = list(self._gauges.values())
        return {
            "created": total[CREATED],
            "exported": total[EXPORTED],
            "held": sum(_read(gauge) for gauge in gauges),
            "dropped": _family(total, _DROPPED),
            "recovered": total[RECOVERED],
            "evicted": _family(total, _EVICTED),
            "incidents": trouble.counts(),
        }

    def reset(self) -> None:
        """Start again from zero: for tests, and for a forked child, whose parent's records are not its own."""
        if self._settle is not None:
            self._settle()  # into what is thrown away
        self._lock = threading.RLock()
        self._cells = []
        self._settled = _Cell()
        self._local = _Local()


ledger = Ledger()
"""The books of this process."""
