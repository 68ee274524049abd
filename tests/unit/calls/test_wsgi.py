"""The WSGI middleware, driven by hand-made environs and servers' habits, and by Flask in process."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urlencode

import flask
import httpx
import pytest
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wsgi import LimitedStream

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import asgi, registry, threads, wsgi
from otel_logging.calls.call import call, current_call, find
from otel_logging.calls.wsgi import CallMiddleware

SID = "CA" + "c3" * 16
OTHER = "CA" + "d4" * 16


def webhook(*, length=True, **fields):
    """The environ of a Twilio webhook with these form fields."""
    data = urlencode(fields).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/voice",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "wsgi.input": io.BytesIO(data),
    }
    return {**environ, "CONTENT_LENGTH": str(len(data))} if length else environ


def get(path="/", query="", **headers):
    return {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, **headers}


def serve(app, environ):
    """Do what a server does: call, iterate, close. Returns the body."""
    response = CallMiddleware(app)(environ, lambda *_: None)
    try:
        return b"".join(response)
    finally:
        if hasattr(response, "close"):
            response.close()


def sid():
    held = current_call()
    return held.call_sid if held is not None else None


class TestNamedAtOnce:
    @pytest.mark.parametrize(
        "environ",
        [
            get(f"/calls/{SID}"),
            get(query=f"CallSid={SID}"),
            get(HTTP_X_CALL_SID=SID),
            get(HTTP_BAGGAGE=f"tenant=7, call_sid={SID};p=1"),
        ],
    )
    def test_before_the_application_runs(self, environ):
        """A URL, X-Call-Sid or W3C baggage names the call before any code of the application runs."""
        seen = []

        def app(environ, start_response):
            seen.append(sid())
            return [b"ok"]

        assert serve(app, environ) == b"ok"
        assert seen == [SID]
        assert slot.current.get() is None

    def test_a_request_that_names_nothing_has_no_call(self):
        """No call, and nothing but our mark is in the environ."""
        seen = []

        def app(environ, start_response):
            seen.append((sid(), dict(environ)))
            return []

        environ = get("/healthz")
        serve(app, environ)
        assert seen == [(None, {**get("/healthz"), wsgi.requests.MARK: True})]
        assert environ == get("/healthz")

    @pytest.mark.parametrize("bad", ["x" * 10_240, "a%0Ab"])
    def test_an_id_that_is_none_is_refused_and_counted(self, bad):
        """Control characters or 10 KB: the request is served, and stats() counts it."""
        assert serve(lambda environ, start_response: [b"ok"], get(query=f"call_sid={bad}")) == b"ok"
        assert trouble.counts() == {"call_id_rejected": 1}


def read(stream):
    return stream.read()


def read_sized(stream):
    return b"".join(iter(lambda: stream.read(10), b""))


def read_lines(stream):
    return b"".join(stream.readlines())


def read_line(stream):
    return stream.readline() + stream.readline()


def iterate(stream):
    return b"".join(stream)


def read_into(stream):
    buffer = bytearray(200)
    return bytes(buffer[: stream.readinto(buffer)])


class TestWebhook:
    @pytest.mark.parametrize("way", [read, read_sized, read_lines, read_line, iterate, read_into])
    def test_named_as_the_application_reads(self, way):
        """Whatever way the application reads its form, it gets all of it and the call gets its name."""
        seen = []

        def app(environ, start_response):
            seen.append(current_call())
            assert sid() is None
            body = way(environ["wsgi.input"])
            assert sid() == SID
            return [body]

        assert serve(app, webhook(To="1", CallSid=SID)) == f"To=1&CallSid={SID}".encode()
        assert seen[0].call_sid == SID
        assert not find(SID).ended

    def test_without_a_length(self):
        """Where no length was announced the end of the body tells where the last field ends."""
        seen = []

        def app(environ, start_response):
            stream = environ["wsgi.input"]
            while stream.read(7):
                pass
            seen.append(sid())
            return []

        serve(app, webhook(length=False, CallSid=SID))
        assert seen == [SID]

    def test_an_empty_read_is_not_the_end(self):
        """Reading nothing on purpose says nothing about the body."""
        seen = []

        def app(environ, start_response):
            stream = environ["wsgi.input"]
            stream.read(0)
            stream.readline(0)
            stream.read()
            stream.read()
            seen.append(sid())
            return []

        serve(app, webhook(length=False, CallSid=SID))
        assert seen == [SID]

    def test_the_body_is_never_read_for_the_application(self):
        """What the application does not read stays unread."""
        environ = webhook(CallSid=SID)
        stream = environ["wsgi.input"]
        assert serve(lambda environ, start_response: [b"ok"], environ) == b"ok"
        assert stream.tell() == 0

    def test_the_stream_can_do_what_it_could(self):
        """Other abilities of a server's stream stay, and it claims no others."""

        class Stream:
            closed = False

            def read(self, size=-1):
                return b"x" * size

            def settle(self):
                return "settled"

        seen = []

        def app(environ, start_response):
            stream = environ["wsgi.input"]
            seen.append((stream.settle(), stream.closed, hasattr(stream, "readinto"), LimitedStream(stream, 5).read()))
            return []

        serve(app, {**webhook(CallSid=SID), "wsgi.input": Stream()})
        assert seen == [("settled", False, False, b"xxxxx")]

    def test_a_form_without_a_call_waits_no_longer(self):
        """A log-in form names no call: its records wait until it is read, not two seconds."""
        delivered = []

        def app(environ, start_response):
            slot.current.get().hold(lambda named: delivered.append(named.call_sid), 10)
            environ["wsgi.input"].read()
            assert delivered == [None]
            return []

        serve(app, webhook(user="a"))

    def test_a_final_status_ends_the_call(self):
        """A status callback that says so ends the call, once the response is closed."""
        seen = []

        def app(environ, start_response):
            environ["wsgi.input"].read()
            seen.append(current_call())
            yield b"ok"
            assert not seen[0].ended

        assert serve(app, webhook(CallStatus="completed", CallSid=SID)) == b"ok"
        assert seen[0].end_reason == "completed"

    def test_exceptions_go_on_unchanged(self):
        """What the application raises is raised, the same object, and the context is as before."""
        error = RuntimeError("the application's own")

        def app(environ, start_response):
            raise error

        with pytest.raises(RuntimeError) as raised:
            serve(app, webhook(CallSid=SID))
        assert raised.value is error
        assert slot.current.get() is None

    def test_a_failure_of_ours_is_not_the_applications(self, monkeypatch, capsys):
        """If the middleware itself fails, the application is called once, as if it were not there."""
        monkeypatch.setattr(wsgi.requests, "open_call", lambda **_: 1 / 0)
        calls = []

        def app(environ, start_response):
            calls.append(environ["wsgi.input"].read())
            return [b"ok"]

        assert serve(app, webhook(CallSid=SID)) == b"ok"
        assert len(calls) == 1
        assert trouble.counts() == {"carrier_failed": 1}
        assert "served without its call" in capsys.readouterr().err


