"""What a Collector loads and yet does wrong by: loses records, gives secrets away, or does nothing at all.

Judged on all files together, as the Collector sees them. Old names are `config_keys`' business.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from otel_logging.doctor.config_keys import kind
from otel_logging.doctor.finding import FAILED, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_logging.doctor.config_tree import Tree

CHECK: Final = "collector config"

_SECRET: Final = re.compile(
    r"(?:^|[._-])(?:api[_-]?key|app(?:lication)?[_-]?key|access[_-]?key|secret|token|tokens|password|passwd|"
    r"authorization|bearer[_-]?token|hmac[_-]?key|credentials?)$",
    re.IGNORECASE,
)
_NO_SECRET: Final = re.compile(r"\$\{|^\s*$")
_EVERYWHERE: Final = re.compile(r"(?:^|[/:-])0\.0\.0\.0(?::|\}|$)|^\[::\]|^:\d+$")
# Where nothing can wait: they write here and now, or nowhere.
_WITHOUT_QUEUE: Final = frozenset({"debug", "file", "nop", "logging"})
_SECTIONS: Final = ("receivers", "processors", "exporters")


def trap_findings(tree: Tree) -> Iterator[Finding]:
    """Every trap of a whole configuration, with its place."""
    yield from _open_doors(tree)
    yield from _secrets(tree)
    yield from _queues(tree)
    yield from _limiters(tree)
    yield from _references(tree)
    yield from _redaction(tree)
    yield from _placeholders(tree)


def _used(tree: Tree, section: str) -> set[str]:
    """Names of components that some pipeline uses; of extensions, those in `service.extensions`."""
    if section == "extensions":
        return set(map(str, tree.get("service", "extensions") or ()))
    used: set[str] = set()
    for name, _ in tree.items("service", "pipelines"):
        used.update(map(str, tree.get("service", "pipelines", name, section) or ()))
    return used


def _open_doors(tree: Tree) -> Iterator[Finding]:
    for name, _ in tree.items("receivers"):
        for keys, value in tree.walk(("receivers", name)):
            if keys[-1] != "endpoint" or not isinstance(value, str) or not _EVERYWHERE.search(value):
                continue
            if tree.get(*keys[:-1], "auth") is None and tree.get(*keys[:-1], "tls", "client_ca_file") is None:
                says = f"{tree.where(keys)}: listens on every interface, and takes records from anybody"
                cure = (
                    "name one interface (127.0.0.1, or the service's own name in Compose), or add `auth` "
                    "(bearertokenauth) and `tls`"
                )
                yield Finding(CHECK, WARNING, says, cure)
    for name, _ in tree.items("extensions"):
        endpoint = tree.get("extensions", name, "endpoint")
        if kind(name) in {"pprof", "zpages"} and isinstance(endpoint, str) and _EVERYWHERE.search(endpoint):
            says = f"{tree.where(('extensions', name, 'endpoint'))}: shows the Collector's inside on every interface"
            yield Finding(CHECK, WARNING, says, "name 127.0.0.1")


def _secrets(tree: Tree) -> Iterator[Finding]:
    for keys, value in tree.walk():
        if not isinstance(value, (str, int)) or isinstance(value, bool) or _NO_SECRET.search(str(value)):
            continue
        name = str(keys[-2] if isinstance(keys[-1], int) and len(keys) > 1 else keys[-1])
        below_api = name == "key" and len(keys) > 1 and keys[-2] == "api"
        if below_api or _SECRET.search(name):
            variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()) if not below_api else "DD_API_KEY"
            says = f"{tree.where(keys)}: a secret stands in the file"
            cure = f"take it out, change it at its issuer, and write ${{env:{variable}}}"
            yield Finding(CHECK, FAILED, says, cure)


def _queues(tree: Tree) -> Iterator[Finding]:
    used = _used(tree, "exporters")
    for name, settings in tree.items("exporters"):
        if kind(name) in _WITHOUT_QUEUE or name not in used:
            continue
        at = ("exporters", name)
        if kind(name) == "datadog":
            says = f"{tree.where(at)}: reports success whatever becomes of log records: no queue or retry keeps them"
            yield Finding(CHECK, WARNING, says, "use otlp_http to https://otlp.DD_SITE where records must not be lost")
            continue
        storage = tree.get(*at, "sending_queue", "storage")
        if tree.get(*at, "sending_queue", "enabled") is False:
            says = f"{tree.where((*at, 'sending_queue', 'enabled'))}: without a queue, one slow back end holds up all"
            yield Finding(CHECK, WARNING, says, "take it out, and give the queue `storage: file_storage`")
        elif storage is None:
            says = f"{tree.where((*at, 'sending_queue'))}: waits in memory only: a restart loses all that waits"
            cure = "add the extension file_storage, and `sending_queue: {storage: file_storage}`"
            yield Finding(CHECK, WARNING, says, cure)
        elif tree.get("extensions", str(storage)) is None and str(storage) not in dict(tree.items("extensions")):
            says = f"{tree.where((*at, 'sending_queue', 'storage'))}: there is no extension {storage}"
            yield Finding(CHECK, FAILED, says, "define it below `extensions`")
        elif str(storage) not in _used(tree, "extensions"):
            says = f"{tree.where((*at, 'sending_queue', 'storage'))}: {storage} is not among service.extensions"
            yield Finding(CHECK, FAILED, says, "add it there: without it, the Collector does not start")
        if isinstance(settings, dict) and _gives_up(tree.get(*at, "retry_on_failure")):
            says = f"{tree.where((*at, 'retry_on_failure'))}: gives up and drops records after 5 minutes of failures"
            if tree.get(*at, "retry_on_failure", "enabled") is False:
                says = f"{tree.where((*at, 'retry_on_failure', 'enabled'))}: drops records at the first failure"
            elif tree.get(*at, "retry_on_failure", "max_elapsed_time") is not None:
                says = f"{tree.where((*at, 'retry_on_failure', 'max_elapsed_time'))}: drops records after that time"
            yield Finding(
                CHECK, WARNING, says, "write `retry_on_failure: {enabled: true, max_elapsed_time: 0}`: without end"
            )


def _gives_up(retry: Any) -> bool:
    if not isinstance(retry, dict):
        return True
    if retry.get("enabled") is False:
        return True
    return not re.fullmatch(r"0+(?:ns|us|ms|s|m|h)?|\$\{.*", str(retry.get("max_elapsed_time", "300s")))


def _limiters(tree: Tree) -> Iterator[Finding]:
    for name, _ in tree.items("service", "pipelines"):
        at = ("service", "pipelines", name, "processors")
        kinds = [kind(str(one)) for one in tree.get(*at) or ()]
        if "memory_limiter" not in kinds:
            says = f"{tree.where(at)}: no memory_limiter: a back end that is down ends in the Collector being killed"
            yield Finding(CHECK, WARNING, says, "put memory_limiter first")
        elif kinds[0] != "memory_limiter":
            says = f"{tree.where(at)}: memory_limiter is not first: what stands before it works on what it then refuses"
            yield Finding(CHECK, WARNING, says, "put it first")
    for name, _ in tree.items("processors"):
        interval = tree.get("processors", name, "check_interval")
        if kind(name) == "memory_limiter" and (interval is None or re.fullmatch(r"0+[a-z]*", str(interval))):
            says = f"{tree.where(('processors', name))}: without check_interval, the Collector does not start"
            yield Finding(CHECK, FAILED, says, "write `check_interval: 1s`")


def _references(tree: Tree) -> Iterator[Finding]:
    """What pipelines name and nobody defines, and the other way round. Overlays alone define no pipelines."""
    if not dict(tree.items("service", "pipelines")):
        return
    connectors = {name for name, _ in tree.items("connectors")}
    for section in (*_SECTIONS, "extensions"):
        defined = {name for name, _ in tree.items(section)}
        used = _used(tree, section)
        for name in sorted(used - defined - connectors):
            at = _place_of(tree, section, name)
            yield Finding(CHECK, FAILED, f"{at}: {name} is not defined below `{section}`", "define it, or take it out")
        for name in sorted(defined - used):
            says = f"{tree.where((section, name))}: is defined and used by nothing"
            cure = "add it to service.extensions" if section == "extensions" else "add it to a pipeline"
            yield Finding(CHECK, WARNING, says, f"{cure}, or take it out")


def _place_of(tree: Tree, section: str, name: str) -> str:
    if section == "extensions":
        return tree.where(("service", "extensions"))
    for pipeline, _ in tree.items("service", "pipelines"):
        keys = ("service", "pipelines", pipeline, section)
        if name in map(str, tree.get(*keys) or ()):
            return tree.where(keys)
    return f"service.pipelines: {section}"


def _redaction(tree: Tree) -> Iterator[Finding]:
    for name, settings in tree.items("processors"):
        if kind(name) == "redaction" and not (isinstance(settings, dict) and settings.get("allow_all_keys") is True):
            if isinstance(settings, dict) and settings.get("allowed_keys"):
                continue
            says = f"{tree.where(('processors', name))}: takes out every attribute, call_sid too"
            yield Finding(CHECK, FAILED, says, "write `allow_all_keys: true`")


def _placeholders(tree: Tree) -> Iterator[Finding]:
    for name, _ in tree.items("exporters"):
        for key in ("log_group_name", "log_stream_name"):
            keys = ("exporters", name, key)
            if isinstance(tree.get(*keys), (dict, list)):
                says = f"{tree.where(keys)}: a placeholder in braces without quotes is a map to YAML, and does not load"
                yield Finding(CHECK, FAILED, says, "put quotes around it: '{ServiceName}'")
