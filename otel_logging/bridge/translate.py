"""Turn a standard-library log record into an OTel LogRecord, whatever is in it, and never raise.

`plain` translates as the official handler does, with what breaks it repaired. `enriched` adds what `configure()`
promises: the call, its trace, the logger's name, code attributes. No decision about keeping a record belongs here.
"""

from __future__ import annotations

import logging
import math
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.trace import TraceFlags

from otel_logging import ids
from otel_logging.bridge.values import (
    clean_key,
    clean_name,
    clean_text,
    clean_value,
    free_name,
    passes,
    safe_str,
    type_name,
)
from otel_logging.export.entry import REPAIRED
from otel_logging.export.tracebacks import qualified, shortened, stacktrace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_logging.bridge.scope import CallScope

MARK: Final = "_otel_logging"
"""Set on a stdlib record that our pipeline has taken: its handlers and queues know it again by this."""

TRIGGER: Final = "otel_logging.trigger"
"""On records that an override let through: no stage applies `keep` to them again."""

RECOVERED: Final = "otel_logging.recovered"
"""On records that the flight recorder gave back."""

SUPPRESSED: Final = "otel_logging.suppressed"
"""On a record before which others of its kind were held back: how many."""

VERDICT: Final = "_otel_logging_verdict"
"""On an OTel record, the verdict that has been taken, so that no later stage takes it again."""

TRANSFORMED: Final = "_otel_logging_transformed"
"""On an OTel record that `redact` is done with: True where it changed something, False where nothing had to be."""

MOST_SECONDS: Final = 18_446_744_073
"""Since 1970, what an unsigned 64-bit number of nanoseconds can hold."""

# The record's own fields, as the logging documentation lists them, plus what formatters and we put there.
OWN_FIELDS: Final = frozenset(
    {
        "args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "getMessage", "levelname",
        "levelno", "lineno", "message", "module", "msecs", "msg", "name", "pathname", "process", "processName",
        "relativeCreated", "stack_info", "taskName", "thread", "threadName", MARK,
    }
)  # fmt: skip
# Datadog lets these record attributes overwrite the record itself.
RESERVED_BY_BACKENDS: Final = frozenset(
    {"level", "severity", "status", "message", "msg", "log", "trace_id", "span_id", "service", "hostname"}
)
EVENT_NAME_KEYS: Final = ("otel.event.name", "event.name")  # the second is the convention's older name
_SEVERITY_TEXT: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_MAX_REPR: Final = 2_000  # characters of one argument of a message that cannot be rendered
_MAX_ARGS: Final = 10  # and so many of them
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)

on_exception: Callable[[BaseException], None] | None = None
"""Told of every exception that a record carries: who tells of unhandled ones asks whether that has been done."""


