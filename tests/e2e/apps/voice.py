"""A voice service as they are: a media websocket, webhooks, threads, queues.

It knows nothing of otel-logging, except where a consumer that lives longer than any call is to log for one: there it
uses `current_call` and `activate`. Every line begins with the tag that came in the query, so that a test can tell which call it belongs to.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import fastapi
import flask
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

import otel_logging

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("server.voice")
pool = ThreadPoolExecutor(2)

# -- a consumer that lives as long as the process ----------------------------------------------------------------------

jobs: queue.Queue = queue.Queue()


def consume():
    while True:
        call, line, done = jobs.get()
        if call is None:
            log.info(line)
        else:
            with call.activate():
                log.info(line)
        done.set()


threading.Thread(target=consume, daemon=True).start()


# -- the media stream --------------------------------------------------------------------------------------------------


def handle(tag, frames):
    """The synchronous part: a thread of its own for each stream, fed through a queue."""
    log.info(f"[{tag}] handler thread begins")
    while (frame := frames.get()) is not None:
        log.info(f"[{tag}] 🎧 handler thread got {frame}")
    print(f"[{tag}] handler thread ends")


async def everywhere(tag):
    """Log from every place that code runs in."""
    loop = asyncio.get_running_loop()
    log.info(f"[{tag}] handler")
    print(f"[{tag}] printed")
    await asyncio.create_task(in_task(tag))
    await asyncio.to_thread(log.info, f"[{tag}] to_thread")
    await loop.run_in_executor(None, log.info, f"[{tag}] run_in_executor")
    await loop.run_in_executor(pool, log.info, f"[{tag}] run_in_executor of a pool")
    await asyncio.wrap_future(pool.submit(log.info, f"[{tag}] ThreadPoolExecutor"))
    for thread in (
        threading.Thread(target=log.info, args=(f"[{tag}] Thread",)),
        threading.Timer(0.01, log.info, (f"[{tag}] Timer",)),
    ):
        thread.start()
        await asyncio.to_thread(thread.join)
    done = threading.Event()
    jobs.put((otel_logging.current_call(), f"[{tag}] long-lived consumer", done))
    await asyncio.to_thread(done.wait)


async def in_task(tag):
    log.info(f"[{tag}] child task")


async def sibling(tag, named):
    log.info(f"[{tag}] sibling before the name")
    await named.wait()
    log.info(f"[{tag}] sibling after the name")


async def media(ws: fastapi.WebSocket):
    tag = ws.query_params["tag"]
    await ws.accept()
    log.info(f"[{tag}] accepted")
    print(f"[{tag}] printed before start")
    named = asyncio.Event()
    task = asyncio.create_task(sibling(tag, named))
    frames = queue.Queue()
    thread = threading.Thread(target=handle, args=(tag, frames))
    thread.start()
    try:
        while True:
            try:
                message = json.loads(await ws.receive_text())
            except ValueError:
                continue
            if message["event"] == "start":
                named.set()
                if tag == "crash-stream":
                    raise RuntimeError(f"[{tag}] in the handler")
                await everywhere(tag)
            elif message["event"] == "media":
                frames.put(message["media"]["payload"])
            elif message["event"] == "stop":
                log.info(f"[{tag}] stopped")
                break
    except WebSocketDisconnect:
        log.info(f"[{tag}] caller is gone")
    finally:
        named.set()
        frames.put(None)
        await task
        await asyncio.to_thread(thread.join)
    log.info(f"[{tag}] handler ends")
    await ws.close()


# -- webhooks, in Starlette and FastAPI --------------------------------------------------------------------------------


def fetch(host, tag):
    """Another service of ours is asked: it learns the call from baggage alone."""
    with urllib.request.urlopen(f"http://{host}/tool?tag={tag}", timeout=30) as answer:
        return answer.read()


async def voice(request: fastapi.Request):
    tag = request.query_params["tag"]
    log.info(f"[{tag}] webhook")
    form = await request.form()
    log.info(f"[{tag}] webhook read, from {form['From']}")
    if tag == "crash-webhook":
        raise RuntimeError(f"[{tag}] in the endpoint")
    await everywhere(tag)
    await asyncio.to_thread(fetch, request.headers["host"], tag)
    return PlainTextResponse("<Response/>", media_type="text/xml")


async def tool(request: fastapi.Request):
    log.info(f"[{request.query_params['tag']}] tool")
    return PlainTextResponse("ok")


async def ready(request: fastapi.Request):
    return PlainTextResponse("ok")


async def stats(request: fastapi.Request):
    return JSONResponse(otel_logging.stats())


# -- the same in Flask -------------------------------------------------------------------------------------------------

flask_app = flask.Flask("voice")


@flask_app.post("/voice")
def flask_voice():
    tag = flask.request.args["tag"]
    log.info(f"[{tag}] flask webhook")
    log.info(f"[{tag}] flask webhook read, from {flask.request.form['From']}")
    print(f"[{tag}] flask printed")
    pool.submit(log.info, f"[{tag}] flask ThreadPoolExecutor").result()
    thread = threading.Thread(target=log.info, args=(f"[{tag}] flask Thread",))
    thread.start()
    thread.join()

    def pieces():
        log.info(f"[{tag}] flask streams")
        yield "<Response/>"

    return flask.Response(flask.stream_with_context(pieces()), mimetype="text/xml")


@flask_app.get("/tool")
def flask_tool():
    log.info(f"[{flask.request.args['tag']}] flask tool")
    return "ok"


@flask_app.get("/ready")
def flask_ready():
    return "ok"


# -- the applications --------------------------------------------------------------------------------------------------

fastapi_app = fastapi.FastAPI()
fastapi_app.add_api_route("/voice", voice, methods=["POST"])
fastapi_app.add_api_route("/tool", tool)
fastapi_app.add_api_route("/ready", ready)
fastapi_app.add_api_websocket_route("/media", media)

starlette_app = Starlette(
    routes=[
        Route("/voice", voice, methods=["POST"]),
        Route("/tool", tool),
        Route("/ready", ready),
        Route("/stats", stats),
        WebSocketRoute("/media", media),
        Mount("/flask", WSGIMiddleware(flask_app)),
    ]
)
