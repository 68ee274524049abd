"""What `--from` names: back ends by kind, and profiles for several regions, accounts and sites.

Profiles stand in a YAML file: `OTEL_LOGGING_PROFILES`, else `otel-logging/profiles.yaml` in the user's configuration
folder. It holds no secrets; keys stay in the environment, and a profile may name the variables. Asking a back end does
not belong here.
"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_logging.search.source import CLICKHOUSE, CLOUDWATCH, DATADOG, KINDS, LOCAL, Local, Several, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VARIABLE = "OTEL_LOGGING_PROFILES"
_SECRET = ("password", "api_key", "app_key", "application_key", "secret", "token", "access_key", "secret_key")
_METHODS = ("auto", "filter", "insights")
_TIERS = ("indexes", "online-archives", "flex")


class BadProfile(ValueError):  # noqa: N818 (reads as what it is)
    """A `--from` or a profile that cannot be understood; its text is a sentence for the person who wrote it."""


def opened(names: Sequence[str], store: Path | None, environ: Mapping[str, str] | None = None) -> Source:
    """The places that `--from` names, as one source; the local store if it names none.

    Args:
        names: `local`, `cloudwatch`, `datadog`, `clickhouse`, each with `:WHERE` if wanted, or a profile or a group of
            the file.
        store: the local store's folder; only needed where `local` is among them.
        environ: the environment; by default this process's.

    Raises:
        BadProfile: a name, or the file, cannot be understood.
    """
    env = os.environ if environ is None else environ
    sources: dict[str, Source] = {}
    for name in names or [LOCAL]:
        for wanted in _expanded(name.strip(), env):
            if wanted not in sources:
                sources[wanted] = _source(wanted, store, env)
    if list(sources) == [LOCAL]:
        return sources[LOCAL]
    return Several(list(sources.values()))


def names_local(names: Sequence[str], environ: Mapping[str, str] | None = None) -> bool:
    """Whether the local store is among the places that these names mean.

    Raises:
        BadProfile: as `opened`.
    """
    env = os.environ if environ is None else environ
    return any(wanted == LOCAL for name in names or [LOCAL] for wanted in _expanded(name.strip(), env))


def path_of(environ: Mapping[str, str]) -> Path:
    """Where the file of profiles is, whether or not it exists."""
    if environ.get(VARIABLE, "").strip():
        return Path(environ[VARIABLE].strip()).expanduser()
    base = environ.get("XDG_CONFIG_HOME", "").strip()
    return (Path(base) if base else Path("~/.config").expanduser()) / "otel-logging" / "profiles.yaml"


def _expanded(name: str, env: Mapping[str, str]) -> Iterator[str]:
    if name.partition(":")[0] in KINDS:
        yield name
        return
    document = _document(env)
    if name in document["groups"]:
        for member in _texts(document["groups"][name], f"group {name!r}"):
            if member not in KINDS and member not in document["profiles"]:
                raise BadProfile(f"{path_of(env)}: group {name!r} names {member!r}, which is no profile")
            yield member
        return
    if name not in document["profiles"]:
        known = [*KINDS, *document["profiles"], *document["groups"]]
        raise BadProfile(f"--from {name!r} is neither a back end nor a profile; valid: {', '.join(known)}")
    yield name


def _document(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    path = path_of(env)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if env.get(VARIABLE, "").strip():
            raise BadProfile(f"{VARIABLE} names {path}, which does not exist") from None
        return {"profiles": {}, "groups": {}}
    except (OSError, UnicodeError) as error:
        raise BadProfile(f"{path} cannot be read: {error}") from None
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadProfile(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    parts = {} if document is None else document
    if not isinstance(parts, dict) or set(parts) - {"profiles", "groups"}:
        raise BadProfile(f"{path}: valid at the top: profiles, groups")
    made = {name: parts.get(name) or {} for name in ("profiles", "groups")}
    if not all(isinstance(part, dict) for part in made.values()):
        raise BadProfile(f"{path}: profiles and groups are mappings by name")
    return made


def _source(name: str, store: Path | None, env: Mapping[str, str]) -> Source:
    kind, _, where = name.partition(":")
    if kind in KINDS:
        options = _from_environ(kind, env) | (_from_where(kind, where) if where else {})
        title = name
    else:
        profile = _document(env)["profiles"][name]
        if not isinstance(profile, dict):
            raise BadProfile(f"{path_of(env)}: profile {name!r} is no mapping")
        options = dict(profile)
        kind = str(options.pop("backend", ""))
        if kind not in KINDS[1:]:
            raise BadProfile(f"{path_of(env)}: profile {name!r}: backend {kind!r}; valid: {', '.join(KINDS[1:])}")
        title = name
    if kind == LOCAL:
        if store is None:
            raise BadProfile("no store: name its folder with --store or OTEL_LOGGING_STORE")
        return Local(store)
    try:
        return _made(kind, title, options)
    except BadProfile as error:
        place = f"--from {name}" if name.partition(":")[0] in KINDS else f"{path_of(env)}: profile {name!r}"
        raise BadProfile(f"{place}: {error}") from None


def _made(kind: str, title: str, options: dict[str, Any]) -> Source:
    from otel_logging.search import clickhouse, cloudwatch, datadog

    if kind == CLOUDWATCH:
        found = _checked(cloudwatch.Settings, options)
        if not found.get("log_groups"):
            raise BadProfile("which log groups? `--from cloudwatch:/voice/media,/voice/worker`, or log_groups: [...]")
        if found.get("method", "auto") not in _METHODS:
            raise BadProfile(f"method {found['method']!r}; valid: {', '.join(_METHODS)}")
        return cloudwatch.CloudWatch(title, cloudwatch.Settings(**found))
    if kind == DATADOG:
        found = _checked(datadog.Settings, options)
        if found.get("storage_tier") not in {None, *_TIERS}:
            raise BadProfile(f"storage_tier {found['storage_tier']!r}; valid: {', '.join(_TIERS)}")
        return datadog.Datadog(title, datadog.Settings(**found))
    return clickhouse.ClickHouse(title, clickhouse.Settings(**_checked(clickhouse.Settings, options)))


def _checked(settings: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the settings' fields: known names, the right types, no secrets."""
    types = {item.name: str(item.type) for item in fields(settings)}
    found: dict[str, Any] = {}
    for key, value in options.items():
        if key in _SECRET:
            raise BadProfile(f"{key}: no secrets in here; they are read from the environment")
        if key not in types:
            raise BadProfile(f"{key}: unknown; valid: {', '.join(types)}")
        if types[key].startswith("tuple"):
            found[key] = _texts(value, key)
        elif types[key] == "bool":
            if not isinstance(value, bool):
                raise BadProfile(f"{key}: {value!r}; valid: true, false")
            found[key] = value
        elif types[key] == "int":
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadProfile(f"{key}: {value!r} is no number")
            found[key] = value
        elif isinstance(value, str) and value:
            found[key] = value
        else:
            raise BadProfile(f"{key}: {value!r} is no text")
    return found


