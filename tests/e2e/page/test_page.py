"""The call page in the machine's Chromium, served by the real command: what a reader does, and what an attacker tries."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

_SPEC = importlib.util.spec_from_file_location(
    "search_store_writer", Path(__file__).parent.parent / "unit" / "search" / "conftest.py"
)
_WRITER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_WRITER)

A, B, TA = "CA" + "a1" * 16, "CA" + "b2" * 16, "a1" * 16
PATIENCE = 60_000  # milliseconds
expect.set_options(timeout=PATIENCE)
EVIL = "</script><script>hacked=1</script><img src=x onerror=hacked=1><b>bold</b>\"'>"


@pytest.fixture(scope="module")
def chromium():
    """The machine's browser."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a call that failed and one that did not; tests add calls of their own."""
    made = _WRITER.StoreWriter(tmp_path_factory.mktemp("page") / "store")
    frame = {"otel_logging__recovered": True, "otel_logging__trigger": "error"}
    made.log(
        "media",
        made.record("📞 [START] שלום עולם", at=0, call=A, trace=TA, span="01" * 8, latency_ms=12),
        *(made.record(f"[AUDIO_IN] frame={n}", at=0.1 + n / 100, call=A, severity=5, **frame) for n in range(20)),
        made.record("slow answer", at=1.5, call=A, severity=13, latency_ms=812),
        made.record("it broke", at=6, call=A, severity=17, exception__stacktrace="Traceback\nValueError: no"),
        made.record("all well", at=2, call=B),
    )
    made.log("worker", made.record("summary written", at=9, trace=TA), service="worker", scope="jobs")
    made.trace(
        "media", made.span("call", trace=TA, span="01" * 8, start=0, end=6.5, call=A, otel_logging__end_reason="stop")
    )
    return made


class Served:
    """The running command."""

    def __init__(self, store, *options):
        command = [sys.executable, "-m", "otel_logging.cli", "serve", "--port", "0", "--json", "--store", str(store)]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        self.url = self.told()
        self.base = self.url.partition("?")[0]
        self.port = int(self.base.rstrip("/").rpartition(":")[2])

    def told(self):
        """The address that the command prints next."""
        return json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()

    def raw(self, text):
        """Send bytes as they are, past every client's good manners; returns the whole answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(text.encode("latin-1"))
            answer = b""
            while data := connection.recv(65_536):
                answer += data
        return answer.decode("utf-8", "replace")


@pytest.fixture(scope="module")
def served(store):
    """The command over the store, one for all: an address opens one browser, and then the next is printed."""
    running = Served(store.root)
    yield running
    running.stop()


@pytest.fixture
def context(chromium, served):
    """A browser that has come in. Afterwards: no error on the console, no request to another origin."""
    made = chromium.new_context(viewport={"width": 1360, "height": 850})
    made.set_default_timeout(PATIENCE)
    wrong = []
    made.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    made.on("weberror", lambda error: wrong.append(str(error.error)))
    made.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
    made.on(
        "request",
        lambda asked: wrong.append(asked.url) if not asked.url.startswith((served.base, "file:", "data:")) else None,
    )
    page = made.new_page()
    page.goto(served.url)
    assert page.url == served.base
    served.used, served.url = served.url, served.told()
    yield made
    made.close()
    assert wrong == []


def ready(page):
    """Wait until the page's script has done its work."""
    page.wait_for_selector("[data-ready=yes]", state="attached")
    return page


@pytest.fixture
def page(context, served):
    """The call that failed, open."""
    shown = context.pages[0]
    shown.goto(f"{served.base}call/{A}")
    return ready(shown)


def shown(page):
    """What the counter says."""
    return page.locator("#shown").text_content()


