"""The ASGI middleware and HTTP requests: named by URL and headers at once, by a form as it is read, ended by a final status."""

from __future__ import annotations

import asyncio

import pytest
from asgi_peer import FORM, OTHER, SID, Peer, body, http, read_all, serve, websocket

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import request as requests
from otel_logging.calls import waiting
from otel_logging.calls.asgi import CallMiddleware
from otel_logging.calls.call import current_call, find


class TestNamedAtOnce:
    @pytest.mark.parametrize(
        "scope",
        [
            http(f"/calls/{SID}", method="GET"),
            http(query=f"CallSid={SID}".encode(), method="GET"),
            http(headers=[(b"x-call-sid", SID.encode())]),
            http(headers=[(b"baggage", b"tenant=7,call_sid=" + SID.encode())]),
            http(headers=[(b"baggage", b"tenant=7"), (b"baggage", b"call_sid=" + SID.encode())]),
            websocket(f"/media/{SID}"),
            websocket(query=f"call_sid={SID}".encode()),
            websocket(headers=[(b"x-call-sid", SID.encode())]),
        ],
    )
    def test_before_the_application_runs(self, notes, scope):
        """A URL, X-Call-Sid or W3C baggage names the call before any code of the application runs."""

        async def app(scope, receive, send):
            assert notes.note().call_sid == SID

        serve(app, scope)
        assert notes.ids == [SID]
        assert slot.current.get() is None

    def test_a_header_wins_over_the_url(self, notes):
        """Where the caller says which call it is, what the URL looks like does not matter."""

        async def app(scope, receive, send):
            notes.note()

        serve(app, http(f"/calls/{OTHER}", headers=[(b"x-call-sid", SID.encode())]))
        assert notes.ids == [SID]

    @pytest.mark.parametrize("bad", ["x" * 10_240, "a%0Ab", "a%00b", "972501234567%40s.whatsapp.net"])
    def test_an_id_that_is_none_is_refused_and_counted(self, notes, capsys, bad):
        """Control characters, 10 KB or a jid: the service goes on, one line says so, stats() counts it."""

        async def app(scope, receive, send):
            notes.note()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        peer = serve(app, http(query=f"call_sid={bad}".encode(), method="GET"))
        assert notes == [None]
        assert peer.sent[0]["status"] == 200
        assert trouble.counts() == {"call_id_rejected": 1}
        assert len(capsys.readouterr().err.splitlines()) == 1

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"x-call-sid", b"A" * 1_000_000)],
            [(b"x-call-sid", b"C")] * 50_000,
            [(b"baggage", b"call_sid=" + b"%41" * 300_000)],
            [(b"baggage", b"k" * 8000 + b"=1")] * 2_000,
        ],
        ids=["a megabyte", "50,000 times", "a baggage bomb", "16 MB of baggage"],
    )
    def test_huge_headers(self, notes, capsys, headers):
        """Headers of megabytes name no call, are served as any, and put no more than a line on stderr."""

        async def app(scope, receive, send):
            notes.note()

        serve(app, http(headers=headers))
        assert notes.ids == [None]
        said = capsys.readouterr().err
        assert said.count("\n") <= 1
        assert len(said) < 400

    def test_only_so_much_of_repeated_headers_is_joined(self, notes, monkeypatch):
        """Thousands of headers of one name cost what they are long: they are not joined one by one without end."""
        joined = []
        real = requests.begin
        monkeypatch.setattr(
            requests,
            "begin",
            lambda *args, **more: joined.append(max(map(len, filter(None, args)))) or real(*args, **more),
        )

        async def app(scope, receive, send):
            notes.note()

        serve(app, http(headers=[(b"baggage", b"k=" + b"v" * 1000)] * 5_000))
        assert 8192 < joined[0] < 32 * 1024

    def test_a_refused_id_is_counted_once(self):
        """Where a server and a framework both put the middleware around, a request is looked at once."""

        async def app(scope, receive, send):
            pass

        serve(CallMiddleware(app), http(query=b"call_sid=a%20b", method="GET"))
        assert trouble.counts() == {"call_id_rejected": 1}

    def test_a_request_that_names_nothing_has_no_call(self, notes):
        """A health check costs nothing: no call, and the application gets the very receive it would have got."""
        seen = []

        async def app(scope, receive, send):
            seen.append(receive)
            notes.note()

        peer = Peer()
        asyncio.run(CallMiddleware(app)(http("/healthz", method="GET"), peer.receive, peer.send))
        assert seen == [peer.receive]
        assert notes == [None]


