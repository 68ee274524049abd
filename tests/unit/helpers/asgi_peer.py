"""ASGI scopes and messages made by hand, and a peer that serves them: what a server and a caller would send."""

from __future__ import annotations

import asyncio
import json

from otel_logging.bridge import scope as slot
from otel_logging.calls.asgi import CallMiddleware

SID = "CA" + "a1" * 16
OTHER = "CA" + "b2" * 16
FORM = [(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")]


def http(path="/voice", query=b"", headers=(), method="POST"):
    return {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}


def websocket(path="/media", query=b"", headers=()):
    return {"type": "websocket", "path": path, "query_string": query, "headers": list(headers)}


def body(*chunks):
    last = len(chunks) - 1
    return [{"type": "http.request", "body": chunk, "more_body": at < last} for at, chunk in enumerate(chunks)]


def text(message):
    return {"type": "websocket.receive", "text": message if isinstance(message, str) else json.dumps(message)}


def start(call_sid=SID, **more):
    return text({"event": "start", "sequenceNumber": "1", "start": {"callSid": call_sid, **more}, "streamSid": "MZ1"})


CONNECTED = text({"event": "connected", "protocol": "Call"})
MEDIA = text({"event": "media", "media": {"payload": "fn5+"}, "streamSid": "MZ1"})
STOP = text({"event": "stop", "stop": {"callSid": SID}})
CLOSE = {"type": "websocket.disconnect", "code": 1000}
BROKEN = {"type": "websocket.disconnect", "code": 1006}


class Peer:
    """The server's side of one connection: gives the messages out, counts how many were taken."""

    def __init__(self, messages=()):
        self.messages = list(messages)
        self.taken = 0
        self.sent = []

    async def receive(self):
        message = self.messages[self.taken]
        self.taken += 1
        return message

    async def send(self, message):
        self.sent.append(message)


class Notes(list):
    """Records as the bridge makes them: each keeps the call in force, and learns its name when the call does."""

    def note(self):
        held = slot.current.get()
        self.append(held)
        return held

    @property
    def ids(self):
        return [held.call_sid if held is not None else None for held in self]


def serve(app, scope, messages=()):
    """Serve one request or websocket with the middleware around `app`; returns the peer."""
    peer = Peer(messages)
    asyncio.run(CallMiddleware(app)(scope, peer.receive, peer.send))
    return peer


async def read_all(receive):
    whole = b""
    while True:
        message = await receive()
        whole += message.get("body", b"")
        if not message.get("more_body"):
            return whole


async def listen(scope, receive, send):
    while (await receive())["type"] != "websocket.disconnect":
        pass