class TestReader:
    def test_finds_a_call(self, context, served):
        """From the list by its link, and from the box by a trace id: the call with all its services."""
        page = ready(context.pages[0])
        row = page.locator("tbody tr", has_text=A)
        assert "2024-01-21" in row.text_content()
        expect(row.locator(".spark path.e")).to_have_count(1)
        row.locator("a").click()
        expect(page.locator("#call-id")).to_have_text(A)
        page.locator("input[name=id]").fill(f"00-{TA}-{'01' * 8}-01")
        page.keyboard.press("Enter")
        expect(page.locator("#call-id")).to_have_text(A)
        assert shown(ready(page)) == "24 of 24 records shown"
        assert "summary written" in page.locator("#list").text_content()
        assert "complete" in page.locator(".head").text_content()
        page.locator("a.brand").click()
        page.locator("input[name=errors]").check()
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr", has_text=B)).to_have_count(0)
        expect(page.locator("tbody tr", has_text=A)).to_have_count(1)

    def test_filters(self, page, served):
        """Text, level, only and without, service and time: each counts, stands in the address and goes back."""
        page.locator("#text").fill("שלום")
        expect(page.locator("#shown")).to_have_text("1 of 24 records shown")
        page.locator("#text").fill("")
        expect(page.locator("#shown")).to_have_text("24 of 24 records shown")
        page.get_by_role("button", name="WARNING").click()
        assert shown(page) == "2 of 24 records shown"
        page.locator(".row", has_text="slow answer").click()
        line = page.locator(".detail tr", has_text="latency_ms")
        line.get_by_role("button", name="without").click()
        assert shown(page) == "1 of 24 records shown"
        assert "it broke" in page.locator("#list .row:visible").text_content()
        address = page.url
        page.go_back()
        expect(page.locator("#shown")).to_have_text("2 of 24 records shown")
        page.go_back()
        expect(page.locator("#shown")).to_have_text("24 of 24 records shown")
        other = page.context.new_page()
        other.goto(address)
        assert shown(ready(other)) == "1 of 24 records shown"
        other.locator(".chip.not").click()
        expect(other.locator("#shown")).to_have_text("2 of 24 records shown")
        page.locator("[data-service=worker]").click()
        assert shown(page) == "1 of 24 records shown"

    def test_drag_over_the_histogram(self, page):
        """Dragging over the histogram chooses a time."""
        box = page.locator("#histogram .u-over").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20, steps=4)
        page.mouse.up()
        expect(page.locator("#shown")).to_have_text("1 of 24 records shown")
        assert "it broke" in page.locator("#list .row:visible").text_content()

    def test_recovered(self, page):
        """A recovered frame is hatched, says why it is there, and can be hidden with the others."""
        frame = page.locator(".row", has_text="frame=7")
        assert "gradient" in frame.evaluate("row => getComputedStyle(row).backgroundImage")
        frame.click()
        assert page.locator(".because").text_content() == "recovered because an ERROR was logged at +00:06.000 in media"
        page.locator("#recovered").click()
        assert shown(page) == "4 of 24 records shown"

    def test_span_beside_its_records(self, page):
        """A span opened in the timeline shows which records are its own."""
        page.locator("svg a[href='#sel=s" + "01" * 8 + "']").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".row.span.sel")).to_have_count(1)
        expect(page.locator(".row.mate")).to_have_count(1)
        assert "START" in page.locator(".row.mate").text_content()

    def test_keyboard(self, page):
        """Everything without a mouse: the next error, move, close, filter, clear, help."""
        page.keyboard.press("e")
        assert "it broke" in page.locator(".row.sel").text_content()
        assert "ValueError: no" in page.locator(".detail .x").text_content()
        assert page.evaluate("document.activeElement.closest('.row').classList.contains('sel')")
        page.keyboard.press("k")
        assert "slow answer" in page.locator(".row.sel").text_content()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator(".detail")).to_have_count(0)
        page.keyboard.press("/")
        page.keyboard.type("frame=1")
        expect(page.locator("#shown")).to_have_text("11 of 24 records shown")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("#shown")).to_have_text("24 of 24 records shown")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        expect(page.locator("#shown")).to_have_text("4 of 24 records shown")

    def test_dark(self, page):
        """Dark where the reader wants it dark, and readable in both."""
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            ratios = page.evaluate(CONTRAST)
            assert min(ratios.values()) >= 4.5, (scheme, ratios)
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, dark.strip("rgb()").split(","))) < 200) == (scheme == "dark")

    def test_saved_file(self, page, context, tmp_path):
        """The file that Download HTML gives works alone: no server, no network, the same filters."""
        with page.expect_download() as download:
            page.get_by_role("link", name="Download HTML").click()
        path = tmp_path / "saved.html"
        download.value.save_as(path)
        context.set_offline(True)
        saved = context.new_page()
        saved.goto(path.as_uri())
        assert shown(ready(saved)) == "24 of 24 records shown"
        saved.keyboard.press("e")
        assert "ValueError: no" in saved.locator(".detail .x").text_content()
        saved.get_by_role("button", name="WARNING").click()
        assert shown(saved) == "2 of 24 records shown"
        saved.go_back()
        expect(saved.locator("#shown")).to_have_text("24 of 24 records shown")
        assert saved.locator("#histogram canvas").count() == 1
        context.set_offline(False)


CONTRAST = """() => {
    const light = (colour) => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
            .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const found = {};
    for (const selector of [".row .t", ".row .m", ".row.d .m", ".row.e .m", ".row.w b", ".facts dt", ".first b", ".searched", ".row .kv"]) {
        const one = document.querySelector(selector);
        let back = one;
        while (/rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(back).backgroundColor)) back = back.parentElement;
        const [a, b] = [getComputedStyle(one).color, getComputedStyle(back).backgroundColor].map(light).sort((x, y) => y - x);
        found[selector] = (a + 0.05) / (b + 0.05);
    }
    return found;
}"""


