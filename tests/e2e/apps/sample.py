"""What one writes after reading a carrier's tutorial: `print`, a webhook, a media stream. Nothing of otel-logging."""

import json
import logging

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse

app = FastAPI()
logger = logging.getLogger(__name__)
logging.basicConfig(level=logging.INFO)


@app.get("/ready")
async def index():
    return {"message": "Media Stream Server is running!"}


@app.post("/incoming-call")
async def incoming_call(request: Request):
    print(f"[{request.query_params['tag']}] incoming call")
    form = await request.form()
    logger.info(f"[{request.query_params['tag']}] call from {form.get('From')}")
    return HTMLResponse('<Response><Connect><Stream url="wss://x/media-stream"/></Connect></Response>')


@app.websocket("/media-stream/{tag}")
async def media_stream(websocket: WebSocket, tag: str):
    print(f"[{tag}] client connected")
    await websocket.accept()
    logger.info(f"[{tag}] stream accepted")
    frames = 0
    async for message in websocket.iter_text():
        data = json.loads(message)
        if data["event"] == "start":
            print(f"[{tag}] incoming stream has started {data['start']['streamSid']}")
        elif data["event"] == "media":
            frames += 1
        elif data["event"] == "stop":
            print(f"[{tag}] stream stopped after {frames} frames")
            break
    logger.info(f"[{tag}] goodbye")
