"""The table of settings, read once into a frozen object.

Every environment variable that otel-logging understands is one row of `TABLE`: its name, its type, its default and a
sentence. Documentation and error messages are made from the same rows. Nothing in here touches logging, the OTel SDK
or the disk; a wrong value becomes a sentence in `Settings.problems` and never an exception.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_logging import hidden
from otel_logging.places import default_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_LEVEL_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
EXPORTERS = ("otlp", "local", "console", "none")
PROTOCOLS = ("http/protobuf", "grpc")

# Variables that a distro may fill in before our hook runs; what "unset" means must not depend on it.
WATCHED = ("OTEL_LOGS_EXPORTER", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL")
# Carries the finding to child processes: `NAME=value` pairs, comma-separated, that no user set.
FOREIGN_DEFAULTS = "OTEL_LOGGING_FOREIGN_DEFAULTS"


class Invalid(ValueError):  # noqa: N818 (a verdict on a value, not an error a caller sees)
    """A value that a row does not accept; its text says what would be valid."""


@dataclass(frozen=True)
class Recorder:
    """Budgets of the flight recorder: whether it runs, bytes per call and bytes per process."""

    enabled: bool = True
    call_bytes: int = 256 * 1024
    process_bytes: int = 32 * 1024 * 1024


class Secret:
    """A text that shows in no repr, message or traceback. Its owner asks for it with `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True)
class Row:
    """One setting: the keyword of `configure()`, its variable, how it is read, its default as text, and a sentence."""

    name: str
    variable: str
    parse: Callable[[Any], Any]
    default: str
    sentence: str
    secret: bool = False
    """Its value is never shown, a wrong one neither."""


def _text(value: Any) -> str:
    return str(value).strip()


def _level(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if value in LEVELS.values():
            return value
    else:
        name = _text(value).upper()
        name = _LEVEL_ALIASES.get(name, name)
        if name in LEVELS:
            return LEVELS[name]
    raise Invalid(f"valid: {', '.join(LEVELS)}, in any case")


def _switch(value: Any) -> bool:
    text = _text(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Invalid("valid: 1 or 0 (also on/off, true/false, yes/no)")


def _one_of(*valid: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        text = ("on" if value else "off") if isinstance(value, bool) else _text(value).lower()
        if text in valid:
            return text
        raise Invalid(f"valid: {', '.join(valid)}")

    return parse


def _list(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _exporters(value: Any) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _list(value))
    # `otel_logging` asks a foreign provider to use our filtering as its exporter: see `Settings.foreign_provider`.
    bad = [name for name in names if name not in (*EXPORTERS, "otel_logging")]
    if bad or not names:
        raise Invalid(f"valid: {', '.join(EXPORTERS)} (comma-separated for several), or otel_logging")
    if "none" in names and len(names) > 1:
        raise Invalid("`none` stands alone")
    return names


def _path(value: Any) -> Path:
    text = os.fspath(value) if isinstance(value, os.PathLike) else _text(value)
    if not text or "\x00" in text:
        raise Invalid("valid: a folder's path")
    return Path(text).expanduser()


def _control(value: Any) -> str:
    text = _text(value)
    scheme, found, rest = text.partition("://")
    if not found:
        return text
    if scheme.lower() != "https":
        raise Invalid("valid: a file's path or an https URL; a plain http URL could be forged on the way")
    if "@" in rest.partition("/")[0]:
        raise Invalid("valid: an https URL without user and password; a token goes into OTEL_LOGGING_CONTROL_TOKEN")
    if not rest.strip("/") or rest.startswith(("/", ":", "?", "#")):
        raise Invalid("valid: a file's path or an https URL, which names a host")
    return f"https://{rest}"


_NO_HOST = re.compile(r"[\s/@]|^[^:\[\]]*:\d*$")  # several, a URL, or one with its port


def _hosts(value: Any) -> tuple[str, ...]:
    names = _list(value)
    if any(_NO_HOST.search(name) for name in names):
        raise Invalid("valid: names, addresses or globs of hosts such as crm,*.example.com, without scheme and port")
    if len(names) > 1 and "none" in (name.lower() for name in names):
        raise Invalid("`none` stands alone")
    return names


def _secret(value: Any) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else _text(value)
    if not (text.isascii() and text.isprintable() and text):
        raise Invalid("valid: printable ASCII characters, without line breaks")
    return Secret(text)


_SIZE = re.compile(r"(\d+)\s*([kmg]?)i?b?", re.IGNORECASE)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise Invalid("valid sizes: 262144, 256KiB, 32MiB")
    return int(found[1]) << (10 * ("kmg".index(found[2].lower()) + 1) if found[2] else 0)


def _recorder(value: Any) -> Recorder:
    if isinstance(value, Recorder):
        return value
    text = _text(value).lower()
    if text in _TRUE:
        return Recorder()
    if text in _FALSE:
        return Recorder(enabled=False)
    budgets = {"call": Recorder.call_bytes, "process": Recorder.process_bytes}
    for part in text.split(","):
        key, _, amount = part.partition("=")
        if key.strip() not in budgets or not amount:
            raise Invalid("valid: on, off, or budgets such as call=256KiB,process=32MiB")
        budgets[key.strip()] = _size(amount)
    return Recorder(call_bytes=budgets["call"], process_bytes=budgets["process"])


def _key(value: Any) -> bytes:
    # Never invalid: the sentence about a wrong value shows it.
    return value if isinstance(value, bytes) else _text(value).encode("utf-8", "surrogateescape")


def _protocol(value: Any) -> str:
    text = _text(value).lower()
    if text in PROTOCOLS:
        return text
    raise Invalid(f"valid: {', '.join(PROTOCOLS)}")


def _positive(value: Any) -> int:
    try:
        number = int(_text(value))
    except ValueError:
        number = 0
    if number <= 0:
        raise Invalid("valid: a whole number above 0")
    return number


TABLE: tuple[Row, ...] = (
    Row("log_level", "LOG_LEVEL", _level, "INFO",
        "DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case. At DEBUG the frame policies are off."),
    Row("log_json", "LOG_JSON", _switch, "0", "1: one JSON object a line on the console; 0: lines for people."),
    Row("log_console", "LOG_CONSOLE", _one_of("on", "errors", "off"), "on",
        "on, errors (ERROR and above) or off, so that nobody pays twice for stdout and OTLP."),
    Row("log_capture_print", "LOG_CAPTURE_PRINT", _switch, "0",
        "1: a line printed by print() becomes an INFO record of logger `print`."),
    Row("enabled", "OTEL_LOGGING", _switch, "on",
        "off: the kill switch; everything is inert and `run` only execs. OTEL_SDK_DISABLED=true does the same."),
    Row("logs_exporter", "OTEL_LOGS_EXPORTER", _exporters, "otlp if an OTLP endpoint is set, else console",
        "otlp, local, console or none. `local` is asked for, never assumed: transcripts are private."),
    Row("service_name", "OTEL_SERVICE_NAME", _text, "service.name of OTEL_RESOURCE_ATTRIBUTES, else unknown_service",
        "The name under which this service's records are found."),
    Row("otlp_protocol", "OTEL_EXPORTER_OTLP_PROTOCOL", _protocol, "http/protobuf",
        "http/protobuf or grpc; OTEL_EXPORTER_OTLP_LOGS_PROTOCOL wins over it for logs."),
    Row("policies", "OTEL_LOGGING_POLICIES", _list, "voice",
        "Policy files, comma-separated; `voice` names the bundled one."),
    Row("privacy", "OTEL_LOGGING_PRIVACY", _one_of("off", "secrets", "strict"), "secrets",
        "off, secrets or strict (personal data and message content too). Audio payloads and DTMF digits never leave."),
    Row("pseudonym_key", "OTEL_LOGGING_PSEUDONYM_KEY", _key, "no pseudonyms",
        "A secret text: personal data that `strict` takes out leaves a keyed hash, so that a caller is known again."),
    Row("store", "OTEL_LOGGING_STORE", _path, "the user's state folder",
        "Folder of the local store, the spool, the attic and the control file; created with mode 0700."),
    Row("spool", "OTEL_LOGGING_SPOOL", _one_of("off", "on-failure", "always"), "on-failure",
        "Records that the endpoint does not take wait on disk. on-failure, off, or always: all of them are written "
        "ahead, and survive kill -9."),
    Row("recorder", "OTEL_LOGGING_RECORDER", _recorder, "on",
        "The flight recorder: on, off, or budgets such as call=256KiB,process=32MiB."),
    Row("control", "OTEL_LOGGING_CONTROL", _control, "control.json in the store",
        "A file or an https URL through which running processes are steered."),
    Row("control_token", "OTEL_LOGGING_CONTROL_TOKEN", _secret, "none",
        "Bearer token for the https URL of OTEL_LOGGING_CONTROL; never shown.", secret=True),
    Row("propagate_to", "OTEL_LOGGING_PROPAGATE_TO", _hosts, "own hosts",
        "Hosts to which outgoing requests carry the call in W3C Baggage; by default loopback, private addresses and "
        "names without a dot, never third parties. `none` switches it off."),
    Row("blrp_schedule_delay", "OTEL_BLRP_SCHEDULE_DELAY", _positive, "1000",
        "Milliseconds between two exports."),
    Row("blrp_max_queue_size", "OTEL_BLRP_MAX_QUEUE_SIZE", _positive, "16384",
        "Records that may wait for export; what does not fit is counted as dropped."),
    Row("blrp_max_export_batch_size", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _positive, "512",
        "Records in one export."),
    Row("blrp_export_timeout", "OTEL_BLRP_EXPORT_TIMEOUT", _positive, "30000",
        "Milliseconds that one export may take."),
)  # fmt: skip
_ROWS = {row.name: row for row in TABLE}
_KEYWORDS = {**_ROWS, **{row.variable: row for row in TABLE}, **{row.variable.lower(): row for row in TABLE}}


@dataclass(frozen=True)
class Settings:
    """What this process was told, checked. One field per row of `TABLE`, and the sentences about what was wrong."""

    log_level: int = 20
    log_json: bool = False
    log_console: str = "on"
    log_capture_print: bool = False
    enabled: bool = True
    logs_exporter: tuple[str, ...] = ("console",)
    service_name: str = "unknown_service"
    otlp_protocol: str = "http/protobuf"
    policies: tuple[str, ...] = ("voice",)
    privacy: str = "secrets"
    pseudonym_key: bytes | None = field(default=None, repr=False)
    store: Path | None = None
    spool: str = "on-failure"
    recorder: Recorder = field(default_factory=Recorder)
    control: str | None = field(default=None, repr=False)  # a URL's query may hold a token
    control_token: Secret | None = None
    propagate_to: tuple[str, ...] | None = None
    blrp_schedule_delay: int = 1000
    blrp_max_queue_size: int = 16384
    blrp_max_export_batch_size: int = 512
    blrp_export_timeout: int = 30000
    # What was said outright, by keyword or variable: a stated LOG_LEVEL rules the root logger, a default does not.
    given: frozenset[str] = frozenset()
    config_file: str | None = None
    problems: tuple[str, ...] = field(default=(), compare=False)

    @property
    def foreign_provider(self) -> bool:
        """True when records are to go to the application's global LoggerProvider instead of one of our own."""
        return self.config_file is not None or "otel_logging" in self.logs_exporter

    @property
    def debug(self) -> bool:
        """True at LOG_LEVEL=DEBUG, where frame policies are off and libraries are not quietened."""
        return self.log_level <= LEVELS["DEBUG"]

    @property
    def level_name(self) -> str:
        """The name of `log_level`, for the boot line and for people."""
        return next(name for name, number in LEVELS.items() if number == self.log_level)


def read(keywords: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read keywords (first), the environment (second) and the defaults into one frozen `Settings`.

    Args:
        keywords: settings by row name, by variable name or by its lower case; `None` values count as not given.
        environ: the environment; by default this process's, less what a distro filled in.

    Raises:
        TypeError: for a keyword that is no setting. A wrong *value* never raises: see `Settings.problems`.
    """
    env = received_environ() if environ is None else environ
    given: dict[str, Any] = {}
    for key, value in (keywords or {}).items():
        if key not in _KEYWORDS:
            raise TypeError(f"configure() has no setting {key!r}; valid: {', '.join(_ROWS)}")
        if value is not None:
            given[_KEYWORDS[key].name] = value
    values: dict[str, Any] = {}
    problems: list[str] = []
    for row in TABLE:
        source, raw = row.variable, given.get(row.name)
        if raw is None:
            raw = env.get(row.variable)
            if row.name == "otlp_protocol" and env.get("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "").strip():
                source, raw = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", env["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"]
            if raw is None or not raw.strip():
                continue
        try:
            values[row.name] = row.parse(raw)
        except Exception as error:  # a keyword's value may be any object, and its str() any code
            shown = "***" if row.secret else _shown(raw)
            reason = str(error) if isinstance(error, Invalid) else f"cannot be read ({type(error).__name__})"
            problems.append(f"{source}={shown} is not valid; {reason}; using {row.default}")
    stated = frozenset(values)
    _fill_in(values, env, problems)
    return Settings(
        **values, given=stated, config_file=env.get("OTEL_CONFIG_FILE", "").strip() or None, problems=tuple(problems)
    )


def _shown(raw: Any) -> str:
    try:
        plain = raw if isinstance(raw, str) else str(raw)
        text = hidden.shown_value(plain)
        text = text if len(text) <= 80 else text[:77] + "..."
        return repr(raw if text == plain else text)
    except Exception:
        return f"<{type(raw).__name__}>"


def _fill_in(values: dict[str, Any], env: Mapping[str, str], problems: list[str]) -> None:
    """Defaults that depend on other variables."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        values["enabled"] = False
    if "logs_exporter" not in values:
        endpoint = env.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        values["logs_exporter"] = ("otlp",) if endpoint and endpoint.strip() else ("console",)
    if "service_name" not in values:
        values["service_name"] = _resource_service(env.get("OTEL_RESOURCE_ATTRIBUTES", "")) or "unknown_service"
    if "store" not in values:
        values["store"] = default_store(env)
    if values["store"] is None and "local" in values["logs_exporter"]:
        values["store"] = _temporary_folder() / f"otel-logging-{os.getuid() if hasattr(os, 'getuid') else 0}"
        problems.append(
            "OTEL_LOGGING_STORE is not set and there is no home folder; valid: a folder's path; "
            f"using {values['store']}"
        )


def _temporary_folder() -> Path:
    try:
        import tempfile

        return Path(tempfile.gettempdir())
    except OSError:  # a read-only container has none that can be written; the store will say so when it is used
        return Path(os.sep, "tmp")


def _resource_service(text: str) -> str | None:
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            from urllib.parse import unquote

            return unquote(value.strip())
    return None


def note_foreign_defaults() -> None:
    """Remember which watched variables somebody else filled in since this process began. Called by the boot hook only.

    Before the application's own code runs, a watched variable that the process did not receive can only come from a
    distro. The finding goes into the environment, because child processes receive the distro's values as if set.
    """
    initial = _initial_environ()
    if initial is None:
        return
    found = dict(_noted(os.environ))
    for name in WATCHED:
        if name in os.environ and name not in initial:
            found[name] = os.environ[name]
    if found:
        os.environ[FOREIGN_DEFAULTS] = ",".join(f"{name}={value}" for name, value in found.items())


def received_environ() -> dict[str, str]:
    """This process's environment without the values that a distro filled in (see `note_foreign_defaults`)."""
    env = dict(os.environ)
    for name, value in _noted(env):
        if env.get(name) == value:
            del env[name]
    return env


def _noted(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in environ.get(FOREIGN_DEFAULTS, "").split(",") if pair)
    return [(name, value) for name, _, value in pairs]


def _initial_environ() -> set[str] | None:
    """The names that this process was started with, or None where the platform does not tell."""
    try:
        block = Path("/proc/self/environ").read_bytes()
    except OSError:
        return None
    return {os.fsdecode(entry.partition(b"=")[0]) for entry in block.split(b"\0") if entry}


assert {row.name for row in TABLE} <= {item.name for item in fields(Settings)}  # noqa: S101 (the table and the class are one thing)
