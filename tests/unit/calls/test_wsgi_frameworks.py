"""The WSGI middleware in frameworks: Flask by itself, and mounted in Starlette."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import flask
import httpx
import pytest
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.test import Client, EnvironBuilder
from wsgi_requests import OTHER, SID, serve, sid

from otel_logging.calls import asgi, registry, threads
from otel_logging.calls.call import current_call
from otel_logging.calls.wsgi import CallMiddleware


def flask_app(seen):
    app = flask.Flask("voice")

    @app.post("/voice")
    def voice():
        seen.append(sid())
        answer = flask.request.form["CallSid"]
        seen.append(sid())
        return answer

    @app.get("/stream")
    def stream():
        def pieces():
            for piece in "ab":
                seen.append(sid())
                yield piece

        return flask.Response(flask.stream_with_context(pieces()))

    @app.teardown_request
    def teardown(error):
        seen.append(sid())

    return app


class TestFlask:
    def test_form(self):
        """Flask parses the form as ever; the view and the teardown share the call."""
        seen = []
        client = Client(CallMiddleware(flask_app(seen)))
        assert client.post("/voice", data={"To": "1", "CallSid": SID}).text == SID
        assert seen == [None, SID, SID]

    def test_streamed_response(self):
        """A streamed response is produced within the call."""
        seen = []
        client = Client(CallMiddleware(flask_app(seen)))
        assert client.get("/stream", headers={"X-Call-Sid": SID}).text == "ab"
        assert set(seen) == {SID}

    def test_two_at_once_never_mix(self):
        """Two threads of one server answer two webhooks and keep their own calls."""
        both = Barrier(2)
        app = flask.Flask("voice")

        @app.post("/voice")
        def voice():
            told = flask.request.form["CallSid"]
            seen = []
            for _ in range(20):
                both.wait()
                seen.append(sid() == told)
            return str(all(seen))

        def post(call_sid):
            environ = EnvironBuilder(path="/voice", method="POST", data={"CallSid": call_sid}).get_environ()
            return serve(app, environ)

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(post, [SID, OTHER])) == [b"True", b"True"]


class TestMountedInStarlette:
    @pytest.fixture(autouse=True)
    def carried(self):
        """Worker threads get the call as they do under `configure()`."""
        threads.install()
        yield
        threads.uninstall()

    @pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")
    @pytest.mark.parametrize("bridge", ["a2wsgi", "starlette"])
    def test_the_same_call_inside_and_outside(self, bridge):
        """Flask mounted in Starlette sees the call that the ASGI side opened, and opens no second one."""
        if bridge == "starlette":
            from starlette.middleware.wsgi import WSGIMiddleware as Bridge
        else:
            Bridge = WSGIMiddleware
        seen = []
        calls = []
        inner = flask_app(seen)
        inner.before_request(lambda: calls.append(current_call()))
        app = asgi.CallMiddleware(Starlette(routes=[Mount("/flask", Bridge(CallMiddleware(inner)))]))

        async def outer(scope, receive, send):
            await app(scope, receive, send)

        async def run():
            transport = httpx.ASGITransport(app=outer)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                first = await client.post("/flask/voice", data={"CallSid": SID})
                second = await client.post("/flask/voice", data={"CallSid": OTHER})
                third = await client.get("/flask/stream", headers={"X-Call-Sid": SID})
                return first.text, second.text, third.text

        assert asyncio.run(run()) == (SID, OTHER, "ab")
        assert seen[1:3] == [SID, SID]
        assert seen[4:6] == [OTHER, OTHER]
        assert set(seen[6:]) == {SID}
        assert [held.call_sid for held in calls] == [SID, OTHER, SID]
        assert registry.find(SID).openers == registry.find(OTHER).openers == 0
