"""The short way of a console line, for the records that services really make.

A record with names that are texts, extras that are scalars and a text of printable letters needs none of the care that
`lines` takes: its line is put together here from parts that are ready. Of any other record the functions say None, and
`lines` makes the line from the start; what is right for a record is therefore decided there, and nowhere else. A
property test holds the two ways to each other.

Hot path, hence the plain loops and the text that is kept by line of code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_logging.export import json_text, line_size
from otel_logging.export.lines import LOCAL_TIME, MAX_NAME, NO_EXTRAS, UTC_TIME

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from otel_logging.export.lines import Texts

_MOST: Final = 4_096  # of what is kept by names; when there are more, all are forgotten
_LOW: Final = json_text.LOW
_HIGH: Final = json_text.HIGH


class JsonLines:
    """Lines of JSON for one service.

    Args:
        service: the service's name.
        encode: makes JSON of texts and of flat mappings.
    """

    def __init__(self, service: str, encode: Callable[[Any], str] | None = None) -> None:
        self._encode = encode or json_text.fastest()
        self._bytes: Callable[[Any], bytes] = json_text.as_bytes() if encode is None else _as_bytes(encode)
        self._service = f',"service":{self._encode(service)}'
        # By the names that a record bears: what stands before its message, and what after it.
        self._around: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._ids: tuple[Any, str] = ((None, None, None), self._service)  # those of the last record, and their text
        self._second: tuple[int | None, str] = (None, "")  # one tuple, so that threads see both or neither
        self._began: tuple[int, str] = (-1, "")  # the first millisecond of a second, and the text of the second
        # Formatting the number would cost as much as encoding the message.
        self._millis = [f".{number:03d}Z" for number in range(1000)]

    def line(  # noqa: C901, PLR0912 (one pass; a function for each condition would cost more than the condition)
        self,
        record: logging.LogRecord,
        call_sid: str | None,
        trace_id: int | str | None,
        span_id: int | str | None,
        attributes: Mapping[str, Any] | None,
        texts: Texts,
    ) -> str | None:
        """What `lines.json_line` makes of an ordinary record, None for any other. May raise for odd ones."""
        message, exception, stack = texts
        if type(message) is not str or (attributes and type(attributes) is not dict):
            return None
        seconds, millis = divmod(int(record.created * 1000 + 0.01), 1000)
        second = self._second
        if second[0] != seconds:
            second = self._second = (seconds, '{"timestamp":"' + UTC_TIME.text(seconds))
        level, module, name = record.levelname, record.module, record.name
        around = self._around.get((level, module, name))
        if around is None or type(level) is not str or type(module) is not str or type(name) is not str:
            around = self._learn(level, module, name)
            if around is None:
                return None
        encode = self._encode
        ids = self._ids
        if ids[0] != (call_sid, trace_id, span_id):
            found = self._ids_text(call_sid, trace_id, span_id)
            if found is None:
                return None
            ids = self._ids = ((call_sid, trace_id, span_id), found)
        if attributes:
            if not NO_EXTRAS.isdisjoint(attributes):
                return None
            for key, value in attributes.items():
                kind = type(value)
                if type(key) is not str or (
                    kind is not str
                    and kind is not int
                    and kind is not bool
                    and value is not None
                    and (kind is not float or (value and not (_LOW <= value < _HIGH or _LOW <= -value < _HIGH)))
                ):
                    return None
            extras = "," + encode(attributes)[1:]
        else:
            extras = "}"
        if exception or stack:
            more = {"exception": exception} if exception else {}
            if stack:
                more["stack_info"] = stack
            extras = extras[:-1] + "," + encode(more)[1:]
        line = f"{second[1]}{self._millis[millis]}{around[0]}{encode(message)}{around[1]}{ids[1]}{extras}"
        if len(line) > line_size.SUSPECT:
            return None
        return line if (line.isascii() and "\x7f" not in line) or line.isprintable() else None

    # What `familiar` asks for, part by part: whoever asks knows of a line like this one that `line` made it.

    def around(self, level: str, module: str, name: str) -> tuple[str, str] | None:
        """What stands on both sides of a message; None if there is anything special about it."""
        found = self._learn(level, module, name)
        return found if found is not None and "".join((*found, self._service)).isprintable() else None

    def ids(self, call_sid: str | None, trace_id: int, span_id: int) -> str | None:
        """What follows the logger's name, up to the extras; None if there is anything special about it."""
        call = f',"call_sid":{self._encode(call_sid)}' if call_sid is not None else ""
        trace = f',"trace_id":"{trace_id:032x}"' if trace_id else ""
        span = f',"span_id":"{span_id:016x}"' if span_id else ""
        text = f"{call}{trace}{span}{self._service}"
        return text if text.isprintable() else None

    def ready(self, now: float, around: tuple[str, str], text: str, ids: str, extra: Mapping[str, Any] | None) -> str:
        """A line made of its parts; `extra` is not empty. May raise for a text that is no UTF-8."""
        millis = int(now * 1000 + 0.01)
        began = self._began
        past = millis - began[0]
        if not 0 <= past < 1000:
            seconds, past = divmod(millis, 1000)
            began = self._began = (millis - past, '{"timestamp":"' + UTC_TIME.text(seconds))
        encode = self._bytes
        before, after = around
        if extra is None:
            return f"{began[1]}{self._millis[past]}{before}{encode(text).decode()}{after}{ids}}}"
        more = encode(extra).decode()
        return f"{began[1]}{self._millis[past]}{before}{encode(text).decode()}{after}{ids},{more[1:]}"

    def _learn(self, level: Any, module: Any, name: Any) -> tuple[str, str] | None:
        if not all(type(text) is str and len(text) <= MAX_NAME for text in (level, module, name)):
            return None
        if len(self._around) >= _MOST:
            self._around.clear()
        encode = self._encode
        before = f'","level":{encode(level)},"module":{encode(module)},"message":'
        found = self._around[level, module, name] = before, f',"logger":{encode(name)}'
        return found

    def _ids_text(self, call_sid: Any, trace_id: Any, span_id: Any) -> str | None:
        text = ""
        if call_sid is not None:
            if type(call_sid) is not str:
                return None
            text = f',"call_sid":{self._encode(call_sid)}'
        for key, value, digits in (("trace_id", trace_id, 32), ("span_id", span_id, 16)):
            if not value:
                continue
            if type(value) is int:
                text += f',"{key}":"{value:0{digits}x}"'
            elif type(value) is str:
                text += f',"{key}":{self._encode(value)}'
            else:
                return None
        return text + self._service


