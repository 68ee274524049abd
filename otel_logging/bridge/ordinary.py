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
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord
from opentelemetry.context import get_current
from opentelemetry.trace import TraceFlags, get_current_span

from otel_logging.bridge import translate
from otel_logging.bridge.values import MAX_NAME, MAX_TEXT, passes
from otel_logging.export.entry import SIZE
from otel_logging.policy.engine import KEPT

if TYPE_CHECKING:
    from otel_logging.bridge.scope import CallScope
    from otel_logging.policy.engine import PolicySet

_OWN: Final = tuple(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_LAST_OWN: Final = _OWN[-1]
_OWN_COUNT: Final = len(_OWN)
_INT64: Final = 1 << 63
_SCALARS: Final = frozenset({bool, float, type(None)})
# Extras under these names are moved or mean something; a record that has one goes the long way.
_SPECIAL: Final = (
    translate.RESERVED_BY_BACKENDS
    | frozenset(translate.EVENT_NAME_KEYS)
    | {"", "logger.name", "code.file.path", "code.function.name", "code.line.number"}
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


def _is_text(value: Any, most: int) -> bool:
    """Whether `value` is a text as it is exported: of bounded length and without lone surrogates."""
    if type(value) is not str or len(value) > most:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
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
            not _KNOWN_API
            or type(record) is not logging.LogRecord
            or fields["exc_info"] is not None
            or fields["exc_text"] is not None
            or fields["stack_info"] is not None
            or next(islice(fields, _OWN_COUNT - 1, None)) != _LAST_OWN
            or (call is not None and call.attributes)
        ):
            return None
        body, args = fields["msg"], fields["args"]
        if type(body) is not str:
            return None
        if args:
            body = body % args
        name, level, path, function = fields["name"], fields["levelno"], fields["pathname"], fields["funcName"]
        size = len(body)
        extras: dict[str, Any] = {}
        if not _is_text(body, MAX_TEXT) or not _is_text(name, MAX_NAME):
            return None
        for key, value in islice(fields.items(), _OWN_COUNT, None):
            if type(key) is not str or key in _SPECIAL or not key.isascii() or len(key) > MAX_NAME:
                return None
            if key in translate.OWN_FIELDS:  # what a formatter or another handler has put there
                continue
            kind = type(value)
            if kind is str:
                if not _is_text(value, MAX_TEXT):
                    return None
                size += len(value)
            elif kind is int:
                if not -_INT64 <= value < _INT64:
                    return None
            elif kind not in _SCALARS:
                return None
            extras[key] = value
        if type(path) is not str or type(function) is not str or type(fields["lineno"]) is not int:
            return None
        if not path.isascii() or not function.isascii() or len(path) > MAX_NAME or len(function) > MAX_NAME:
            return None
        severity = translate.SEVERITIES.get(level) if type(level) is int else None
        created = fields["created"]
        if severity is None or type(created) is not float or not 0 <= created < translate.MOST_SECONDS:
            return None
        if not policies.leaves(body, extras) or policies.redact_name(name) != name:
            return None
        extras["logger.name"] = name
        extras["code.file.path"] = path
        extras["code.function.name"] = function
        extras["code.line.number"] = fields["lineno"]
        if most is not None and len(extras) >= most:
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
            severity_text=translate.severity_text(fields["levelname"]),
            severity_number=severity,
            body=body,
            attributes=extras,
        )
        made.__dict__[SIZE] = size + len(name) + len(path) + len(function)
        _join(made, extras, call)
    except BaseException as error:
        if passes(error):
            raise
        return None  # whatever it is, the long way has an answer to it
    return made


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
