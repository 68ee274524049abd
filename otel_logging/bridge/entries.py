"""What an entry of the flight recorder is made of: the ids of the moment, extras as scalars, texts cut to a length.

The raw material only; how entries are kept is `ring`'s business.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from otel_logging.bridge import translate
from otel_logging.bridge.values import safe_str

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST: Final = 8192  # characters of a text that are remembered
_MAX_EXTRAS: Final = 32
_MAX_EXTRA_TEXT: Final = 1024
_MAX_TRACEBACK: Final = 8192
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def cut(text: str) -> str:
    """`text` as a plain string of bounded length."""
    if type(text) is not str:
        text = safe_str(text)
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]}… [otel-logging: {len(text) - _LONGEST} characters cut]"
    return text


def context_getter() -> Callable[[], Any]:
    """The quickest way to OTel's current context: its ContextVar, where it has the usual one."""
    otel_context.get_current()  # the runtime context is chosen with the first use
    variable = getattr(getattr(otel_context, "_RUNTIME_CONTEXT", None), "_current_context", None)
    get = getattr(variable, "get", None)
    return get if callable(get) else otel_context.get_current


def flat(kwargs: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The extras and the exception of a log call, as they are now: scalars stay, everything else becomes text."""
    found: list[tuple[str, Any]] = []
    extra = kwargs.get("extra")
    try:
        for key, value in list(extra.items())[:_MAX_EXTRAS] if extra else ():
            found.append((safe_str(key), _scalar(value)))
        if info := kwargs.get("exc_info"):
            record = types.SimpleNamespace(exc_info=_exc_info(info))
            texts = translate.exception_attributes(record)  # type: ignore[arg-type]
            found += [(key, text[-_MAX_TRACEBACK:]) for key, text in texts.items()]
    except Exception as error:
        found.append(("otel_logging.extras", f"[cannot be read: {type(error).__name__}]"))
    return tuple(found)


def _scalar(value: Any) -> Any:
    if type(value) in _PLAIN and type(value) is not str:
        return value
    if isinstance(value, int) and type(value) is not int:
        return int(value)
    text = safe_str(value) if isinstance(value, str) else _repr(value)
    return text if len(text) <= _MAX_EXTRA_TEXT else f"{text[:_MAX_EXTRA_TEXT]}…"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"[{type(value).__name__} has no text: {type(error).__name__}]"


def _exc_info(info: Any) -> Any:
    return info if isinstance(info, (tuple, BaseException)) else sys.exc_info()