class TestWebhook:
    def test_named_as_the_application_reads(self, notes):
        """Records and tasks from before the form was read learn the call with it."""

        async def sibling(read):
            notes.note()
            await read.wait()
            notes.note()

        async def app(scope, receive, send):
            read = asyncio.Event()
            notes.note()
            task = asyncio.create_task(sibling(read))
            await asyncio.sleep(0)
            assert notes.ids == [None, None]
            assert await read_all(receive) == b"To=1&CallSid=" + SID.encode() + b"&CallStatus=ringing"
            read.set()
            await task

        serve(app, http(headers=FORM), body(b"To=1&Call", b"Sid=" + SID.encode(), b"&CallStatus=ringing"))
        assert notes.ids == [SID] * 3

    def test_what_waited_is_delivered_with_the_name(self):
        """A record held before the name is delivered once, when the form has been read."""
        delivered = []

        async def app(scope, receive, send):
            assert slot.current.get().hold(lambda named: delivered.append(named.call_sid), 10)
            await read_all(receive)
            assert delivered == [SID]

        serve(app, http(headers=FORM), body(b"CallSid=" + SID.encode()))
        assert delivered == [SID]

    def test_the_body_is_never_read_for_the_application(self):
        """What the application does not read stays unread, and it reads exactly what came."""

        async def app(scope, receive, send):
            await receive()

        peer = serve(app, http(headers=FORM), body(b"a=1", b"&CallSid=" + SID.encode()))
        assert peer.taken == 1

        async def deaf(scope, receive, send):
            pass

        assert serve(deaf, http(headers=FORM), body(b"CallSid=" + SID.encode())).taken == 0
        assert waiting.held() == 0

    def test_a_form_without_a_call_waits_no_longer(self):
        """A log-in form names no call: its records wait until it is read, not two seconds."""
        delivered = []

        async def app(scope, receive, send):
            held = slot.current.get()
            held.hold(lambda named: delivered.append(named.call_sid), 10)
            await read_all(receive)
            assert delivered == [None]
            assert not held.waiting

        serve(app, http("/login", headers=FORM), body(b"user=a&password=b"))

    def test_other_bodies_are_not_looked_at(self, notes):
        """JSON and uploads open no call."""

        async def app(scope, receive, send):
            notes.note()

        serve(app, http(headers=[(b"content-type", b"application/json")]), body(b'{"CallSid":"CA"}'))
        serve(app, http(headers=[*FORM, (b"content-length", b"0")]), body(b""))
        assert notes == [None, None]

    def test_the_call_outlives_the_response(self):
        """A voice webhook begins the call, and the media stream seconds later continues the same one."""

        async def app(scope, receive, send):
            await read_all(receive)

        serve(app, http(headers=FORM), body(b"CallStatus=in-progress&CallSid=" + SID.encode()))
        assert not find(SID).ended

    @pytest.mark.parametrize("status", [b"completed", b"busy", b"failed", b"no-answer", b"canceled"])
    def test_a_final_status_ends_the_call(self, notes, status):
        """A status callback that says so ends the call, once its own records are made."""

        async def app(scope, receive, send):
            await read_all(receive)
            assert not notes.note().ended

        serve(app, http("/status", headers=FORM), body(b"CallSid=" + SID.encode() + b"&CallStatus=" + status))
        assert find(SID).end_reason == status.decode()
        assert notes.ids == [SID]

    def test_a_final_status_in_the_url_ends_the_call(self):
        """The same by GET."""

        async def app(scope, receive, send):
            pass

        serve(app, http("/status", query=f"CallSid={SID}&CallStatus=completed".encode(), method="GET"))
        assert find(SID).end_reason == "completed"

    def test_the_status_of_another_call_ends_nothing(self):
        """A request named by its URL is not ended by what a form says of another call."""

        async def app(scope, receive, send):
            await read_all(receive)

        body_of_other = body(b"CallSid=" + OTHER.encode() + b"&CallStatus=completed")
        serve(app, http(f"/status/{SID}", headers=FORM), body_of_other)
        assert not find(SID).ended

    def test_exceptions_go_on_unchanged(self):
        """What the application raises is raised, the same object, and the context is as before."""
        error = RuntimeError("the application's own")

        async def app(scope, receive, send):
            await read_all(receive)
            raise error

        with pytest.raises(RuntimeError) as raised:
            serve(app, http(headers=FORM), body(b"CallSid=" + SID.encode()))
        assert raised.value is error
        assert slot.current.get() is None
        assert not find(SID).ended

    def test_two_at_once_never_mix(self):
        """Two webhooks answered in turns keep their own calls."""
        ids = {SID: [], OTHER: []}

        async def app(scope, receive, send):
            sid = (await read_all(receive)).decode().partition("=")[2]
            for _ in range(5):
                ids[sid].append(current_call().call_sid)
                await asyncio.sleep(0)

        async def both():
            peers = [Peer(body(f"CallSid={sid}".encode())) for sid in ids]
            around = CallMiddleware(app)
            await asyncio.gather(*(around(http(headers=FORM), peer.receive, peer.send) for peer in peers))

        asyncio.run(both())
        assert ids == {SID: [SID] * 5, OTHER: [OTHER] * 5}
