"""Reading what Twilio says: URLs, webhook forms, Media Streams messages."""

from __future__ import annotations

import json

import pytest

from otel_logging.calls import twilio
from otel_logging.calls.twilio import FormWatcher, Named, StreamEvent, StreamWatcher

SID = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "f" * 32
MEDIA = json.dumps({"event": "media", "sequenceNumber": "4", "media": {"payload": "/v7+" * 40}, "streamSid": "MZ1"})


def start_message(**start):
    return json.dumps({"event": "start", "sequenceNumber": "1", "start": {"streamSid": "MZ1", **start}})


class TestUrl:
    @pytest.mark.parametrize(
        ("path", "query", "expected"),
        [
            (f"/media/{SID}", "", SID),
            (f"/2010-04-01/Accounts/AC{'0' * 32}/Calls/{SID}/Recordings", "", SID),
            ("/ws", f"call_sid={SID}", SID),
            ("/ws", "a=1&CallSid=wa-7%3A1", "wa-7:1"),
            ("/ws", "callSid=x.1", "x.1"),
            ("/ws", "call-sid=x.1", "x.1"),
            ("/ws", f"sid={SID}", SID),
            (f"/calls/{OTHER}", f"call_sid={SID}", SID),
            ("/ws", f"ParentCallSid={SID}", None),
            ("/ws", f"parent_call_sid={SID}", None),
            ("/ws", "call_sid=", None),
            ("/ws", "call_sid", None),
            (f"/media/{SID}0", "", None),
            ("/CAtalog", "page=2", None),
            ("", "", None),
        ],
    )
    def test_finds_the_call(self, path, query, expected):
        """A named parameter wins over what looks like a CallSid, and a parent's id is not taken."""
        assert twilio.from_url(path, query) == Named(expected)

    def test_says_that_a_call_is_over(self):
        """A status callback by GET ends the call as one by POST does."""
        assert twilio.from_url("/status", f"CallSid={SID}&CallStatus=no-answer") == Named(SID, "no-answer")
        assert twilio.from_url("/status", f"CallSid={SID}&CallStatus=ringing") == Named(SID, "ringing")

    def test_ten_kilobytes_are_handed_on_to_be_judged(self):
        """An absurd id is not swallowed here: `Call.name` refuses and counts it."""
        assert twilio.from_url("/", "call_sid=" + "x" * 10_240).call_sid == "x" * 10_240


class TestForm:
    BODY = f"AccountSid=AC{'0' * 32}&ParentCallSid={OTHER}&CallSid={SID}&From=%2B97250&CallStatus=completed".encode()

    def test_whole_body_at_once(self):
        """`CallSid` and `CallStatus` are found, `ParentCallSid` is not mistaken for them."""
        watcher = FormWatcher()
        watcher.feed(self.BODY, last=True)
        assert (watcher.call_sid, watcher.status, watcher.done) == (SID, "completed", True)

    @pytest.mark.parametrize("size", [1, 2, 7, 50])
    def test_any_pieces_give_the_same(self, size):
        """However the body is cut on its way, the same id comes out."""
        watcher = FormWatcher(len(self.BODY))
        for at in range(0, len(self.BODY), size):
            watcher.feed(self.BODY[at : at + size])
        assert (watcher.call_sid, watcher.status, watcher.done) == (SID, "completed", True)

    def test_known_as_soon_as_its_pair_is_complete(self):
        """The id is known before the body has ended, but never from half a value."""
        watcher = FormWatcher()
        watcher.feed(b"CallSid=" + SID[:20].encode())
        assert watcher.call_sid is None
        watcher.feed(SID[20:].encode())
        assert watcher.call_sid is None
        watcher.feed(b"&To=1")
        assert watcher.call_sid == SID
        assert not watcher.done

    def test_last_field_needs_the_end_of_the_body(self):
        """Where the last field ends is told by the announced length or by `last`."""
        body = f"To=1&CallSid={SID}".encode()
        for watcher, last in ((FormWatcher(len(body)), False), (FormWatcher(), True)):
            watcher.feed(body, last=last)
            assert watcher.call_sid == SID

    def test_stops_at_64_kib(self):
        """At most 64 KiB are looked at; a pair beyond, or torn by the limit, counts for nothing."""
        filler = b"x" * (twilio.BODY_LIMIT - 20)
        watcher = FormWatcher()
        watcher.feed(b"a=" + filler)
        watcher.feed(b"&CallSid=" + SID.encode() + b"&b=1", last=True)
        assert watcher.call_sid is None
        assert watcher.done
        early = FormWatcher()
        early.feed(b"CallSid=" + SID.encode() + b"&a=" + filler + filler)
        assert early.call_sid == SID
        assert early.done

    def test_values_are_decoded(self):
        """Percent and plus encoding are undone, invalid UTF-8 does not raise."""
        watcher = FormWatcher()
        watcher.feed(b"CallSid=wa%3A1&CallStatus=no%2Danswer&x=%ff%fe\xff", last=True)
        assert (watcher.call_sid, watcher.status) == ("wa:1", "no-answer")

    def test_after_done_nothing_is_kept(self):
        """A finished watcher ignores what follows."""
        watcher = FormWatcher()
        watcher.feed(b"a=1", last=True)
        watcher.feed(b"&CallSid=" + SID.encode() + b"&", last=True)
        assert watcher.call_sid is None

    @pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
    def test_final_statuses(self, status):
        """Five statuses say that the call is over."""
        assert twilio.is_over(status)

    @pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress", "", None])
    def test_statuses_of_a_call_that_goes_on(self, status):
        """All others do not."""
        assert not twilio.is_over(status)


