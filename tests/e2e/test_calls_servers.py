"""Real servers, real websockets and webhooks: every record carries its call, wherever in the process it was made.

Each server process serves two calls at once, a media stream and a webhook for each; the tests look at what it exported.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ASGI = {
    "uvicorn-fastapi": ["uvicorn", "voice:fastapi_app", "--port", "PORT"],
    "uvicorn-starlette": ["uvicorn", "voice:starlette_app", "--port", "PORT"],
    "uvicorn-workers": ["uvicorn", "voice:starlette_app", "--port", "PORT", "--workers", "2"],
    "hypercorn-starlette": ["hypercorn", "voice:starlette_app", "--bind", "127.0.0.1:PORT"],
    "gunicorn-asgi": ["gunicorn", "voice:starlette_app", "-k", "asgi", "-b", "127.0.0.1:PORT"],
    "gunicorn-uvicorn": ["gunicorn", "voice:fastapi_app", "-k", "uvicorn_worker.UvicornWorker", "-b", "127.0.0.1:PORT"],
}
WSGI = {
    "gunicorn": ["gunicorn", "voice:flask_app", "-b", "127.0.0.1:PORT", "-w", "2"],
    "gunicorn-threads": ["gunicorn", "voice:flask_app", "-b", "127.0.0.1:PORT", "--threads", "2"],
    "hypercorn-flask": ["hypercorn", "voice:flask_app", "--bind", "127.0.0.1:PORT"],
    "flask-run": ["flask", "--app", "voice:flask_app", "run", "--port", "PORT"],
    "uvicorn-wsgi": ["uvicorn", "voice:flask_app", "--port", "PORT", "--interface", "wsgi"],
}
FORM = {"From": "+972501234567", "To": "+97231234567", "CallStatus": "ringing"}

EVERYWHERE = {
    "handler",
    "printed",
    "child task",
    "to_thread",
    "run_in_executor",
    "run_in_executor of a pool",
    "ThreadPoolExecutor",
    "Thread",
    "Timer",
    "long-lived consumer",
}
STREAM = EVERYWHERE | {
    "accepted",
    "printed before start",
    "sibling before the name",
    "sibling after the name",
    "handler thread begins",
    "🎧 handler thread got 1",
    "🎧 handler thread got 2",
    "handler thread ends",
    "stopped",
    "handler ends",
}
WEBHOOK = EVERYWHERE | {"webhook", "webhook read, from +972501234567", "tool"}
FLASK = {
    "flask webhook",
    "flask webhook read, from +972501234567",
    "flask printed",
    "flask ThreadPoolExecutor",
    "flask Thread",
    "flask streams",
}


def new_sid():
    return f"CA{uuid.uuid4().hex}"


def post(port, path, tag, call_sid):
    data = urllib.parse.urlencode({**FORM, "CallSid": call_sid}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}?tag={tag}", data, timeout=30) as answer:
        assert answer.status == 200
        answer.read()


def say(ws, event, **more):
    ws.send(json.dumps({"event": event, "streamSid": "MZ1", **more}))


def stream(port, tag, call_sid, together=None, path="/media"):
    """One call's media stream; `together` keeps several in step."""
    step = together.wait if together is not None else lambda *_: None
    with connect(f"ws://127.0.0.1:{port}{path}?tag={tag}") as ws:
        step()
        say(ws, "connected", protocol="Call", version="1.0.0")
        step()
        say(ws, "start", start={"callSid": call_sid, "streamSid": "MZ1", "customParameters": {}})
        for payload in "12":
            step()
            say(ws, "media", media={"payload": payload})
        say(ws, "stop", stop={"callSid": call_sid})
        until_closed(ws)


def until_closed(ws):
    """Listen until the other side has hung up, politely or not."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            ws.recv(30)


def by_tag(process):
    """What was exported, by tag: the line, its call and its trace."""
    found = {}
    for record in process.records():
        match = re.fullmatch(r"\[(\S+)\] (.*)", record["body"])
        if match:
            about = (match[2], record["attributes"].get("call_sid"), record["trace_id"])
            found.setdefault(match[1], []).append(about)
    return found


def traces_of(process, call_sid):
    """The traces other than the call's own in which a span carries the call's id: a server's own spans."""
    return {span["trace_id"] for span in process.spans() if span["attributes"].get("call_sid") == call_sid} - {
        call_sid[2:]
    }


def check(lines, expected, call_sid, traces=frozenset()):
    """Each line once, each with its call, and with the trace that the call's id is or with one that was stamped."""
    assert sorted(line for line, _, _ in lines) == sorted(expected)
    assert {(line, sid) for line, sid, _ in lines if sid != call_sid} == set()
    assert {trace for _, _, trace in lines} <= {call_sid[2:], *traces}


