"""The ASGI middleware, driven by hand-made scopes and messages, and by FastAPI and Starlette in process."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Annotated

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Form
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import asgi, registry, waiting
from otel_logging.calls import request as requests
from otel_logging.calls.asgi import CallMiddleware
from otel_logging.calls.call import call, current_call, find

SID = "CA" + "a1" * 16
Text = Annotated[str, Form()]
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


@pytest.fixture
def notes():
    return Notes()


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


class TestStream:
    def serve(self, messages, *, scope=None, app=None):
        return serve(app or listen, scope or websocket(), [{"type": "websocket.connect"}, *messages])

    def test_sibling_tasks_learn_the_name(self, notes):
        """Tasks and threads that began before `start` know the call from then on."""

        async def app(scope, receive, send):
            named = asyncio.Event()

            async def sender():
                notes.note()
                await named.wait()
                notes.note()

            task = asyncio.create_task(sender())
            heard = threading.Event()
            carried = slot.current.get()

            def handler():
                slot.current.set(carried)
                heard.wait()
                notes.note()

            thread = threading.Thread(target=handler)
            thread.start()
            for _ in range(3):
                await receive()
            heard.set()
            named.set()
            await task
            thread.join()
            await receive()

        self.serve([CONNECTED, start(), CLOSE], app=app)
        assert notes.ids == [SID] * 3

    def test_stop_ends_the_call_after_the_handler(self, notes):
        """A stream that stopped ended properly, and the handler's last words still belong to the open call."""

        async def app(scope, receive, send):
            for _ in range(5):
                await receive()
            assert not notes.note().ended

        self.serve([CONNECTED, start(), MEDIA, STOP], app=app)
        assert notes.ids == [SID]
        assert find(SID).end_reason == "stop"

    @pytest.mark.parametrize("close", [CLOSE, BROKEN])
    def test_closing_without_stop(self, close):
        """A stream that closes without `stop` did not end properly, and the call says so."""
        self.serve([CONNECTED, start(), MEDIA, close])
        assert find(SID).end_reason == "closed_without_stop"

    def test_the_application_hangs_up(self):
        """A handler that returns while the stream goes on has closed it on purpose."""

        async def app(scope, receive, send):
            for _ in range(3):
                await receive()

        self.serve([CONNECTED, start()], app=app)
        assert find(SID).end_reason == "closed"

    def test_an_exception_leaves_the_handler(self):
        """It goes on unchanged, and the call ended by it."""

        async def app(scope, receive, send):
            for _ in range(3):
                await receive()
            raise KeyError("agent")

        with pytest.raises(KeyError, match="agent"):
            self.serve([CONNECTED, start()], app=app)
        assert find(SID).end_reason == "error"

    def test_starlettes_disconnect_is_no_error(self):
        """Starlette tells a handler by an exception that the caller is gone: that is a close without stop."""

        async def app(scope, receive, send):
            for _ in range(3):
                await receive()
            raise WebSocketDisconnect(1006)

        with pytest.raises(WebSocketDisconnect):
            self.serve([CONNECTED, start()], app=app)
        assert find(SID).end_reason == "closed_without_stop"

    def test_a_cancelled_handler(self):
        """A handler that is cancelled in mid-call ends it as cancelled."""

        async def run():
            listening = asyncio.Event()

            async def app(scope, receive, send):
                for _ in range(2):
                    await receive()
                listening.set()
                await asyncio.Event().wait()

            peer = Peer([CONNECTED, start()])
            task = asyncio.create_task(CallMiddleware(app)(websocket(), peer.receive, peer.send))
            await listening.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(run())
        assert find(SID).end_reason == "cancelled"

    def test_custom_parameter_names_the_call(self, notes):
        """`start.customParameters.call_sid` names the call where `callSid` is missing."""

        async def app(scope, receive, send):
            notes.note()
            await receive()
            await receive()

        self.serve([text({"event": "start", "start": {"customParameters": {"call_sid": "crm-7"}}})], app=app)
        assert notes.ids == ["crm-7"]

    def test_a_stream_named_by_its_url_keeps_that_name(self, notes):
        """The URL came first: `start` does not rename the call, and its end is the stream's."""

        async def app(scope, receive, send):
            notes.note()
            while (await receive())["type"] != "websocket.disconnect":
                pass

        self.serve([CONNECTED, start(OTHER), STOP, CLOSE], scope=websocket(f"/media/{SID}"), app=app)
        assert notes.ids == [SID]
        assert find(SID).end_reason == "stop"
        assert find(OTHER) is None

    def test_a_page_that_watches_the_call_does_not_end_it(self):
        """A dashboard's websocket that names the call in its URL comes and goes while the call goes on."""
        with call(SID) as held:
            self.serve([text({"subscribe": "levels"}), CLOSE], scope=websocket(f"/live/{SID}"))
            assert not held.ended

    def test_binary_messages_pass(self):
        """Frames of bytes are nothing to us."""
        peer = self.serve([{"type": "websocket.receive", "bytes": b"\x00\x01", "text": None}, CLOSE])
        assert peer.taken == 3
        assert trouble.counts() == {}

    def test_lines_before_start_take_the_name(self):
        """What a handler logs between accept and `start` waits and is delivered with the call's id."""
        delivered = []

        async def app(scope, receive, send):
            await receive()
            slot.current.get().hold(lambda named: delivered.append(named.call_sid), 10)
            await receive()
            assert delivered == []
            await receive()
            assert delivered == [SID]

        self.serve([CONNECTED, start()], app=app)

    def test_two_streams_at_once_never_mix(self):
        """Two media streams served in turns by one loop keep their own calls."""
        seen = {"/media/1": [], "/media/2": []}

        async def app(scope, receive, send):
            while (await receive())["type"] != "websocket.disconnect":
                await asyncio.sleep(0)
                seen[scope["path"]].append(current_call().call_sid)

        async def both():
            around = CallMiddleware(app)
            peers = [Peer([CONNECTED, start(sid), MEDIA, MEDIA, STOP, CLOSE]) for sid in (SID, OTHER)]
            await asyncio.gather(
                *(around(websocket(path), peer.receive, peer.send) for path, peer in zip(seen, peers, strict=True))
            )

        asyncio.run(both())
        assert seen == {"/media/1": [None, *[SID] * 4], "/media/2": [None, *[OTHER] * 4]}