class TestStream:
    def test_a_whole_stream(self):
        """connected, start, media, stop: the call is named once and ends properly."""
        watcher = StreamWatcher()
        assert watcher.feed('{"event":"connected","protocol":"Call","version":"1.0.0"}') == StreamEvent("connected")
        assert watcher.feed(start_message(callSid=SID)) == StreamEvent("start", SID)
        assert watcher.feed(MEDIA) is None
        assert watcher.feed('{"event":"stop","sequenceNumber":"9","stop":{"callSid":"x"}}') == StreamEvent("stop")
        assert watcher.started
        assert watcher.stopped

    @pytest.mark.parametrize(
        "text",
        [
            json.dumps({"event": "start", "start": {"callSid": SID}}, indent=2),
            json.dumps({"start": {"callSid": SID}, "event": "start"}, separators=(",", ":")),
            " " + start_message(callSid=SID) + "\n",
        ],
    )
    def test_layout_and_key_order_do_not_matter(self, text):
        """`start` is recognised with any spacing and any order of keys."""
        assert StreamWatcher().feed(text) == StreamEvent("start", SID)

    def test_custom_parameter_is_the_fallback(self):
        """`customParameters.call_sid` names the call only where `callSid` does not."""
        assert StreamWatcher().feed(start_message(customParameters={"call_sid": "x-1"})) == StreamEvent("start", "x-1")
        both = start_message(callSid=SID, customParameters={"call_sid": "x-1"})
        assert StreamWatcher().feed(both) == StreamEvent("start", SID)

    @pytest.mark.parametrize(
        "text",
        [
            start_message(),
            '{"event":"start"}',
            '{"event":"start","start":7}',
            start_message(callSid=7),
            start_message(callSid=""),
            start_message(customParameters=[1]),
        ],
    )
    def test_start_without_a_call(self, text):
        """A start that names no call is told apart, and a later one may still name it."""
        watcher = StreamWatcher()
        assert watcher.feed(text) == StreamEvent("nameless")
        assert watcher.feed(start_message(callSid=SID)) == StreamEvent("start", SID)

    def test_media_frames_are_not_parsed(self, monkeypatch):
        """Fifty frames a second must not be parsed, before the start or after it."""
        watcher = StreamWatcher()
        with monkeypatch.context() as patched:
            patched.setattr(twilio.json, "loads", None)
            assert watcher.feed(MEDIA) is None
        watcher.feed(start_message(callSid=SID))
        monkeypatch.setattr(twilio.json, "loads", None)
        assert watcher.feed(MEDIA) is None

    def test_huge_messages_are_not_parsed(self):
        """A message over 64 KiB is left alone."""
        text = start_message(callSid=SID, filler="x" * twilio.MESSAGE_LIMIT)
        assert StreamWatcher().feed(text) is None

    @pytest.mark.parametrize(
        "text", ["", "no json", '{"event":"media","media":{', "[1,2", '{"stop" broken}', "\x00\xff"]
    )
    def test_broken_messages_after_the_start_are_malformed(self, text):
        """On a media stream whatever is no JSON object is malformed, and the stream goes on."""
        watcher = StreamWatcher()
        watcher.feed(start_message(callSid=SID))
        assert watcher.feed(text) == StreamEvent("malformed", None, 1)
        assert watcher.feed('{"event":"stop"}') == StreamEvent("stop")

    def test_broken_messages_before_the_start_are_told_with_it(self):
        """As long as nobody knows that this is a media stream, plain text is nobody's mistake."""
        watcher = StreamWatcher()
        assert watcher.feed("hello") is None
        assert watcher.feed("hello again") is None
        assert watcher.feed(start_message(callSid=SID)) == StreamEvent("start", SID, 2)

    @pytest.mark.parametrize(
        "text", ['{"event":"start","start":{"callSid":', '{"event":"start",}', '{"event":"start"' + "[" * 50_000]
    )
    def test_broken_start(self, text):
        """A start that is cut off or absurdly nested is malformed; the next one names the call."""
        watcher = StreamWatcher()
        assert watcher.feed(text) == StreamEvent("malformed", None, 1)
        assert watcher.feed(start_message(callSid=SID)) == StreamEvent("start", SID)

    def test_other_websockets_are_left_alone(self):
        """A chat or a dashboard is no media stream, whatever words its messages use."""
        watcher = StreamWatcher()
        for text in ("hello", '{"type":"start"}', '{"cmd":"stop"}', '{"event":"start_typing","x":"start"}', '"start"'):
            assert watcher.feed(text) is None
        assert watcher.other
        assert not watcher.is_stream

    def test_named_by_the_url(self):
        """A call named before its start takes no second name, and its stop is seen."""
        watcher = StreamWatcher(named=True)
        assert watcher.feed(start_message(callSid=OTHER)) is None
        assert watcher.is_stream
        assert watcher.feed(MEDIA) is None
        assert watcher.feed('{"event":"stop"}') == StreamEvent("stop")

    def test_a_mark_named_stop_is_no_stop(self):
        """Only the event counts, not the word."""
        watcher = StreamWatcher()
        watcher.feed(start_message(callSid=SID))
        assert watcher.feed('{"event":"mark","mark":{"name":"stop"}}') is None
        assert not watcher.stopped
