"""The call page in the machine's Chromium: what a reader does, while the call goes on and with thousands of records."""

from __future__ import annotations

import os
import time
import uuid

import pytest
from call_page import EVIL, PATIENCE, TA, WRITER, A, B, Served, ready, shown
from playwright.sync_api import expect


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
        now = time.time() - WRITER.BEGIN / 1e9
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


def test_retention_while_it_serves(tmp_path):
    """While a store is served and written to, what is past retention goes; what the page needs goes on."""
    made = WRITER.StoreWriter(tmp_path / "store")
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
