from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest

from otel_logging import trouble
from otel_logging.bridge import scope
from otel_logging.calls import registry
from otel_logging.calls.call import Call, current_call, find, open_call

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class TestName:
    def test_everyone_learns_it_at_once(self):
        """A sibling task that copied the context before the name was known sees it afterwards."""

        async def main():
            call = open_call(origin="websocket")
            named = asyncio.Event()

            async def sibling():
                await named.wait()
                return current_call().call_sid

            with call.activate():
                task = asyncio.create_task(sibling())
                await asyncio.sleep(0)
                assert call.name(TWILIO, "start")
            named.set()
            return await task

        assert asyncio.run(main()) == TWILIO

    def test_trace_id_is_the_call_id(self):
        """The trace id follows from the call id, also without any tracer; the span id is then 0."""
        call = open_call(origin="test")
        assert (call.call_sid, call.trace_id, call.span_id) == (None, 0, 0)
        call.name(TWILIO)
        assert (call.call_sid, f"{call.trace_id:032x}", call.span_id) == (TWILIO, TWILIO[2:], 0)

    @pytest.mark.parametrize("bad", ["", "x" * 129, "CA\n1", "a b", "972501234567@s.whatsapp.net", None, 7, b"CA1"])
    def test_refuses_what_is_no_call_id(self, bad, capsys):
        """Outside data is untrusted: no call id, no name, one clear line, a count."""
        call = open_call(origin="test")
        assert call.name(bad, "the start message") is False
        assert call.call_sid is None
        assert call.waiting
        err = capsys.readouterr().err
        assert "the start message" in err
        assert err.count("\n") == 1
        assert trouble.counts() == {"call_id_rejected": 1}

    def test_refused_id_is_shown_short_and_harmless(self, capsys):
        """A 10 KB id with terminal escapes neither floods nor forges the line."""
        open_call(origin="test").name("\x1b[2J\nINFO forged " + "x" * 10_240)
        err = capsys.readouterr().err
        assert len(err) < 400
        assert "\x1b" not in err
        assert err.count("\n") == 1
        assert "10257 characters" in err

    def test_is_named_once(self):
        """A second, different name is ignored and counted; the same name again is fine."""
        call = open_call(TWILIO, origin="test")
        assert call.name(TWILIO)
        assert trouble.counts() == {}
        assert not call.name(OTHER)
        assert call.call_sid == TWILIO
        assert trouble.counts() == {"call_renamed": 1}

    def test_held_records_take_the_name(self):
        """Records made before the name are delivered with it, and none waits afterwards."""
        seen = []
        call = open_call(origin="test")
        assert call.waiting
        call.hold(lambda known: seen.append(known.call_sid), 10)
        call.name(TWILIO)
        assert seen == [TWILIO]
        assert not call.waiting
        assert not call.hold(lambda _: None, 1)

    def test_named_at_opening_never_waits(self):
        """A call that is known from its URL holds nothing back."""
        assert not open_call(TWILIO, origin="test").waiting

    def test_bad_id_at_opening_may_still_be_named(self, capsys):
        """A wrong id in a URL does not spoil the `start` message that follows."""
        call = open_call("no/id", origin="test")
        assert capsys.readouterr().err
        assert call.name(TWILIO)

    def test_opener_may_ask_not_to_wait(self):
        """A plain HTTP request need not hold its records."""
        assert not open_call(origin="request", wait=False).waiting


class TestSharing:
    def test_two_handles_share_attributes(self):
        """Webhook and websocket of one call see what the other bound, before its naming and after."""
        webhook = open_call(TWILIO, origin="webhook", tenant="a")
        stream = open_call(origin="websocket", codec="mulaw")
        stream.bind(seat=3)
        stream.name(TWILIO)
        webhook.bind(more=1)
        assert (
            dict(stream.attributes)
            == dict(webhook.attributes)
            == {"tenant": "a", "codec": "mulaw", "seat": 3, "more": 1}
        )

    def test_ends_when_the_last_opener_leaves(self, time):
        """A call that two keep open survives the first one's leaving."""
        one, two = open_call(TWILIO, origin="a"), open_call(TWILIO, origin="b")
        one.leave("done", grace=0)
        one.leave("done", grace=0)
        assert not two.ended
        two.leave("done", grace=0)
        assert one.ended
        assert one.end_reason == two.end_reason == "done"

    def test_end_is_for_everyone(self):
        """A hang-up ends the call whoever else holds it open; what comes later is still attributed."""
        one, two = open_call(TWILIO, origin="a"), open_call(TWILIO, origin="b")
        one.end("stop")
        assert two.ended
        assert two.end_reason == "stop"
        assert two.call_sid == TWILIO
        two.end("later")
        assert two.end_reason == "stop"

    def test_stream_follows_a_webhook(self, time):
        """A webhook that was answered leaves the call open for the stream that comes next."""
        webhook = open_call(TWILIO, origin="webhook")
        webhook.leave()
        time.advance(30)
        assert not webhook.ended
        stream = open_call(TWILIO, origin="websocket")
        time.advance(3600)
        assert not stream.ended
        stream.end("closed")
        assert webhook.end_reason == "closed"

    def test_webhook_without_a_stream_ends_after_the_grace(self, time):
        """If nothing follows the webhook in this process, the call ends here after a minute."""
        call = open_call(TWILIO, origin="webhook")
        call.leave()
        time.advance(59)
        assert not call.ended
        time.advance(7)
        assert call.ended
        assert call.end_reason == "left"

    def test_found_handle_holds_nothing_open(self, time):
        """`find` gives the call without keeping it open."""
        call = open_call(TWILIO, origin="a")
        found = find(TWILIO)
        assert found.call_sid == TWILIO
        found.leave()
        assert not call.ended
        call.leave(grace=0)
        assert found.ended


