"""The application of the soak: one media websocket, a line for each frame. Knows of otel-logging to show its books.

Served by `soak.py` with `uvicorn soak_app:app`, with otel-logging and without.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

FRAME = 0.02  # seconds

log = logging.getLogger("server.media_ws_ai")
late: list[float] = []


async def media(ws: Any) -> None:
    """One call: a line for each frame, one in 25 of another kind, and an error where the caller says so."""
    await ws.accept()
    name, frames = "", 0
    try:
        while True:
            message = json.loads(await ws.receive_text())
            if message["event"] == "start":
                name = message["start"]["callSid"]
                log.info(f"Call started: {name}")
            elif message["event"] == "media":
                frames += 1
                payload = message["media"]["payload"]
                log.info(f"[AUDIO_DELTA] response_id=resp_{frames % 7}, bytes={len(payload)}, seq={frames}")
                if frames % 25 == 0:
                    log.info(f"🗣️ [TURN] {frames // 25} of {name} after {frames} frames", extra={"frames": frames})
            elif message["event"] == "stop":
                if message["stop"].get("fails"):
                    log.error(f"[CRM] appointment of {name} failed")
                log.info(f"Call ended: {name} after {frames} frames")
                break
    except WebSocketDisconnect:
        log.info(f"caller of {name} is gone")
    await ws.close()


async def tick() -> None:
    """How late the loop is, 50 times a second."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + FRAME, loop.time())
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)
        del late[:-200_000]


async def about(request: Any) -> Any:
    """What this process is like now; `?flush=1` sends what waits first, `?late=1` gives the lateness since then."""
    books = None
    if os.environ.get("SOAK_WITH"):
        import otel_logging

        if request.query_params.get("flush"):
            await asyncio.to_thread(otel_logging.force_flush, 30.0)
        books = otel_logging.stats()
    found: dict[str, Any] = {"books": books, **_process()}
    if request.query_params.get("late"):
        found["late"] = [round(one * 1000, 2) for one in late]
        late.clear()
    return JSONResponse(found)


def _process() -> dict[str, int]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
    }


def _application() -> Any:
    ticking: list[Any] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> Any:
        ticking.append(asyncio.create_task(tick()))
        yield
        ticking.pop().cancel()

    return Starlette(routes=[Route("/about", about), WebSocketRoute("/media", media)], lifespan=lifespan)


logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(levelname)-8s [%(name)s] %(message)s")
app = _application()