@pytest.fixture(scope="module", params=ASGI)
def asgi(request, serve, apps):
    """A server that has served two streams and two webhooks at once, and has ended."""
    process = serve(ASGI[request.param], env={"LOG_CAPTURE_PRINT": "1"}, cwd=apps)
    sids = {tag: new_sid() for tag in ("stream-1", "stream-2", "webhook-1", "webhook-2", "flask-1", "flask-2")}
    together = Barrier(2)
    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(stream, process.port, tag, sids[tag], together) for tag in ("stream-1", "stream-2")]
        work += [pool.submit(post, process.port, "/voice", tag, sids[tag]) for tag in ("webhook-1", "webhook-2")]
        if "starlette" in request.param:
            work += [pool.submit(post, process.port, "/flask/voice", tag, sids[tag]) for tag in ("flask-1", "flask-2")]
        for one in work:
            one.result()
    process.stop()
    process.lines, process.sids = by_tag(process), sids
    return process


class TestAsgi:
    def test_media_stream(self, asgi):
        """Tasks, threads, timers, pools and queues of two streams at once: each line has its own call, none another."""
        for tag in ("stream-1", "stream-2"):
            check(asgi.lines[tag], STREAM, asgi.sids[tag], traces_of(asgi, asgi.sids[tag]))

    def test_webhook(self, asgi):
        """The same for webhooks, lines before the form was read included; baggage takes the call to the next service."""
        for tag in ("webhook-1", "webhook-2"):
            check(asgi.lines[tag], WEBHOOK, asgi.sids[tag], traces_of(asgi, asgi.sids[tag]))

    def test_flask_mounted(self, asgi):
        """And for Flask mounted in Starlette."""
        for tag in ("flask-1", "flask-2"):
            if tag in asgi.lines:
                check(asgi.lines[tag], FLASK, asgi.sids[tag])

    def test_call_spans(self, asgi):
        """Each process that served a call exports one `call` span in its trace, ended by the stream's stop."""
        own = [span for span in asgi.spans() if span["name"] == "call"]
        for tag in ("stream-1", "stream-2"):
            (span,) = [span for span in own if span["trace_id"] == asgi.sids[tag][2:]]
            assert span["attributes"]["call_sid"] == asgi.sids[tag]
            assert "stop" in span["attributes"].values()

    def test_nothing_else_has_a_call(self, asgi):
        """The server's own lines and other requests belong to no call."""
        others = [record for record in asgi.records() if not record["body"].startswith(("[", "Call summary"))]
        assert [record for record in others if "call_sid" in record["attributes"]] == []


@pytest.mark.parametrize("server", WSGI)
def test_flask(serve, apps, server):
    """Flask under any server: two webhooks at once, threads, pools, prints and streamed responses."""
    process = serve(WSGI[server], env={"LOG_CAPTURE_PRINT": "1"}, cwd=apps)
    sids = {tag: new_sid() for tag in ("flask-1", "flask-2")}
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(post, process.port, "/voice", tag, sid) for tag, sid in sids.items()]:
            one.result()
    request = urllib.request.Request(f"http://127.0.0.1:{process.port}/tool?tag=tool")
    request.add_header("baggage", f"tenant=7,call_sid={sids['flask-1']}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.read() == b"ok"
    process.stop()
    lines = by_tag(process)
    for tag, sid in sids.items():
        check(lines[tag], FLASK, sid)
    check(lines["tool"], {"flask tool"}, sids["flask-1"])


@pytest.mark.parametrize("server", ["uvicorn-fastapi", "uvicorn-starlette", "hypercorn-starlette"])
def test_what_a_server_says_of_a_crash(serve, apps, server):
    """The traceback of a request or stream that failed is logged by the server, and belongs to the call."""
    process = serve(ASGI[server], env={"LOG_CAPTURE_PRINT": "1"}, cwd=apps)
    sids = {tag: new_sid() for tag in ("crash-stream", "crash-webhook", "after")}
    stream(process.port, "crash-stream", sids["crash-stream"])
    with pytest.raises(urllib.error.HTTPError):
        post(process.port, "/voice", "crash-webhook", sids["crash-webhook"])
    stream(process.port, "after", sids["after"])
    process.stop()
    said = [one["attributes"] for one in process.records() if one["logger"] in {"uvicorn.error", "hypercorn.error"}]
    for tag in ("crash-stream", "crash-webhook"):
        (crash,) = [about for about in said if f"[{tag}]" in str(about.get("exception.message"))]
        assert crash["call_sid"] == sids[tag]
    check(by_tag(process)["after"], STREAM, sids["after"], traces_of(process, sids["after"]))


def test_an_application_unaware_of_us(serve, apps):
    """A tutorial's `print` and `logging` become records with the right call for five calls at once, from first to last."""
    process = serve(["uvicorn", "sample:app", "--port", "PORT"], env={"LOG_CAPTURE_PRINT": "1"}, cwd=apps)
    sids = {f"call-{number}": new_sid() for number in range(5)}
    together = Barrier(5)

    def dial(tag):
        post(process.port, "/incoming-call", tag, sids[tag])
        stream(process.port, tag, sids[tag], together, f"/media-stream/{tag}")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(dial, sids))
    process.stop()
    lines = by_tag(process)
    expected = {
        "incoming call",
        "call from +972501234567",
        "client connected",
        "stream accepted",
        "incoming stream has started MZ1",
        "stream stopped after 2 frames",
        "goodbye",
    }
    for tag, sid in sids.items():
        check(lines[tag], expected, sid, traces_of(process, sid))


