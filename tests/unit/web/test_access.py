"""Who may see the page: every request goes by the Host list, the method, the token."""

from __future__ import annotations

import asyncio
import re

import pytest

from otel_logging.web import page
from otel_logging.web.access import HEADERS, Guard

GOOD = "127.0.0.1:8321"


class Inside:
    """An application that counts who came in."""

    def __init__(self):
        self.came = 0

    async def __call__(self, scope, receive, send):
        self.came += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"public")]})
        await send({"type": "http.response.body", "body": b"a transcript"})


class Door:
    """The guard with somebody knocking."""

    def __init__(self, **options):
        self.inside = Inside()
        self.next = []
        self.guard = Guard(self.inside, spent=self.next.append, **options)

    def knock(self, path="/", *, host=GOOD, method="GET", cookie=None, kind="http", headers=()):
        """Send a request; returns status, headers and body."""
        path, _, query = path.partition("?")
        given = [(b"host", name.encode()) for name in ([host] if isinstance(host, str) else host or [])]
        if cookie:
            given.append((b"cookie", cookie.encode()))
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [*given, *headers],
        }
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(self.guard(scope, None, send))
        if kind != "http":
            return sent
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, body.decode()

    def cookie(self):
        """Come in by the token; returns the cookie."""
        status, headers, _ = self.knock(f"/?token={self.guard.token}")
        assert status == 303
        return headers["set-cookie"].partition(";")[0]


class TestHost:
    @pytest.mark.parametrize(
        "host",
        ["evil.example:8321", "evil.example", "127.0.0.1.evil.example:8321", "evil.example#127.0.0.1", "", "127.0.0.2:8321",
         "localhost@evil.example", "[::1].evil.example", "xlocalhost", "localhost:8321:80", "localhost:", "127.0.0.1:999999",
         None, [GOOD, "evil.example"], ["evil.example", GOOD], [GOOD, GOOD]],
    )  # fmt: skip
    def test_other_names_are_refused(self, host):
        """A rebound name, a missing Host and several Hosts get nothing, cookie or not."""
        door = Door()
        cookie = door.cookie()
        assert door.knock(host=host, cookie=cookie)[0] == 403
        assert door.knock(f"/?token={door.guard.token}", host=host)[0] == 403
        assert not door.inside.came

    @pytest.mark.parametrize("host", [GOOD, "localhost:8321", "LOCALHOST:8321", "[::1]:8321", "localhost.:8321"])
    def test_loopback_is_let_in(self, host):
        """The names of loopback reach the page, in any case."""
        door = Door()
        assert door.knock(host=host, cookie=door.cookie())[0] == 200

    def test_own_names(self):
        """A name that was allowed for a container is let in, others still not."""
        door = Door(hosts=["logs.internal"])
        status, headers, _ = door.knock(f"/?token={door.guard.token}", host="logs.internal")
        assert status == 303
        assert headers["set-cookie"].startswith("otel-logging-80=")
        assert door.knock(host=GOOD)[0] == 403


