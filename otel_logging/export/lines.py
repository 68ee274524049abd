r"""What a console line looks like: one record as a line for people, or as one JSON object.

    [2024-01-21 19:30:26] INFO     [media_ws_ai] Call started: call_sid=CA123...
    {"timestamp":"2024-01-21T19:30:26.123Z","level":"INFO","module":"media_ws_ai","message":"Call started: …",…}

One record is one line whatever its message contains: a newline in it is printed as the two characters `\n`, so nobody
can forge a line. Only a traceback follows a human line on lines of its own; they are indented by four spaces, which no
record's line ever is. Pure functions of a record; streams and the question which records are shown belong elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_logging.export import line_size
from otel_logging.export.text import neutralise, neutralise_json, passes, plain, safe_repr, type_name
from otel_logging.export.tracebacks import shortened, stacktrace

if TYPE_CHECKING:
    import logging

_INDENT: Final = "    "
MAX_NAME: Final = 1_024  # characters of a level's, module's or logger's name
# Keys that a line has of its own; an extra of that name goes under `extra.<name>` and never overwrites them.
FIXED_KEYS: Final = frozenset(
    {"timestamp", "level", "module", "message", "logger", "call_sid", "trace_id", "span_id", "service", "exception",
     "stack_info"}
)  # fmt: skip
# What Datadog reads off a JSON line as the record's own status, host and time before it looks at our keys.
_TAKEN_BY_DATADOG: Final = frozenset({"@timestamp", "host", "hostname", "severity", "status"})
NO_EXTRAS: Final = FIXED_KEYS | _TAKEN_BY_DATADOG | {line_size.CUT}


class Texts(NamedTuple):
    """What a record says, where that is known already: nothing of the application's is rendered a second time."""

    message: str
    exception: str = ""
    stack: str = ""


def texts_of(record: logging.LogRecord) -> Texts:
    """What a record says that nobody has translated. Never raises."""
    stack = record.stack_info
    return Texts(message_of(record), traceback_of(record), "" if stack is None else shortened(_text(stack)))


def message_of(record: logging.LogRecord) -> str:
    """The record's message; where its arguments do not fit, its template and arguments with a marker. Never raises."""
    try:
        return _text(record.getMessage())
    except BaseException as error:
        if passes(error):
            raise
        template = record.msg if isinstance(record.msg, str) else safe_repr(record.msg)
        args = safe_repr(record.args, 512)
        return f"{template} <message could not be formatted: {type_name(error)}; args={args}>"


def traceback_of(record: logging.LogRecord) -> str:
    """The record's traceback as Python prints it, without a last newline; empty without an exception. Never raises."""
    exc_info: Any = record.exc_info
    try:
        if isinstance(exc_info, BaseException):
            exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        if isinstance(exc_info, tuple) and len(exc_info) == 3 and exc_info[0] is not None:
            return stacktrace(exc_info[1], exc_info[2]).rstrip("\n")
        # A record that came through a QueueHandler has lost its exception and kept the text.
        text: Any = record.exc_text
        return shortened(_text(text)) if isinstance(text, str) else ""
    except Exception as error:
        return f"<traceback could not be formatted: {type_name(error)}>"


class _Seconds:
    """Times as text, made once a second: formatting a date costs more than the rest of a line."""

    def __init__(self, convert: Callable[[float], time.struct_time], layout: str) -> None:
        self._convert = convert
        self._layout = layout
        self._last: tuple[int | None, str] = (None, "")  # one tuple, so that threads see both or neither

    def text(self, seconds: int) -> str:
        last = self._last
        if last[0] != seconds:
            last = self._last = (seconds, time.strftime(self._layout, self._convert(seconds)))
        return last[1]


LOCAL_TIME: Final = _Seconds(time.localtime, "%Y-%m-%d %H:%M:%S")
UTC_TIME: Final = _Seconds(time.gmtime, "%Y-%m-%dT%H:%M:%S")


def _human_time(created: Any) -> str:
    try:
        return LOCAL_TIME.text(int(created))
    except Exception:  # NaN, beyond the calendar or no number at all: the line is written now, so now is nearly right
        return LOCAL_TIME.text(int(time.time()))