class TestBadInput:
    """Whatever a carrier or an intruder sends: the service goes on, one clear line says what happened, stats() counts."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, serve, apps):
        return serve(["uvicorn", "voice:starlette_app", "--port", "PORT"], env={"LOG_CAPTURE_PRINT": "1"}, cwd=apps)

    def incidents(self, server):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/stats", timeout=30) as answer:
            return json.load(answer)["incidents"]

    def counted(self, server, kind, number):
        """Wait until `kind` was counted `number` times, and find its one line."""
        server.until(lambda: self.incidents(server).get(kind, 0) == number, f"{number} of {kind}")
        return [line for line in server.err.splitlines() if line.startswith("otel-logging:")]

    def test_malformed_frames(self, server):
        """A stream with broken frames in it keeps its call to the end."""
        sid = new_sid()
        with connect(f"ws://127.0.0.1:{server.port}/media?tag=broken") as ws:
            ws.send("no json at all")
            say(ws, "connected")
            ws.send('{"event":"media","media":{')
            say(ws, "start", start={"callSid": sid})
            ws.send("\x00\x01")
            say(ws, "media", media={"payload": "1"})
            say(ws, "media", media={"payload": "2"})
            say(ws, "stop")
            until_closed(ws)
        said = self.counted(server, "malformed_message", 3)
        assert sum("no JSON" in line for line in said) == 1
        server.until(lambda: len(by_tag(server).get("broken", [])) == len(STREAM), "records")
        check(by_tag(server)["broken"], STREAM, sid)

    def test_start_without_call_sid(self, server):
        """The stream is served, its records arrive without a call."""
        with connect(f"ws://127.0.0.1:{server.port}/media?tag=nameless") as ws:
            say(ws, "start", start={"streamSid": "MZ1"})
            say(ws, "media", media={"payload": "1"})
            say(ws, "media", media={"payload": "2"})
            say(ws, "stop")
            until_closed(ws)
        said = self.counted(server, "start_without_call_sid", 1)
        assert sum("without a callSid" in line for line in said) == 1
        server.until(lambda: len(by_tag(server).get("nameless", [])) == len(STREAM), "records")
        assert {sid for _, sid, _ in by_tag(server)["nameless"]} == {None}

    def test_call_ids_that_are_none(self, server):
        """Control characters, 10 KB and a jid are refused with one clean line, wherever they come from."""
        bad = ["CA\x1b[2J\n", "x" * 10_240, "972501234567@s.whatsapp.net"]
        for number, call_sid in enumerate(bad):
            post(server.port, "/voice", f"bad-form-{number}", call_sid)
            stream(server.port, f"bad-start-{number}", call_sid)
            query = urllib.parse.urlencode({"call_sid": call_sid, "tag": f"bad-url-{number}"})
            assert server.get(f"/tool?{query}") == 200
        said = self.counted(server, "call_id_rejected", 9)
        refused = [line for line in said if "is refused" in line]
        assert len(refused) == 1
        assert refused[0].isprintable()
        assert len(refused[0]) < 500
        server.until(lambda: len([tag for tag in by_tag(server) if tag.startswith("bad-")]) == 9, "records")
        assert {sid for tag, lines in by_tag(server).items() if tag.startswith("bad-") for _, sid, _ in lines} == {None}

    def test_a_websocket_that_dies_before_start(self, server):
        """What it had logged arrives without a call."""
        for number in range(2):
            with connect(f"ws://127.0.0.1:{server.port}/media?tag=dead-{number}") as ws:
                if number:
                    say(ws, "connected")
                ws.socket.shutdown(socket.SHUT_RDWR)
        said = self.counted(server, "stream_died_before_start", 2)
        assert sum("before a start message" in line for line in said) == 1
        for number in range(2):
            server.until(lambda tag=f"dead-{number}": len(by_tag(server).get(tag, [])) >= 8, "records")
            lines = by_tag(server)[f"dead-{number}"]
            assert {"accepted", "printed before start", "caller is gone"} <= {line for line, _, _ in lines}
            assert {sid for _, sid, _ in lines} == {None}

    def test_the_service_goes_on(self, server):
        """After all of that, the next call is served and followed as ever."""
        sid = new_sid()
        stream(server.port, "after", sid)
        server.until(lambda: len(by_tag(server).get("after", [])) == len(STREAM), "records")
        check(by_tag(server)["after"], STREAM, sid)
