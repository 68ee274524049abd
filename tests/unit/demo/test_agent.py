"""The scripted agent behaves as a speech model does, by the frame."""

from __future__ import annotations

import pytest

from otel_logging.demo.server.agent import LOUD, ModelConnectionLostError, ScriptedModel
from otel_logging.demo.server.scripts import Script, Tool, Turn

QUIET, VOICE = 10.0, LOUD * 2


def script(*turns):
    return Script(1, "Test", "en", "Hello", tuple(turns), greeting_frames=3)


def feed(model, loudness, count):
    return [event for _ in range(count) for event in model.feed(loudness)]


def kinds(events):
    return [event["type"] for event in events]


def test_greets_first_for_as_many_frames_as_the_script_says():
    """The greeting is spoken without being asked, one frame out for one frame in, and then it is done."""
    model = ScriptedModel(script())
    assert kinds(model.greet()) == ["response.created"]
    events = feed(model, QUIET, 10)
    assert kinds(events) == ["response.audio.delta"] * 3 + ["response.done"]
    assert events[-1]["status"] == "completed"


def test_answers_after_a_pause():
    """A turn is answered once the caller has paused: transcript, tool, response, in this order."""
    model = ScriptedModel(script(Turn("hi", "hello", frames=2, tool=Tool("look", "x", "found"))))
    assert kinds(feed(model, VOICE, 20)) == ["input_audio_buffer.speech_started"]
    events = feed(model, QUIET, 30)
    assert kinds(events)[:4] == [
        "input_audio_buffer.speech_stopped",
        "conversation.item.input_audio_transcription.completed",
        "response.function_call_arguments.done",
        "response.created",
    ]
    assert events[-1]["transcript"] == "hello"


def test_a_click_is_no_speech():
    """One loud frame does not start a turn."""
    model = ScriptedModel(script(Turn("hi", "hello")))
    assert feed(model, VOICE, 1) + feed(model, QUIET, 50) == []


def test_barge_in_stops_the_reply_once():
    """Speech during a reply cancels it, with one event, and no more audio follows."""
    model = ScriptedModel(script(Turn("hi", "a long reply", frames=100)))
    feed(model, VOICE, 10)
    feed(model, QUIET, 20)
    events = feed(model, VOICE, 30)
    assert kinds(events) == ["response.audio.delta"] * 3 + ["input_audio_buffer.speech_started", "response.done"]
    assert events[-2]["interrupts"]
    assert events[-1]["status"] == "cancelled"


def test_the_connection_breaks_where_the_script_says():
    """A script that says so loses its model, with the reset as the cause."""
    model = ScriptedModel(script(Turn("hi", "hello", frames=50, dies_at=30)))
    feed(model, VOICE, 10)
    with pytest.raises(ModelConnectionLostError) as caught:
        feed(model, QUIET, 60)
    assert isinstance(caught.value.__cause__, ConnectionResetError)
