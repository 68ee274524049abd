"""The standard limit on a record's attributes (`OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT`), kept before the SDK sees it.

The SDK keeps the limit too, but drops what was given first, with a warning for each. Here the record's own attributes
(its call, its exception, its place in the code) stay, then the caller's first ones, and what was cut is counted where
OTLP has a field for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import LogRecordLimits

_CUT: Final = "_otel_logging_cut"  # on a record: how many attributes it has lost
# What is kept first, in this order; then what the caller gave, in the order in which it was given.
_OWN: Final = ("call_sid", "exception.", "otel_logging.", "logger.name", "code.")


def from_environment() -> LogRecordLimits:
    """The limits as OTEL_LOGRECORD_ATTRIBUTE_* and OTEL_ATTRIBUTE_* say; a wrong value is told, and does not count."""
    from opentelemetry.sdk._logs import LogRecordLimits

    try:
        return LogRecordLimits()
    except ValueError as error:
        trouble.report("settings", f"{error}; the default limits of attributes are in force")
    unset = LogRecordLimits.UNSET
    return LogRecordLimits(128, unset, 128, unset)


def keep(record: LogRecord, most: int | None) -> None:
    """Take attributes off `record` until it has no more than `most`; None means that there is no limit."""
    attributes: Any = record.attributes
    if most is None or not attributes or len(attributes) <= most:
        return
    cut = len(attributes) - most
    ranks = sorted(range(len(attributes)), key=[_rank(key) for key in attributes].__getitem__)
    kept = set(ranks[:most])
    record.attributes = {key: value for at, (key, value) in enumerate(attributes.items()) if at in kept}
    setattr(record, _CUT, getattr(record, _CUT, 0) + cut)


def _rank(key: str) -> int:
    return next((at for at, own in enumerate(_OWN) if key.startswith(own)), len(_OWN))


def tell(record: LogRecord) -> None:
    """Put what was cut into the SDK's own count; once the SDK has made its mapping of the attributes."""
    attributes: Any = record.attributes
    cut = getattr(record, _CUT, 0)
    if cut and hasattr(attributes, "dropped"):
        delattr(record, _CUT)
        attributes.dropped += cut
