"""The order in which things are looked at, and waiting until they are well.

What concerns this process alone is looked at once; what concerns the endpoint again and again, if somebody waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging.calls.hosts import is_own
from otel_logging.doctor import collector, config_keys, config_traps, config_tree, disk, endpoint, process, roundtrip
from otel_logging.doctor.finding import FAILED, OK, SKIPPED, Finding, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_logging.settings import Settings

_PAUSE: Final = 1.0
_BEFORE: Final = frozenset({"dns", "connect", "tls", "protocol"})


@dataclass(frozen=True)
class Wishes:
    """What was asked for.

    Args:
        configs: Collector configurations to read, in the order of its `--config`.
        outputs: files or folders that the Collector's file exporter writes; the store's `logs` is looked at anyway.
        metrics: URL of its internal metrics; None to try the usual port.
        health: URL of its health check; None to try the usual port.
        record: whether a record is sent; else an empty request.
        wait: seconds for which failures of the endpoint are tried again.
        patience: seconds for which proof of the record's way is waited for.
    """

    configs: Sequence[Path] = ()
    outputs: Sequence[Path] = field(default_factory=tuple)
    metrics: str | None = None
    health: str | None = None
    record: bool = True
    wait: float = 0.0
    patience: float = roundtrip.PATIENCE_SECONDS


def examine(read: Settings, wishes: Wishes, environ: Mapping[str, str]) -> list[Finding]:
    """All findings, in the order in which records travel."""
    found = [
        *process.settings_findings(read, environ),
        *process.hook_findings(read, environ),
        *process.policy_findings(read),
        *disk.store_findings(read),
        *disk.spool_findings(read),
    ]
    if "otlp" in read.logs_exporter and read.enabled:
        found += _waited(lambda: list(_endpoint(read, wishes)), wishes.wait)
    else:
        says = f"records go to {'+'.join(read.logs_exporter) if read.enabled else 'nobody'}, not to an OTLP endpoint"
        cure = "set OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST:4318 if a Collector is to get them"
        found.append(Finding("endpoint", SKIPPED, says, cure))
    if wishes.configs:
        found += config_findings(wishes.configs)
    return found


def _waited(look: Callable[[], list[Finding]], seconds: float) -> list[Finding]:
    """What `look` finds, at the latest look: nothing failed any more, or the time was up."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if worst(found) != FAILED or time.monotonic() + _PAUSE > deadline:
            return found
        time.sleep(_PAUSE)


def _endpoint(read: Settings, wishes: Wishes) -> Iterator[Finding]:
    found = list(endpoint.endpoint_findings(read.otlp_protocol))
    yield from found
    place = endpoint.place_of(read.otlp_protocol)
    if place is None or any(one.verdict == FAILED and one.check in _BEFORE for one in found):
        yield Finding(roundtrip.CHECK, SKIPPED, "no record was sent, as nothing would take it")
        return
    own = is_own(place.host)
    health, page = collector.health_finding(wishes.health, place.host, own=own)
    yield health
    if page is not None and page.date and not any(one.check == "clock" for one in found):
        date = endpoint.date_of(page.date)
        if date is not None:
            yield endpoint.clock_finding(date, place.host)
    metrics = wishes.metrics
    if metrics is None and own:
        host = f"[{place.host}]" if ":" in place.host else place.host
        metrics = f"http://{host}:{collector.METRICS_PORT}/metrics"
    outputs = [*wishes.outputs, *([read.store / "logs"] if read.store is not None else [])]
    witnesses = roundtrip.Witnesses(metrics, [one for one in outputs if one.exists()], wishes.patience)
    yield roundtrip.round_trip(read, witnesses, roundtrip.new_call() if wishes.record else None)


def config_findings(paths: Sequence[Path]) -> list[Finding]:
    """What is wrong with Collector configurations: each file's keys, and the traps of all of them together."""
    trees = [config_tree.read(Path(path)) for path in paths]
    found = [
        Finding(config_traps.CHECK, FAILED, f"{where}: {sentence}", "correct the file")
        for tree in trees
        for where, sentence in tree.problems
    ]
    for tree in trees:
        found += config_keys.key_findings(tree)
    found += config_traps.trap_findings(config_tree.merged(trees))
    if worst(found) == OK:
        names = ", ".join(str(path) for path in paths)
        found.append(Finding(config_traps.CHECK, OK, f"{names}: no old keys and no known traps"))
    return found
