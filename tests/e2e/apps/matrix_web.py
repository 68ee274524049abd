"""An ASGI and a WSGI application that number their requests, and say when they start and stop."""

import logging
import os

if os.environ.get("MATRIX_BOOKS"):
    import matrix_books  # noqa: F401

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("matrix")


def say(kind, number):
    logger.info(f"{kind} {number} pid={os.getpid()};")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["path"].startswith("/log/"):
        say("request", scope["path"][5:])
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            say("startup", os.getpid())
            await send({"type": "lifespan.startup.complete"})
        else:
            say("shutdown", os.getpid())
            await send({"type": "lifespan.shutdown.complete"})
            return


def wsgi(environ, start_response):
    if environ["PATH_INFO"].startswith("/log/"):
        say("request", environ["PATH_INFO"][5:])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


# What an application's own gunicorn.conf.py may hold.
def worker_exit(server, worker):
    say("shutdown", worker.pid)


def post_worker_init(worker):
    say("startup", worker.pid)