class TestToken:
    def test_missing(self):
        """Without token and cookie there is nothing to see, and no cookie to get."""
        door = Door()
        status, headers, body = door.knock()
        assert (status, door.inside.came) == (403, 0)
        assert "transcript" not in body
        assert "set-cookie" not in headers

    @pytest.mark.parametrize("token", ["", "0" * 32, "é", "%00", "x" * 5000])
    def test_wrong(self, token):
        """A wrong token opens nothing and does not use the right one up."""
        door = Door()
        right = door.guard.token
        assert door.knock(f"/?token={token}")[0] == 403
        assert door.guard.token == right

    def test_exchanged_once(self):
        """The token is exchanged for a cookie and led away from; then it is used up, and the next one is told."""
        door = Door()
        first = door.guard.token
        assert len(first) == 32
        status, headers, _ = door.knock(f"/call/CA1?start=5&token={first}")
        assert (status, headers["location"]) == (303, "/call/CA1?start=5")
        name, _, rest = headers["set-cookie"].partition("=")
        assert name == "otel-logging-8321"
        assert "HttpOnly" in rest
        assert "SameSite=Strict" in rest
        assert door.next == [door.guard.token] != [first]
        assert door.knock(f"/?token={first}")[0] == 403
        assert door.knock(cookie=headers["set-cookie"].partition(";")[0])[0] == 200

    def test_used_address_still_works_where_it_was_used(self):
        """A browser that has the cookie may open the printed address again; no token is spent on it."""
        door = Door()
        first = door.guard.token
        cookie = door.cookie()
        second = door.guard.token
        status, headers, _ = door.knock(f"/?token={first}", cookie=cookie)
        assert (status, "set-cookie" in headers) == (303, False)
        assert door.guard.token == second

    def test_fixed(self):
        """A token from the environment opens any number of browsers."""
        door = Door(token="a" * 22)
        assert door.cookie() == door.cookie()
        assert door.next == []

    @pytest.mark.parametrize(
        "cookie", ["otel-logging-8321=x", "otel-logging-9999={key}", "a=b; otel-logging-8321", "=;=;", "\xff"]
    )
    def test_wrong_cookie(self, cookie):
        """Another value, another server's name and rubbish are no cookie of ours."""
        door = Door()
        key = door.cookie().partition("=")[2]
        assert door.knock(cookie=cookie.format(key=key))[0] == 403

    def test_among_other_cookies(self):
        """Other servers on this host set cookies, too."""
        door = Door()
        assert door.knock(cookie=f"session=1; {door.cookie()}; x=[1]")[0] == 200

    @pytest.mark.parametrize(
        "path", ["//evil.example/x", "/\\evil.example", "///evil.example", "/%0d%0aset-cookie: a=b", "/a\r\nb"]
    )
    def test_redirect_stays_here(self, path):
        """The way back from the token never leads to another host, and carries no header of an attacker."""
        door = Door()
        _, headers, _ = door.knock(f"{path}?token={door.guard.token}")
        place = headers["location"]
        assert place.startswith("/")
        assert place[1:2] not in ("/", "\\")
        assert not {"\r", "\n"} & set(place)


class TestMethods:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X"])
    def test_only_reading(self, method):
        """Whatever is not GET or HEAD is refused before anything else is looked at."""
        door = Door()
        status, headers, _ = door.knock(method=method, cookie=door.cookie())
        assert (status, headers["allow"], door.inside.came) == (405, "GET, HEAD", 0)

    def test_no_websocket(self):
        """A websocket is closed at once: it would bypass CORS."""
        assert Door().knock(kind="websocket") == [{"type": "websocket.close", "code": 1008}]


MESSAGE = {"title": "", "sentence": "", "choices": [], "searched": ""}


class TestHeaders:
    @pytest.mark.parametrize("case", ["page", "no token", "wrong host", "wrong method", "redirect"])
    def test_on_every_answer(self, case):
        """Policy, nosniff, no-referrer and no-store stand on pages and refusals alike, once."""
        door = Door()
        cookie = door.cookie()
        _, headers, _ = {
            "page": lambda: door.knock(cookie=cookie),
            "no token": door.knock,
            "wrong host": lambda: door.knock(host="evil.example"),
            "wrong method": lambda: door.knock(method="POST"),
            "redirect": lambda: door.knock(f"/?token={door.guard.token}"),
        }[case]()
        assert dict(HEADERS).items() <= headers.items()
        assert "access-control-allow-origin" not in headers

    def test_policy_is_strict(self):
        """Nothing but our own script and style runs, no inline ones, and nobody may frame the page."""
        policy = dict(HEADERS)["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'sha256-")
        assert "; connect-src 'self'; img-src 'self' data:; base-uri 'none';" in policy
        # The only style sheet that counts is the one that stands in every page, unescaped and whole.
        assert f"style-src '{page.style_hash()}'" in policy
        sheets = re.findall(r"<style>(.*?)</style>", page.render("message.html", **MESSAGE), re.DOTALL)
        assert sheets == [page.style()]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
