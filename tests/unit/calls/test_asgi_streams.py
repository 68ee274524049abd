"""The ASGI middleware and media streams: named by `start`, ended by how they close."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgi_peer import BROKEN, CLOSE, CONNECTED, MEDIA, OTHER, SID, STOP, Peer, listen, serve, start, text, websocket
from starlette.websockets import WebSocketDisconnect

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls.asgi import CallMiddleware
from otel_logging.calls.call import call, current_call, find


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
