"""OTel's reader of OTEL_EXPORTER_OTLP_HEADERS, kept from logging the headers that it cannot read: they are secrets.

Imported early in a process's life: nothing of the SDK, and nothing heavy.
"""

from __future__ import annotations

import logging
from typing import Final

from otel_logging import trouble


class _NoHeaders(logging.Filter):
    """OTel's reader of header variables logs what it cannot read, which is the secret. One line of ours instead."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "eader" not in str(record.msg):
            return True
        trouble.report(
            "otlp_headers",
            "a header in OTEL_EXPORTER_OTLP_HEADERS cannot be read and is not sent; valid: name=value pairs, "
            "comma-separated, values URL-encoded (Authorization=Bearer%20TOKEN)",
        )
        return False


_no_headers: Final = _NoHeaders()


def hush() -> None:
    """Have OTel's reader of header variables say nothing of their content. To be called before it reads any."""
    filters = logging.getLogger("opentelemetry.util.re").filters
    if _no_headers not in filters:
        filters.append(_no_headers)
