"""The machine's Chromium, a store, the command that serves it, and a browser that has come in."""

from __future__ import annotations

import shutil

import pytest
from call_page import PATIENCE, TA, WRITER, A, B, Served, ready
from playwright.sync_api import sync_playwright


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
    made = WRITER.StoreWriter(tmp_path_factory.mktemp("page") / "store")
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


@pytest.fixture
def page(context, served):
    """The call that failed, open."""
    shown = context.pages[0]
    shown.goto(f"{served.base}call/{A}")
    return ready(shown)
