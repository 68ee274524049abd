"""The call page in the machine's Chromium: what a hostile log, a strange page and a stranger try."""

from __future__ import annotations

import pytest
from call_page import EVIL, A, Served, ready, shown
from playwright.sync_api import expect


class TestHostileLogs:
    def test_every_field(self, store, page, served):
        """Markup in every field of records and spans is text on the page, opened and filtered by, and runs nowhere."""
        evil = store.record(EVIL, at=0, call="CAevil", severity=17, **{EVIL: EVIL}, exception__stacktrace=EVIL)
        store.log("evil", evil, store.record("x" * 1_000_000 + "the end", at=1, call="CAevil"),
                  store.record("\u202egnirts lamroN\u202c abc", at=2, call="CAevil"), service=EVIL, scope=EVIL)  # fmt: skip
        store.trace(
            "evil", store.span(EVIL, trace="e" * 32, span="e" * 16, call="CAevil", **{EVIL: EVIL}), service=EVIL
        )
        page.goto(f"{served.base}call/CAevil")
        ready(page)
        assert shown(page) == "3 of 3 records shown"
        page.locator(".row.e").first.click()
        line = page.locator(".detail > table tr", has_text="bold").last
        assert EVIL in line.text_content()
        page.locator(".detail summary").click()
        line.get_by_role("button", name="only").click()
        assert EVIL in page.locator(".chip").text_content()
        page.reload()
        ready(page)
        assert shown(page) == "1 of 3 records shown"
        page.locator(".chip").click()
        page.locator("#text").fill("the end")
        expect(page.locator("#shown")).to_have_text("1 of 3 records shown")
        page.locator(".row:visible .t").click()
        assert page.locator(".detail pre").text_content().endswith("xthe end")
        assert "\\u202egnirts" in page.locator("#list").text_content()
        assert page.locator("main img, main b > b, main i b").count() == 0
        assert page.evaluate("typeof hacked") == "undefined"

    def test_on_the_list_and_in_messages(self, store, page, served):
        """The same for call ids, services and what was searched for."""
        store.log("evil", store.record("x", call=EVIL), service=EVIL)
        page.goto(served.base)
        assert EVIL in ready(page).locator("tbody").text_content()
        page.locator("input[name=since]").fill(EVIL)
        page.get_by_role("button", name="Show").click()
        assert "is no time" in page.locator(".note").text_content()
        assert page.evaluate("typeof hacked") == "undefined"


