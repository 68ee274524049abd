"""The short way of a record that is kept, for the records that services really make.

A text with simple arguments, extras that are scalars, no exception, nothing in it that a policy changes: such a record
is translated here in one pass, to exactly what `translate`, `redact` and the SDK make of it by their long ways. Of any
other record the functions say None, and the long way takes it from the start; what is right for a record is therefore
decided there, and nowhere else. A property test holds the two ways to each other.

Hot path, hence the plain loops and the SDK objects filled by hand; `python -m benchmarks --only kept` measures it.
"""

from __future__ import annotations

import logging
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry._logs import LogRecord
from opentelemetry.context import get_current
from opentelemetry.trace import TraceFlags, get_current_span

from otel_logging.bridge import translate
from otel_logging.bridge.values import MAX_NAME, MAX_TEXT, passes
from otel_logging.export.entry import SIZE
from otel_logging.policy import everywhere
from otel_logging.policy.engine import KEPT

if TYPE_CHECKING:
    from opentelemetry._logs import SeverityNumber

    from otel_logging.bridge.scope import CallScope
    from otel_logging.policy.engine import PolicySet

OWN: Final = tuple(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
LAST_OWN: Final = OWN[-1]
CODE: Final = ("logger.name", "code.file.path", "code.function.name", "code.line.number")
OWN_COUNT: Final = len(OWN)
LAST_AT: Final = OWN_COUNT - 1
_INT64: Final = 1 << 63
_SCALARS: Final = frozenset({bool, float, type(None)})
# Extras under these names are moved or mean something; a record that has one goes the long way.
_SPECIAL: Final = (
    translate.RESERVED_BY_BACKENDS
    | frozenset(translate.EVENT_NAME_KEYS)
    | translate.OWN_FIELDS  # what a formatter or another handler has put there
    | everywhere.PLAIN_KEYS
    | {"", *CODE}
)
# What all OTel records that come this way have in common; None where the API's class is not made of what we know.
_TEMPLATE: Final[dict[str, Any]] = {
    "event_name": None,
    "exception": None,
    translate.VERDICT: KEPT,
    translate.TRANSFORMED: False,
}
_KNOWN_API: Final = {
    "timestamp", "observed_timestamp", "context", "trace_id", "span_id", "trace_flags", "severity_text",
    "severity_number", "body", "attributes", "event_name", "exception",
} == LogRecord().__dict__.keys()  # fmt: skip
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class _Site(NamedTuple):
    """What all ordinary records of one line of code have in common: its name and level, and where it stands."""

    attributes: dict[str, Any]
    size: int
    severity: SeverityNumber
    severity_text: str
    policies: PolicySet  # to which its name is no secret


# Learned from records that went the same way before; forgotten when they become too many.
_sites: Final[dict[tuple[Any, ...], _Site]] = {}
extras: Final[dict[str, str | None]] = {}  # keys of extras, with what a text of theirs is searched by
_MOST_SITES: Final = 4_096
_MOST_EXTRAS: Final = 4_096


def _is_text(value: Any, most: int) -> bool:
    """Whether `value` is a text as it is exported: of bounded length and without lone surrogates."""
    if type(value) is not str or len(value) > most:
        return False
    return value.isascii() or _encodes(value)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def log_record(  # noqa: C901, PLR0912 (one pass; a function for each condition would cost more than the condition)
    record: logging.LogRecord, call: CallScope | None, policies: PolicySet, most: int | None
) -> LogRecord | None:
    """What `Pipeline.translate` makes of an ordinary record, None for any other.

    Args:
        record: a record that is kept.
        call: the call in force.
        policies: those in force; they have nothing to change in an ordinary record.
        most: attributes that a record may have.
    """
    fields = record.__dict__
    try:
        if (
            type(record) is not logging.LogRecord
            or fields["exc_info"] is not None
            or fields["exc_text"] is not None
            or fields["stack_info"] is not None
            or next(islice(fields, LAST_AT, None)) != LAST_OWN
            or (call is not None and call.attributes)
        ):
            return None
        body = fields["msg"]
        if type(body) is not str:
            return None
        if fields["args"]:
            body %= fields["args"]
        key = (
            fields["name"],
            fields["levelno"],
            fields["levelname"],
            fields["pathname"],
            fields["lineno"],
            fields["funcName"],
        )
        site = _sites.get(key)
        if (site is None or site.policies is not policies) and (site := site_of(key, policies)) is None:
            return None
        size = site.size + len(body)
        if not body.isascii() and not _encodes(body):
            return None
        attributes: dict[str, Any] = {}
        text = body
        for name, value in islice(fields.items(), OWN_COUNT, None):
            if name not in extras and not learn_extra(name):
                return None
            kind = type(value)
            if kind is str:
                if not value.isascii() and not _encodes(value):
                    return None
                size += len(value)
                head = extras[name]
                if head is not None:
                    text += head + value
            elif kind is int:
                if not -_INT64 <= value < _INT64:
                    return None
                head = extras[name]
                if head is not None:
                    text += f"{head}{value}"
            elif kind not in _SCALARS:
                return None
            attributes[name] = value
        attributes.update(site.attributes)
        created = fields["created"]
        if (
            size > MAX_TEXT
            or type(created) is not float
            or not 0 <= created < translate.MOST_SECONDS
            or (most is not None and len(attributes) >= most)
            or not policies.leaves(text)
        ):
            return None
        context = get_current()
        span = get_current_span(context).get_span_context()
        made = LogRecord.__new__(LogRecord)
        made.__dict__.update(
            _TEMPLATE,
            timestamp=int(created * 1e9),
            observed_timestamp=time_ns(),
            context=context,
            trace_id=span.trace_id,
            span_id=span.span_id,
            trace_flags=span.trace_flags,
            severity_text=site.severity_text,
            severity_number=site.severity,
            body=body,
            attributes=attributes,
        )
        made.__dict__[SIZE] = size
        _join(made, attributes, call)
    except BaseException as error:
        if passes(error):
            raise
        return None  # whatever it is, the long way has an answer to it
    return made


def site_of(key: tuple[Any, ...], policies: PolicySet) -> _Site | None:
    """Learn a line of code; None if there is anything special about it."""
    name, level, level_name, path, line, function = key
    severity = translate.SEVERITIES.get(level) if type(level) is int else None
    if severity is None or type(line) is not int or not _KNOWN_API:
        return None
    if not (_is_text(name, MAX_NAME) and _is_text(path, MAX_NAME) and _is_text(function, MAX_NAME)):
        return None
    if type(level_name) is not str or policies.redact_name(name) != name:
        return None
    found = _Site(
        {"logger.name": name, "code.file.path": path, "code.function.name": function, "code.line.number": line},
        len(name) + len(path) + len(function),
        severity,
        translate.severity_text(level_name),
        policies,
    )
    if len(_sites) >= _MOST_SITES:
        _sites.clear()
    _sites[key] = found
    return found


def learn_extra(name: Any) -> bool:
    """Learn the name of an extra; False if there is anything special about it."""
    if type(name) is not str or name in _SPECIAL or not name.isascii() or len(name) > MAX_NAME:
        return False
    if len(extras) >= _MOST_EXTRAS:
        extras.clear()
    extras[name] = everywhere.head_of(name)
    return True


def _join(made: LogRecord, attributes: dict[str, Any], call: CallScope | None) -> None:
    """As `translate.join_call`."""
    stated = attributes.get("call_sid")
    if stated is not None:
        translate.join_call(made, call)
        return
    if call is None or (sid := call.call_sid) is None:
        return
    attributes["call_sid"] = sid
    if not made.trace_id:
        made.trace_id, made.span_id, made.trace_flags = call.trace_id, call.span_id, _SAMPLED
