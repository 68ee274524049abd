"""How soon a call can be seen: from the first byte of its page to the first paint, in the machine's Chromium.

The Performance API says when; the server's own time is not counted. The page's weight is that of everything it loads,
records left out, uncompressed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BEGIN = 1_705_865_426_000_000_000
LOADS = 8  # of each call; the shortest counts
SAID = (
    "🤖 [RESPONSE_CREATED] response_id=resp_{n:012x}, type=answer",
    "[AUDIO_DELTA] response_id=resp_{n:012x}, bytes=216",
    '💬 [TRANSCRIPT] Customer: "אני רוצה לקבוע תור ליום {n}"',
    "🎧 [AUDIO_IN] frame={n}, bytes=160, rms=38.8",
    "📊 [RMS] rms={n}.5, threshold=900, frame={n}",
)


def write_call(store: Path, call_sid: str, records: int) -> None:
    """A call of so many records of two services; most of them recovered, as after an error."""
    for service in ("voice-calls", "voice-worker"):
        resource = {"attributes": [_pair("service.name", service), _pair("service.instance.id", "965867ab-424e-4c2b")]}
        mine = range(service == "voice-worker", records, 2)
        raw = [_record(number, call_sid) for number in mine]
        group = {"resource": resource, "scopeLogs": [{"scope": {"name": "server"}, "logRecords": raw}]}
        path = store / "logs" / f"{service}-1-20240121T193026Z.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"resourceLogs": [group]}, separators=(",", ":")) + "\n")


def _record(number: int, call_sid: str) -> dict[str, object]:
    extras = {
        "logger.name": "server.media_ws_ai", "call_sid": call_sid, "code.file.path": "/srv/app/server/media_ws_ai.py",
        "code.function.name": "_dispatch", "latency_ms": str(number % 900),
    }  # fmt: skip
    if number % 50:
        extras |= {"otel_logging.recovered": "true", "otel_logging.trigger": "error"}
    at = str(BEGIN + number * 20_000_000)
    return {
        "timeUnixNano": at, "observedTimeUnixNano": at, "severityNumber": 17 if number % 500 == 499 else 9,
        "body": {"stringValue": SAID[number % len(SAID)].format(n=number)}, "traceId": call_sid[2:],
        "spanId": f"{number % 40 + 1:016x}", "attributes": [_pair(key, value) for key, value in extras.items()],
    }  # fmt: skip


def _pair(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--loads", type=int, default=LOADS, help="of each call (default: %(default)s)")
    loads = parser.parse_args().loads
    if importlib.util.find_spec("playwright") is None:
        print(json.dumps({"page.first_paint.2000": "playwright is not installed"}))
        return
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        print(json.dumps({"page.first_paint.2000": "chromium is not installed"}))
        return
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        store = Path(folder)
        sizes = {2_000: "CA" + "a" * 32, 20_000: "CA" + "b" * 32, 1: "CA" + "c" * 32}
        for records, call_sid in sizes.items():
            write_call(store, call_sid, records)
        command = [sys.executable, "-m", "otel_logging.cli", "serve", "--port", "0", "--json", "--store", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            base = url.partition("?")[0]
            page = browser.new_page(viewport={"width": 1360, "height": 850})
            page.goto(url)
            for records, call_sid in sizes.items():
                found = []
                for _ in range(loads):
                    page.goto(f"{base}call/{call_sid}", timeout=120_000)
                    page.wait_for_selector("[data-ready=yes]", state="attached", timeout=60_000)
                    found.append(page.evaluate(FIRST_PAINT))
                figures[f"page.first_paint.{records}"] = min(found)  # whatever else the machine does only adds to it
            # Of a call with one record, its rows and details are next to nothing.
            figures["page.weight"] = page.evaluate(WEIGHT) / 1000
        finally:
            browser.close()
            server.terminate()
            server.wait()
    print(json.dumps(figures))


FIRST_PAINT = """() => performance.getEntriesByName("first-contentful-paint")[0].startTime
    - performance.getEntriesByType("navigation")[0].responseStart"""
WEIGHT = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
    .reduce((sum, entry) => sum + entry.decodedBodySize, 0)"""

if __name__ == "__main__":
    main()
