"""From a decoded YAML or JSON document to `Policy` objects. All errors of a policy are collected, none is raised.

A policy that has an error is inert and keeps its errors with it; the others are not touched by it. Files are `load`'s
business, and how a policy is carried out is `compiler`'s.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_logging.policy import operations, otlp_json, patterns
from otel_logging.policy.extensions import SUPPORTED
from otel_logging.policy.fields import SELECTORS, Wrong, numeric_value, selector, snake, typed_value
from otel_logging.policy.model import (
    ID_FIELDS,
    MATCH_KINDS,
    NUMERIC_KINDS,
    STRING_KINDS,
    Extension,
    Field,
    Keep,
    Matcher,
    Policy,
    PolicyError,
    Transform,
)

_SIGNALS: Final = ("log", "metric", "trace")
_POLICY_KEYS: Final = (
    "id", "name", "description", "enabled", "created_at_unix_nano", "modified_at_unix_nano", "labels", "extensions",
    *_SIGNALS,
)  # fmt: skip
_LOG_KEYS: Final = ("match", "keep", "transform", "sample_key")
_MATCHER_KEYS: Final = (*SELECTORS, *MATCH_KINDS, "negate", "case_insensitive")
_MODES: Final = ("kept", "dropped", "unmatched", "matched", "all")  # in the order of the enum's numbers, from 1
_LABEL_VALUES: Final = (
    "string_value", "bool_value", "int_value", "double_value", "bytes_value", "array_value", "kvlist_value",
)  # fmt: skip
_PERCENT: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)%")
_RATE: Final = re.compile(r"([0-9]{1,10})/([0-9]{0,10})([sm])")
_UINT32: Final = 1 << 32
KEEP_FORMS: Final = "all, none, N%, N/s, N/m, N/Ds, N/Dm"


def policies_in(document: Any) -> Iterator[Any]:
    """The single policies of a document: `{policies: [...]}`, a list of policies, or one policy.

    Raises:
        Wrong: if the document is none of these.
    """
    if document is None:
        return
    if isinstance(document, Mapping) and "policies" in document:
        document = document["policies"]  # other keys may stand beside it: anchors, a provider's hash and times
        if document is None:
            return
        if not isinstance(document, list):
            raise Wrong("'policies' must be a list")
    if isinstance(document, Mapping):
        yield document
    elif isinstance(document, list):
        yield from document
    else:
        raise Wrong("a policy file holds a list of policies under 'policies', or one policy")


def policy(raw: Any, position: int, source: str = "") -> Policy:
    """One policy, with `errors` if there are any. Never raises.

    Args:
        raw: the decoded policy.
        position: its place in its file, which names it where it has no id.
        source: where it came from, for reports.
    """
    return _Parser(position, source).policy(raw)


class _Parser:
    """Collects the errors of one policy while it is read."""

    def __init__(self, position: int, source: str) -> None:
        self._position = position
        self._source = source
        self._errors: list[PolicyError] = []

    def _wrong(self, path: str, error: object) -> None:
        self._errors.append(PolicyError(path, str(error)))

    def policy(self, raw: Any) -> Policy:
        """The whole policy."""
        name = f"policies[{self._position}]"
        if isinstance(raw, Mapping) and isinstance(raw.get("id"), str) and raw["id"]:
            name = raw["id"]
        try:
            parts = snake(raw, _POLICY_KEYS, "a policy")
        except Wrong as error:
            self._wrong("", error)
            return Policy(name, source=self._source, errors=tuple(self._errors))
        if not isinstance(parts.get("id"), str) or not parts["id"]:
            self._wrong("id", "a non-empty string is needed")
        targets = [signal for signal in _SIGNALS if signal in parts]
        if len(targets) != 1:
            self._wrong("", f"exactly one of {', '.join(_SIGNALS)} is needed, {len(targets)} are given")
        signal: Any = targets[0] if len(targets) == 1 else "log"
        match, keep, sample_key, transform = (
            self._log(parts["log"]) if targets == ["log"] else ((), Keep(), None, Transform())
        )
        return Policy(
            id=name,
            name=self._text(parts, "name") or name,
            description=self._text(parts, "description"),
            enabled=self._flag(parts, "enabled", "", default=True),
            match=match,
            keep=keep,
            sample_key=sample_key,
            transform=transform,
            labels=self._labels(parts.get("labels")),
            extensions=self._extensions(parts.get("extensions")),
            signal=signal,
            source=self._source,
            errors=tuple(self._errors),
        )

    def _text(self, parts: Mapping[str, Any], key: str) -> str:
        value = parts.get(key, "")
        if not isinstance(value, str):
            self._wrong(key, "must be a string")
            return ""
        return value

    def _flag(self, parts: Mapping[str, Any], key: str, path: str, *, default: bool = False) -> bool:
        value = parts.get(key, default)
        if not isinstance(value, bool):
            self._wrong(path or key, f"{key + ' ' if path else ''}must be true or false, not {value!r}")
            return default
        return value

    def _log(self, raw: Any) -> tuple[tuple[Matcher, ...], Keep, Field | None, Transform]:
        try:
            parts = snake(raw, _LOG_KEYS, "log")
        except Wrong as error:
            self._wrong("log", error)
            return (), Keep(), None, Transform()
        matchers = parts.get("match", [])
        if not isinstance(matchers, list):
            self._wrong("log: match", "must be a list of matchers")
            matchers = []
        elif not matchers:
            self._wrong("log: match", "at least one matcher is needed")
        match = tuple(found for i, one in enumerate(matchers) if (found := self._matcher(one, f"log: match[{i}]")))
        keep = Keep()
        try:
            keep = keep_value(parts.get("keep"))
        except Wrong as error:
            self._wrong("log: keep", error)
        sample_key = None
        if "sample_key" in parts:
            try:
                sample_key = selector(snake(parts["sample_key"], SELECTORS, "sample_key"))
            except Wrong as error:
                self._wrong("log: sample_key", error)
        transform = Transform()
        if "transform" in parts:
            transform = operations.transform(parts["transform"], "log: transform", self._wrong)
        return match, keep, sample_key, transform

    def _matcher(self, raw: Any, path: str) -> Matcher | None:
        try:
            parts = snake(raw, _MATCHER_KEYS, "a matcher")
        except Wrong as error:
            self._wrong(path, error)
            return None
        found: Field | None = None
        try:
            found = selector(parts)
        except Wrong as error:
            self._wrong(path, error)
        condition: tuple[Any, Any] | None = None
        try:
            condition = _condition(parts, found)
        except Wrong as error:
            self._wrong(path, error)
        negate = self._flag(parts, "negate", path)
        case_insensitive = self._flag(parts, "case_insensitive", path)
        if found is None or condition is None:
            return None
        return Matcher(found, *condition, negate=negate, case_insensitive=case_insensitive)

    def _labels(self, raw: Any) -> dict[str, Any]:
        """Labels as OTLP key-values, or as a plain mapping."""
        if isinstance(raw, Mapping):
            return {str(key): value for key, value in raw.items()}
        if raw is not None and not isinstance(raw, list):
            self._wrong("labels", "must be a list of key-values")
            return {}
        try:
            return dict(_key_value(pair) for pair in raw or ())
        except Wrong as error:
            self._wrong("labels", error)
            return {}

    def _extensions(self, raw: Any) -> tuple[Extension, ...]:
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self._wrong("extensions", "must be a list")
            return ()
        found = []
        for number, one in enumerate(raw):
            try:
                found.append(_extension(one))
            except Wrong as error:  # noqa: PERF203 (each extension is judged by itself)
                self._wrong(f"extensions[{number}]", error)
        return tuple(found)


def keep_value(raw: Any) -> Keep:
    """A `keep` value; None and empty mean `all`.

    Raises:
        Wrong: if it has none of the forms that the specification gives.
    """
    if raw is None:
        return Keep()
    text = raw.strip() if isinstance(raw, str) else json.dumps(raw, default=str)
    if text in {"", "all"}:
        return Keep()
    if text == "none":
        return Keep("none")
    if (found := _PERCENT.fullmatch(text)) and 0 <= float(found[1]) <= 100:
        return Keep("sample", percent=float(found[1]))
    if found := _RATE.fullmatch(text):
        limit, times = int(found[1]), int(found[2] or 1)
        if 0 < limit < _UINT32 and 0 < times < _UINT32:
            return Keep("rate", limit=limit, window=times * (60 if found[3] == "m" else 1))
    raise Wrong(f"invalid value {patterns.quoted(text)}; valid: {KEEP_FORMS}")


def _condition(parts: Mapping[str, Any], found: Field | None) -> tuple[str, Any]:
    given = [kind for kind in MATCH_KINDS if kind in parts]
    if not given:
        raise Wrong(f"no match condition set; one of {', '.join(MATCH_KINDS)} is needed")
    if len(given) > 1:
        raise Wrong(f"more than one match condition set: {', '.join(given)}")
    kind = given[0]
    value = parts[kind]
    if kind in STRING_KINDS:
        return kind, _text(kind, value)
    if kind == "exists":
        if not isinstance(value, bool):
            raise Wrong(f"exists must be true or false, not {value!r}")
        return kind, value
    if kind in NUMERIC_KINDS:
        return kind, numeric_value(value)
    typed = typed_value(value)
    if found is not None and found.kind in ID_FIELDS and isinstance(typed, str):
        typed = id_literal(typed)
    return kind, typed


def _text(kind: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{kind} must be a string, not {value!r}; write it in quotes, or use equals")
    if kind == "regex":
        try:
            patterns.check(value)
        except patterns.BadPattern as error:
            raise Wrong(f"invalid regex {patterns.quoted(value)}: {error}") from None
    return value


def id_literal(text: str) -> bytes | str:
    """The bytes that a hex literal means for an id field; any other text stays text and equals no id."""
    return bytes.fromhex(text) if re.fullmatch("([0-9a-fA-F]{2})+", text) else text


def _key_value(raw: Any) -> tuple[str, Any]:
    pair = snake(raw, ("key", "value"), "a label")
    key, value = pair.get("key"), pair.get("value")
    if not isinstance(key, str) or not key:
        raise Wrong("a label needs a key")
    if isinstance(value, Mapping):
        given = snake(value, _LABEL_VALUES, "a label's value")
        if len(given) != 1:
            raise Wrong(f"label {key!r}: one of {', '.join(_LABEL_VALUES)} is needed")
        value = otlp_json.value_of(given)
    return key, value


def _extension(raw: Any) -> Extension:
    parts = snake(raw, ("type", "version", "config", "mode"), "an extension")
    for key in ("type", "version"):
        if not isinstance(parts.get(key), str) or not parts[key]:
            raise Wrong(f"a {key} is needed")
    mode: Any = parts.get("mode", "matched")
    if isinstance(mode, int) and 0 <= mode <= len(_MODES) and not isinstance(mode, bool):
        mode = ("unspecified", *_MODES)[mode]
    mode = str(mode).lower().removeprefix("extension_mode_")
    if mode == "unspecified":
        mode = "matched"
    if mode not in _MODES:
        raise Wrong(f"unknown mode {parts['mode']!r}; valid: {', '.join(_MODES)}")
    return Extension(parts["type"], parts["version"], _config(parts), mode)


def _config(parts: Mapping[str, Any]) -> dict[str, Any]:
    """An extension's config: a mapping, or, as protobuf's JSON has it, the base64 of one as JSON.

    It is opaque: the config of a type that is not ours may be anything, as that extension is skipped and no more.
    """
    config = parts.get("config", {})
    if isinstance(config, str):
        try:
            config = json.loads(base64.b64decode(config, validate=True))
        except (ValueError, RecursionError):
            pass  # no JSON: said below, if it concerns us
    if isinstance(config, Mapping):
        return dict(config)
    if parts["type"] in SUPPORTED:
        raise Wrong("config must be a mapping")
    return {}
