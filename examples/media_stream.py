"""A Twilio media stream that counts the audio it hears. It logs as such samples do and knows nothing of otel-logging.

    pip install fastapi 'uvicorn[standard]' python-multipart
    LOG_CAPTURE_PRINT=1 otel-logging run --local -- uvicorn media_stream:app --port 5050

Point a Twilio number's voice webhook at /incoming-call.
"""

import base64
import json
import logging

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)

app = FastAPI()


@app.post("/incoming-call")
async def incoming_call(request: Request):
    """Answer with TwiML that connects the call's audio to our websocket."""
    form = await request.form()
    logger.info(f"📞 incoming call from {form.get('From')}")
    stream = f"ws://{request.url.netloc}/media-stream"
    return HTMLResponse(
        f'<Response><Connect><Stream url="{stream}"/></Connect></Response>', media_type="application/xml"
    )


@app.websocket("/media-stream")
async def media_stream(websocket: WebSocket):
    """Take the stream until Twilio says stop."""
    print("Client connected")
    await websocket.accept()
    heard = 0
    try:
        async for message in websocket.iter_text():
            data = json.loads(message)
            if data["event"] == "start":
                print(f"Incoming stream has started {data['start']['streamSid']}")
            elif data["event"] == "media":
                heard += len(base64.b64decode(data["media"]["payload"]))
                print(f"Received audio chunk, {heard} bytes so far")
            elif data["event"] == "stop":
                logger.info(f"📴 stream stopped after {heard / 8000:.1f} s of audio")
                break
        await websocket.close()
    except WebSocketDisconnect:
        print("Client disconnected.")
