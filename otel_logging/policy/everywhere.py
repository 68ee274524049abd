"""Privacy policies: redactions that hold for every text of a record, not for its body alone.

A policy of the class `privacy` (label `otel-logging.class`) that redacts the body by a pattern does so in every text:
the body, each attribute at any depth as a line
`key=value` after an empty one, the exception. Its conditions on the body are then about the text
at hand. To every other implementation it is an ordinary policy about the body.

Hot path: every kept record passes here. All its texts together are scanned once for all patterns; only where that finds
something is each text looked at by itself. Text comes from callers and models, so everything here is linear.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_logging.policy import blind, patterns, shapes
from otel_logging.policy.compiler import Compiled, Patterns
from otel_logging.policy.model import PSEUDONYM_LABEL, SPARE_LABEL
from otel_logging.policy.template import Span, Template
from otel_logging.policy.transform import holds_everywhere

if TYPE_CHECKING:
    from otel_logging.policy.view import LogView

# What we ourselves put on a record: names and numbers of code, ids, marks. Never searched, never changed.
OWN_KEYS: Final = frozenset(
    {
        "call_sid", "code.file.path", "code.function.name", "code.line.number", "exception.type", "logger.name",
        "otel_logging.recovered", "otel_logging.suppressed", "otel_logging.trigger", "trace_id", "span_id",
    }
)  # fmt: skip
# Their names say nothing about what stands in them.
PLAIN_KEYS: Final = frozenset({"exception.message", "exception.stacktrace", "code.stacktrace"})
# Call ids, trace ids, digests, UUIDs, times: what searching and joining depend on.
SPARED: Final = (
    r"(?i)\b[A-Z]{2}[0-9a-f]{32}\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b"
    r"|\b(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})\b"
    r"|\b(?:trace|span|parent|parent_?span|call|stream|request|session|event|item|response|job)[ _.-]?s?id"
    r"[\"']?\s*[=:]\s*[\"']?[\w-]+"
    r"|\b[12][0-9]{3}-[01][0-9]-[0-3][0-9](?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?"
    r"|\b1[0-9]{9}\.[0-9]+\b"
)
_MARK: Final = re.compile(r"\[[A-Z]+\]")
_PSEUDONYM: Final = re.compile(r"[a-z]+:[0-9a-f]{16}")
_VALUES: Final = ("value", "value2", "value3")  # groups that hold the personal data itself
_MIN_BYTES: Final = 64  # shorter bytes are ids and keys, not sound
_MAX_DEPTH: Final = 32  # attributes that come from elsewhere may be nested without end
_HEX_DIGITS: Final = 16
_MAX_NAMES: Final = 2048  # an application may make a logger for each call


class _Rule:
    """One redaction of one policy."""

    __slots__ = ("forbidden", "owner", "required", "spare", "template")

    def __init__(self, owner: Compiled, template: Template, numbers: Patterns) -> None:
        self.owner = owner
        self.template = template
        required, self.forbidden = numbers.numbers(owner.policy)
        self.required = required | {numbers.number(template.pattern)}
        self.spare = owner.policy.labels.get(SPARE_LABEL) == "ids"


class Everywhere:
    """The redactions of all privacy policies.

    Args:
        policies: compiled privacy policies.
        pseudonym_key: with it, personal data gives way to a keyed hash, so that the same caller stays recognisable.

    Attributes:
        blind: whether `leaves` has one answer for all texts that differ in their digits only.
    """

    def __init__(self, policies: Sequence[Compiled], pseudonym_key: bytes | None = None) -> None:
        numbers = Patterns()
        rules: list[_Rule] = []
        for one in sorted(policies, key=lambda one: one.id):
            kind = one.policy.labels.get(PSEUDONYM_LABEL)
            reword = _pseudonyms(str(kind), pseudonym_key) if kind and pseudonym_key else None
            rules += (
                _Rule(one, Template(redaction.regex, redaction.replacement, reword), numbers)
                for redaction in one.policy.transform.redact
                if holds_everywhere(redaction) and redaction.regex is not None
            )
        self._rules = tuple(rules)
        self._scan = numbers.build()
        pieces = [rule.template.pattern for rule in rules]
        try:
            self._first_look = _first_look([blind.widest(pattern) for pattern in pieces])
            self.blind = True
        except (shapes.Unreadable, patterns.BadPattern):
            self._first_look = _first_look(pieces)
            self.blind = False
        self._names: dict[str, str] = {}
        self._spared = patterns.Pattern(SPARED)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def text(self, text: str, key: str = "") -> str:
        """One text that is no record: redacted by the policies whose conditions are about text alone. Never raises."""
        try:
            rules = [rule for rule in self._rules if not rule.owner.tests]
            return self._of_key(text, key, rules, set())
        except Exception as error:
            self._rules[0].owner.failed(error)
            return text

    def name(self, name: str) -> str:
        """The name of a logger, redacted. Asked for each record, so answers are remembered. Never raises."""
        found = self._names.get(name)
        if found is None:
            found = self.text(name)
            if len(self._names) >= _MAX_NAMES:
                self._names.clear()
            self._names[name] = found
        return found

    def leaves(self, text: str) -> bool:
        """Whether `redact` would surely leave a record as it is, all of whose texts are in `text`. May raise.

        That is its body and, for each attribute that `head_of` gives a head, the head and the value. Where `blind` is
        true, the answer is the same for all texts that differ in their digits only.
        """
        look = self._first_look
        return look is not None and not look(text)

    def redact(self, view: LogView) -> None:
        """Redact body and attributes of a record that is kept. Never raises; what fails is charged to its policy."""
        try:
            body, attributes = view.body, view.attributes
            look = self._first_look
            if look is not None and not look(_joined(body, attributes)):
                return
            rules = [rule for rule in self._rules if all(test(view) for test in rule.owner.tests)]
            used: set[int] = set()
            new_body = self._value(body, "", rules, used)
            new_attributes = self._mapping(attributes, "", rules, used)
        except Exception as error:
            self._rules[0].owner.failed(error)
            return
        view.body, view.attributes = new_body, new_attributes
        for owner in {id(rule.owner): rule.owner for rule in self._rules if id(rule) in used}.values():
            owner.hits += 1

    def _mapping(
        self, values: Mapping[str, Any], path: str, rules: Sequence[_Rule], used: set[int], depth: int = 0
    ) -> Mapping[str, Any]:
        """`values` redacted, as a new mapping where anything changed."""
        changed: dict[str, Any] = {}
        same = True
        for key, value in values.items():
            if depth == 0 and key in OWN_KEYS:
                changed[key] = value
                continue
            name = self._text(key, rules, used) if isinstance(key, str) else key
            while name in changed and name != key:
                name += "'"  # two keys that look alike now
            found = self._value(value, f"{path}.{key}" if path else str(key), rules, used, depth + 1)
            same = same and name is key and found is value
            changed[name] = found
        return values if same else changed

    def _value(self, value: Any, key: str, rules: Sequence[_Rule], used: set[int], depth: int = 0) -> Any:
        kind = type(value)
        if kind is str:
            return self._of_key(value, key, rules, used)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            text = str(value)
            found = self._of_key(text, key, rules, used)
            return value if found == text else found
        if depth > _MAX_DEPTH:
            return value
        if isinstance(value, Mapping):
            return self._mapping(value, key, rules, used, depth)
        if isinstance(value, list | tuple):
            items = [self._value(item, key, rules, used, depth + 1) for item in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        if isinstance(value, bytes | bytearray) and len(value) >= _MIN_BYTES:
            text = base64.b64encode(value).decode()
            found = self._of_key(text, key, rules, used)
            return value if found == text else found
        return value

    def _of_key(self, text: str, key: str, rules: Sequence[_Rule], used: set[int]) -> str:
        """The value of an attribute, which patterns see together with its key."""
        if not key or key in PLAIN_KEYS:
            return self._text(text, rules, used)
        head = f"\n{key}="  # an empty line before it is what patterns know an attribute by
        whole = head + text
        found = self._text(whole, rules, used)
        if found is whole:
            return text
        if found.startswith(head):
            return found[len(head) :]
        return found.partition("=")[2] if "=" in found else found  # something within the key was covered up

    def _text(self, text: str, rules: Sequence[_Rule], used: set[int]) -> str:
        if not text or self._scan is None:
            return text
        found = frozenset(self._scan.search(text))
        if not found:
            return text
        spared: list[Span] | None = None
        for rule in rules:
            if not rule.required <= found or not rule.forbidden.isdisjoint(found):
                continue
            if rule.spare and spared is None:
                spared = [match.span() for match in self._spared.finditer(patterns.encodable(text))]
            try:
                changed = rule.template.replace(text, spared or () if rule.spare else ())
            except Exception as error:
                rule.owner.failed(error)
                continue
            if changed is not text:
                used.add(id(rule))
                text = changed
                spared = None  # places have moved
        return text


def _first_look(pieces: Sequence[str]) -> Callable[[str], Any] | None:
    r"""One scan that finds all that any pattern finds in one of several lines of text; None where it might miss some.

    `^` and `$` are let match at every line's ends; `\A` and `\z` cannot be.
    """
    if not pieces or any("\\A" in pattern or "\\z" in pattern for pattern in pieces):
        return None
    return patterns.PatternSet([f"(?m){pattern}" for pattern in dict.fromkeys(pieces)]).search


def _joined(body: Any, attributes: Mapping[str, Any]) -> str:
    """All texts of a record, one after another, each attribute as `key=value`."""
    parts: list[str] = [body] if isinstance(body, str) else [*_flat(body, "")]
    for key, value in attributes.items():
        if key in OWN_KEYS:
            continue
        kind = type(value)
        if kind is str or kind is int:
            parts.append(value if key in PLAIN_KEYS else f"\n{key}={value}")
        elif value is not None and kind is not bool and kind is not float:
            parts += _flat(value, str(key))
    return "\n".join(parts)


def head_of(key: str) -> str | None:
    """What stands before an attribute's value in the text that `Everywhere.leaves` takes; None: it is not in there."""
    return None if key in OWN_KEYS else f"\n\n{key}="


