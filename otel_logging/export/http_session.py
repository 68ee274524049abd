"""The HTTP session that OTLP travels by: `requests`, with what an exporter must not leave to chance.

The authority that OTEL_EXPORTER_OTLP_CERTIFICATE names is the one that counts, also where REQUESTS_CA_BUNDLE names
others. No password of a .netrc file takes the place of the headers that were set. A redirect is a failure, not an
arrival. What goes wrong is noted for the one line of trouble. Imported late: it imports `requests`.
"""

from __future__ import annotations

import os
from typing import Any, Final

import requests

from otel_logging.export.guard import exporting

# Through these the official exporters are given a session of the operator's own; then ours stays out of it.
_PROVIDERS: Final = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}_CREDENTIAL_PROVIDER",
)


class NotSent(requests.exceptions.RequestException):
    """Nothing arrived, and trying again at once would not help: the other side is not the one that was meant."""


class Session(requests.Session):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = _as_it_is

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As `requests` does it, but an authority that was named for this session stands."""
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if self.verify is not True:
            settings["verify"] = self.verify
        return settings

    def send(self, request: Any, **options: Any) -> Any:
        """Send, and tell what went wrong.

        Raises:
            NotSent: TLS failed for good, or the answer is a redirect.
            requests.exceptions.RequestException, OSError: as `requests` says.
        """
        try:
            response = super().send(request, **options)
        except requests.exceptions.SSLError as error:
            exporting.note(str(error))
            if "EOF" in str(error):
                raise
            raise NotSent(str(error)) from None
        except Exception as error:
            exporting.note(str(error))
            raise
        if 300 <= response.status_code < 400:
            response.close()
            raise NotSent(f"redirected (code: {response.status_code})")
        return response


def _as_it_is(request: Any) -> Any:
    return request


def session(signal: str) -> Session | None:
    """A session for the exporter of `signal` (`logs`, `traces`); None where the operator provides one."""
    if any(os.environ.get(name.format(signal.upper())) for name in _PROVIDERS):
        return None
    return Session()
