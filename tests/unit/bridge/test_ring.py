"""Lines keep their own logger, trace and text, whoever appends while entries are rolled."""

from __future__ import annotations

import logging
import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from otel_logging.bridge.memory import CallMemory
from otel_logging.bridge.place import Place
from otel_logging.bridge.ring import Ring
from otel_logging.bridge.room import Room

WHY = (logging.INFO, "policy:frames")
A, B = logging.getLogger("ring.a"), logging.getLogger("ring.b")
HERE = otel_context.get_current()


def within(trace_id):
    """OTel's context within a span of that trace."""
    return trace.set_span_in_context(NonRecordingSpan(SpanContext(trace_id, 2, is_remote=False)))


@pytest.fixture
def memory():
    """A call."""
    return CallMemory()


@pytest.fixture
def ring(memory):
    """A ring that rolls every sixteen entries."""
    return Ring(memory, Room(10**7), 4_000, 262_144, 16)


def append(ring, place, logger, context, time, text):
    """As the gate's short way does it."""
    if place.context is context and place.logger is logger:
        place.pending += (time, text, place.code)
        if len(place.pending) >= place.full:
            ring.roll()
    elif ring.put(place, logger, context, WHY, None, time, text):
        ring.roll()


def test_each_line_has_its_own_logger_and_trace(ring):
    """One place, two loggers, three contexts, over many rolls."""
    place, contexts = Place(), [HERE, within(7), within(8)]
    expected = []
    for number in range(100):
        logger, trace_id = (A, B)[number // 3 % 2], number // 5 % 3
        append(ring, place, logger, contexts[trace_id], 1.7e9 + number, b"line %d" % number)
        expected.append((f"line {number}", logger.name, (0, 7, 8)[trace_id]))
    assert [(one.text, one.name, one.ids[0]) for one in ring.copy()] == expected


def test_a_roll_makes_places_ask_again(ring):
    """What a place knows is good until the next roll, also one that another place caused."""
    first, second = Place(), Place()
    append(ring, first, A, HERE, 1.0, b"1")
    append(ring, second, B, HERE, 2.0, b"2")
    ring.roll()
    assert (first.context, second.context) == (None, None)
    append(ring, second, B, HERE, 3.0, b"3")
    append(ring, first, A, HERE, 4.0, b"4")
    assert [(one.text, one.name) for one in ring.copy()] == [
        ("1", "ring.a"), ("2", "ring.b"), ("3", "ring.b"), ("4", "ring.a"),
    ]  # fmt: skip


def test_a_line_within_a_roll(ring):
    """A signal handler that logs while its own thread takes what is pending: its line is there, with its logger."""
    inside, other = Place(), Place()

    class Watched(list):
        def __delitem__(self, place):
            append(ring, inside, B, HERE, 9.0, b"from the handler")
            super().__delitem__(place)

    ring.pending = Watched(ring.pending)
    append(ring, other, A, HERE, 1.0, b"before")
    ring.roll()
    ring.pending = list(ring.pending)
    append(ring, other, A, HERE, 10.0, b"after")
    assert [(one.text, one.name) for one in ring.copy()] == [
        ("before", "ring.a"), ("from the handler", "ring.b"), ("after", "ring.a"),
    ]  # fmt: skip


def test_threads(ring):
    """Threads of one call with loggers of their own: each line is there once, under its own logger."""
    places = [Place() for _ in range(3)]
    ready = threading.Barrier(4)

    def work(number):
        logger = logging.getLogger(f"ring.thread.{number}")
        ready.wait()
        for line in range(400):
            append(ring, places[line % 3], logger, HERE, 1.0 + line, f"ring.thread.{number}".encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = ring.copy()
    assert len(lines) == 1_600
    assert all(one.text == one.name for one in lines)


def test_handles_of_one_call(memory, ring):
    """What another handle remembers, before and after it turned out to be this call, comes in the order of time."""
    other = Ring(CallMemory(), Room(10**7), 4_000, 262_144, 16)
    place, theirs = Place(), Place()
    append(other, theirs, B, HERE, 1.0, b"1")
    append(ring, place, A, HERE, 2.0, b"2")
    ring.merge(other)
    append(other, theirs, B, HERE, 3.0, b"3")
    append(ring, place, A, HERE, 4.0, b"4")
    assert [(one.text, one.name) for one in ring.copy()] == [
        ("1", "ring.b"), ("2", "ring.a"), ("3", "ring.b"), ("4", "ring.a"),
    ]  # fmt: skip


def test_a_forgotten_ring_holds_nothing(ring):
    """No entry, no context of the application's, and no memory that is counted."""
    place = Place()
    append(ring, place, A, within(7), 1.0, b"1")
    ring.forget()
    assert (ring.copy(), ring.weight(), place.context, ring.context) == ([], 0, None, None)