class TestEnd:
    def test_unnamed_call_delivers_what_it_held(self):
        """A websocket that dies before `start` loses no record."""
        seen = []
        call = open_call(origin="websocket")
        call.hold(lambda known: seen.append(known.call_sid), 10)
        call.end("closed")
        assert seen == [None]
        assert call.ended
        assert call.end_reason == "closed"
        assert not call.waiting

    def test_leaving_delivers_too(self):
        """A request that turned out to be no call delivers its records when it is over."""
        seen = []
        call = open_call(origin="webhook")
        call.hold(lambda known: seen.append(known.call_sid), 10)
        call.leave()
        assert seen == [None]
        assert call.ended

    def test_named_after_its_end_still_attributes(self):
        """A late name is taken for late records, and keeps nothing open."""
        call = open_call(origin="a")
        call.end("closed")
        assert call.name(TWILIO)
        assert call.call_sid == TWILIO
        assert registry.find(TWILIO).openers == 0

    def test_default_reason(self):
        """An end without a word is still said to be one."""
        call = open_call(TWILIO, origin="a")
        call.end()
        assert call.end_reason == "ended"

    def test_repr_tells_which_call(self):
        """What a developer sees in a debugger names the call and its state."""
        call = open_call(TWILIO, origin="job")
        assert repr(call) == f"<Call {TWILIO} job>"
        call.end("stop")
        assert repr(call) == f"<Call {TWILIO} job ended: stop>"
        assert repr(open_call(origin="x")) == "<Call unnamed x>"


class TestBind:
    def test_readers_keep_their_snapshot(self):
        """A record that took the attributes is not changed by a later bind."""
        call = open_call(TWILIO, origin="a", one=1)
        before = call.attributes
        call.bind(two=2)
        assert before == {"one": 1}
        assert call.attributes == {"one": 1, "two": 2}

    def test_later_value_wins(self):
        """Binding the same name again replaces it."""
        call = open_call(origin="a", one=1)
        call.bind(one=2)
        assert call.attributes == {"one": 2}

    def test_call_sid_names_the_call(self):
        """`bind(call_sid=…)` is no attribute beside the name: it is the name."""
        call = open_call(origin="a")
        call.bind(call_sid=TWILIO)
        assert call.call_sid == TWILIO
        assert call.attributes == {}

    def test_is_bounded(self, capsys):
        """Binding in a loop with ever new names stops growing the records."""
        call = open_call(TWILIO, origin="a")
        for number in range(200):
            call.bind(**{f"key{number}": number})
        assert len(call.attributes) == 128
        assert "bind()" in capsys.readouterr().err


class TestActivate:
    def test_restores_what_was_before(self):
        """Within the block the call is in force, after it what was before, also when the block fails."""
        outer, inner = open_call(TWILIO, origin="a"), open_call(OTHER, origin="b")
        with outer.activate() as entered:
            assert entered is outer
            with pytest.raises(KeyError), inner.activate():
                assert current_call() is inner
                raise KeyError
            assert current_call() is outer
        assert current_call() is None

    def test_one_activation_may_be_nested(self):
        """The same object entered twice unwinds twice."""
        call = open_call(TWILIO, origin="a")
        activation = call.activate()
        with activation, activation:
            assert current_call() is call
        assert current_call() is None

    def test_async(self):
        """It works as an asynchronous context manager."""

        async def main():
            call = open_call(TWILIO, origin="a")
            async with call.activate():
                await asyncio.sleep(0)
                assert current_call() is call
            assert current_call() is None

        asyncio.run(main())

    def test_for_a_long_lived_consumer(self):
        """A consumer thread that started before any call works for each call in turn and mixes none."""
        import queue

        work, seen = queue.Queue(), []

        def consume():
            while (call := work.get()) is not None:
                with call.activate():
                    seen.append(current_call().call_sid)
            seen.append(current_call())

        thread = threading.Thread(target=consume)
        thread.start()
        for sid in (TWILIO, OTHER, TWILIO):
            work.put(open_call(sid, origin="a"))
        work.put(None)
        thread.join(10)
        assert seen == [TWILIO, OTHER, TWILIO, None]

    def test_leaving_in_another_context_raises_nothing(self):
        """An async generator's clean-up may run in another context: nothing breaks, nothing foreign is undone."""
        call, other = open_call(TWILIO, origin="a"), open_call(OTHER, origin="b")
        activation = call.activate()
        contextvars.copy_context().run(activation.__enter__)
        with other.activate():
            activation.__exit__(None, None, None)
            assert current_call() is other

    def test_does_not_keep_the_call_alive(self):
        """After the block nothing of ours holds the handle."""
        call = open_call(TWILIO, origin="a")
        with call.activate():
            pass
        gone = weakref.ref(call)
        del call
        gc.collect()
        assert gone() is None


def test_foreign_scope_is_not_a_call():
    """`current_call()` gives only our own `Call`."""

    class Foreign:
        call_sid = "x"

    token = scope.current.set(Foreign())
    try:
        assert current_call() is None
    finally:
        scope.current.reset(token)


def test_call_is_what_the_bridge_expects():
    """A `Call` has everything that the bridge's protocol names."""
    call = open_call(origin="a")
    assert isinstance(call, Call)
    for member in ("call_sid", "trace_id", "span_id", "attributes", "waiting", "hold"):
        assert hasattr(call, member)