def _texts(value: Any, what: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item for item in items):
        raise BadProfile(f"{what}: {value!r} is no list of texts")
    return tuple(items)


def _from_environ(kind: str, env: Mapping[str, str]) -> dict[str, Any]:
    """What the back end's own tools read from the environment; the AWS SDK reads its part itself."""
    if kind == DATADOG and env.get("DD_SITE"):
        return {"site": env["DD_SITE"]}
    if kind == CLICKHOUSE and env.get("CLICKHOUSE_HOST"):
        return {"host": env["CLICKHOUSE_HOST"]}
    return {}


def _from_where(kind: str, where: str) -> dict[str, Any]:
    if kind == CLOUDWATCH:
        return {"log_groups": [group.strip() for group in where.split(",") if group.strip()]}
    if kind == DATADOG:
        return {"site": where}
    if kind == LOCAL:
        raise BadProfile("--from local takes no place; name the folder with --store")
    try:
        url = urlsplit(where if "://" in where else f"http://{where}")
        port = url.port
    except ValueError as error:
        raise BadProfile(f"--from clickhouse:{where}: {error}") from None
    if url.username or url.password:
        raise BadProfile("--from clickhouse: no user and password in the URL; set CLICKHOUSE_USER, CLICKHOUSE_PASSWORD")
    if url.scheme not in {"http", "https"}:
        raise BadProfile(f"--from clickhouse:{where}: valid: HOST, http://HOST:8123/DATABASE, https://HOST")
    found: dict[str, Any] = {"host": url.hostname or "localhost", "secure": url.scheme == "https"}
    if port:
        found["port"] = port
    if url.path.strip("/"):
        found["database"] = url.path.strip("/")
    return found