class TestResponse:
    def test_the_call_is_in_force_while_the_body_is_produced(self):
        """Each piece and the closing happen within the call; between them the server has its own context."""
        seen = []

        class Body:
            def __iter__(self):
                seen.append(("iter", sid()))
                yield b"a"
                seen.append(("next", sid()))
                yield b"b"

            def close(self):
                seen.append(("close", sid()))

        response = CallMiddleware(lambda *_: Body())(get(HTTP_X_CALL_SID=SID), None)
        for _ in response:
            assert sid() is None
        response.close()
        assert seen == [("iter", SID), ("next", SID), ("close", SID)]
        assert registry.find(SID).openers == 0

    def test_a_call_of_the_applications_own_stays_its_own(self):
        """A generator that opened a call of its own still has it in force at its next piece."""
        seen = []

        def app(environ, start_response):
            with call("own-1"):
                yield b"a"
                seen.append(sid())
                yield b"b"
            seen.append(sid())

        serve(app, get(HTTP_X_CALL_SID=SID))
        assert seen == ["own-1", SID]

    def test_an_exception_in_the_body(self):
        """It reaches the server, and the call is left all the same."""

        def app(environ, start_response):
            yield b"a"
            raise KeyError("b")

        with pytest.raises(KeyError):
            serve(app, get(HTTP_X_CALL_SID=SID))
        assert registry.find(SID).openers == 0
        assert slot.current.get() is None

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_finished_bodies_are_handed_on(self, kind):
        """Servers look at lists to tell the length: they get the very object."""
        body = kind([b"a"])
        assert CallMiddleware(lambda *_: body)(get(HTTP_X_CALL_SID=SID), None) is body
        assert registry.find(SID).openers == 0

    def test_files_are_handed_on(self):
        """A server sends a file by sendfile only if it sees its own wrapper."""

        class FileWrapper:
            def __init__(self, file):
                self.file = file

        file = FileWrapper(io.BytesIO())
        environ = {**get(HTTP_X_CALL_SID=SID), "wsgi.file_wrapper": FileWrapper}
        assert CallMiddleware(lambda *_: file)(environ, None) is file

    def test_length_is_kept(self):
        """A body that has a length still has it, one that has none claims none."""

        class Sized:
            def __len__(self):
                return 1

            def __iter__(self):
                return iter([b"a"])

        assert len(CallMiddleware(lambda *_: Sized())(get(HTTP_X_CALL_SID=SID), None)) == 1
        assert not hasattr(CallMiddleware(lambda *_: iter([]))(get(HTTP_X_CALL_SID=SID), None), "__len__")


class TestWrapping:
    def test_twice_is_once(self):
        """A server and Flask may both put the middleware around: the request is followed once."""
        seen = []

        def app(environ, start_response):
            environ["wsgi.input"].read()
            seen.append((sid(), registry.find(SID).openers))
            return []

        environ = webhook(CallSid=SID)
        serve(CallMiddleware(app), environ)
        assert seen == [(SID, 1)]
        assert wsgi.requests.MARK not in environ

    def test_a_call_block_around_does_not_hide_the_webhook(self):
        """A test client used within a call of its own still gets the webhook's call."""
        seen = []

        def app(environ, start_response):
            environ["wsgi.input"].read()
            seen.append(sid())
            return []

        with call(OTHER):
            serve(app, webhook(CallSid=SID))
        assert seen == [SID]


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
