"""When the process remembers too much, the oldest goes, of whichever call, and only as much as must."""

from __future__ import annotations

import gc
import logging

import pytest

from otel_logging.bridge.memory import CallMemory
from otel_logging.bridge.ring import Ring
from otel_logging.bridge.room import Room

SITE = ("server.media", (0, 0), (logging.INFO, "policy:frames"), None, ())
ROLL = 8  # entries


@pytest.fixture
def told():
    """How many entries were given up, each time."""
    return []


@pytest.fixture
def room(told):
    """Room for a hundred kilobytes."""
    return Room(100_000, told.append)


class Calls:
    """Calls that log by turns; each of their entries takes a bit more than a kilobyte."""

    def __init__(self, room, number):
        self.room = room
        self.memories = [CallMemory() for _ in range(number)]
        self.rings = [Ring(memory, room, 4_000, 10**7, ROLL) for memory in self.memories]
        self.time = 1.7e9

    def log(self, number, times=1):
        ring = self.rings[number]
        for _ in range(times * ROLL):
            self.time += 1
            ring.pending.extend((self.time, "x" * 950, SITE))
        if ring.roll():
            self.room.make()

    def times(self, number):
        return [entry.time / 1e9 for entry in self.rings[number].copy()]


def test_the_oldest_goes_of_whichever_call(room, told):
    """A call that is quiet now gives up what is older than all that others remember."""
    calls = Calls(room, 2)
    for _ in range(6):
        calls.log(0)
    for _ in range(8):
        calls.log(1)
    assert room.bytes <= room.most
    first, second = calls.times(0), calls.times(1)
    assert len(second) == 8 * ROLL
    assert first == sorted(first)
    assert first[-1] - 1.7e9 == 6 * ROLL
    assert len(first) < 6 * ROLL
    assert sum(told) == room.evicted == 6 * ROLL - len(first)


def test_only_as_much_as_must(room, told):
    """Room for the next chunk is made when it is needed, and not for more than that."""
    calls = Calls(room, 1)
    for _ in range(40):
        calls.log(0)
    assert room.bytes > room.most * 0.85
    assert set(told) == {ROLL}


def test_rings_that_went_without_a_word(room):
    """What a forgotten call took is room again, and nobody else has to go for it."""
    calls = Calls(room, 3)
    for _ in range(5):
        calls.log(0)
        calls.log(1)
    calls.log(1)
    calls.log(0)  # what is oldest was looked up now
    calls.memories[0] = calls.rings[0] = None
    gc.collect()
    before = len(calls.times(1))
    for _ in range(3):
        calls.log(2)
    assert room.bytes <= room.most
    assert before - len(calls.times(1)) <= ROLL
    assert room.bytes == sum(ring.weight() for ring in room.rings())