class TestBadInput:
    @pytest.mark.parametrize("bad", ["no json", '{"event":"media",', "\x00", "[[[[", '{"event":"stop"'])
    def test_malformed_frames(self, capsys, notes, bad):
        """The service goes on and keeps its call; one line says what happened, stats() counts each frame."""

        async def app(scope, receive, send):
            while (await receive())["type"] != "websocket.disconnect":
                notes.note()

        serve(app, websocket(), [CONNECTED, start(), text(bad), text(bad), MEDIA, STOP, CLOSE])
        assert set(notes.ids) == {SID}
        assert find(SID).end_reason == "stop"
        assert trouble.counts() == {"malformed_message": 2}
        (line,) = capsys.readouterr().err.splitlines()
        assert "/media" in line
        assert "no JSON" in line

    def test_start_without_call_sid(self, capsys):
        """One line, counted, and the stream is served without a call id."""
        delivered = []

        async def app(scope, receive, send):
            slot.current.get().hold(lambda named: delivered.append(named.call_sid), 10)
            while (await receive())["type"] != "websocket.disconnect":
                pass

        serve(
            app, websocket(), [CONNECTED, text({"event": "start", "start": {"streamSid": "MZ1"}}), MEDIA, STOP, CLOSE]
        )
        assert delivered == [None]
        counts = trouble.counts()
        assert counts == {"start_without_call_sid": 1}
        assert len(capsys.readouterr().err.splitlines()) == 1

    @pytest.mark.parametrize("bad", ["CA\x1b[2J", "a\nb", "x" * 10_240, "972501234567@s.whatsapp.net", ""])
    def test_a_call_id_that_is_none(self, capsys, bad):
        """Control characters, 10 KB, a jid, nothing: refused with one clean line, counted, the stream is served."""
        peer = serve(listen, websocket(), [CONNECTED, start(bad), MEDIA, STOP, CLOSE])
        assert peer.taken == 5
        assert sum(trouble.counts().values()) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.isprintable()
        assert len(line) < 400

    @pytest.mark.parametrize(
        "messages",
        [[], [CLOSE], [BROKEN], [CONNECTED, CLOSE], [CONNECTED, BROKEN]],
        ids=["returned", "closed", "broken", "connected-closed", "connected-broken"],
    )
    def test_a_websocket_that_dies_before_start(self, capsys, messages):
        """Its records are delivered without a call id, one line says so, and it is counted."""
        delivered = []

        async def app(scope, receive, send):
            slot.current.get().hold(lambda named: delivered.append(named.call_sid), 10)
            for _ in messages:
                await receive()

        serve(app, websocket("/media"), messages)
        assert delivered == [None]
        assert trouble.counts() == {"stream_died_before_start": 1}
        (line,) = capsys.readouterr().err.splitlines()
        assert "/media" in line

    def test_another_kind_of_websocket_is_nobodys_trouble(self, capsys):
        """A chat that closes is no stream that died."""
        serve(listen, websocket("/chat"), [text("hello"), text({"type": "ping"}), CLOSE])
        assert trouble.counts() == {}
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("scope", [http(headers=FORM), websocket()])
    def test_a_failure_of_ours_is_not_the_applications(self, monkeypatch, capsys, scope):
        """If the middleware itself fails, the application is served once, as if it were not there."""
        calls = []

        async def app(scope, receive, send):
            calls.append(await receive())

        def broken(*args, **kwargs):
            raise RuntimeError("ours")

        monkeypatch.setattr(asgi, "open_call", broken)
        monkeypatch.setattr(asgi.requests, "open_call", broken)
        serve(app, scope, [{"type": "x"}])
        assert calls == [{"type": "x"}]
        assert trouble.counts() == {"carrier_failed": 1}
        assert "served without its call" in capsys.readouterr().err

    def test_a_failure_while_watching_is_not_the_applications(self, monkeypatch):
        """A message that we fail on reaches the application all the same."""
        monkeypatch.setattr(asgi.twilio.StreamWatcher, "feed", lambda *_: 1 / 0)
        peer = serve(listen, websocket(), [CONNECTED, MEDIA, CLOSE])
        assert peer.taken == 3
        assert trouble.counts()["carrier_failed"] == 2

    def test_odd_scopes(self):
        """A scope without what the specification demands, and an unknown type, are the application's business."""
        calls = []

        async def app(scope, receive, send):
            calls.append(scope)

        for scope in ({"type": "http"}, {"type": "websocket", "path": "/"}, {"type": "lifespan"}, {"type": "new"}, {}):
            serve(app, dict(scope))
        assert len(calls) == 5


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
