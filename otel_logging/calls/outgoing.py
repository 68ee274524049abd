"""Outgoing HTTP requests carry the call in W3C Baggage, to the hosts that may know it.

Covered are http.client (and so urllib, urllib3, requests, botocore), httpx and aiohttp, each where a single request
goes out, so that a redirect to a third party does not take the call along. A `baggage` header that the application or
its propagator set is added to. Nothing here raises into a request, and exporters' own requests are left alone.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_logging import trouble
from otel_logging.bridge import scope
from otel_logging.calls import baggage
from otel_logging.calls.hosts import Hosts
from otel_logging.calls.patching import Patches

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from types import ModuleType

_patches = Patches("outgoing")
_hosts = Hosts(("none",))


def install(hosts: tuple[str, ...] | None = None) -> None:
    """Add the call in force to requests towards `hosts` from now on: globs, `("none",)` for nobody.

    None stands for our own hosts: see `hosts.is_own`. A second call exchanges the hosts.
    """
    global _hosts
    _hosts = Hosts(hosts)
    if not _hosts.nobody:
        _patches.install()


def uninstall() -> None:
    """Put the libraries back as they were."""
    _patches.uninstall()


def header_for(host: str | None, existing: str | None) -> str | None:
    """The `baggage` header for a request to `host` that so far has `existing`; None to leave the request alone."""
    call = scope.current.get()
    if call is None or not host or not _patches.active:
        return None
    try:
        call_sid = call.call_sid
        if call_sid is None or not _hosts.allows(host) or _suppressed():
            return None
        merged = baggage.merge(existing, call_sid)
    except Exception as error:
        trouble.report("baggage_failed", f"a request goes out without its call: {trouble.sentence(error)}")
        return None
    if merged is None:
        trouble.report("baggage_full", "a request goes out without its call: its baggage header has no room left")
    return merged


def _suppressed() -> bool:
    """True within an export, or where the application switched instrumentation off."""
    if "opentelemetry.context" not in sys.modules:
        return False
    from opentelemetry import context

    return any(
        context.get_value(key)
        for key in (
            context._SUPPRESS_INSTRUMENTATION_KEY,  # noqa: SLF001 (what OTel's own packages use)
            context._SUPPRESS_HTTP_INSTRUMENTATION_KEY,  # noqa: SLF001
            "suppress_instrumentation",
        )
    )


# -- http.client -------------------------------------------------------------------------------------------------------

_KEPT = "_otel_logging_baggage"  # on a connection, while a request's lines are written: its host, its `baggage` lines


@_patches.on_import("http.client")
def _http_client(module: ModuleType) -> None:
    """A request's lines are written one by one: `baggage` lines are kept back and written merged, with the end."""
    _patches.replace(module.HTTPConnection, "putrequest", _putrequest)
    _patches.replace(module.HTTPConnection, "putheader", _putheader)
    _patches.replace(module.HTTPConnection, "endheaders", _endheaders)


def _putrequest(original: Any) -> Any:
    @functools.wraps(original)
    def putrequest(self: HTTPConnection, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        result = original(self, method, url, *args, **kwargs)
        if _patches.active and scope.current.get() is not None:
            vars(self)[_KEPT] = (_target(self, url), [])
        return result

    return putrequest


def _putheader(original: Any) -> Any:
    @functools.wraps(original)
    def putheader(self: HTTPConnection, header: Any, *values: Any) -> Any:
        kept = vars(self).get(_KEPT)
        if kept is not None and len(values) == 1 and _text(header).lower() == baggage.HEADER:
            kept[1].append((header, values[0]))
            return None
        return original(self, header, *values)

    return putheader


def _endheaders(original: Any) -> Any:
    @functools.wraps(original)
    def endheaders(self: HTTPConnection, *args: Any, **kwargs: Any) -> Any:
        kept = vars(self).pop(_KEPT, None)
        if kept is not None:
            host, lines = kept
            merged = header_for(host, ",".join(_text(value) for _, value in lines) or None)
            if merged is not None:
                lines = [(baggage.HEADER, merged)]
            for header, value in lines:
                self.putheader(header, value)
        return original(self, *args, **kwargs)

    return endheaders


def _target(connection: HTTPConnection, url: object) -> str | None:
    """The host that a request is for, which behind a proxy is not the one that is connected to."""
    try:
        if isinstance(url, str) and "://" in url[:9]:
            return urlsplit(url).hostname
        return getattr(connection, "_tunnel_host", None) or connection.host
    except Exception:
        return None  # an odd URL is the application's affair; the request just carries no call


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


# -- httpx -------------------------------------------------------------------------------------------------------------


@_patches.on_import("httpx")
def _httpx(module: ModuleType) -> None:
    """At the transport, where each hop of a redirect passes; the request is put back, as the next hop copies it."""

    def sync(original: Any) -> Any:
        def handle_request(self: Any, request: Any) -> Any:
            before = _add(request)
            try:
                return original(self, request)
            finally:
                _take_back(request, before)

        return handle_request

    def asynchronous(original: Any) -> Any:
        async def handle_async_request(self: Any, request: Any) -> Any:
            before = _add(request)
            try:
                return await original(self, request)
            finally:
                _take_back(request, before)

        return handle_async_request

    _patches.replace(module.HTTPTransport, "handle_request", sync)
    _patches.replace(module.AsyncHTTPTransport, "handle_async_request", asynchronous)


def _add(request: Any) -> Any:
    """Put the call into a request's headers; returns the headers as they were, None if nothing was changed."""
    try:
        merged = header_for(request.url.host, request.headers.get(baggage.HEADER))
        if merged is None:
            return None
        before = request.headers.copy()
        request.headers[baggage.HEADER] = merged
    except Exception as error:
        trouble.report("baggage_failed", f"a request goes out without its call: {trouble.sentence(error)}")
        return None
    return before


def _take_back(request: Any, before: Any) -> None:
    if before is not None:
        request.headers = before


# -- aiohttp -----------------------------------------------------------------------------------------------------------


@_patches.on_import("aiohttp")
def _aiohttp(module: ModuleType) -> None:
    """By its own tracing interface, which hands over the headers of a request before it is sent."""
    tracing = module.TraceConfig()

    async def started(_session: Any, context: Any, params: Any) -> None:
        before = params.headers.get(baggage.HEADER)
        merged = header_for(params.url.host, before)
        if merged is not None:
            params.headers[baggage.HEADER] = merged
            context.otel_logging_before = before

    async def redirected(_session: Any, context: Any, params: Any) -> None:
        # The next hop gets the same headers and may lead to a third party.
        if hasattr(context, "otel_logging_before"):
            before = context.otel_logging_before
            params.headers.pop(baggage.HEADER, None)
            if before is not None:
                params.headers[baggage.HEADER] = before

    tracing.on_request_start.append(started)
    tracing.on_request_redirect.append(redirected)

    def init(original: Any) -> Any:
        def patched(self: Any, *args: Any, **kwargs: Any) -> None:
            kwargs["trace_configs"] = [*(kwargs.get("trace_configs") or ()), tracing]
            original(self, *args, **kwargs)

        return patched

    _patches.replace(module.ClientSession, "__init__", init)
