"""From the endpoint's URL to who answers there: what the URL says, the name, the connection, TLS, protocol, clock.

Each step is tried by itself, so that the first one that fails is named and not its consequence. No header of the
settings is sent here, so no credential is; that is `roundtrip`'s. One connection is made a question.
"""

from __future__ import annotations

import contextlib
import email.utils
import ipaddress
import os
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_logging.doctor.finding import FAILED, OK, SKIPPED, WARNING, Finding
from otel_logging.export import answers
from otel_logging.export.otlp import GRPC, HTTP, base_url, endpoint_of
from otel_logging.export.sender import variable

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 5.0
"""The longest that one step may take."""
SKEW_SECONDS: Final = 2.5
"""Less is what the Date header's whole seconds and a slow answer make."""
REFUSED_SKEW_SECONDS: Final = 300
"""AWS refuses requests signed with a clock that is off by more than this."""
EXPIRES_SECONDS: Final = 14 * 86_400

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # with SETTINGS
_STANDARD: Final = {HTTP: 4318, GRPC: 4317}
_CREDENTIAL: Final = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where records go, taken apart."""

    url: str  # for people: without user, password and query
    protocol: str
    tls: bool
    host: str
    port: int
    path: str

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine by its name or address alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def place_of(protocol: str) -> Place | None:
    """The place that the standard variables name for log records; None where it is no URL."""
    url = base_url("logs", protocol)
    shown = endpoint_of("logs", protocol)
    insecure = variable("logs", "INSECURE").lower() == "true"
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if not host or (protocol == HTTP and scheme not in {"http", "https"}):
        return None
    # As the official exporter over gRPC has it: without a scheme, TLS unless told otherwise.
    tls = scheme == "https" or (not scheme and not insecure)
    standard = _STANDARD[GRPC] if protocol == GRPC else 443 if tls else 80
    return Place(shown, protocol, tls, host, port or standard, parts.path)


def endpoint_findings(protocol: str) -> Iterator[Finding]:
    """Step after step, up to the first that fails; then the clock, if anybody told the time."""
    place = place_of(protocol)
    if place is None:
        says = f"{endpoint_of('logs', protocol)} is no URL of a host"
        yield Finding("endpoint", FAILED, says, "set OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST:4318")
        return
    facts = {"url": place.url, "protocol": protocol, "host": place.host, "port": place.port}
    problems = list(_url_problems(place))
    yield from problems
    if not problems:
        yield Finding("endpoint", OK, f"records go to {place.url} by {protocol}", facts=facts)
    proxy = _proxy(place)
    if proxy:
        says = f"requests go through the proxy {proxy}: name, connection and TLS are its business"
        yield Finding("connect", SKIPPED, says, "if that is not meant, name the host in NO_PROXY")
        return
    addresses = _resolve(place)
    if not addresses:
        cure = "check the host in OTEL_EXPORTER_OTLP_ENDPOINT; in a container it is the Collector's service name"
        yield Finding("dns", FAILED, f"{place.host} does not resolve", cure)
        return
    yield Finding("dns", OK, f"{place.host} is {', '.join(addresses[:4])}", facts={"addresses": addresses})
    try:
        _connected(place).close()
    except OSError as error:
        yield _no_connection(place, error)
        return
    yield Finding("connect", OK, f"port {place.port} of {place.host} takes connections")
    yield from _beyond_the_connection(place)


def _beyond_the_connection(place: Place) -> Iterator[Finding]:
    if place.tls:
        finding = _tls(place)
        yield finding
        if finding.verdict == FAILED:
            return
    answer = _asked(place)
    spoken = _spoken(place, answer)
    yield spoken
    date = _date_of(answer)
    if date is not None:
        yield clock_finding(date, f"{place.host}:{place.port}")


# -- the URL ---------------------------------------------------------------------------------------------------------


def _url_problems(place: Place) -> Iterator[Finding]:
    own, general = (os.environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "").strip() for part in ("LOGS_", ""))
    if place.protocol == HTTP:
        if own and place.path in {"", "/"}:
            says = f"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is used as it is, and {place.url} has no path"
            yield Finding("endpoint", FAILED, says, "add /v1/logs to it, or set OTEL_EXPORTER_OTLP_ENDPOINT instead")
        elif not own and re.search(r"/v1/(logs|traces|metrics)/?$", urlsplit(general).path):
            says = f"/v1/logs is appended to OTEL_EXPORTER_OTLP_ENDPOINT, which gives {place.url}"
            yield Finding("endpoint", FAILED, says, "set it to the URL without /v1/logs")
    elif place.path not in {"", "/"}:
        says = f"OTLP over gRPC has no paths; that of {place.url} is not used"
        yield Finding("endpoint", WARNING, says, "take it off, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    if place.protocol == GRPC and "://" not in (own or general) and place.tls:
        says = f"{place.url} has no scheme, which means TLS"
        yield Finding("endpoint", WARNING, says, "write http:// (or https://) before it, so that it says what is meant")
    if not place.tls and not place.loopback and _CREDENTIAL.search(variable("logs", "HEADERS")):
        says = f"a credential of OTEL_EXPORTER_OTLP_HEADERS travels to {place.host} in the clear"
        yield Finding("endpoint", WARNING, says, "use https:// and OTEL_EXPORTER_OTLP_CERTIFICATE")


def _proxy(place: Place) -> str:
    """The proxy that `requests` would use, without user and password; empty for none, and for gRPC."""
    if place.protocol == GRPC:
        return ""
    from requests.utils import get_environ_proxies, select_proxy

    url = f"{'https' if place.tls else 'http'}://{place.host}:{place.port}/"
    found = select_proxy(url, get_environ_proxies(url))
    return (urlsplit(found).netloc or found).rpartition("@")[2] if found else ""


# -- name and connection ---------------------------------------------------------------------------------------------


def _resolve(place: Place) -> list[str]:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _connected(place: Place) -> socket.socket:
    made = socket.create_connection((place.host, place.port), SECONDS)
    made.settimeout(SECONDS)
    return made


def _no_connection(place: Place, error: OSError) -> Finding:
    if isinstance(error, TimeoutError):
        says = f"{place.host}:{place.port} does not answer within {SECONDS:g} seconds"
        cure = "check firewalls and security groups, and that the Collector listens on that interface"
    else:
        says = f"nothing listens on port {place.port} of {place.host} ({error.strerror or error})"
        cure = "start the Collector"
        if place.loopback:
            cure += "; in a container, localhost is the container itself: name the Collector's service"
        else:
            cure += "; its OTLP receiver listens on localhost unless its `endpoint` says otherwise"
    other = GRPC if place.protocol == HTTP else HTTP
    if place.port == _STANDARD[other]:
        cure += f"; {place.port} is the usual port of {other}, {_STANDARD[place.protocol]} that of {place.protocol}"
    return Finding("connect", FAILED, says, cure)


# -- TLS -------------------------------------------------------------------------------------------------------------


def _context(place: Place) -> ssl.SSLContext:
    authority = variable("logs", "CERTIFICATE") or os.environ.get("REQUESTS_CA_BUNDLE", "")
    if not authority and place.protocol == HTTP:
        import certifi

        authority = certifi.where()
    folder = os.path.isdir(authority)  # noqa: PTH112 (ssl takes texts)
    context = ssl.create_default_context(
        cafile=authority if authority and not folder else None, capath=authority if folder else None
    )
    certificate, key = variable("logs", "CLIENT_CERTIFICATE"), variable("logs", "CLIENT_KEY")
    if certificate:
        context.load_cert_chain(certificate, key or None)
    context.set_alpn_protocols(["h2"] if place.protocol == GRPC else ["http/1.1"])
    return context


def _secured(place: Place) -> socket.socket:
    plain = _connected(place)
    if not place.tls:
        return plain
    try:
        return _context(place).wrap_socket(plain, server_hostname=place.host)
    except BaseException:
        plain.close()
        raise


def _tls(place: Place) -> Finding:
    try:
        secured: Any = _secured(place)
    except FileNotFoundError:
        cure = "check what OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY name"
        return Finding("tls", FAILED, "a certificate's file does not exist", cure)
    except (OSError, ValueError) as error:
        _, does, cure = answers.told(str(error))
        return Finding("tls", FAILED, f"{place.host}:{place.port} {does}", cure)
    with contextlib.closing(secured):
        certificate, version = secured.getpeercert() or {}, secured.version()
    left = ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time() if "notAfter" in certificate else None
    says = f"{version}, and the certificate is trusted"
    if left is not None and left < EXPIRES_SECONDS:
        days = max(0, int(left // 86_400))
        return Finding("tls", WARNING, f"{says}, but it expires in {days} days", "renew it")
    return Finding("tls", OK, says)


# -- what is spoken --------------------------------------------------------------------------------------------------


def _exchange(place: Place, question: bytes) -> bytes:
    """The first bytes that are answered; empty where the other side says nothing or closes."""
    answer = b""
    with contextlib.suppress(OSError, ValueError), contextlib.closing(_secured(place)) as asked:
        asked.sendall(question)
        while b"\r\n\r\n" not in answer and len(answer) < 8192:
            more = asked.recv(4096)
            if not more:
                break
            answer += more
            if not answer.startswith(b"HTTP/"[: len(answer)]):
                break
    return answer


def _asked(place: Place) -> bytes:
    """The head of the answer to a plain GET, or whatever came instead."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    lines = (f"GET {place.path or '/'} HTTP/1.1", f"Host: {host}:{place.port}", "User-Agent: otel-logging-doctor")
    return _exchange(place, "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "replace"))


def _is_settings(answer: bytes) -> bool:
    """Whether these bytes begin with a SETTINGS frame: what a server that speaks HTTP/2 says first."""
    return len(answer) >= 9 and answer[3] == 4 and answer[5:9] == bytes(4)


def _spoken(place: Place, answer: bytes) -> Finding:
    """Whether the other side speaks the protocol that is set. `answer`: what it said to a GET."""
    at = f"{place.host}:{place.port}"
    wrong_port = f"use port {_STANDARD[place.protocol]} for {place.protocol}, or set OTEL_EXPORTER_OTLP_PROTOCOL="
    if b"HTTPS server" in answer or answer[:2] == b"\x15\x03":
        return Finding("protocol", FAILED, f"{at} wants TLS, and is named http://", "name it https://")
    if place.protocol == HTTP:
        if answer.startswith(b"HTTP/"):
            return Finding("protocol", OK, f"{at} speaks HTTP")
        if _is_settings(answer) or _is_settings(_exchange(place, _PREFACE)):
            says = f"{at} speaks gRPC (HTTP/2 only), and is sent http/protobuf"
            return Finding("protocol", FAILED, says, wrong_port + "grpc")
        return Finding("protocol", WARNING, f"{at} does not answer as an HTTP server does", _SILENT)
    if _is_settings(answer) or _is_settings(_exchange(place, _PREFACE)):
        return Finding("protocol", OK, f"{at} speaks HTTP/2, as gRPC needs")
    if answer.startswith(b"HTTP/"):
        says = f"{at} speaks HTTP/1.1 only, and is sent gRPC"
        return Finding("protocol", FAILED, says, wrong_port + "http/protobuf")
    return Finding("protocol", WARNING, f"{at} does not answer as a gRPC server does", _SILENT)


_SILENT: Final = "see `round trip`; something else may listen there, or it may want TLS or a client certificate"


# -- the clock -------------------------------------------------------------------------------------------------------


def _date_of(answer: bytes) -> float | None:
    found = re.search(rb"^date:\s*(.+?)\r$", answer, re.IGNORECASE | re.MULTILINE)
    return None if found is None else date_of(found[1].decode("latin-1"))


def date_of(text: str) -> float | None:
    """Seconds since 1970 of a Date header, None where it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def clock_finding(date: float, who: str, now: float | None = None) -> Finding:
    """How far this machine's clock is from `date`, which `who` told a moment ago in whole seconds."""
    ahead = (time.time() if now is None else now) - date - 0.5
    facts = {"ahead_seconds": round(ahead, 1)}
    if abs(ahead) <= SKEW_SECONDS:
        return Finding("clock", OK, f"this clock agrees with that of {who}", facts=facts)
    says = f"this clock is {abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'} that of {who}"
    cure = "synchronise both clocks (chrony, systemd-timesyncd)"
    if abs(ahead) > REFUSED_SKEW_SECONDS:
        more = "; AWS refuses what is signed with such a clock, and back ends drop records from far ahead or long ago"
        return Finding("clock", FAILED, says + more, cure, facts)
    return Finding("clock", WARNING, f"{says}: records of several services sort wrongly", cure, facts)
