"""Familiar lines: printed without a search, and never when anything has changed since they were learned."""

from __future__ import annotations

import io
import json
import logging

import pytest

import otel_logging
from otel_logging.bridge import familiar, gate, late, suppressed
from otel_logging.bridge.guards import Guards
from otel_logging.bridge.ledger import Ledger
from otel_logging.bridge.pipeline import Pipeline
from otel_logging.bridge.sampling import read_policies
from otel_logging.export.console import Console

NAME = "familiar.unit"
SECRETS = read_policies(None, privacy="secrets")
STRICT = read_policies(None, privacy="strict")


@pytest.fixture
def log():
    logger = logging.getLogger(NAME)
    logger.propagate = False  # the test runner's own handlers look at records
    logger.setLevel(logging.INFO)
    logger.handlers.clear()
    yield logger
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    logger.filters.clear()


class _World:
    """A process with a console and nothing else."""

    def __init__(self, *, mode="on"):
        self.stream = io.StringIO()
        self.pipeline = Pipeline(policies=SECRETS, books=Ledger())
        self.pipeline.console = Console(True, mode, "s", stream=lambda: self.stream)
        self.pipeline.late = late.Late(self.pipeline, None)

    def lines(self):
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def world(log):
    made = _World()
    gate.install(made.pipeline)
    yield made
    gate.uninstall()


def searches(monkeypatch, world):
    """How often texts have been searched for a secret, from here on."""
    found = []
    leaves = type(world.pipeline.policies).leaves

    def counted(self, text):
        found.append(text)
        return leaves(self, text)

    monkeypatch.setattr(type(world.pipeline.policies), "leaves", counted)
    return found


def say(log, number, **kwargs):
    log.info(f"turn {number} of the call", **kwargs)


def make_familiar(log):
    """Four lines, after which the line of code is familiar."""
    log.handlers.clear()  # the test runner's
    for number in range(4):
        say(log, number)


def test_old_texts_with_new_numbers_are_not_searched(world, log, monkeypatch):
    """Promise 1: what a service says again and again costs a look-up."""
    make_familiar(log)
    found = searches(monkeypatch, world)
    for number in range(4):
        say(log, number)
    assert found == []
    assert [line["message"] for line in world.lines()] == [f"turn {number} of the call" for number in (0, 1, 2, 3) * 2]
    assert world.pipeline.books.snapshot()["exported"] == 8


def test_texts_that_are_new_are_searched_and_need_no_record(world, log, monkeypatch):
    """Privacy: words that were not met before are looked at, each time."""
    make_familiar(log)
    found = searches(monkeypatch, world)
    given = []
    monkeypatch.setattr(world.pipeline, "handle", lambda record, **_: given.append(record))
    for word in ("a", "b", "c"):
        say(log, word)
    assert found == [f"turn {word} of the call" for word in "abc"]
    assert given == []
    say(log, "password=hunter2")
    assert len(given) == 1


def test_extras_are_looked_at_with_the_text(world, log, monkeypatch):
    """Privacy: a secret in an extra is covered up, after any number of extras without one."""
    log.handlers.clear()
    for _ in range(5):
        say(log, 1, extra={"note": "nothing", "turn": 3})
    say(log, 1, extra={"note": "password=hunter2", "turn": 3})
    say(log, 1, extra={"turn": 3, "note": "nothing"})
    lines = world.lines()
    assert len(lines) == 7
    assert "hunter2" not in world.stream.getvalue()
    assert lines[0]["note"] == lines[6]["note"] == "nothing"


def test_other_rules_are_asked_anew(world, log, monkeypatch):
    """Promise 4: what was learned under other rules is forgotten with them."""
    log.handlers.clear()
    for _ in range(5):
        log.info("call from +972501234567")
    world.pipeline.policies = STRICT
    log.info("call from +972501234567")
    shown = [line["message"] for line in world.lines()]
    assert "972501234567" in shown[4]
    assert "972501234567" not in shown[5]


@pytest.fixture
def dropping(world, rules):
    """Puts a rule in force that drops what has these words in it."""

    def use(words):
        world.pipeline.policies = read_policies((rules(("p", words, "none")),), privacy="secrets")

    return use


def test_digits_that_matter_are_asked_each_time(world, log, dropping):
    """Promise 4: a text of the same shape that a rule drops is dropped."""
    dropping("code 7")
    log.handlers.clear()
    for number in (1, 2, 3, 4, 7, 5):
        log.info(f"code {number} at last")
    assert [line["message"][5] for line in world.lines()] == list("12345")
    assert world.pipeline.books.snapshot()["dropped"] == {"policy:p": 1}


