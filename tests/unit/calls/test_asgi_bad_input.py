"""The ASGI middleware and what no peer should send: the application is served all the same."""

from __future__ import annotations

import pytest
from asgi_peer import BROKEN, CLOSE, CONNECTED, FORM, MEDIA, SID, STOP, http, listen, serve, start, text, websocket

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import asgi
from otel_logging.calls.call import find


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
