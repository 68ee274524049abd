"""A service whose calls log at every level; it answers with its process and whether it thinks DEBUG is on."""

import logging
import os
from urllib.parse import parse_qs

import otel_logging

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("server.voice")
log.setLevel(logging.INFO)
library = logging.getLogger("websockets.client")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b"ready"
    if scope["path"].startswith("/call/"):
        attributes = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
        async with otel_logging.call(scope["path"][6:], **attributes):
            enabled = log.isEnabledFor(logging.DEBUG)
            log.debug(f"thinking {os.getpid()};")
            log.info("answered;")
            library.debug("> Authorization: Bearer canary;")
        body = f"{os.getpid()} {int(enabled)}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
