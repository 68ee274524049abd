"""The service's front door: Starlette with the media websocket, and the old Flask application mounted beside it.

Run as `uvicorn server.asgi:app --ws websockets --log-level info`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute

from .logging_config import setup_logging
from .media_ws_ai import media_stream
from .routes_twilio import flask_app

setup_logging()
logger = logging.getLogger(__name__)
boot_logger = logging.getLogger("server.boot")
sessions_logger = logging.getLogger("server.whatsapp_sessions")


async def call_status(request: Request) -> Response:
    """Twilio's status callback: the call is over, or on its way there."""
    form = await request.form()
    logger.info(f"☎️ [STATUS] call {form['CallStatus']}, duration={form.get('CallDuration', '?')}s")
    return Response(status_code=204)


async def _check_stale_sessions() -> None:
    """A line every so often that says nothing, for ever."""
    check = 0
    while True:
        check += 1
        sessions_logger.info(f"[WHATSAPP_SESSION] Check #{check}: Found 0 stale sessions")
        await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    boot_logger.info("🟢 [BOOT] voice service ready")
    checker = asyncio.create_task(_check_stale_sessions())
    yield
    checker.cancel()
    boot_logger.info("🔴 [SHUTDOWN] voice service stops")


old_app: Any = flask_app
old_app_mount: Any = WSGIMiddleware(old_app)

app = Starlette(
    routes=[
        WebSocketRoute("/media", media_stream),
        Route("/webhook/status", call_status, methods=["POST"]),
        Mount("/", old_app_mount),
    ],
    lifespan=_lifespan,
)
