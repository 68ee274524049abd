"""What TLS and the makers of requests mean when nothing could be sent safely: in words, with what to do about it.

Each row: what is found in their messages, the kind of trouble, what the endpoint does, the cure. The first row that is
found counts. Nothing is sent in any of these cases: not in the clear, and not to a host that is not the one meant.
"""

from __future__ import annotations

from typing import Final

_FILES: Final = (
    "check the files that OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and "
    "OTEL_EXPORTER_OTLP_CLIENT_KEY name"
)
_OTHER_HOST: Final = (
    "tls",
    "shows the certificate of another host; nothing is sent to it",
    "check the host in OTEL_EXPORTER_OTLP_ENDPOINT, and the names in the Collector's certificate",
)
_CLIENT: Final = (
    "tls",
    "wants a client certificate that it trusts",
    "check OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY",
)

_CLOSES: Final = (
    "unreachable",
    "closes connections without an answer",
    "check whether it wants TLS, or a client certificate (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)",
)
CLOSED: Final = (("Connection aborted", *_CLOSES), ("EOF occurred", *_CLOSES))
"""Rows for after all others: with TLS 1.3 a missing client certificate may look like this, as other things may."""

WORDS: Final = (
    ("address mismatch", *_OTHER_HOST),
    ("ostname mismatch", *_OTHER_HOST),
    ("Hostname Verification", *_OTHER_HOST),  # gRPC
    ("has expired", "tls", "shows a certificate that has expired; nothing is sent to it", "renew its certificate"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "tls",
        "shows a certificate that is not trusted here; nothing is sent to it",
        "name the file of its authority in OTEL_EXPORTER_OTLP_CERTIFICATE",
    ),
    ("CERTIFICATE_REQUIRED", *_CLIENT),
    ("ALERT_UNKNOWN_CA", *_CLIENT),
    ("ALERT_BAD_CERTIFICATE", *_CLIENT),
    ("WRONG_VERSION_NUMBER", "tls", "does not speak TLS; nothing is sent to it", "check its port, or name it http://"),
    ("TLS CA certificate", "tls", "was not asked: the file of its authority cannot be read", _FILES),
    ("TLS certificate file", "tls", "was not asked: the file of the client certificate cannot be read", _FILES),
    ("TLS key file", "tls", "was not asked: the file of the client's key cannot be read", _FILES),
    ("NO_CERTIFICATE_OR_CRL_FOUND", "tls", "was not asked: the file of its authority holds no certificate", _FILES),
    ("KEY_VALUES_MISMATCH", "tls", "was not asked: the client's key does not fit its certificate", _FILES),
    ("[SSL", "tls", "cannot be spoken to by TLS", _FILES),
    (
        "in header value",
        "headers",
        "was not asked: the value of a header has a line break or starts with a blank",
        "check OTEL_EXPORTER_OTLP_HEADERS",
    ),
    ("Invalid metadata", "headers", "was not asked: a header is none", "check OTEL_EXPORTER_OTLP_HEADERS"),  # gRPC
    ("redirected (code", "refused", "answers with a redirect, which is not followed", "name the place it leads to"),
)
