"""Services that no rule names, each written in its own style: quiet on day one, and every event is there.

For a minute each logs frame lines at 50 a second for each of its places, and an event every few seconds.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback

import pytest

import otel_logging
from otel_logging.testing import FakeClock, assert_balanced, capture

SID = "CA" + "7" * 32
SECONDS, RATE, EVENT_EVERY = 60, 50, 6.0
EVENTS = [
    "caller connected", "language is Hebrew", "tool lookup_customer called", "tool lookup_customer returned",
    "caller asked for tomorrow", "offered ten o'clock", "caller said yes", "booking stored", "goodbye said", "hung up",
]  # fmt: skip
log = logging.getLogger("unseen.service")


class OwnTags:
    """Tags of its own, after an emoji."""

    def frame(self, n):
        log.info(f"🛰️ [QX-BLIP] seq={n} sz={160 + n % 3}")
        log.info(f"🎚️ [ENRG] lvl={n % 97}.{n % 10}")

    def event(self, text):
        log.info(f"📌 [MOVE] {text}")


class NoTags:
    """Plain sentences with numbers in them."""

    def frame(self, n):
        log.info(f"got {n * 3} from upstream after {n % 7} ms")
        log.info("pushed %d downstream, backlog %d", n, n % 11)

    def event(self, text):
        log.info(f"flow: {text}")


class Hebrew:
    """Lines in Hebrew."""

    def frame(self, n):
        log.info(f"התקבל קטע מספר {n} באורך {n % 320}")
        log.info(f"🔊 עוצמה {n % 100} סף {n % 7}")

    def event(self, text):
        log.info(f"אירוע: {text}")


class Printed:
    """Everything is printed."""

    def frame(self, n):
        print(f"-> {n} out ({n % 5} waiting)")
        print("<-", n, "in", n % 9)

    def event(self, text):
        print("***", text)


class Wrapper:
    """One function of its own through which all lines go."""

    def say(self, area, text):
        log.info(f"{area} | {text}")

    def frame(self, n):
        self.say("rtp", f"sequence {n} jitter {n % 13}")
        self.say("mixer", f"slot {n % 4} holds {n}")

    def event(self, text):
        self.say("dialogue", text)


class KeyValue:
    """As structlog renders: a word for the event, then keys and values."""

    def frame(self, n):
        log.info(f"pipe_moved                     call_id=c-{n % 3} n={n} bytes={n * 2}")
        log.info(f"clock_adjusted                 drift={n / 7:.3f} n={n}")

    def event(self, text):
        log.info(f"dialogue_moved                 what={text!r} ok=True")


class Rendered:
    """As structlog renders to JSON: one object a line."""

    def frame(self, n):
        log.info(json.dumps({"event": "pipe_moved", "n": n, "bytes": n * 2, "at": n / 50}))
        log.info(json.dumps({"event": "clock_adjusted", "drift": n / 7}))

    def event(self, text):
        log.info(json.dumps({"event": "dialogue_moved", "what": text}))


class Loguru:
    """As loguru writes into a standard handler: time, level, place and line within the message."""

    def frame(self, n):
        log.info(f"2026-01-21 19:30:{n % 60:02d}.{n % 1000:03d} | INFO     | app.rtp:push:{41} - moved {n} of {n * 2}")
        log.info(
            f"2026-01-21 19:30:{n % 60:02d}.{n % 1000:03d} | INFO     | app.mix:turn:{77} - slot {n % 4} holds {n}"
        )

    def event(self, text):
        log.info(f"2026-01-21 19:30:07.123 | INFO     | app.talk:step:12 - {text}")


class Adapter:
    """A LoggerAdapter that puts the call in front of each line."""

    class Prefixed(logging.LoggerAdapter):
        """Puts the call first."""

        def process(self, msg, kwargs):
            return f"[{self.extra['call'][:8]}] {msg}", kwargs

    def __init__(self):
        self.log = self.Prefixed(log, {"call": SID})

    def frame(self, n):
        self.log.info(f"blob {n} relayed")
        self.log.info("gauge at %d", n % 50)

    def event(self, text):
        self.log.info(text)


class Extras:
    """The text is constant, what varies stands in extras."""

    def frame(self, n):
        log.info("blob relayed", extra={"n": n, "size": n * 2})
        log.info("gauge read", extra={"level": n % 50})

    def event(self, text):
        log.info("dialogue moved: %s", text, extra={"what": text})


STYLES = [OwnTags, NoTags, Hebrew, Printed, Wrapper, KeyValue, Rendered, Loguru, Adapter, Extras]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_quiet_on_day_one(style, monkeypatch):
    """The console shows 10 to 30 lines of a call that logs 6,000, all of its events among them, and the error."""
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    clock = FakeClock()
    with capture(clock=clock, log_capture_print=style is Printed) as sink, otel_logging.call(SID):
        service = style()
        due, events = EVENT_EVERY / 2, iter(EVENTS)
        for number in range(SECONDS * RATE):
            clock.advance(1 / RATE)
            service.frame(number)
            if number / RATE >= due:
                due += EVENT_EVERY
                service.event(next(events))
        try:
            raise ConnectionResetError("peer went away")
        except ConnectionResetError:
            traceback.format_exc()
            log.exception("the call broke off")
        sink.flush()
        printed = [line for line in sink.console.splitlines() if line.startswith("[")]
        missing = [text for text in EVENTS if not any(text in line for line in printed)]
        assert not missing
        assert 10 <= len(printed) <= 30, "\n".join(printed)
        assert any("the call broke off" in line for line in printed)
        # What the guard held back came back with the error, as far as the call's memory reaches.
        stats = otel_logging.stats()
        assert stats["recovered"] >= 2000
        assert stats["recovered"] + stats["evicted"].get("ring", 0) >= SECONDS * RATE * 2 - len(printed)
    assert_balanced()
