"""The real Collector between an application and a back end, each of which goes away: nothing is lost.

What may come twice, and why, is said where it is tested. Intervals between attempts are shortened here, except in the
test of two minutes.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from backends import back_end
from collector_process import Collector
from otlp_sink import Answer, Close
from told import Told

DURABLE = ("datadog-otlp", "cloudwatch")
EACH = 25  # lines before each move

# The moves: the back end goes down and up, the Collector is killed with -9 and started, the application is restarted.
MOVES = ("down", "up", "kill", "start", "restart")
ORDERS = [
    order
    for order in itertools.permutations(MOVES)
    if order.index("down") < order.index("up") and order.index("kill") < order.index("start")
]
# Of the thirty, some in which each move comes before and after, inside and outside of the others.
SOME = [
    ("down", "restart", "kill", "start", "up"),
    ("kill", "down", "restart", "start", "up"),
    ("down", "kill", "up", "start", "restart"),
]


def impatient(*names):
    """An overlay by which exporters try again soon."""
    soon = {"initial_interval": "100ms", "max_interval": "500ms"}
    return {"exporters": {name: {"retry_on_failure": soon} for name in names}}


class World:
    """Back ends, a Collector that ships to all of them, and an application that logs numbered lines."""

    def __init__(self, folder, ends, *more):
        self.folder, self.ends = folder, ends
        files = dict.fromkeys(file for end in ends for file in end.configs)
        env = {name: value for end in ends for name, value in end.env.items()}
        self.collector = Collector(folder / "collector", *files, *more, env=env)
        self.app_folder = folder / "app"
        self.app_folder.mkdir()
        self.logged = []
        self.settled = 0  # so many of them are done with: the Collector knows that the back ends have them
        self.may_come_again = {end.name: Counter() for end in ends}  # lines, and how often there was a reason
        self.app = None

    def __enter__(self):
        self.collector.start()
        self.start_app()
        return self

    def __exit__(self, *_):
        self.app.close()
        self.collector.close()

    def start_app(self):
        self.app = Told(self.app_folder, self.collector.url, OTEL_SERVICE_NAME="voice-calls")

    def log(self, count=EACH):
        prefix = f"p{len(self.logged)}"
        self.app.do(f"log {prefix} {count}")
        self.logged += [f"{prefix}-{number:04d}" for number in range(count)]

    def move(self, name):
        for end in self.ends:
            # What is under way may have been taken, and the answer is lost with the connection. And CloudWatch's exporter
            # takes a stream that it could not make for made: while CloudWatch comes back, the first record of a batch may
            # fail and the others arrive, and then the whole batch is sent again.
            if name in {"down", "kill"} or (name == "up" and end.name == "cloudwatch"):
                self.may_come_again[end.name].update(self.logged[self.settled :])
            # On a slow machine an application is told to end while it waits for an answer: it then tries once more, and
            # so does the next one.
            if name == "restart" and self.collector.healthy():
                self.may_come_again[end.name].update(self.logged[self.settled :] * 2)
        if name == "down":
            for end in self.ends:
                end.sink.refuse()
        elif name == "up":
            for end in self.ends:
                end.sink.accept()
        elif name == "kill":
            self.collector.kill()
        elif name == "start":
            self.collector.start()
        elif name == "restart":
            self.app.terminate()
            self.app.close()
            self.start_app()

    def missing(self, end=None):
        """Lines that a back end, or any of them, has not."""
        ends = self.ends if end is None else [end]
        return {line for one in ends for line in set(self.logged) - {log.message for log in one.stored()}}

    def twice(self, end):
        """Lines that came more than once, and how often."""
        found = Counter(log.message for log in end.stored())
        return {line: found[line] for line in self.logged if found[line] > 1}

    def unexpected(self):
        """What came again without a reason."""
        return {
            (end.name, line): count
            for end in self.ends
            for line, count in self.twice(end).items()
            if count > 1 + self.may_come_again[end.name][line]
        }

    def until_all(self, seconds=90.0):
        for end in self.ends:
            try:
                end.sink.wait_for(lambda end=end: not self.missing(end), "every line", seconds)
            except AssertionError as error:
                missing = sorted(self.missing(end))
                raise AssertionError(
                    f"{len(missing)} of {len(self.logged)} are missing: {missing[:5]}; {error}\n"
                    f"{self.app.said()[-2000:]}\n{self.collector.describe()}"
                ) from None
        self.collector.until(lambda: self.collector.metric("otelcol_exporter_queue_size") == 0, "empty queue")
        self.settled = len(self.logged)


@pytest.fixture
def both(tmp_path):
    """Both back ends that lose nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(back_end(name, tmp_path / name)) for name in DURABLE]


@pytest.fixture(params=DURABLE)
def end(request, tmp_path):
    with back_end(request.param, tmp_path / "back-end") as one:
        yield one


def in_every_order(world, orders):
    for order in orders:
        for name in order:
            world.log()
            world.move(name)
        world.log()
        world.until_all()
        assert world.unexpected() == {}, order