def _flat(value: Any, key: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, Mapping):
        if depth <= _MAX_DEPTH:
            for name, item in value.items():
                yield str(name)
                yield from _flat(item, f"{key}.{name}" if key else str(name), depth + 1)
    elif isinstance(value, list | tuple):
        if depth <= _MAX_DEPTH:
            for item in value:
                yield from _flat(item, key, depth + 1)
    elif isinstance(value, bytes | bytearray):
        if len(value) >= _MIN_BYTES:
            yield f"\n{key}={base64.b64encode(value).decode()}"
    elif value is not None and not isinstance(value, bool | float):
        yield f"\n{key}={value}" if key else str(value)


def _pseudonyms(kind: str, key: bytes) -> Callable[[Any, str], str]:
    """Puts `kind:hash` in place of the marks in a template. The hash is of the group `value`, or of the whole match."""

    def reword(match: Any, literal: str) -> str:
        if _MARK.search(literal) is None:
            return literal
        groups = match.groupdict()
        value = next((groups[name] for name in _VALUES if groups.get(name)), None) or match.group(0)
        if _PSEUDONYM.fullmatch(value):
            return _MARK.sub(value, literal)  # another policy was here first
        digest = hmac.new(key, _normal(kind, value).encode("utf-8", "replace"), hashlib.sha256).hexdigest()
        return _MARK.sub(f"{kind}:{digest[:_HEX_DIGITS]}", literal)

    return reword


def _normal(kind: str, value: str) -> str:
    """One form for all spellings of the same caller; of a phone number the part that is dialled at home and abroad."""
    if kind == "phone":
        return "".join(char for char in value if char.isdigit())[-9:]
    return " ".join(value.casefold().split())