def test_an_extra_is_no_part_of_the_text(world, log, dropping):
    """Promise 4: rules see the text; that it looks like the text and extra of a line that was kept does not help it."""
    dropping("turn=")
    log.handlers.clear()
    for _ in range(5):
        log.info("begun", extra={"turn": 2})
    for _ in range(5):
        log.info("begun\n\nturn=2")
    assert len(world.lines()) == 5
    assert world.pipeline.books.snapshot()["exported"] == 5


def _handler(log, world):
    log.addHandler(logging.NullHandler())


def _filter(log, world):
    log.addFilter(lambda record: True)


def _console(log, world):
    world.pipeline.console = Console(True, "on", "other", stream=lambda: world.stream)


def _first_line(log, world):
    world.pipeline.before_first_line = lambda: None


def _offered(log, world):
    held = suppressed.Held(None)
    suppressed.offer(held, "limited:x", None, say.__code__)


@pytest.mark.parametrize("change", [_handler, _filter, _console, _first_line, _offered])
def test_whoever_has_come_since_gets_a_record(change, world, log, monkeypatch):
    """Promise 5: a handler, a filter, another console: each sees the next line."""
    make_familiar(log)
    given = []
    handle = world.pipeline.handle
    monkeypatch.setattr(world.pipeline, "handle", lambda record, **how: (given.append(record), handle(record, **how)))
    change(log, world)
    say(log, 5)
    suppressed.this_thread.offered = None
    assert world.lines()[-1]["message"] == "turn 5 of the call"
    if change is _console:
        assert world.lines()[-1]["service"] == "other"
    else:
        assert len(given) == 1


def test_a_floor_that_was_raised_holds(world, log):
    """Promise 4: LOG_LEVEL decides, whatever was printed before."""
    make_familiar(log)
    world.pipeline.floor = logging.WARNING
    say(log, 5)
    assert len(world.lines()) == 4


def test_a_level_that_was_renamed_shows_its_new_name(world, log, monkeypatch):
    """Promise 5: `addLevelName` takes effect at once."""
    make_familiar(log)
    monkeypatch.setitem(logging._levelToName, logging.INFO, "NOTE")
    say(log, 5)
    assert [line["level"] for line in world.lines()] == ["INFO"] * 4 + ["NOTE"]


def test_the_repeat_guard_counts_familiar_lines(world, log):
    """Promise 1: a call site at frame rate within a call is quiet, however cheap its lines are; the books say so."""
    log.handlers.clear()
    world.pipeline.guards = Guards(clock=lambda: 0.0)
    with otel_logging.call("CA" + "fa32" * 8):
        for number in range(30):
            say(log, number)
    books = world.pipeline.books.snapshot()
    assert 0 < books["exported"] < 30
    assert books["dropped"] == {"repeat_guard": 30 - books["exported"]}
    assert len(world.lines()) == books["exported"]


def test_a_console_that_is_gone_is_counted(world, log):
    """Promise 2: a familiar line that cannot be written is in the books as such."""
    make_familiar(log)
    world.stream.close()
    say(log, 5)
    assert world.pipeline.books.snapshot()["dropped"] == {"no_destination": 1}


@pytest.mark.parametrize("mode", ["errors", "off"])
def test_a_silent_console_has_nothing_familiar(mode):
    """Promise 1: where INFO is not shown, no line is looked up for it."""
    world = _World(mode=mode)
    gate.install(world.pipeline)
    try:
        assert gate.methods._names["_familiar"] is None
    finally:
        gate.uninstall()


@pytest.mark.parametrize(
    ("name", "value"),
    [("code.x", 1), ("exception.y", 1), ("status", 1), ("a\x7fb", 1), (5, 1), ("note", b"x"), ("not met", "x")],
)
def test_extras_that_are_special_are_not_learned(name, value):
    """Privacy: no function is made for extras that are moved, left out or not looked at."""
    assert familiar._look_of([name], [type(value)]) is None


def test_numbers_out_of_range_have_no_place_in_a_line():
    """Promise 2: what JSON cannot say as it is goes the way that knows how."""
    look = familiar._look_of(["ms"], [float])
    assert look("x", 1.5) == look("x", 0.0) == look("x", -2.0) == "x"
    assert look("x", float("nan")) is look("x", 1e16) is look("x", float("-inf")) is look("x", 1e-9) is None
