"""One attempt to send encoded records by OTLP over HTTP, and what came of it. No retries, no queue, no counting.

The standard variables hold: OTEL_EXPORTER_OTLP_[LOGS_]{ENDPOINT,HEADERS,TIMEOUT,COMPRESSION,CERTIFICATE,CLIENT_KEY,
CLIENT_CERTIFICATE}, and the credential provider of OpenTelemetry for Python. Unlike the official exporter, this one
tells what the endpoint answered, so that its caller can wait, split, or set a record aside. Nothing raises here; an
attempt that failed is an `Answer`.
"""

from __future__ import annotations

import gzip
import os
import threading
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_logging import __version__, trouble
from otel_logging.export import answers
from otel_logging.export.answers import Answer, Outcome
from otel_logging.export.guard import inside_export
from otel_logging.export.otlp import HTTP, base_url, endpoint_of, quieten
from otel_logging.export.otlp_request import CONTENT_TYPE, partial_success, prepare
from otel_logging.export.retry import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TIMEOUT: Final = 10.0
CONNECT_SECONDS: Final = 3.0
"""The longest that a connection may take to open: what does not answer by then is not there."""

_MAX_ANSWER: Final = 64 * 1024  # bytes of an answer that are read
_PROVIDERS: Final = "opentelemetry_otlp_credential_provider"


class Sender(Protocol):
    """What sends encoded requests somewhere."""

    endpoint: str
    """Where to, for people: without user or password."""
    headers: Mapping[str, str]

    def send(self, blob: bytes, seconds: float | None = None) -> Answer:
        """One attempt, which may take `seconds`, by default what the settings say."""

    def close(self) -> None:
        """Close connections. A later `send` fails."""

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connections alone and make new ones."""


def variable(signal: str, name: str) -> str:
    """The value of OTEL_EXPORTER_OTLP_signal_name, else of OTEL_EXPORTER_OTLP_name, else empty."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()


def timeout_of(text: str) -> float:
    """OTEL_EXPORTER_OTLP_TIMEOUT in seconds.

    The specification has milliseconds, OpenTelemetry for Python reads seconds. 1000 and more can only be the former.
    """
    try:
        number = float(text or DEFAULT_TIMEOUT)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        trouble.report("otlp_setup", f"OTEL_EXPORTER_OTLP_TIMEOUT={text!r} is not valid; using {DEFAULT_TIMEOUT:g} s")
        return DEFAULT_TIMEOUT
    return number / 1000 if number >= 1000 else number


