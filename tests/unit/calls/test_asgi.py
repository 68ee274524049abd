"""The ASGI middleware around an application: once, without a trace of itself, and in FastAPI and Starlette."""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
import pytest
from asgi_peer import CONNECTED, FORM, OTHER, SID, STOP, Peer, body, http, read_all, serve, start
from fastapi import BackgroundTasks, FastAPI, Form
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from otel_logging.bridge import scope as slot
from otel_logging.calls import registry
from otel_logging.calls.asgi import CallMiddleware
from otel_logging.calls.call import current_call, find

Text = Annotated[str, Form()]


class TestWrapping:
    def test_twice_is_once(self, notes):
        """A server and a framework may both put the middleware around: the request is followed once."""

        async def app(scope, receive, send):
            notes.note()
            await read_all(receive)

        serve(CallMiddleware(app), http(headers=FORM), body(b"CallSid=" + SID.encode()))
        assert notes.ids == [SID]
        assert registry.find(SID).openers == 0

    def test_the_scope_is_left_as_it_was(self):
        """A scope used again, as tests do, is followed again."""
        scope = http(headers=[(b"x-call-sid", SID.encode())])
        before = dict(scope)
        seen = []

        async def app(scope, receive, send):
            seen.append(current_call().call_sid)

        serve(app, scope)
        serve(app, scope)
        assert seen == [SID, SID]
        assert scope == before

    def test_lifespan_passes_untouched(self):
        """The lifespan's receive and scope are the server's own."""
        seen = []

        async def app(scope, receive, send):
            seen.extend((scope, receive, slot.current.get()))

        scope = {"type": "lifespan"}
        peer = Peer()
        asyncio.run(CallMiddleware(app)(scope, peer.receive, peer.send))
        assert seen == [{"type": "lifespan"}, peer.receive, None]

    def test_attributes_of_the_application_can_be_read(self):
        """Code that looks at what a server has loaded finds the application's attributes."""

        class App:
            routes = ("a",)

            async def __call__(self, scope, receive, send): ...

        assert CallMiddleware(App()).routes == ("a",)
        with pytest.raises(AttributeError):
            CallMiddleware(App()).nothing


class TestFrameworks:
    def test_fastapi_form_and_background_task(self, notes):
        """FastAPI parses the form as ever; a dependency, the endpoint and a background task share the call."""
        app = FastAPI()

        @app.post("/voice")
        async def voice(tasks: BackgroundTasks, CallSid: Text, To: Text):
            notes.note()
            tasks.add_task(notes.note)
            return {"sid": CallSid, "to": To}

        @app.post("/sync")
        def sync(CallSid: Text):
            notes.note()
            return CallSid

        async def run():
            transport = httpx.ASGITransport(app=CallMiddleware(app))
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                answer = await client.post("/voice", data={"CallSid": SID, "To": "1"})
                again = await client.post("/sync", data={"CallSid": OTHER})
                return answer.json(), again.json()

        assert asyncio.run(run()) == ({"sid": SID, "to": "1"}, OTHER)
        assert notes.ids == [SID, SID, OTHER]

    @pytest.mark.filterwarnings("ignore:Using `httpx` with")
    def test_starlette_websocket_session(self, notes):
        """A Starlette endpoint speaking Media Streams through its test client."""
        from starlette.testclient import TestClient

        async def media(ws):
            await ws.accept()
            notes.note()
            async for _ in ws.iter_text():
                notes.note()
                await ws.send_text("ok")

        client = TestClient(CallMiddleware(Starlette(routes=[WebSocketRoute("/media", media)])))
        with client.websocket_connect("/media") as ws:
            for message in (CONNECTED, start(), STOP):
                ws.send_text(message["text"])
                ws.receive_text()
        assert notes.ids == [SID] * 4
        assert find(SID).end_reason == "stop"


class TestOwnTasks:
    def test_the_server_speaks_of_the_call(self):
        """Where a request has a task of its own, what the server logs after it failed there belongs to the call."""
        seen = []

        async def app(scope, receive, send):
            raise KeyError("agent")

        async def request(around):
            with pytest.raises(KeyError):
                await around(http(headers=[(b"x-call-sid", SID.encode())]), None, None)
            seen.append(current_call())

        async def server():
            await asyncio.create_task(request(CallMiddleware(app, own_tasks=True)))
            await asyncio.create_task(request(CallMiddleware(app)))
            seen.append(current_call())

        asyncio.run(server())
        assert [held.call_sid if held is not None else None for held in seen] == [SID, None, None]
