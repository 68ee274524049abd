"""The handler thread's body, fed by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import queue

import pytest
from starlette.websockets import WebSocket

from otel_logging.demo.server import audio, jobs, media_ws_ai
from otel_logging.demo.server.scripts import SCRIPTS

HEBREW, DYING = "+97235550101", "+12065550102"
START = {"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA" + "1" * 32}}


@pytest.fixture
def posted(monkeypatch):
    """What the handler would have posted to the worker."""
    calls: list[tuple] = []
    monkeypatch.setattr(jobs, "enqueue_summary", lambda *job: calls.append(job))
    return calls


def start(dialled, caller="+972501234567"):
    return {**START, "start": {**START["start"], "customParameters": {"from": caller, "to": dialled}}}


def media(frames):
    return [{"event": "media", "media": {"payload": base64.b64encode(frame).decode()}} for frame in frames]


def run(*messages):
    inbox: queue.Queue = queue.Queue()
    for message in messages:
        inbox.put(message if isinstance(message, str) else json.dumps(message))
    inbox.put(None)
    sent: list = []
    media_ws_ai.MediaStreamHandler(inbox, sent.append).run()
    return sent


def one_turn():
    return media(audio.line_noise(80) + audio.speech(118.0, 20) + audio.line_noise(130))


def test_a_whole_turn(posted, caplog):
    """A greeting, a turn and a reply are sent as media and marks, and the stream is closed normally after stop."""
    caplog.set_level(logging.INFO)
    sent = run(start(HEBREW), *one_turn(), {"event": "stop"})
    assert sent[-1] == 1000
    events = [item["event"] for item in sent[:-1]]
    assert events.count("media") == SCRIPTS[HEBREW].greeting_frames + 110
    assert events.count("mark") == 2
    assert 'Customer: "שלום' in caplog.text
    assert "[CALL_END] duration=5s, reason=customer_hangup" in caplog.text
    assert [(job[0], len(job[2])) for job in posted] == [(456, 2)]


def test_a_dead_model_closes_the_stream(posted, caplog):
    """A lost model connection is one ERROR with its traceback, and the stream is closed as broken."""
    second = media(audio.speech(200.0, 20) + audio.line_noise(130))
    sent = run(start(DYING), *one_turn(), *second, {"event": "stop"})
    assert sent[-1] == 1011
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    assert len(errors) == 1
    assert posted


def test_malformed_messages_are_survived(posted, caplog):
    """Text that is no media stream message is a warning, and the call goes on."""
    sent = run("no json", "[]", "{}", start(HEBREW), *media(audio.line_noise(5)), {"event": "stop"})
    assert sent[-1] == 1000
    assert caplog.text.count("not a media stream message") == 3
    assert posted


def test_an_unknown_number_crashes_the_handler_and_not_the_process(posted, caplog):
    """An exception that nobody thought of is logged with its traceback and ends the stream."""
    assert run(start("+1")) == [1011]
    assert "handler crashed" in caplog.text
    assert not posted


def test_a_caller_nobody_knows_is_a_false_error(posted, caplog):
    """A first-time caller is logged as ERROR although the call is healthy: what real services do."""
    sent = run(start("+14155550103", caller="+10000000000"), {"event": "stop"})
    assert sent[-1] == 1000
    assert [record.levelname for record in caplog.records if "no CRM match" in record.getMessage()] == ["ERROR"]
    assert posted


def test_a_turn_event_for_each_answer(posted, caplog):
    """Each answered turn is told as an event: both texts, and a wait whose parts add up to it."""
    caplog.set_level(logging.INFO)
    run(start(HEBREW), *one_turn(), {"event": "stop"})
    (told,) = [vars(record) for record in caplog.records if vars(record).get("otel.event.name") == "turn"]
    assert told["turn.user_text"].startswith("שלום")
    assert told["turn.agent_text"]
    parts = told["turn.latency.endpointing_ms"] + told["turn.latency.model_ms"]
    assert parts == told["turn.latency_ms"] >= 240


def test_our_own_close_between_two_frames_is_no_error(posted):
    """When the stream was closed from our side while a frame was put away, the receive loop ends quietly."""

    async def main():
        async def receive():
            return next(messages)

        async def send(message):
            if message["type"] == "websocket.close":
                closed.set()

        messages = iter([{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": json.dumps(m)} for m in [
            start(HEBREW), {"event": "stop"}])])  # fmt: skip
        closed = asyncio.Event()
        websocket = WebSocket({"type": "websocket", "path": "/", "headers": []}, receive, send)
        real, count = websocket.receive_text, 0

        async def receive_text():
            nonlocal count
            count += 1
            if count == 3:
                await closed.wait()
            return await real()

        websocket.receive_text = receive_text
        await media_ws_ai.media_stream(websocket)
        return closed.is_set()

    assert asyncio.run(main())
