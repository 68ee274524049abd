"""Reading policy files: bundled sets by name, YAML and JSON files by path. Never raises for what it finds.

Reading happens at start-up and on reload, never on the hot path. What a policy means is `parse`'s business.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_logging.policy import patterns
from otel_logging.policy.fields import Wrong
from otel_logging.policy.model import Policy, PolicyError
from otel_logging.policy.parse import policies_in
from otel_logging.policy.parse import policy as parse_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUNDLED: Final = re.compile("[a-z][a-z0-9_-]*")
_MAX_BYTES: Final = 16 * 1024 * 1024  # a policy file is written by people; anything larger is some other file


@dataclass(frozen=True)
class Loaded:
    """What was found: all policies (broken ones too, inert and with their errors), and sentences for people.

    `errors` say what is not in force.
    """

    policies: tuple[Policy, ...] = ()
    errors: list[str] = field(default_factory=list)


def load(sources: Sequence[str]) -> Loaded:
    """Read every source, in order; what is wrong with one leaves the others alone.

    Args:
        sources: names of bundled sets (`voice`) and paths of YAML or JSON files.
    """
    found: list[Policy] = []
    errors: list[str] = []
    seen: dict[str, str] = {}
    for source in sources:
        try:
            label, text = _read(source)
            documents = decode(label, text)
            if _BUNDLED.fullmatch(source):
                _trust(documents)
        except Wrong as error:
            errors.append(str(error))
            continue
        position = 0
        for document in documents:
            try:
                raws = list(policies_in(document))
            except Wrong as error:
                errors.append(f"{label}: {error}; nothing of it is in force")
                continue
            for raw in raws:
                policy = parse_policy(raw, position, label)
                position += 1
                if not policy.errors and policy.id in seen:
                    again = PolicyError("id", f"already used in {seen[policy.id]}")
                    policy = replace(policy, errors=(again,))
                elif not policy.errors:
                    seen[policy.id] = label
                found.append(policy)
                errors.extend(f"{label}: policy {policy.id!r}: {one}; this policy is ignored" for one in policy.errors)
    return Loaded(tuple(found), errors)


def _read(source: str) -> tuple[str, str]:
    """The name to use in sentences, and the text."""
    if _BUNDLED.fullmatch(source):
        return f"{source}.yaml", _read_bundled(source)
    path = Path(source).expanduser()
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Wrong(f"{source}: larger than {_MAX_BYTES // 1024 // 1024} MiB; nothing of it is in force")
        return path.name, path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Wrong(f"{source}: cannot be read ({error.strerror or error}); nothing of it is in force") from None
    except ValueError as error:  # not UTF-8, or a path with a NUL
        raise Wrong(f"{source}: is not a UTF-8 text file ({error}); nothing of it is in force") from None


def _read_bundled(name: str) -> str:
    folder = resources.files("otel_logging.policy") / "bundled"
    try:
        return (folder / f"{name}.json").read_text(encoding="utf-8")  # see `frozen`
    except OSError:
        bundled = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
        raise Wrong(
            f"{name}: there is no bundled policy set of this name; valid: {', '.join(bundled)}, or the path of a file "
            f"(./{name}); nothing of it is in force"
        ) from None


def _trust(part: Any) -> None:
    """Every regular expression in a bundled file is one that our tests have compiled."""
    if isinstance(part, list):
        for one in part:
            _trust(one)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "regex" and isinstance(value, str):
                patterns.trust(value)
            else:
                _trust(value)


def decode(label: str, text: str) -> list[Any]:
    """The documents of a file, by what is in it: a name proves nothing.

    Raises:
        Wrong: it is neither JSON nor YAML.
    """
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return [json.loads(text, object_pairs_hook=_unique)]
        except (ValueError, RecursionError):
            pass  # YAML has braces too, and says better where it went wrong
    import yaml

    try:
        return list(yaml.load_all(text, Loader=_loader()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise Wrong(f"{label}: is not valid YAML or JSON: {error.problem}{place}; nothing of it is in force") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        short = " ".join(str(error).split())[:200]
        raise Wrong(f"{label}: is not valid YAML or JSON: {short}; nothing of it is in force") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _loader() -> Any:
    """PyYAML's safe loader with the scalars of YAML 1.2.

    PyYAML reads YAML 1.1, where `no` is false, `12:30` is 750 and `2024-01-21` is a date: surprises in a file that
    matches text. Other implementations of policies read 1.2. A key given twice is an error, not the last one's win.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where the wheel has it, is ten times as fast

    class Loader(base):  # type: ignore[misc]
        """YAML 1.2 core scalars; unique keys."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            if twice := {key for key in keys if keys.count(key) > 1}:
                problem = f"key {min(twice)!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            made: dict[Any, Any] = super().construct_mapping(node, deep)
            return made

    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
         "-+.0123456789"),
        ("merge", r"<<", "<"),
    ):  # fmt: skip
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first))
    Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
    return Loader


def _whole_number(loader: Any, node: Any) -> int:
    """A number as YAML 1.2 reads it: `017` is seventeen and `08` is eight, where 1.1 has fifteen and an error."""
    text = loader.construct_scalar(node)
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
