"""Who may see the page: the Host list, the token and its cookie, read-only methods, and the headers of every answer.

Around the whole application, so that no route, static file or error page can be reached past it. Call logs hold
transcripts, and any web page that a browser has open can send requests to a server on loopback: the Host check is
unconditional, because requests of the same origin carry no Origin header, and a rebound name makes every request one.
"""

from __future__ import annotations

import hmac
import re
import secrets
from http import cookies
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from otel_logging.web.page import plain, style_hash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
SHORTEST: Final = 22  # characters of a token from the environment: 128 bits in base64
POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src '{style_hash()}'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
_ENCODED: Final = [(name.encode(), value.encode()) for name, value in HEADERS]
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::(\d{1,5}))?", re.IGNORECASE | re.ASCII)
_MAX_HOST = 300


class Guard:
    """Lets a request through to `app` if it may see the page; everything else gets a short refusal.

    Args:
        app: the ASGI application.
        hosts: names that the Host header may carry, with any port: a tunnel or a container may map it.
        token: a fixed token, which opens any number of browsers; None makes one that opens one browser, and then
            another.
        spent: called with the next token when one was used up.
    """

    def __init__(
        self,
        app: Application,
        *,
        hosts: Iterable[str] = LOOPBACK,
        token: str | None = None,
        spent: Callable[[str], None] = lambda _next: None,
    ) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)
        self._fixed = token is not None
        self.token = token or secrets.token_hex(16)
        self._key = secrets.token_hex(16)  # the cookie's value
        self._spent = spent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        port = self._port(headers)
        if port is None:
            return await _refuse(send, 403, "Not this name", "This server answers to the address it printed only.")
        if scope["method"] not in {"GET", "HEAD"}:
            return await _refuse(send, 405, "Read only", "This server only shows.", [(b"allow", b"GET, HEAD")])
        name = f"otel-logging-{port}"
        known = self._has_cookie(headers, name)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for key, value in query if key == "token"]
        if tokens and (known or self._opens(tokens[0])):
            place = _without_token(scope["path"], query)
            answer = [(b"location", place.encode())]
            if not known:
                answer.append((b"set-cookie", f"{name}={self._key}; HttpOnly; SameSite=Strict; Path=/".encode()))
            return await _refuse(send, 303, "Come in", "The page is at another address.", answer)
        if not known:
            sentence = (
                "Open the address that otel-logging serve printed last. Each one opens one browser; "
                "when it is used up, the terminal shows the next."
            )
            return await _refuse(send, 403, "A token is needed", sentence)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {key for key, _ in _ENCODED}
                given = [(key, value) for key, value in message.get("headers", []) if key.lower() not in ours]
                message = {**message, "headers": [*given, *_ENCODED]}
            await send(message)

        return await self._app(scope, receive, send_with_headers)

    def _port(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """The port that the browser believes in, or None if the request is for another host, or for several."""
        named = [value for key, value in headers if key == b"host"]
        if len(named) != 1 or len(named[0]) > _MAX_HOST:
            return None
        found = _HOST.fullmatch(named[0].decode("latin-1"))
        if found is None or found[1].lower() not in self._hosts:
            return None
        return found[2] or "80"

    def _has_cookie(self, headers: list[tuple[bytes, bytes]], name: str) -> bool:
        for key, value in headers:
            if key == b"cookie":
                jar = cookies.SimpleCookie()
                try:
                    jar.load(value.decode("latin-1"))
                except cookies.CookieError:  # another server's on this host
                    continue
                if name in jar and _same(jar[name].value, self._key):
                    return True
        return False

    def _opens(self, offered: str) -> bool:
        if not _same(offered, self.token):
            return False
        if not self._fixed:
            self.token = secrets.token_hex(16)
            self._spent(self.token)
        return True


def _same(offered: str, right: str) -> bool:
    return hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), right.encode())


def _without_token(path: str, query: list[tuple[str, str]]) -> str:
    """The same place without its token. Two slashes in front would be another host's name."""
    rest = urlencode([(key, value) for key, value in query if key != "token"])
    place = quote("/" + path.lstrip("/\\"), safe="/:@")
    return f"{place}?{rest}" if rest else place


async def _refuse(send: Send, status: int, title: str, sentence: str, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = plain(title, sentence).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ENCODED, *more]})
    await send({"type": "http.response.body", "body": body})