def _severity_of_level(level: int) -> SeverityNumber:
    if level <= 0:
        return SeverityNumber.UNSPECIFIED
    if level < logging.DEBUG:
        # The official handler says UNSPECIFIED here, which slips past every minimum severity; TRACE is what is meant.
        return SeverityNumber(1 + min(max(level - 5, 0), 3))
    # Each of Python's tens is a range of four: DEBUG..DEBUG4, and so on; beyond CRITICAL all is FATAL4.
    return SeverityNumber(min(level // 10 * 4 + 1 + min(level % 10, 3), 24))


SEVERITIES: Final = {level: _severity_of_level(level) for level in range(100)}


def severity_number(levelno: Any) -> SeverityNumber:
    """The OTel severity of a Python level; levels that are no numbers are UNSPECIFIED."""
    try:
        found = SEVERITIES.get(levelno)
        if found is not None:
            return found
        level = int(levelno)
        return SEVERITIES[min(max(level, 0), 99)]
    except Exception:
        return SeverityNumber.UNSPECIFIED


def severity_text(levelname: Any) -> str:
    """The OTel severity text of a Python level's name: WARN for WARNING, FATAL for CRITICAL, any other as it is."""
    name = clean_name(levelname)
    return _SEVERITY_TEXT.get(name, name)


def body_of(record: logging.LogRecord, render: Callable[[logging.LogRecord], str] | None = None) -> str:
    """The rendered message; where rendering fails, the raw message and its arguments with a marker."""
    try:
        text = record.getMessage() if render is None else render(record)
        if type(text) is not str:
            text = str.__str__(text)  # a subclass's characters; what is no text at all fails here
        return clean_text(text)
    except BaseException as error:
        if passes(error):
            raise
        why = f"not rendered, {type_name(error)}; args={_safe_args(getattr(record, 'args', None))}"
        return f"{safe_str(getattr(record, 'msg', None))} [otel-logging: {why}]"


def _safe_args(args: Any) -> str:
    """Arguments as `repr` has them, each on its own: one that has none does not cost the others."""
    if type(args) is tuple and args:
        texts = ", ".join(_safe_repr(arg) for arg in args[:_MAX_ARGS])
        more = ", …" if len(args) > _MAX_ARGS else "," if len(args) == 1 else ""
        return f"({texts}{more})"
    return _safe_repr(args)


def _safe_repr(value: Any) -> str:
    try:
        text = repr(value)
        return clean_text(text if type(text) is str else str.__str__(text), _MAX_REPR)
    except BaseException as error:
        if passes(error):
            raise
        return f"[{type_name(value)}: {type_name(error)}]"


def timestamps(record: logging.LogRecord) -> tuple[int, int]:
    """Nanoseconds since 1970: when the record was made and when we saw it.

    A time that cannot be is replaced by now: then both are the same object.
    """
    observed = time_ns()
    try:
        created = record.created
        if math.isfinite(created) and 0 <= created < MOST_SECONDS:
            return int(created * 1e9), observed
    except Exception:
        pass  # a record made by hand may hold anything here
    return observed, observed


def exception_attributes(record: logging.LogRecord, *, drop_in: bool = False) -> dict[str, str]:
    """`exception.type`, `.message` and `.stacktrace` as the semantic conventions say, from `record.exc_info`.

    `drop_in`: as the official handler where that says something: the type without its module, and for an exception
    made with one text that text, whatever its `__str__` makes of it.
    """
    info: Any = record.exc_info
    if info is None:
        return {}
    found: dict[str, str] = {}
    try:
        if not info:
            return {}
        error, trace = (info[1], info[2]) if isinstance(info, tuple) else (info, getattr(info, "__traceback__", None))
        kind = type(error) if isinstance(error, BaseException) else (info[0] if isinstance(info, tuple) else None)
        if kind is None:
            return {}
        # Each on its own: an exception whose text cannot be had still has a type and a stack.
        found["exception.type"] = clean_name(kind.__name__ if drop_in else qualified(kind))
        if isinstance(error, BaseException):
            if on_exception is not None:
                on_exception(error)
            if (message := _message(error, drop_in=drop_in)) is not None:
                found["exception.message"] = message
            found["exception.stacktrace"] = clean_text(stacktrace(error, trace))
    except BaseException as failure:
        if passes(failure):
            raise
        found.setdefault("exception.type", f"[otel-logging: exception cannot be read: {type_name(failure)}]")
    return found


def _message(error: BaseException, *, drop_in: bool) -> str | None:
    try:
        if drop_in and _made_with_one_text(error):
            return clean_text(error.args[0])
    except Exception:
        pass  # `args` may be a property of its own, and its text may be had all the same
    return safe_str(error) or None  # the conventions leave an empty one out


def _made_with_one_text(error: BaseException) -> bool:
    return len(error.args) == 1 and type(error.args[0]) is str


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`, and what filters and formatters put on the record; values still raw."""
    found: dict[str, Any] = {}
    for key, value in record.__dict__.items():
        if type(key) is not str:  # its `__hash__` and its `__eq__` may raise: it is never looked up
            found[free_name(clean_key(key), found)] = value
        elif key not in OWN_FIELDS:
            found[key] = value
    return found


def plain(
    record: logging.LogRecord,
    *,
    code_attributes: bool = False,
    render: Callable[[logging.LogRecord], str] | None = None,
) -> LogRecord:
    """Translate as the official handler does: severity, body, extras, event name, exception, optionally code."""
    body = body_of(record, render)  # first: a formatter may add attributes to the record
    attributes = cleaned(extras_of(record))
    event_name = _take_event_name(attributes)
    if code_attributes:
        attributes.update(_code_attributes(record))
    attributes.update(exception_attributes(record, drop_in=True))
    return _made(record, body, attributes, event_name)


def enriched(record: logging.LogRecord, body: str, extras: Mapping[str, Any], *, event_name: str | None) -> LogRecord:
    """Translate for `configure()`: `extras` are cleaned and named already (see `named_extras`)."""
    attributes: dict[str, Any] = dict(extras)
    attributes["logger.name"] = clean_name(record.name)
    attributes.update(_code_attributes(record))
    attributes.update(exception_attributes(record))
    if record.stack_info is not None:
        attributes["code.stacktrace"] = shortened(safe_str(record.stack_info))
    return _made(record, body, attributes, event_name)


def _made(record: logging.LogRecord, body: str, attributes: dict[str, Any], event_name: str | None) -> LogRecord:
    created, observed = timestamps(record)
    if created is observed or type(record.levelno) is not int:
        _tell_repairs(attributes, record, time=created is observed)
    return LogRecord(
        timestamp=created,
        observed_timestamp=observed,
        context=get_current() or None,
        severity_text=severity_text(record.levelname),
        severity_number=severity_number(record.levelno),
        body=body,
        attributes=attributes,
        event_name=event_name,
    )


def _tell_repairs(attributes: dict[str, Any], record: logging.LogRecord, *, time: bool) -> None:
    """Say which numbers of a record could not be kept: a number has no room for a marker."""
    repaired = ["timestamp"] if time else []
    if not isinstance(record.levelno, (int, float)) or record.levelno != record.levelno:
        repaired.append("severity")
    if repaired:
        attributes[REPAIRED] = repaired


def named_extras(record: logging.LogRecord, bound: Mapping[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    """The caller's extras and the call's bound attributes, cleaned, and the event name that stood among them.

    A record's own extra wins over a bound attribute. A name that Datadog would let overwrite the record (`status`,
    `service`, …) is kept as `extra.<name>`.
    """
    found = named(extras_of(record))
    if bound:
        found = {**named(bound), **found}
    return found, _take_event_name(found)


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` cleaned, under names that back ends leave alone."""
    found: dict[str, Any] = {}
    for key, value in list(values.items()):
        name = clean_key(key)
        if name in RESERVED_BY_BACKENDS:
            name = f"extra.{name}"
        found[name if name not in found else free_name(name, found)] = clean_value(value)
    return found


def cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` cleaned, under their own names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = clean_key(key)
        found[name if name not in found else free_name(name, found)] = clean_value(value)
    return found


def join_call(log_record: LogRecord, call: CallScope | None) -> None:
    """Give `log_record` its call: the `call_sid` attribute and, unless a span was active, the call's trace.

    A `call_sid` that the line itself stated as an extra wins over the call in force.
    """
    attributes: Any = log_record.attributes
    stated = attributes.get("call_sid")
    sid = stated if ids.is_call_id(stated) else (call.call_sid if call is not None else None)
    if sid is None:
        return
    attributes["call_sid"] = sid
    if not log_record.trace_id:
        own = call is not None and call.call_sid == sid
        log_record.trace_id = call.trace_id if own and call is not None else ids.trace_id_for(sid)
        log_record.span_id = call.span_id if own and call is not None else 0
        log_record.trace_flags = _SAMPLED


def _take_event_name(attributes: dict[str, Any]) -> str | None:
    found = None
    for key in EVENT_NAME_KEYS:
        value = attributes.pop(key, None)
        if found is None and value is not None:
            found = clean_name(value)
    return found


def _code_attributes(record: logging.LogRecord) -> dict[str, Any]:
    return {
        "code.file.path": clean_value(record.pathname),
        "code.function.name": clean_value(record.funcName),
        "code.line.number": clean_value(record.lineno),
    }


def back(name: str, log_record: LogRecord) -> logging.LogRecord:
    """A stdlib record that says what `log_record` says: what the console prints of a record that was given back."""
    level = logging.getLevelName(
        {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text := log_record.severity_text or "", text)
    )
    shown = logging.LogRecord(name, level if isinstance(level, int) else 0, "", 0, log_record.body, None, None)
    shown.created = (log_record.timestamp or 0) / 1e9
    shown.msecs = shown.created % 1 * 1000
    return shown


def bytes_of(record: LogRecord) -> int:
    """Roughly the bytes that a waiting record holds."""
    body = record.body
    return 400 + (len(body) if isinstance(body, str) else 0) + 100 * len(record.attributes or ())
