"""A control document behind an https URL, for processes that share no disk: asked for again and again, with an ETag.

In a thread of its own, as an answer may take its time. The token goes to that URL only: redirects are not followed.
"""

from __future__ import annotations

import contextvars
import random
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from otel_logging import hidden, trouble
from otel_logging.boot import control_file
from otel_logging.export.guard import inside_export

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from otel_logging.bridge.overrides import Rule
    from otel_logging.settings import Secret

SECONDS: Final = 5.0  # between two requests, give or take a fifth, so that a fleet does not ask in step
TIMEOUT: Final = 5.0  # for each step of a request
WHOLE: Final = 15.0  # for a whole answer: a server that sends byte after byte must not hold the poller for hours
_SLOWEST: Final = 60.0  # between two requests to a server that fails


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: the redirect itself is the answer, and an error."""


class Poller:
    """Asks `url` for the control document and hands over its rules.

    Args:
        url: https.
        token: sent as a bearer token, or None.
        apply: given the rules of each new document, on the poller's thread.
        context: for TLS; by default the system's authorities, or those of SSL_CERT_FILE.
        seconds: between two requests.
    """

    def __init__(
        self,
        url: str,
        token: Secret | None,
        apply: Callable[[tuple[Rule, ...]], None],
        *,
        context: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._url = url
        self._token = token
        hidden.hide_url(url)
        if token is not None:
            hidden.hide(token.reveal())
        self._apply = apply
        self._context = context
        self._seconds = seconds
        self._opener: urllib.request.OpenerDirector | None = None
        self._etag: str | None = None
        self._said: str | None = None
        self._failures = 0
        self._stop = threading.Event()

    def start(self) -> None:
        """Start asking, now or in a forked child."""
        self._stop = threading.Event()
        thread = threading.Thread(target=self._serve, args=(self._stop,), name="otel-logging-control-url", daemon=True)
        # In a context of its own: the call in force where this is started is none of its business.
        contextvars.Context().run(thread.start)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.ask()
            pause = min(self._seconds * 2 ** min(self._failures, 5), max(_SLOWEST, self._seconds))
            stop.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret hangs on it)

    def ask(self) -> None:
        """One request. A document that cannot be had or used leaves the rules as they are, and is said once."""
        try:
            with inside_export():
                answer = self._request()
            if answer is not None:
                etag, data = answer
                rules = control_file.parse(data)
                self._apply(rules)
                self._etag = etag
        except Exception as error:
            self._failures += 1
            self._complain(_reason(error))
        else:
            self._failures, self._said = 0, None

    def _request(self) -> tuple[str | None, bytes] | None:
        """ETag and content of the document; None while it is the one known."""
        request = urllib.request.Request(self._url, headers={"Accept": "application/json"})  # noqa: S310 (https only)
        if self._token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._token.reveal()}")
        if self._etag is not None:
            request.add_header("If-None-Match", self._etag)
        try:
            with self._open(request) as response:
                return response.headers.get("ETag"), _read(response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return None
                raise control_file.Refused(f"was answered with status {error.code}") from None

    def _open(self, request: urllib.request.Request) -> Any:
        if self._opener is None:
            import ssl

            context = self._context or ssl.create_default_context()
            self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)
        return self._opener.open(request, timeout=TIMEOUT)

    def _complain(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            trouble.report("control", f"the control document at {self._where()} {reason}; the rules stay as they are")

    def _where(self) -> str:
        """The URL without what may be secret in it."""
        from urllib.parse import urlsplit

        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _read(response: Any) -> bytes:
    """The document, or a byte more than it may have."""
    deadline = time.monotonic() + WHOLE
    data = b""
    while len(data) <= control_file.MAX_BYTES:
        more = response.read1(control_file.MAX_BYTES + 1 - len(data))
        if not more:
            break
        if time.monotonic() > deadline:
            raise control_file.Refused(f"takes more than {WHOLE:g} s to arrive")
        data += more
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, control_file.Refused):
        return str(error)
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return f"cannot be had ({type(cause).__name__}: {cause})"
