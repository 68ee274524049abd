"""Turn a standard-library log record into an OTel LogRecord, whatever is in it, and never raise.

`plain` translates as the official handler does, with what breaks it repaired. `enriched` adds what `configure()`
promises: the call, its trace, the logger's name, code attributes. No decision about keeping a record belongs here.
"""

from __future__ import annotations

import logging
import math
import traceback
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.trace import TraceFlags

from otel_logging import ids
from otel_logging.bridge.values import clean_key, clean_text, clean_value, safe_str

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

# The record's own fields, as the logging documentation lists them, plus what formatters and we put there.
_OWN_FIELDS: Final = frozenset(
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


_BY_LEVEL: Final = {level: _severity_of_level(level) for level in range(100)}


def severity_number(levelno: Any) -> SeverityNumber:
    """The OTel severity of a Python level; levels that are no numbers are UNSPECIFIED."""
    try:
        found = _BY_LEVEL.get(levelno)
        if found is not None:
            return found
        level = int(levelno)
        return _BY_LEVEL[min(max(level, 0), 99)]
    except Exception:
        return SeverityNumber.UNSPECIFIED


def severity_text(levelname: Any) -> str:
    """The OTel severity text of a Python level's name: WARN for WARNING, FATAL for CRITICAL, any other as it is."""
    name = safe_str(levelname)
    return _SEVERITY_TEXT.get(name, name)


def body_of(record: logging.LogRecord, render: Callable[[logging.LogRecord], str] | None = None) -> str:
    """The rendered message; where rendering fails, the raw message and its arguments with a marker."""
    try:
        return clean_text(record.getMessage() if render is None else render(record))
    except Exception as error:
        why = f"not rendered, {type(error).__name__}; args={_safe_repr(record.args)}"
        return f"{safe_str(record.msg)} [otel-logging: {why}]"


def _safe_repr(value: Any) -> str:
    try:
        return clean_text(repr(value))[:2000]
    except Exception as error:
        return f"[{type(error).__name__}]"


def timestamps(record: logging.LogRecord) -> tuple[int, int]:
    """Nanoseconds since 1970: when the record was made and when we saw it. A time that cannot be is replaced by now."""
    observed = time_ns()
    try:
        created = record.created
        if math.isfinite(created) and 0 <= created < 18_446_744_073:  # what an unsigned 64-bit number of ns can hold
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
    if not info:
        return {}
    try:
        error = info[1] if isinstance(info, tuple) else info
        kind = type(error) if isinstance(error, BaseException) else (info[0] if isinstance(info, tuple) else None)
        if kind is None:
            return {}
        found = {"exception.type": clean_text(kind.__name__ if drop_in else _qualified(kind))}
        if isinstance(error, BaseException):
            if on_exception is not None:
                on_exception(error)
            if drop_in and _made_with_one_text(error):
                found["exception.message"] = clean_text(error.args[0])
            elif message := safe_str(error):  # the conventions leave an empty one out
                found["exception.message"] = message
            found["exception.stacktrace"] = _stacktrace(
                error, info[2] if isinstance(info, tuple) else error.__traceback__
            )
        return found
    except Exception as failure:
        return {"exception.type": f"[otel-logging: exception cannot be read: {type(failure).__name__}]"}


def _made_with_one_text(error: BaseException) -> bool:
    return len(error.args) == 1 and type(error.args[0]) is str


def _qualified(kind: type) -> str:
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", kind.__name__)
    return name if module in {None, "builtins"} else f"{module}.{name}"


def _stacktrace(error: BaseException, trace: Any) -> str:
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except Exception as failure:
        # Formatting calls the exception's own code; frames alone never do.
        try:
            lines = [
                *traceback.format_tb(trace),
                f"{_qualified(type(error))}: [{type(failure).__name__} while formatting]",
            ]
        except Exception:
            lines = [f"[otel-logging: traceback cannot be formatted: {type(failure).__name__}]"]
    return clean_text("".join(lines))


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`, and what filters and formatters put on the record; values still raw."""
    return {key: value for key, value in record.__dict__.items() if key not in _OWN_FIELDS}


def plain(
    record: logging.LogRecord,
    *,
    code_attributes: bool = False,
    render: Callable[[logging.LogRecord], str] | None = None,
) -> LogRecord:
    """Translate as the official handler does: severity, body, extras, event name, exception, optionally code."""
    body = body_of(record, render)  # first: a formatter may add attributes to the record
    attributes = {clean_key(key): clean_value(value) for key, value in extras_of(record).items()}
    event_name = _take_event_name(attributes)
    if code_attributes:
        attributes.update(_code_attributes(record))
    attributes.update(exception_attributes(record, drop_in=True))
    return _made(record, body, attributes, event_name)


def enriched(record: logging.LogRecord, body: str, extras: Mapping[str, Any], *, event_name: str | None) -> LogRecord:
    """Translate for `configure()`: `extras` are cleaned and named already (see `named_extras`)."""
    attributes: dict[str, Any] = dict(extras)
    attributes["logger.name"] = safe_str(record.name)
    attributes.update(_code_attributes(record))
    attributes.update(exception_attributes(record))
    if record.stack_info:
        attributes["code.stacktrace"] = safe_str(record.stack_info)
    return _made(record, body, attributes, event_name)


def _made(record: logging.LogRecord, body: str, attributes: dict[str, Any], event_name: str | None) -> LogRecord:
    created, observed = timestamps(record)
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


def named_extras(record: logging.LogRecord, bound: Mapping[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    """The caller's extras and the call's bound attributes, cleaned, and the event name that stood among them.

    A record's own extra wins over a bound attribute. A name that Datadog would let overwrite the record (`status`,
    `service`, …) is kept as `extra.<name>`.
    """
    found = named(bound) if bound else {}
    found.update(named(extras_of(record)))
    return found, _take_event_name(found)


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` cleaned, under names that back ends leave alone."""
    found: dict[str, Any] = {}
    for key, value in list(values.items()):
        name = clean_key(key)
        found[f"extra.{name}" if name in RESERVED_BY_BACKENDS else name] = clean_value(value)
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
            found = safe_str(value)
    return found


def _code_attributes(record: logging.LogRecord) -> dict[str, Any]:
    return {
        "code.file.path": clean_value(record.pathname),
        "code.function.name": clean_value(record.funcName),
        "code.line.number": clean_value(record.lineno),
    }
