"""Two hundred calls at once, and the model's endpoint dies: what leaves stays within its budget, and nothing is lost.

Time is simulated, so that minutes pass; tasks, threads, gate, guards, recorder and queue are the real ones.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

import otel_logging
from otel_logging import testing

CALLS = 200
TICK = 0.4  # seconds; each call logs its frames and its errors of that time in it
FRAMES = 4  # of each call in a tick
BEFORE = 10  # seconds that go well
STORM = 70  # seconds without the model
BUDGET = 8 * 1024 * 1024  # bytes that may be given back in a minute: the bundled policies' `replay_bytes_per_minute`
WHOLE, EVERY = 5, 10  # the storm guard: so many of one error whole, then one in so many seconds
log = logging.getLogger("server.media_ws_ai")


def sid(number):
    return f"CA{number:032x}"


def word(number):
    """A word for each number, without digits: the storm guard takes texts that differ in digits for the same."""
    return "".join(chr(97 + number // 26**place % 26) for place in range(3))


class Model:
    """The model's endpoint, which answers until it does not."""

    def __init__(self):
        self.dead = False

    def send(self, number):
        if self.dead:
            raise ConnectionResetError(f"connection to the model lost, frame {number}")


def tick(number, model, ticks):
    """What one call does in one tick."""
    for _ in range(FRAMES):
        log.info(f"[AUDIO_DELTA] response_id=resp_{number}, bytes={ticks}, queued {ticks * 7} late=0.{ticks}")
    try:
        model.send(ticks)
    except ConnectionResetError:
        log.exception(f"could not send frame {ticks} to the model")


class Minutes:
    """Bytes that were given back or let through because of a trigger, by minute, as they are on the wire."""

    def __init__(self, sink):
        self.sink = sink
        self.given_back = []
        self.bodies = Counter()
        self.errors = 0

    def close_one(self):
        """A minute is over: weigh what it brought, and forget it."""
        self.sink.flush()
        back = []
        for one in self.sink._logs.all():
            if "otel_logging.trigger" in one.log_record.attributes:
                back.append(one)
            elif one.log_record.severity_number.value >= 17:
                self.errors += 1
                self.bodies[one.log_record.body] += 1
        self.given_back.append(len(encode_logs(back).SerializeToString()))
        self.sink.clear()


def run_tasks(model, clock, minutes):
    """One task a call, all on one event loop."""
    ticks = int((BEFORE + STORM) / TICK)

    async def call(number):
        async with otel_logging.call(sid(number)):
            for one in range(ticks):
                tick(number, model, one)
                if one == ticks // 2 + number % 60:
                    log.error(f"booking failed: no such customer {word(number)}")
                await asyncio.sleep(0)

    async def time():
        for one in range(ticks):
            clock.advance(TICK)
            model.dead = one * TICK >= BEFORE
            if one and not one % int(60 / TICK):
                minutes.close_one()
            await asyncio.sleep(0)

    async def everything():
        await asyncio.gather(time(), *(call(number) for number in range(CALLS)))

    asyncio.run(everything())


def run_threads(model, clock, minutes):
    """Eight threads that each serve their share of the calls, in step."""
    ticks = int((BEFORE + STORM) / TICK)
    workers = 8
    open_calls = [otel_logging.call(sid(number)).__enter__() for number in range(CALLS)]
    one = 0

    def turn():
        nonlocal one
        one += 1
        clock.advance(TICK)
        model.dead = one * TICK >= BEFORE
        if not one % int(60 / TICK):
            minutes.close_one()

    barrier = threading.Barrier(workers, turn, timeout=60)

    def work(share):
        for now in range(ticks):
            for number in range(share, CALLS, workers):
                with open_calls[number].activate():
                    tick(number, model, now)
                    if now == ticks // 2 + number % 60:
                        log.error(f"booking failed: no such customer {word(number)}")
            barrier.wait()

    threads = [threading.Thread(target=work, args=(share,)) for share in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for call in open_calls:
        call.end("stop")


@pytest.mark.parametrize("run", [run_tasks, run_threads])
def test_an_outage_does_not_multiply_the_bill(run):
    """Within each minute the budget for what is given back holds; every distinct error is there; the books balance."""
    clock, model = testing.FakeClock(), Model()
    with testing.capture(clock=clock, log_console="off") as sink:
        minutes = Minutes(sink)
        run(model, clock, minutes)
        minutes.close_one()
        testing.assert_balanced()
        stats = otel_logging.stats()
    assert all(size <= BUDGET for size in minutes.given_back), minutes.given_back
    assert max(minutes.given_back) > BUDGET / 2, "the budget was never needed"
    bookings = {body for body in minutes.bodies if body.startswith("booking failed")}
    assert bookings == {f"booking failed: no such customer {word(number)}" for number in range(CALLS)}
    # The one error of all calls: each of them has it whole a few times, then now and then.
    most = CALLS * (1 + WHOLE + STORM // EVERY + 1)
    assert CALLS * WHOLE <= minutes.errors - CALLS <= most
    made = CALLS * (int(STORM / TICK) + 1)
    assert stats["dropped"]["storm_guard"] == pytest.approx(made - (minutes.errors - CALLS), abs=CALLS)
    assert stats["recovered"] > 1000