def test_nothing_is_lost_in_some_orders(both, tmp_path):
    """Back ends away, Collector killed with -9, application restarted, inside each other: every line arrives."""
    with World(tmp_path, both, impatient(*(end.exporter for end in both))) as world:
        in_every_order(world, SOME)


@pytest.mark.slow
def test_nothing_is_lost_in_any_order(both, tmp_path):
    """The same in all thirty orders."""
    assert len(ORDERS) == 30
    with World(tmp_path, both, impatient(*(end.exporter for end in both))) as world:
        in_every_order(world, ORDERS)


@pytest.mark.slow
def test_two_minutes(both, tmp_path):
    """Two minutes without back ends, the Collector killed and the application restarted meanwhile, as deployed."""
    with World(tmp_path, both) as world:
        world.log()
        world.until_all()
        world.move("down")
        back = time.monotonic() + 120
        for name in ("kill", "start", "restart"):
            world.log(1000)
            world.move(name)
        while time.monotonic() < back:
            world.log(10)
            time.sleep(1)
        world.move("up")
        world.until_all()
        assert world.unexpected() == {}


def test_a_back_end_that_asks_for_patience(end, tmp_path):
    """A back end that is there and says that it cannot take anything now costs no line, over a restart either."""
    too_many = Answer(400, message="ThrottlingException") if end.name == "cloudwatch" else Answer(429)
    with World(tmp_path, [end], impatient(end.exporter)) as world:
        for refusal in (Answer(503), too_many):
            asked = len(end.sink.requests)
            end.sink.always(refusal)
            world.log()
            end.sink.wait_for(lambda asked=asked: len(end.sink.requests) > asked + 2, "attempts")
        world.collector.stop()
        world.collector.start()
        world.log()
        end.sink.always(Answer())
        world.move("up")
        world.until_all()
        assert world.unexpected() == {}


@pytest.mark.parametrize(("name", "how"), [("datadog-otlp", "kill -9"), ("cloudwatch", "broken connection")])
def test_what_comes_twice(tmp_path, name, how):
    """A line comes twice if the back end took its request and the Collector never learnt it: that request's lines only.

    CloudWatch's exporter makes several requests of a batch, and sends all of them again if one fails.
    """
    with back_end(name, tmp_path / "end") as end, World(tmp_path, [end], impatient(end.exporter)) as world:
        world.log()
        world.until_all()
        before = set(world.logged)

        def take_and_break(request):
            if how == "kill -9":
                world.collector.kill()
            return Close(accepted=True)

        end.sink.script(take_and_break)
        world.log()
        end.sink.wait_for(lambda: not world.missing(), "the lines")
        if how == "kill -9":
            world.collector.start()
        under_way = set(world.logged) - before
        world.log()
        world.until_all()
        assert world.twice(end) == dict.fromkeys(under_way, 2)


class TestTheDatadogExporter:
    """`datadog-agentless-json.yaml`: its exporter says "delivered" as soon as it has a record in memory."""

    @pytest.fixture
    def world(self, tmp_path):
        with back_end("datadog-json", tmp_path / "back-end") as end, World(tmp_path, [end]) as world:
            yield world

    def taken(self, world):
        """Once it counts as sent what the back end never saw."""
        count = len(world.logged)
        world.collector.until(lambda: world.collector.metric("otelcol_exporter_sent_log_records") >= count, "sent")
        assert len(world.missing()) == count

    def test_an_outage_alone_loses_nothing(self, world):
        """What it has in memory is tried again."""
        world.move("down")
        world.log()
        self.taken(world)
        world.move("up")
        world.until_all()

    def test_a_kill_within_an_outage_loses_what_it_has(self, world):
        """After kill -9 all that is gone, without a trace in the figures: as documented."""
        self.ended_in_an_outage(world, world.collector.kill)

    @pytest.mark.slow
    def test_so_does_an_orderly_stop(self, world):
        """SIGTERM is no better: it waits, and gives up."""
        self.ended_in_an_outage(world, world.collector.stop)

    def ended_in_an_outage(self, world, end):
        world.move("down")
        world.log()
        lost = set(world.logged)
        self.taken(world)
        end()
        world.move("start")
        world.move("up")
        world.log()
        world.ends[0].sink.wait_for(lambda: world.missing() <= lost, "what was logged later", 60)
        assert world.missing() == lost

    @pytest.mark.slow
    def test_how_much_it_has(self, world):
        """In memory are a few thousand records; what comes after them waits in the queue on disk, and is not lost."""
        world.move("down")
        for _ in range(40):
            world.log(500)
            world.app.do("flush 30")
        world.collector.until(lambda: world.collector.metric("otelcol_exporter_queue_size") > 0, "a queue")
        world.move("kill")
        world.move("start")
        world.move("up")
        world.log()
        last = set(world.logged[-EACH:])
        world.ends[0].sink.wait_for(lambda: not (world.missing() & last), "what was logged last", 120)
        assert 1000 < len(world.missing()) < 5000
