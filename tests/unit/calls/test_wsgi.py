"""The WSGI middleware, driven by hand-made environs and servers' habits."""

from __future__ import annotations

import io

import pytest
from werkzeug.wsgi import LimitedStream
from wsgi_requests import OTHER, SID, get, serve, sid, webhook

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import registry, wsgi
from otel_logging.calls.call import call, current_call, find
from otel_logging.calls.wsgi import CallMiddleware


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