def _as_bytes(encode: Callable[[Any], str]) -> Callable[[Any], bytes]:
    return lambda value: encode(value).encode()


class HumanLines:
    """Lines for people."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._second: tuple[int | None, str] = (None, "")

    def line(self, record: logging.LogRecord, texts: Texts) -> str | None:
        """What `lines.human_line` makes of an ordinary record, None for any other. May raise for odd ones."""
        message, exception, stack = texts
        if exception or stack or not message.isprintable():
            return None
        seconds = int(record.created)
        second = self._second
        if second[0] != seconds:
            second = self._second = (seconds, f"[{LOCAL_TIME.text(seconds)}] ")
        level, module = record.levelname, record.module
        names = self._names.get((level, module))
        if names is None or type(level) is not str or type(module) is not str:
            names = self._learn(level, module)
            if names is None:
                return None
        return second[1] + names + message

    # What `familiar` asks for, as of `JsonLines`.

    def around(self, level: str, module: str, _name: str) -> tuple[str, str] | None:
        """What stands before a message; None if there is anything special about it."""
        found = self._learn(level, module)
        return (found, "") if found is not None else None

    def ids(self, _call_sid: str | None, _trace_id: int, _span_id: int) -> str | None:
        """Lines for people have no ids."""
        return ""

    def ready(self, now: float, around: tuple[str, str], text: str, _ids: str, _extra: Any) -> str:
        """A line made of its parts."""
        seconds = int(now)
        second = self._second
        if second[0] != seconds:
            second = self._second = (seconds, f"[{LOCAL_TIME.text(seconds)}] ")
        return f"{second[1]}{around[0]}{text}"

    def _learn(self, level: Any, module: Any) -> str | None:
        for text in (level, module):
            if type(text) is not str or len(text) > MAX_NAME or not text.isprintable():
                return None
        if len(self._names) >= _MOST:
            self._names.clear()
        found = self._names[level, module] = f"{level:<8} [{module}] "
        return found