class TestLive:
    @pytest.fixture
    def live(self, store):
        """A call that goes on, and its present, in seconds after the store writer's beginning."""
        now = time.time() - _WRITER.BEGIN / 1e9
        trace = uuid.uuid4().hex
        call = f"CA{trace}"
        store.log(
            "media", *(store.record(f"line {n}", at=now - 60 + n / 2, call=call, trace=trace) for n in range(100))
        )
        return call, now

    def test_follows(self, store, live, page, served):
        """New records come by themselves, errors count, late recovered frames stand where they belong; nothing is reloaded."""
        call, now = live
        page.goto(f"{served.base}call/{call}")
        expect(page.locator("#live")).to_have_text("following")
        page.evaluate("notReloaded = true")
        store.log("worker", store.record(f"<i>fresh</i> {EVIL}", at=now, call=call, severity=17), service="worker")
        expect(page.locator("#shown")).to_have_text("101 of 101 records shown")
        expect(page.locator(".facts .bad dd")).to_have_text("1")
        frame = {"otel_logging__recovered": True, "otel_logging__trigger": "error"}
        store.log("media", store.record("late frame", at=now - 59.9, call=call, **frame))
        expect(page.locator("#list > li").nth(1)).to_contain_text("late frame")
        page.locator(".row", has_text="late frame").click()
        assert "recovered because an ERROR was logged" in page.locator(".because").text_content()
        assert page.evaluate("notReloaded && typeof hacked === 'undefined'")

    def test_reader_is_left_in_peace(self, store, live, page, served):
        """Who reads further up is not scrolled away but told how many are new; who is at the end is taken along."""
        call, now = live
        page.goto(f"{served.base}call/{call}")
        expect(page.locator("#live")).to_have_text("following")
        page.evaluate("scrollTo(0, 600)")
        store.log("media", store.record("new one", at=now, call=call))
        expect(page.locator("#new")).to_have_text("1 new ↓")
        assert page.evaluate("scrollY") == 600
        page.locator("#new").click()
        expect(page.locator("#new")).to_be_hidden()
        store.log("media", store.record("new two", at=now, call=call))
        expect(page.locator(".row", has_text="new two")).to_be_in_viewport()
        expect(page.locator("#new")).to_be_hidden()

    def test_hidden_tab_holds_no_connection(self, store, live, page, served):
        """A tab that nobody sees closes its connection; seen again, it goes on where it was and misses nothing."""
        call, now = live
        page.goto(f"{served.base}call/{call}")
        expect(page.locator("#live")).to_have_text("following")
        flip = """hidden => {
            Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
        page.evaluate(flip, True)
        expect(page.locator("#live")).to_have_text("paused")
        store.log("media", store.record("while away", at=now, call=call))
        assert shown(page) == "100 of 100 records shown"
        with page.expect_request(lambda asked: "/events" in asked.url) as asked:
            page.evaluate(flip, False)
        assert "after=" in asked.value.url
        expect(page.locator("#shown")).to_have_text("101 of 101 records shown")

    def test_complete_call_is_not_followed(self, page):
        """A page of a call that is over opens no connection."""
        assert page.locator("#records").get_attribute("data-events") == ""
        expect(page.locator("#live")).to_be_hidden()


class TestSize:
    # What is beyond one page has parts; the slow case fills a page.
    @pytest.mark.parametrize("records", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
    def test_many_records(self, records, store, page, served):
        """A call of thousands of records is whole, can be filtered and walked through."""
        call = f"CA{uuid.uuid4().hex}"
        for file in range(0, records, 1000):
            store.log("media", *(store.record(f"line {n}", at=n / 50, call=call, severity=17 if n % 1000 == 999 else 9)
                                 for n in range(file, file + 1000)))  # fmt: skip
        page.goto(f"{served.base}call/{call}", timeout=180_000)
        page.wait_for_selector("[data-ready=yes]", state="attached", timeout=180_000)
        assert shown(page) == f"{records:,} of {records:,} records shown"
        page.get_by_role("button", name="ERROR").click()
        assert shown(page) == f"{records // 1000} of {records:,} records shown"
        page.get_by_role("button", name="ERROR").click()
        page.keyboard.press("G")
        expect(page.locator(".row.sel")).to_contain_text(f"line {records - 1}")
        expect(page.locator(".row.sel")).to_be_in_viewport()

    def test_weight(self, page):
        """All that the page of a small call loads is below 120 KB, uncompressed."""
        weight = page.evaluate(
            "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
            ".reduce((sum, entry) => sum + entry.decodedBodySize, 0)"
        )
        assert 50_000 < weight < 120_000


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


def test_retention_while_it_serves(tmp_path):
    """While a store is served and written to, what is past retention goes; what the page needs goes on."""
    made = _WRITER.StoreWriter(tmp_path / "store")
    made.log("media-1-20240101T000000000000Z", made.record("old", call=A))
    for folder in (made.root, made.root / "logs"):
        folder.chmod(0o700)
    (old,) = (made.root / "logs").iterdir()
    os.utime(old, (time.time() - 8 * 24 * 3600,) * 2)
    running = Served(made.root)
    try:
        made.log("open", made.record("new", call=A))
        until = time.monotonic() + PATIENCE / 1000
        while old.exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert not old.exists()
        answer = running.raw(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nConnection: close\r\n\r\n")
        assert answer.startswith("HTTP/1.1 403")
    finally:
        running.stop()


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
