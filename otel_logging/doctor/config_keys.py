"""Keys of Collector configurations that have another name now, or are gone: what, since when, what to write instead.

From the Collector's change logs; tests hold the table to a real Collector. What loads and works, but not as one may
think, is `config_traps`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_logging.doctor.finding import FAILED, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_logging.doctor.config_tree import Keys, Tree

CHECK: Final = "collector keys"


@dataclass(frozen=True)
class Old:
    """A component's type that is not what it was.

    Args:
        section: `receivers`, `processors`, `exporters`, `connectors` or `extensions`.
        type: the old type, as before the slash of a name.
        now: what to write instead.
        since: the Collector's version that made it so.
        gone: whether a Collector of today refuses it; else it still loads, with a warning of its own.
    """

    section: str
    type: str
    now: str
    since: str
    gone: bool = False


TYPES: Final = (
    Old("exporters", "otlphttp", "otlp_http", "0.144.0"),
    Old("exporters", "otlp", "otlp_grpc", "0.144.0"),
    Old("receivers", "filelog", "file_log", "0.149.0"),
    Old("processors", "logdedup", "log_dedup", "0.151.0"),
    Old("processors", "resourcedetection", "resource_detection", "0.155.0"),
    Old("exporters", "logging", "debug", "0.111.0", gone=True),
    Old("exporters", "loki", "otlp_http with Loki's own endpoint (http://LOKI:3100/otlp)", "0.131.0", gone=True),
    Old("extensions", "memory_ballast", "the environment variable GOMEMLIMIT", "0.109.0", gone=True),
)


def key_findings(tree: Tree) -> Iterator[Finding]:
    """Every old key of a configuration, with its place."""
    yield from _types(tree)
    yield from _queues(tree)
    yield from _filters(tree)
    yield from _telemetry(tree)


def kind(name: str) -> str:
    """The type of a component's name: `otlp_http/datadog` is an `otlp_http`."""
    return name.partition("/")[0].strip()


def _gone(tree: Tree, keys: Keys, since: str, now: str) -> Finding:
    says = f"{tree.where(keys)}: is gone since Collector {since}, which does not start with it"
    return Finding(CHECK, FAILED, says, f"write {now} instead", {"key": ".".join(map(str, keys)), "since": since})


def _renamed(tree: Tree, keys: Keys, since: str, now: str) -> Finding:
    says = f"{tree.where(keys)}: has another name since Collector {since}; the old one still loads"
    return Finding(CHECK, WARNING, says, f"write {now}", {"key": ".".join(map(str, keys)), "since": since})


def _types(tree: Tree) -> Iterator[Finding]:
    for old in TYPES:
        for name, _ in tree.items(old.section):
            if kind(name) == old.type:
                make = _gone if old.gone else _renamed
                yield make(tree, (old.section, name), old.since, old.now + _rest(name, old))
    for name, _ in tree.items("processors"):
        if kind(name) == "batch":
            keys = ("processors", name)
            says = f"{tree.where(keys)}: the batch processor is being withdrawn; it loses what it holds at a crash"
            cure = "take it out, and give each exporter a `sending_queue.batch`, which there is since Collector 0.123.0"
            yield Finding(CHECK, WARNING, says, cure, {"key": ".".join(keys), "since": "0.123.0"})


def _rest(name: str, old: Old) -> str:
    return "" if old.gone or "/" not in name else "/" + name.partition("/")[2]


def _queues(tree: Tree) -> Iterator[Finding]:
    for name, settings in tree.items("exporters"):
        if not isinstance(settings, dict):
            continue
        at = ("exporters", name)
        if "batcher" in settings:
            yield _gone(tree, (*at, "batcher"), "0.130.0", "sending_queue.batch")
        queue = (*at, "sending_queue")
        if tree.get(*queue, "blocking") is not None:
            yield _gone(tree, (*queue, "blocking"), "0.129.0", "block_on_overflow")
        for where in ((*queue, "batch"), (*at, "batcher")):
            for old, now in (("min_size_items", "min_size"), ("max_size_items", "max_size")):
                if tree.get(*where, old) is not None:
                    yield _gone(tree, (*where, old), "0.123.0", f"{now}, and `sizer: items`")


def _filters(tree: Tree) -> Iterator[Finding]:
    for name, _ in tree.items("processors"):
        if kind(name) == "filter" and tree.get("processors", name, "logs", "log_record") is not None:
            keys = ("processors", name, "logs", "log_record")
            yield _renamed(tree, keys, "0.146.0", "log_conditions, with paths that begin with log. or resource.")
        if kind(name) in {"filter", "transform"} and _without_error_mode(tree.get("processors", name)):
            at = ("processors", name)
            says = f"{tree.where(at)}: without error_mode, conditions that fail stop records before 0.153.0, not since"
            yield Finding(CHECK, WARNING, says, "write `error_mode: ignore`", {"key": ".".join(at), "since": "0.153.0"})


def _without_error_mode(settings: Any) -> bool:
    return isinstance(settings, dict) and bool(settings) and "error_mode" not in settings


def _telemetry(tree: Tree) -> Iterator[Finding]:
    keys = ("service", "telemetry", "metrics", "address")
    if tree.get(*keys) is not None:
        now = "service.telemetry.metrics.readers, with a `pull` reader, its `prometheus` exporter, host and port,"
        yield _gone(tree, keys, "0.128.0", now)
