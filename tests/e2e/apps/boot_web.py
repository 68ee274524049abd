"""A small ASGI application that knows nothing of otel-logging: logs in a request, fails on demand, starts and stops."""

import logging
import os

logger = logging.getLogger("shop")
logging.getLogger("shop.own").propagate = False


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/boom":
        raise RuntimeError("the application failed")
    if path.startswith("/log/"):
        logger.info(f"request {path[5:]};")
        logging.getLogger("shop.own").warning(f"own {path[5:]};")
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            logger.info(f"startup {os.getpid()};")
            await send({"type": "lifespan.startup.complete"})
        else:
            logger.info(f"shutdown {os.getpid()};")
            await send({"type": "lifespan.shutdown.complete"})
            return