class TestAttacks:
    def test_in_a_container(self, store, monkeypatch):
        """On all addresses, with the operator's token and name: others are refused, the token is not printed and lasts."""
        token = "a-secret-of-the-operators"
        monkeypatch.setenv("OTEL_LOGGING_SERVE_TOKEN", token)
        monkeypatch.setenv("OTEL_LOGGING_SERVE_HOSTS", "logs.internal")
        running = Served(store.root, "--host", "0.0.0.0")
        try:
            assert token not in running.url
            for host, status in (
                ("logs.internal", 303),
                ("localhost:80", 303),
                ("0.0.0.0", 403),
                ("evil.example", 403),
            ):
                answer = running.raw(f"GET /?token={token} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                assert answer.startswith(f"HTTP/1.1 {status}"), (host, answer)
        finally:
            running.stop()

    def test_rebound_name(self, context, served):
        """A page that made its own name point here gets nothing, although the browser sends what it has."""
        answer = served.raw(f"GET / HTTP/1.1\r\nHost: evil.example:{served.port}\r\nConnection: close\r\n\r\n")
        assert answer.startswith("HTTP/1.1 403")
        assert A not in answer
        assert served.raw("GET / HTTP/1.0\r\n\r\n").startswith(("HTTP/1.1 403", "HTTP/1.1 400"))

    ROUTES = ("/", f"/call/{A}", f"/call?id={A}", f"/events?id={A}&after=", f"/download?id={A}", f"/find?id={A}",
              f"/sparks?id={A}", "/static/page.js", "/nowhere")  # fmt: skip

    @pytest.mark.parametrize("path", ROUTES)
    def test_without_a_token(self, served, path):
        """No route, stream or file is open without the cookie, or with a token that is not the printed one."""
        wrong = f"{path}{'&' if '?' in path else '?'}token={'0' * 32}"
        for asked in (path, wrong):
            answer = served.raw(f"GET {asked} HTTP/1.1\r\nHost: localhost:{served.port}\r\nConnection: close\r\n\r\n")
            assert answer.startswith("HTTP/1.1 403")
            assert "frame=" not in answer
            assert "set-cookie" not in answer.lower()

    @pytest.mark.parametrize("path", ROUTES)
    def test_rebound_name_with_the_cookie(self, context, served, path):
        """A rebound name gets nothing from any route, although cookie and token are right: browsers send both."""
        cookie = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())
        token = served.url.partition("token=")[2]
        for host in (
            f"evil.example:{served.port}",
            f"127.0.0.1.evil.example:{served.port}",
            f"localhost@evil.example:{served.port}",
        ):
            asked = f"{path}{'&' if '?' in path else '?'}token={token}"
            answer = served.raw(
                f"GET {asked} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
            )
            assert answer.startswith(("HTTP/1.1 403", "HTTP/1.1 400"))
            assert "frame=" not in answer

    def test_no_header_of_an_attacker(self, context, served):
        """What was pasted becomes neither a header nor another host's address, in redirects and downloads."""
        cookie = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())
        head = f"Host: 127.0.0.1:{served.port}\r\nCookie: {cookie}\r\nConnection: close"
        for pasted in (
            "x%0d%0aset-cookie:%20evil=1",
            "//evil.example",
            "https://evil.example",
            "%5c%5cevil.example",
            "javascript:x",
        ):
            for path in ("/find?id=", "/download?id=", "/call?id="):
                headers = served.raw(f"GET {path}{pasted} HTTP/1.1\r\n{head}\r\n\r\n").partition("\r\n\r\n")[0]
                lines = [line.lower() for line in headers.split("\r\n")[1:]]
                assert not [line for line in lines if line.startswith("set-cookie:")]
                assert all(line.startswith("location: /call") for line in lines if line.startswith("location:"))

    def test_token_opens_once(self, context, served):
        """The printed address is used up; the terminal shows the next, which works."""
        request = "GET {} HTTP/1.1\r\nHost: 127.0.0.1:" + str(served.port) + "\r\nConnection: close\r\n\r\n"
        used, fresh = (url[len(served.base) - 1 :] for url in (served.used, served.url))
        assert served.raw(request.format(used)).startswith("HTTP/1.1 403")
        assert served.raw(request.format(fresh)).startswith("HTTP/1.1 303")
        served.url = served.told()

    @pytest.mark.parametrize(
        "path",
        ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd",
         "/../../../../etc/passwd", "/static/page.js%00.css", "/call/../../../etc/passwd", "/download?id=../../etc/passwd",
         "/events?id=x&after=../../../etc/passwd.0"],
    )  # fmt: skip
    def test_path_traversal(self, context, served, path):
        """No path and no id leads to a file."""
        cookie = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())
        head = f"Host: 127.0.0.1:{served.port}\r\nCookie: {cookie}\r\nConnection: close"
        answer = served.raw(f"GET {path} HTTP/1.1\r\n{head}\r\n\r\n")
        assert answer.startswith(("HTTP/1.1 404", "HTTP/1.1 400"))
        assert "root:" not in answer
        assert "import " not in answer

    def test_headers_and_methods(self, context, served):
        """Every answer carries the policy; nothing but reading is possible."""
        for path in ("", f"call/{A}", "static/page.js", "nowhere", f"download?id={A}"):
            answer = context.request.get(served.base + path)
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "server" not in answer.headers
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert context.request.fetch(served.base, method=method).status == 405

    def test_cookie(self, context, served):
        """Scripts cannot read the cookie, other sites cannot use it, and its name has the port."""
        (cookie,) = context.cookies()
        assert cookie["name"] == f"otel-logging-{served.port}"
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert "token" not in context.pages[0].url
