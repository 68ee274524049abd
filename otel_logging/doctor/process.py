"""What an application that is started from here would get: its settings, its boot hooks, its policies.

Judged by the environment and the installed packages of this process. A service's own container or virtual environment
is where the doctor belongs; elsewhere it judges another set-up.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging import settings as table
from otel_logging.doctor.finding import FAILED, OK, WARNING, Finding
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_logging.settings import Settings

_HOOKS: Final = ("opentelemetry_pre_instrument", "opentelemetry_post_instrument")
# What we tell our own child processes, and what `collector/build` and its users read.
_INTERNAL: Final = frozenset(
    {
        "OTEL_LOGGING_BOOTED", "OTEL_LOGGING_RUN_PID", "OTEL_LOGGING_COLLECTOR", "OTEL_LOGGING_COLLECTOR_CACHE",
        table.FOREIGN_DEFAULTS,
    }
)  # fmt: skip
_KNOWN: Final = {row.variable for row in table.TABLE} | _INTERNAL
_HEADERS: Final = re.compile(r"OTEL_EXPORTER_OTLP_(?:LOGS_|TRACES_)?HEADERS")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})


def settings_findings(read: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Every setting that is not valid, unknown or surprising; else one line that says what is in force."""
    problems = list(_setting_problems(read, environ))
    yield from problems
    where = "+".join(read.logs_exporter)
    if "otlp" in read.logs_exporter:
        where += f" ({read.otlp_protocol})"
    facts = {"level": read.level_name, "exporters": list(read.logs_exporter), "service": read.service_name}
    said = f"LOG_LEVEL={read.level_name}, records go to {where}, service {read.service_name}"
    yield Finding("settings", OK, said, facts=facts)


def _setting_problems(read: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    for problem in read.problems:
        yield Finding("settings", WARNING, problem, f"set {problem.partition('=')[0].split()[0]} to a valid value")
    if not read.enabled:
        says = "OTEL_LOGGING=off or OTEL_SDK_DISABLED=true: otel-logging is inert, nothing is exported"
        yield Finding("settings", WARNING, says, "unset it, unless that is meant")
    for name in sorted(environ):
        if name.startswith("OTEL_LOGGING_") and name not in _KNOWN:
            near = _nearest(name)
            yield Finding("settings", WARNING, f"{name} is no setting and does nothing", f"did you mean {near}?")
        if _HEADERS.fullmatch(name):
            bad = sum(1 for part in environ[name].split(",") if part.strip() and "=" not in part)
            if bad:
                yield Finding(
                    "settings",
                    FAILED,
                    f"{name} holds {bad} part(s) that are no header and are not sent",
                    "write name=value pairs, comma-separated, values URL-encoded: authorization=Bearer%20TOKEN",
                )
    if read.debug:
        says = "LOG_LEVEL=DEBUG: the frame policies are off, every media frame is logged and paid for"
        yield Finding("settings", WARNING, says, "set LOG_LEVEL=INFO; `otel-logging debug CALL` shows all of one call")
    if read.service_name == "unknown_service" and "otlp" in read.logs_exporter:
        says = "records have no service name; back ends show unknown_service and link no traces"
        yield Finding("settings", WARNING, says, "set OTEL_SERVICE_NAME")


def _nearest(name: str) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, sorted(_KNOWN - _INTERNAL), n=1, cutoff=0.0)), "OTEL_LOGGING")


def hook_findings(read: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether auto-instrumentation will find us, and whom else it will find."""
    missing = [group for group in _HOOKS if not any(one.name == "otel_logging" for one in _entry_points(group))]
    if missing:
        says = f"the boot hooks of otel-logging are not installed ({', '.join(missing)})"
        cure = "install the package (pip install otel-logging) into the application's own environment"
        yield Finding("hooks", FAILED, says, f"{cure}; a copied folder has no entry points")
    problems = [*_distros(environ), *_second_handlers(environ), *_declared(read)]
    yield from problems
    if not missing and not problems:
        names = sorted({one.name for one in _entry_points("opentelemetry_distro")})
        beside = f", beside the distro {names[0]}" if names else ""
        yield Finding("hooks", OK, f"the boot hooks are installed{beside}", facts={"distros": names})


def _entry_points(group: str) -> list[metadata.EntryPoint]:
    return list(metadata.entry_points(group=group))


def _distros(environ: Mapping[str, str]) -> Iterator[Finding]:
    for group, variable, what in (
        ("opentelemetry_distro", "OTEL_PYTHON_DISTRO", "distro"),
        ("opentelemetry_configurator", "OTEL_PYTHON_CONFIGURATOR", "configurator"),
    ):
        found = _entry_points(group)
        names = sorted({one.name for one in found})
        wanted = environ.get(variable, "").strip()
        if wanted and wanted not in names:
            says = f"{variable}={wanted}, but no such {what} is installed; none is loaded"
            yield Finding("hooks", WARNING, says, f"install it, or unset {variable}")
        elif not wanted and len(names) > 1:
            says = f"{len(names)} {what}s are installed ({', '.join(names)}); only one of them is loaded"
            yield Finding("hooks", WARNING, says, f"name the one that is meant in {variable}")


def _second_handlers(environ: Mapping[str, str]) -> Iterator[Finding]:
    if environ.get("OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION", "").strip().lower() in _TRUE:
        says = (
            "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION asks for the official handler, which would export every record "
            "twice; the boot hook sets it to false"
        )
        yield Finding("hooks", WARNING, says, "unset it")
    legacy = "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"
    if environ.get(legacy, "").strip().lower() in _TRUE:
        says = f"{legacy} makes a configurator add the SDK's own handler: records may be exported twice"
        yield Finding("hooks", WARNING, says, "unset it")
    if environ.get("OTEL_PYTHON_LOG_CORRELATION", "").strip().lower() in _TRUE:
        says = "OTEL_PYTHON_LOG_CORRELATION sets up logging's own console handler; our lines take its place"
        yield Finding("hooks", WARNING, says, "unset it: trace ids are on every record without it")
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if "*" in disabled.split(","):
        says = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=*: no library is instrumented; log records go on"
        yield Finding("hooks", OK, says)


def _declared(read: Settings) -> Iterator[Finding]:
    if read.config_file is None:
        return
    if not Path(read.config_file).is_file():
        says = f"OTEL_CONFIG_FILE names {read.config_file}, which is no file"
        yield Finding("hooks", FAILED, says, "correct the path, or unset it")
    elif not _entry_points("opentelemetry_configurator"):
        says = "OTEL_CONFIG_FILE is set, but nothing that reads it is installed; records go to the console only"
        yield Finding("hooks", FAILED, says, "pip install opentelemetry-distro opentelemetry-configuration")


def policy_findings(read: Settings) -> Iterator[Finding]:
    """Whether the policies load as a service would load them."""
    loaded = load(read.policies)
    errors = list(loaded.errors)
    good = [policy for policy in loaded.policies if not policy.errors]
    for one in PolicySet(good).stats():
        errors += (f"policy {one.policy_id!r}: {error}" for error in one.errors)
    names = ", ".join(read.policies)
    for error in errors:
        cure = "correct it; `otel-logging policy check` tells all of a file. Until then it is as if it were not there"
        yield Finding("policies", FAILED, error, cure)
    if not good and not errors:
        says = f"no policy in {names or 'OTEL_LOGGING_POLICIES'}: every record is kept and paid for"
        yield Finding("policies", WARNING, says, "OTEL_LOGGING_POLICIES=voice is the bundled set")
    elif not errors:
        yield Finding("policies", OK, f"{len(good)} policies of {names} load", facts={"policies": len(good)})
