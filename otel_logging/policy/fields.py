"""Parsing of the parts that matchers are made of: field selectors and typed values, in every accepted spelling.

Canonical (the protobuf schema's JSON, in snake_case or camelCase) and shorthand forms mean the same. Every function
raises `Wrong` with a message and nothing else; where in the policy it happened is the caller's knowledge.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from otel_logging.policy.model import ATTRIBUTE, OWN_FIELDS, RESOURCE, SCOPE_ATTRIBUTE, STANDARD_FIELDS, Field

SELECTORS: Final = ("log_field", "log_attribute", "resource_attribute", "scope_attribute")
_ATTRIBUTE_KINDS: Final = {
    "log_attribute": ATTRIBUTE,
    "resource_attribute": RESOURCE,
    "scope_attribute": SCOPE_ATTRIBUTE,
}
# Protobuf's JSON form allows an enum's number in place of its name.
_FIELD_NUMBERS: Final = {
    1: "body",
    2: "severity_text",
    3: "trace_id",
    4: "span_id",
    5: "event_name",
    10: "resource_schema_url",
    11: "scope_schema_url",
}
_INT64: Final = range(-(1 << 63), 1 << 63)
_VALUES: Final = ("bool_value", "int_value", "double_value", "bytes_value", "hex_value", "string_value")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|-?Infinity|NaN")
_HUMPS: Final = re.compile("(?<=[a-z0-9])([A-Z])")


class Wrong(ValueError):  # noqa: N818 (a verdict on a policy, not an error a caller sees)
    """What is wrong with one part of a policy, as half a sentence."""


def _snake(name: str) -> str:
    return _HUMPS.sub(lambda hump: "_" + hump[1], name).lower()


def snake(mapping: Any, valid: tuple[str, ...], what: str) -> dict[str, Any]:
    """`mapping` with its keys in snake_case and without unset (null) ones.

    Raises:
        Wrong: if it is no mapping, or has a key that is not in `valid`.
    """
    if not isinstance(mapping, Mapping):
        raise Wrong(f"{what} must be a mapping, not {_type(mapping)}")
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = _snake(key) if isinstance(key, str) else repr(key)
        if name not in valid:
            raise Wrong(f"unknown field {key!r}; valid: {', '.join(valid)}")
        if name in found:
            raise Wrong(f"{name!r} is given twice")
        if value is not None:
            found[name] = value
    return found


def selector(parts: Mapping[str, Any]) -> Field:
    """The one field that a matcher, a sample key or an operation selects."""
    given = [name for name in SELECTORS if name in parts]
    if not given:
        raise Wrong(f"no field set; one of {', '.join(SELECTORS)} is needed")
    if len(given) > 1:
        raise Wrong(f"more than one field set: {', '.join(given)}")
    name = given[0]
    if name == "log_field":
        return Field(_log_field(parts[name]))
    return Field(_ATTRIBUTE_KINDS[name], _path(parts[name]))


def _log_field(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        name = _FIELD_NUMBERS.get(value, "unspecified" if value == 0 else str(value))
    elif isinstance(value, str):
        name = _snake(value.strip()).removeprefix("log_field_")
    else:
        raise Wrong(f"log_field must be a name, not {_type(value)}")
    if name == "unspecified":
        raise Wrong("field is unspecified")
    if name not in (*STANDARD_FIELDS, *OWN_FIELDS):
        raise Wrong(f"unknown log_field {value!r}; valid: {', '.join((*STANDARD_FIELDS, *OWN_FIELDS))}")
    return name


def _path(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        value = snake(value, ("path",), "an attribute path").get("path", ())
    path = (value,) if isinstance(value, str) else value
    if not isinstance(path, list | tuple) or not all(isinstance(part, str) for part in path):
        raise Wrong("an attribute path must be a string or a list of strings")
    if not path or "" in path:
        raise Wrong("attribute has empty path")
    return tuple(path)


def typed_value(value: Any) -> bool | int | float | bytes | str:
    """The scalar of an `equals` matcher."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        name, inner = _one_of(value, _VALUES)
        if name == "bool_value":
            if isinstance(inner, bool):
                return inner
            raise Wrong(f"bool_value must be true or false, not {inner!r}")
        if name in {"int_value", "double_value"}:
            return _canonical_number(name, inner)
        if not isinstance(inner, str):
            raise Wrong(f"{name} must be a string, not {_type(inner)}")
        return inner if name == "string_value" else _bytes(name, inner)
    raise Wrong(f"equals needs a string, a number, true, false or a typed value, not {_type(value)}")


def numeric_value(value: Any) -> int | float:
    """The number of a comparison."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, Mapping):
        return _canonical_number(*_one_of(value, ("int_value", "double_value")))
    raise Wrong(f"a comparison needs a number, not {_type(value)}")


def _one_of(value: Mapping[Any, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    given = snake(value, names, "a typed value")
    if len(given) != 1:
        raise Wrong(f"value is unset; one of {', '.join(names)} is needed" if not given else "more than one value set")
    return next(iter(given.items()))


def _canonical_number(name: str, value: Any) -> int | float:
    """A number as protobuf's JSON writes it: 64-bit integers as text too, and the three words for special doubles."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Wrong(f"{name} must be a number, not {_type(value)}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):  # Python reads spaces and underscores, too
        raise Wrong(f"{name} must be a number, not {value!r}")
    try:
        if name == "double_value":
            return _number(float(value))
        number = int(value)
    except (ValueError, OverflowError):
        raise Wrong(f"{name} must be a number, not {value!r}") from None
    if isinstance(value, float) and number != value:
        raise Wrong(f"int_value must be a whole number, not {value!r}")
    return _number(number)


def _number(value: float) -> int | float:
    if isinstance(value, int) and value not in _INT64:
        raise Wrong(f"{value} does not fit into 64 bits")
    if isinstance(value, float) and math.isnan(value):
        raise Wrong("not-a-number equals nothing")
    return value


def _bytes(name: str, text: str) -> bytes:
    if name == "hex_value":
        # Checked by hand: `bytes.fromhex` lets spaces through.
        if len(text) % 2 or not re.fullmatch("[0-9a-fA-F]*", text):
            raise Wrong(f'invalid hex_value "{text}": pairs of hexadecimal digits are needed')
        return bytes.fromhex(text)
    try:
        padded = text.rstrip("=").translate(str.maketrans("-_", "+/"))
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Wrong(f'invalid bytes_value "{text}": base64 is needed') from None


def _type(value: Any) -> str:
    names = {"dict": "a mapping", "list": "a list", "bool": "a boolean", "int": "a number", "float": "a number"}
    name = type(value).__name__
    return "nothing" if value is None else names.get(name, f"a {name}" if name != "str" else "a string")
