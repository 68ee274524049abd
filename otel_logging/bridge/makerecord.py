"""`logging.Logger.makeRecord` that makes a record where the library refuses to.

The library raises into the application for an `extra` with a name that records have of their own (`name`, `module`,
`message`), for a key whose `__eq__` raises, for an `extra` that is no mapping, for arguments that cannot be asked
whether they are empty. In the middle of a call that costs the call. Here such a record is made without the part that
cannot be, which comes along under another name or as text. A factory of the application's own is asked first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from otel_logging import trouble
from otel_logging.bridge.values import clean_key, free_name

_EXTRA: Final = "extra."
_original: Any = None


def install() -> None:
    """Stand before `Logger.makeRecord`. A second call does nothing."""
    global _original
    if _original is None:
        _original = logging.Logger.makeRecord
        logging.Logger.makeRecord = _make_record  # type: ignore[method-assign]


def uninstall() -> None:
    """Put back what stood there; under somebody else's patch ours stays, and lets everything through."""
    global _original
    if logging.Logger.makeRecord is _make_record:
        logging.Logger.makeRecord = _original  # type: ignore[method-assign]
        _original = None


def behind(method: Any) -> Any:
    """What does the work where `method` stands in the place of `Logger.makeRecord`."""
    return _original if method is _make_record else method


def _make_record(self: logging.Logger, *given: Any, **named: Any) -> logging.LogRecord:
    try:
        return _original(self, *given, **named)  # type: ignore[no-any-return]
    except Exception as error:
        failed = error
    try:
        return _repaired(failed, *given, **named)
    except Exception:
        raise failed from None  # not one of the calls that we know of: what it is is for the caller to see


def _repaired(
    error: Exception,
    name: Any,
    level: Any,
    fn: Any,
    lno: Any,
    msg: Any,
    args: Any,
    exc_info: Any,
    func: Any = None,
    extra: Any = None,
    sinfo: Any = None,
) -> logging.LogRecord:
    try:
        record = logging.getLogRecordFactory()(name, level, fn, lno, msg, args, exc_info, func, sinfo)
    except Exception:
        # Such arguments are not asked for anything any more: they are rendered one by one, marked, on the record's way.
        record = logging.LogRecord(name, level, fn, lno, msg, None, exc_info, func, sinfo)
        record.args = args
    fields = record.__dict__
    if isinstance(extra, Mapping):
        taken = {*fields, "message", "asctime"}
        for key, value in list(extra.items()):
            known = clean_key(key)
            fields[free_name(f"{_EXTRA}{known}" if known in taken else known, fields)] = value
    elif extra is not None:
        fields["extra"] = extra
    trouble.report(
        "extra", f"a log call would have raised {trouble.sentence(error)}; its record was made, with what was given"
    )
    return record