def _json_time(created: Any) -> str:
    try:
        return _json_millis(created)
    except Exception:  # as above
        return _json_millis(time.time())


def _json_millis(created: float) -> str:
    # The little extra: a float may lie just below the millisecond it was made from.
    seconds, millis = divmod(int(created * 1000 + 0.01), 1000)
    return f"{UTC_TIME.text(seconds)}.{millis:03d}Z"


def human_line(record: logging.LogRecord, texts: Texts | None = None) -> str:
    """`[local time] LEVEL    [module] message`, without a last newline; a traceback follows on indented lines."""
    message, exception, stack = texts or texts_of(record)
    head = f"[{_human_time(record.created)}] {_name(record.levelname):<8} [{_name(record.module)}] "
    line = neutralise(head + message)
    if not exception and not stack:
        return line
    more = f"{exception}\n{stack}" if exception and stack else exception or stack
    return "\n".join([line, *(_INDENT + neutralise(part) for part in more.split("\n"))])


def _text(value: Any) -> str:
    """`value` as a str of no other class; a marker for what has no text."""
    if type(value) is str:
        return value
    try:
        return str.__str__(value if issubclass(type(value), str) else str(value))
    except BaseException as error:
        if passes(error):
            raise
        return safe_repr(value)


def _name(value: Any) -> str:
    """What serves as a name; records made by hand may have anything for one, of any length."""
    text = value if type(value) is str else _text(value)
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _hex(value: int | str | None, digits: int) -> str | None:
    if not value:
        return None
    return f"{value:0{digits}x}" if isinstance(value, int) else str(value)


def _unknown(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else safe_repr(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_unknown).encode


def json_line(
    record: logging.LogRecord,
    *,
    service: str,
    call_sid: str | None = None,
    trace_id: int | str | None = None,
    span_id: int | str | None = None,
    attributes: Mapping[str, Any] | None = None,
    texts: Texts | None = None,
) -> str:
    """One JSON object in the documented order of keys, UTF-8 kept readable, without a last newline.

    Of a record that is too long for log drivers, the longest values are cut: see `line_size`.

    Args:
        record: where time, level, module, message, logger and exception come from.
        service: the service's name.
        call_sid: the call's id; left out when None, unless an extra of that name gives it.
        trace_id: as a number or as hex digits; left out when None or 0.
        span_id: as `trace_id`.
        attributes: the caller's extras. One that bears the name of a fixed key, or of a key by which Datadog would
            take it for the record's own, appears as `extra.<name>`.
        texts: message, exception and stack; rendered from the record when None.
    """
    message, exception, stack = texts or texts_of(record)
    fields: dict[str, Any] = {
        "timestamp": _json_time(record.created),
        "level": _name(record.levelname),
        "module": _name(record.module),
        "message": message,
        "logger": _name(record.name),
    }
    if call_sid is None and attributes:
        given = attributes.get("call_sid")
        call_sid = given if isinstance(given, str) and given else None
    if call_sid is not None:
        fields["call_sid"] = call_sid
    if trace := _hex(trace_id, 32):
        fields["trace_id"] = trace
    if span := _hex(span_id, 16):
        fields["span_id"] = span
    fields["service"] = service
    if attributes:
        _add_extras(fields, attributes)
    if exception:
        fields["exception"] = exception
    if stack:
        fields["stack_info"] = stack
    try:
        line = neutralise_json(_encode(fields))
    except Exception:  # NaN, a cycle, an odd key, a dict that changes under us: the slow way knows them all
        line = neutralise_json(_encode(plain(fields)))
    if len(line) > line_size.SUSPECT and line_size.too_long(line):
        return line_size.fitted(plain(fields), FIXED_KEYS, _safe)
    return line


def _safe(value: Any) -> str:
    return neutralise_json(_encode(value))


def _add_extras(fields: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        if type(key) is str and key not in fields and key not in NO_EXTRAS:
            fields[key] = value
            continue
        name = key if isinstance(key, str) else safe_repr(key)
        if name == "call_sid" and value == fields.get("call_sid"):
            continue
        while name in fields or name in NO_EXTRAS:
            name = "extra." + name
        fields[name] = value