class HttpSender:
    """Sends to the endpoint that the standard variables name.

    Args:
        signal: `logs` or `traces`.
        endpoint: the whole URL, instead of the variables.
        headers: added to those of the variables.

    Raises:
        Exception: the settings cannot be used.
    """

    def __init__(
        self, signal: str = "logs", endpoint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        from opentelemetry.util.re import parse_env_headers

        from otel_logging.export import http_session

        # Here and not by the thread that sends: a fork in the midst of an import leaves a child that cannot make it.
        http_session.session(signal)
        prepare()
        quieten()
        self._url = endpoint or base_url(signal, HTTP)
        self.endpoint = endpoint_of(signal, HTTP, endpoint)
        self._signal = signal
        given: dict[str, str] = dict(parse_env_headers(variable(signal, "HEADERS"), liberal=True))
        given.update({name.lower(): value for name, value in (headers or {}).items()})
        self.headers: Mapping[str, str] = given
        self._timeout = timeout_of(variable(signal, "TIMEOUT"))
        self._compression = (variable(signal, "COMPRESSION") or "none").lower()
        if self._compression not in {"none", "gzip", "deflate"}:
            trouble.report(
                "otlp_setup",
                f"OTEL_EXPORTER_OTLP_COMPRESSION={self._compression!r} is not valid; valid: gzip, deflate, none; "
                "using none",
            )
            self._compression = "none"
        self._verify: bool | str = variable(signal, "CERTIFICATE") or True
        certificate, key = variable(signal, "CLIENT_CERTIFICATE"), variable(signal, "CLIENT_KEY")
        self._certificate: Any = (certificate, key) if certificate and key else certificate or None
        self._closed = False
        self._lock = threading.Lock()  # around making a session
        self._session: Any = None

    def _connected(self) -> Any:
        with self._lock:
            if self._session is None:
                session = _session(self._signal)
                session.verify, session.cert = self._verify, self._certificate
                session.headers.update(
                    {
                        "User-Agent": f"OTel-OTLP-Exporter-Python/otel-logging-{__version__}",
                        "Content-Type": CONTENT_TYPE,
                        **({} if self._compression == "none" else {"Content-Encoding": self._compression}),
                        **self.headers,
                    }
                )
                self._session = session
            return self._session

    def send(self, blob: bytes, seconds: float | None = None) -> Answer:
        """One attempt; a connection that broke before any answer came is tried once more at once."""
        if self._closed:
            return Answer(Outcome.LATER, "otlp_closed", "is not asked any more, as the exporter was closed")
        allowed = self._timeout if seconds is None else min(seconds, self._timeout)
        with inside_export():
            try:
                data = self._compressed(blob)
                session = self._connected()
                try:
                    return self._post(session, data, allowed)
                except OSError as error:
                    # A kept connection that the other side closed at this very moment.
                    if "refused" in str(error) or not any(sign in str(error) for sign in ("aborted", "reset", "pipe")):
                        raise
                    return self._post(session, data, allowed)
            except Exception as error:
                return _of_error(error)

    def _post(self, session: Any, data: bytes, allowed: float) -> Answer:
        response = session.post(
            self._url,
            data=data,
            timeout=(min(CONNECT_SECONDS, allowed), allowed),
            allow_redirects=False,
            stream=True,
        )
        try:
            body = response.raw.read(_MAX_ANSWER, decode_content=True)
        except Exception as error:
            body = b""
            if response.status_code >= 300:
                return _of_error(error)
        finally:
            response.close()  # gives the connection back where the answer was read to its end
        if 200 <= response.status_code < 300:
            kind = response.headers.get("Content-Type", CONTENT_TYPE)
            said = partial_success(body) if CONTENT_TYPE in kind else partial_success(b"")
            if not said.rejected and not said.message:
                return answers.TAKEN
            return Answer(
                Outcome.TAKEN, "otlp_partial", answers.printable(said.message), rejected=said.rejected, status=200
            )
        pause = retry_after(response.headers.get("Retry-After"))
        text = body.decode("utf-8", "replace") if body.isascii() and "text" in _kind(response) else ""
        return answers.of_status(response.status_code, text, pause)

    def _compressed(self, blob: bytes) -> bytes:
        if self._compression == "gzip":
            return gzip.compress(blob, compresslevel=6)
        return zlib.compress(blob) if self._compression == "deflate" else blob

    def close(self) -> None:
        """Close the connections. A later `send` fails."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def after_fork(self) -> None:
        """In a forked child: the parent's connections are left alone, not closed, which would speak in its name."""
        self._lock = threading.Lock()
        _left_alone.append(self._session)
        self._session = None


_left_alone: list[Any] = []  # parents' sessions: collecting one would close its connections


def _kind(response: Any) -> str:
    kind: str = response.headers.get("Content-Type", "")
    return kind


def _of_error(error: Exception) -> Answer:
    import requests

    said = f"{type(error).__name__}: {error}"
    if isinstance(error, (requests.ConnectionError, requests.Timeout)) or not isinstance(
        error, (ValueError, UnicodeError)
    ):
        return answers.of_words(said)
    return Answer(  # an endpoint that is no URL, a header that is none
        Outcome.DENIED,
        "otlp_setup",
        f"cannot be asked ({answers.printable(said)})",
        "check the OTEL_EXPORTER_OTLP_* variables",
    )


def _session(signal: str) -> Any:
    """A session of ours, or one that the credential provider makes which OpenTelemetry's variables name."""
    import requests

    from otel_logging.export import http_session

    prefix = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_"
    name = os.environ.get(prefix + "CREDENTIAL_PROVIDER") or os.environ.get(
        f"{prefix}{signal.upper()}_CREDENTIAL_PROVIDER"
    )
    if not name:
        return http_session.session(signal)
    from importlib.metadata import entry_points

    for found in entry_points(group=_PROVIDERS, name=name):
        session = found.load()()
        if isinstance(session, requests.Session):
            return session
    raise ValueError(f"the credential provider {name!r} is not installed, or makes no requests.Session")
