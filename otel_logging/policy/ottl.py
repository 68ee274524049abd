"""Conditions of policies in OTTL, the language of the Collector's processors: literals, paths, matchers.

Each answers as `compiler` and `group` do, for every record: a condition that met a value of another type would be an
error in OTTL and leave the record alone, so each one asks first what the value is. Whole policies are `render`'s
business, and what changes a record `ottl_changes`'.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, cast

from otel_logging.policy import patterns
from otel_logging.policy.compiler import scanned
from otel_logging.policy.model import (
    ATTRIBUTE,
    ID_FIELDS,
    NUMERIC_KINDS,
    RESOURCE,
    SCOPE_ATTRIBUTE,
    STRING_KINDS,
    Field,
    Matcher,
)
from otel_logging.policy.parse import id_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TRUE, FALSE = "true", "false"
BODY: Final = "log.body"
MAPS: Final = {ATTRIBUTE: "log.attributes", RESOURCE: "resource.attributes", SCOPE_ATTRIBUTE: "scope.attributes"}
PATHS: Final = {
    "body": BODY,
    "severity_text": "log.severity_text",
    "severity_number": "log.severity_number",
    "trace_id": "log.trace_id.string",
    "span_id": "log.span_id.string",
    "event_name": "log.event_name",
    "scope_name": "scope.name",
    "scope_version": "scope.version",
    "resource_schema_url": "resource.schema_url",
    "scope_schema_url": "scope.schema_url",
}
# As `group.severe`: by the number, and where there is none, by the text.
_SEVERE_TEXT: Final = (
    'ContainsValue(["WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"], ToUpperCase(log.severity_text))'  # as `group` has
)
NOT_SEVERE: Final = ("log.severity_number < 13", f"(log.severity_number != 0 or not {_SEVERE_TEXT})")
_COMPARE: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_FUNCTIONS: Final = {"starts_with": "HasPrefix", "ends_with": "HasSuffix"}
_ANY_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\C")
_INT_MIN: Final = -(1 << 63)


class Inexpressible(Exception):  # noqa: N818 (an answer about a policy)
    """What OTTL cannot say: where in the policy, what it is, and what could be said instead."""

    def __init__(self, place: str, what: str, valid: str) -> None:
        super().__init__(f"{place}: {what}; valid for the Collector: {valid}")


def text(value: str) -> str:
    """A string literal. What cannot be seen is escaped, so that it survives any editor."""
    found = []
    for char in value:
        if char in '"\\':
            found.append("\\" + char)
        elif char.isprintable():
            found.append(char)
        elif ord(char) < 0x80:
            found.append(f"\\x{ord(char):02x}")
        else:
            found.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return f'"{"".join(found)}"'


def regex(pattern: str, place: str) -> str:
    """A regular expression as a literal. RE2's language and Go's are one, but for the byte that is no character."""
    if _ANY_BYTE.search(pattern):
        raise Inexpressible(place, r"\C, a single byte, is not known to Go's regular expressions", "(?s:.)")
    return text(pattern)


def number(value: float, place: str) -> str:
    """A number literal."""
    if isinstance(value, int):
        return str(value) if value > _INT_MIN else f"({value + 1} - 1)"
    if math.isinf(value):
        raise Inexpressible(place, "OTTL has no infinite numbers", "a finite number")
    digits, _, exponent = repr(value).partition("e")
    return f"{digits if '.' in digits else digits + '.0'}{'e' if exponent else ''}{exponent}"


def path(field: Field) -> str:
    """The path of a field."""
    home = MAPS.get(field.kind)
    return PATHS[field.kind] if home is None else home + "".join(f"[{text(key)}]" for key in field.path)


def parents(field: Field) -> list[str]:
    """What must hold for the path of an attribute to be walked: each step but the last is a map."""
    home = MAPS.get(field.kind, "")
    return [f"IsMap({path(Field(field.kind, field.path[:end]))})" for end in range(1, len(field.path))] if home else []


def holder(field: Field) -> str:
    """The map that an attribute stands in."""
    return path(Field(field.kind, field.path[:-1]))


def no_id(field: Field) -> str:
    """The id that says that there is none."""
    return "00" * ID_FIELDS[field.kind]


def present(field: Field) -> list[str]:
    """What holds together where `view.reader` finds the field: of attributes the key is enough, without a value."""
    if field.kind in MAPS:
        return [*parents(field), f"ContainsValue(Keys({holder(field)}), {text(field.path[-1])})"]
    if field.kind == "body":
        return [f"{BODY} != nil", f'{BODY} != ""']
    empty = "0" if field.kind == "severity_number" else text(no_id(field) if field.kind in ID_FIELDS else "")
    return [f"{path(field)} != {empty}"]


def both(terms: Iterable[str]) -> str:
    """Conditions that must hold together, each said once."""
    terms = [term for term in dict.fromkeys(terms) if term != TRUE]
    return FALSE if FALSE in terms else " and ".join(terms) or TRUE


def negation(terms: Sequence[str]) -> str:
    """That the conditions do not hold together."""
    joined = both(terms)
    if joined in (TRUE, FALSE):
        return FALSE if joined == TRUE else TRUE
    return f"not ({joined})"


def matching(matchers: Sequence[Matcher], *, frame: bool = False) -> list[str]:
    """What holds together where all matchers hold.

    Args:
        matchers: of one policy.
        frame: whether its policy never matches a record of WARN or above.

    Raises:
        Inexpressible: OTTL cannot say one of them.
    """
    terms = list(NOT_SEVERE) if frame else []
    numbered = [(matcher, f"log: match[{position}]") for position, matcher in enumerate(matchers)]
    for matcher, place in numbered:
        if not matcher.negate:
            terms += _held(matcher, place)
    for matcher, place in numbered:
        if matcher.negate:  # last: what the others make sure of need not be asked again
            terms.append(negation([term for term in _held(matcher, place) if term not in terms]))
    return list(dict.fromkeys(terms))


def _held(matcher: Matcher, place: str) -> list[str]:
    """What holds together where the matcher, were it not negated, holds."""
    field, kind, value = matcher.field, matcher.kind, matcher.value
    if kind == "exists":
        return present(field) if value else [negation(present(field))]
    if field.kind in ID_FIELDS:
        return _id(matcher, place)
    if kind in NUMERIC_KINDS or (kind == "equals" and not isinstance(value, str)):
        return _scalar(matcher, place)
    if field.kind == "severity_number":
        return [FALSE]
    if field.kind in MAPS:
        return [*parents(field), *_of_attribute(matcher, place)]
    if scanned(matcher):
        return _of_body(matcher, place)
    guard = [f'{path(field)} != ""'] if _takes_empty(matcher) else []
    return [*guard, _text_test(matcher, path(field), path(field), place)]


def _scalar(matcher: Matcher, place: str) -> list[str]:
    """Comparisons and `equals` with what is no text. Values of another type compare as unequal in OTTL, too."""
    field, value = matcher.field, matcher.value
    if field.kind not in MAPS and field.kind not in {"body", "severity_number"}:
        return [FALSE]  # always text
    operator = _COMPARE.get(matcher.kind, "==")
    if isinstance(value, bool):
        literal = TRUE if value else FALSE
    elif isinstance(value, bytes):
        if not value:
            raise Inexpressible(place, "OTTL has no empty bytes", "at least one byte")
        literal = f"0x{value.hex()}"
    else:
        literal = number(cast("float", value), place)
    guard = present(field) if field.kind == "severity_number" else parents(field)
    return [*guard, f"{path(field)} {operator} {literal}"]


def _id(matcher: Matcher, place: str) -> list[str]:
    """Ids equal bytes, given in hex; other text conditions see their lower-case hex."""
    field, kind, value = matcher.field, matcher.kind, matcher.value
    if kind in {"exact", "equals"}:
        literal = id_literal(value) if isinstance(value, str) else value
        if not isinstance(literal, bytes) or len(literal) != ID_FIELDS[field.kind] or not any(literal):
            return [FALSE]
        return [f"{path(field)} == {text(literal.hex())}"]
    if kind not in STRING_KINDS:
        return [FALSE]
    return [*present(field), _text_test(matcher, path(field), path(field), place)]


def readable(where: str) -> str:
    """That a value is text, or bytes with at least one: nothing but bytes is at least as large as a byte."""
    return f"(IsString({where}) or {where} >= 0x00)"


def _of_attribute(matcher: Matcher, place: str) -> list[str]:
    where = path(matcher.field)
    if matcher.kind in {"exact", "equals"}:  # holds for text alone
        if not matcher.case_insensitive:
            return [f"{where} == {text(str(matcher.value))}"]
        return [f"IsString({where})", _text_test(matcher, where, where, place)]
    return [readable(where), _text_test(matcher, where, f"String({where})", place)]


def _of_body(matcher: Matcher, place: str) -> list[str]:
    """Text and the hex of bytes, and never where there is none of it."""
    value = str(matcher.value)
    if matcher.kind in {"exact", "equals"} and not matcher.case_insensitive:
        if not value:
            return [FALSE]
        if re.fullmatch("([0-9a-f]{2})+", value):
            return [f"({BODY} == {text(value)} or {BODY} == 0x{value})"]
        return [f"{BODY} == {text(value)}"]
    guard = [f'{BODY} != ""'] if _takes_empty(matcher) else []
    return [readable(BODY), *guard, _text_test(matcher, BODY, f"String({BODY})", place)]


def _text_test(matcher: Matcher, where: str, as_text: str, place: str) -> str:
    """The condition itself. `IsMatch` makes text of a value, other functions need it made: `as_text`."""
    kind, value = ("exact" if matcher.kind == "equals" else matcher.kind), str(matcher.value)
    if kind == "regex" or matcher.case_insensitive:
        pattern = patterns.translate(kind, value, case_insensitive=matcher.case_insensitive)
        return f"IsMatch({where}, {regex(pattern, place)})"
    if kind == "exact":
        return f"{where} == {text(value)}"
    if kind == "contains":
        return f"Index({as_text}, {text(value)}) >= 0"
    return f"{_FUNCTIONS[kind]}({as_text}, {text(value)})"


def _takes_empty(matcher: Matcher) -> bool:
    """Whether the condition would hold for an empty text, which counts as none."""
    kind = "exact" if matcher.kind == "equals" else matcher.kind
    return finds_empty(patterns.translate(kind, str(matcher.value), case_insensitive=matcher.case_insensitive))


def finds_empty(pattern: str) -> bool:
    """Whether a pattern finds something in an empty text."""
    return bool(patterns.PatternSet([pattern]).search(""))
