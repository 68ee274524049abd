"""Makes docs/images: the call page and the terminal, of the calls that the demo plays.

python docs/make_screenshots.py

Needs Chromium, and the extras `demo`, `web` and `test`. Paths of this machine are replaced before anything is shown.
"""  # noqa: INP001 (a script, not a package)

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.text import Text

from otel_logging.search import call_view, one_call

ROOT = Path(__file__).resolve().parents[1]
IMAGES = Path(__file__).parent / "images"
MOST = 600_000  # bytes of all images together
_GIVEN_BACK = 8  # recovered lines shown on the terminal, the last before the failure
_COLUMNS = 118
_SERVE = (sys.executable, "-m", "otel_logging", "serve", "--port", "0", "--json", "--store")


def main() -> None:
    """Play the demo in real time, then photograph it."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "otel_logging", "demo", "--json", "--speed", "1", "--keep", f"{folder}/demo"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own command)
        calls = json.loads(done.stdout)["calls"]
        store = Path(folder, "demo", "info")
        for path in store.glob("*/*.jsonl"):
            text = path.read_text("utf-8")
            for here, there in (
                (ROOT / "otel_logging" / "demo", "/srv/voice"),
                (sys.prefix, "/srv/venv"),
                (ROOT, "/srv"),
            ):
                text = text.replace(str(here), there)
            path.write_text(text, "utf-8")
        failed = next(call["call_sid"] for call in calls if call["outcome"] != "completed")
        hebrew = calls[0]["call_sid"]  # the demo's first caller
        _terminal(store, failed)
        _pages(store, failed, hebrew)
    total = sum(path.stat().st_size for path in IMAGES.iterdir())
    if total > MOST:
        sys.exit(f"the images are {total:,} bytes; at most {MOST:,}")


def _terminal(store: Path, failed: str) -> None:
    """What `otel-logging call` prints of the call that failed, without most of what was given back."""
    view = one_call.find_call(store, failed)
    head = list(call_view.render_text(view, width=_COLUMNS, colour=True))
    head = head[: head.index("")]
    given_back = [record for record in view.records if record.recovered]
    left_out = {id(record) for record in given_back[:-_GIVEN_BACK]}
    view.records[:] = [record for record in view.records if id(record) not in left_out]
    console = Console(record=True, width=_COLUMNS, file=Path("/dev/null").open("w"), force_terminal=True)  # noqa: SIM115
    console.print(Text(f"$ otel-logging call {failed[:10]}", style="bold"))
    records = list(call_view.render_text(view, width=_COLUMNS, colour=True))
    records = records[records.index("") + 1 :]
    note = f"({len(left_out):,} of the recovered records are left out of this picture)"
    for line in [*head, "", *records, "", note]:
        console.print(Text.from_ansi(line), soft_wrap=True)
    drawn = console.export_svg(title="otel-logging call")
    # The picture must not ask another host for a font.
    (IMAGES / "terminal.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), "utf-8")


def _pages(store: Path, failed: str, hebrew: str) -> None:
    server = subprocess.Popen([*_SERVE, str(store)], stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own command)
    try:
        if server.stdout is None:
            raise RuntimeError("the server has no output")
        url = json.loads(server.stdout.readline())["url"]
        base = url.partition("?")[0]
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 760})
            page.goto(url)
            page.wait_for_selector("[data-ready=yes]", state="attached")
            _shoot(page, "calls", page.locator(".calls").bounding_box())
            _call(page, f"{base}call/{failed}", "call")
            page.emulate_media(color_scheme="dark")
            _call(page, f"{base}call/{failed}#recovered=hide", "call-dark", "e")
            page.emulate_media(color_scheme="light")
            _call(page, f"{base}call/{hebrew}", "call-hebrew")
            browser.close()
    finally:
        server.terminate()
        server.wait()


def _call(page: Page, url: str, name: str, key: str = "") -> None:
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector("[data-ready=yes]", state="attached")
    if key:
        page.keyboard.press(key)
    page.mouse.move(0, 0)
    _shoot(page, name)


def _shoot(page: Page, name: str, last: dict[str, float] | None = None) -> None:
    """The window, or what ends with the element `last`."""
    height = last["y"] + last["height"] + 16 if last else 760
    page.screenshot(path=IMAGES / f"{name}.png", clip={"x": 0, "y": 0, "width": 1200, "height": height})


if __name__ == "__main__":
    main()
