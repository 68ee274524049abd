"""The caller speaks Twilio's protocol."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
import websockets

from otel_logging.demo import caller, processes


def test_call_ids_are_of_twilios_form():
    """Fresh ids are CA and 32 hex digits, never twice the same."""
    calls = caller.choose(7)
    assert all(re.fullmatch("CA[0-9a-f]{32}", sid) for sid, _ in calls)
    assert len({sid for sid, _ in calls}) == 7
    assert calls[5][1] is caller.CALLERS[0]


async def _conversation(close_code):
    """A stream played to a server that records it, and what the caller made of it."""
    got = []
    port = processes.free_ports(1)[0]

    async def serve(connection):
        async for text in connection:
            got.append(json.loads(text))
            if got[-1]["event"] == "stop" or (close_code != 1000 and len(got) > 9):
                await connection.send(json.dumps({"event": "mark", "streamSid": "x", "mark": {"name": "m"}}))
                await connection.close(close_code)
                return

    def answer(request):
        got.append(dict(httpx.QueryParams(request.content.decode())))
        twiml = f"<Response><Connect><Stream url='ws://127.0.0.1:{port}/media'><Parameter name='to' value='+9'/>"
        return httpx.Response(200, text=twiml + "</Stream></Connect></Response>")

    who = caller.Caller("x", "+1", "+9", 120.0, (("listen", 5), ("speak", 15)))
    sid = caller.new_call_sid()
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://x")
    async with websockets.serve(serve, "127.0.0.1", port), client:
        played = await caller._play(caller._Line(client, caller.Webhooks(), 1000.0, lambda _frames: None), sid, who)
    return sid, got, played


class TestStream:
    def test_a_whole_call(self):
        """Webhook, connected, start with the TwiML's parameters, every frame, stop, status callback, in this order."""
        sid, got, played = asyncio.run(_conversation(1000))
        assert (got[0]["CallSid"], got[0]["CallStatus"]) == (sid, "ringing")
        assert [message["event"] for message in got[1:-1]] == ["connected", "start", *["media"] * 20, "stop"]
        assert got[2]["start"]["callSid"] == sid
        assert got[2]["start"]["customParameters"] == {"to": "+9"}
        assert got[-1]["CallStatus"] == "completed"
        assert (played.outcome, played.sent) == ("completed", 20)

    def test_a_broken_stream_is_a_failed_call(self):
        """A service that hangs up with an error code makes the call's outcome `failed`; the callback still comes."""
        _, got, played = asyncio.run(_conversation(1011))
        assert played.outcome == "failed"
        assert got[-1]["CallStatus"] == "completed"


def test_an_unreachable_service_is_one_error():
    """Whatever goes wrong on the way to the service arrives as CallFailedError."""
    url = f"http://127.0.0.1:{processes.free_ports(1)[0]}"
    with pytest.raises(caller.CallFailedError, match="could not be played"):
        asyncio.run(caller.play_all(url, caller.choose(1), 100.0, lambda _frames: None))
