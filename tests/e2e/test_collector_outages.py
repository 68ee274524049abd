"""The real Collector between an application and a back end, each of which goes away: nothing is lost.

What may come twice, and why, is said where it is tested. Intervals between attempts are shortened here, except in the
test of two minutes.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter

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
    ("restart", "kill", "start", "down", "up"),
]


def impatient(name):
    """An overlay by which an exporter tries again soon."""
    return {"exporters": {name: {"retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms"}}}}


class World:
    """A back end, a Collector, and an application that logs numbered lines."""

    def __init__(self, folder, end, *more, **env):
        self.folder, self.end = folder, end
        self.collector = Collector(folder / "collector", *end.configs, *more, env=end.env)
        self.app_folder = folder / "app"
        self.app_folder.mkdir()
        self.env = env
        self.logged = []
        self.settled = 0  # so many of them are done with: the Collector knows that the back end has them
        self.may_come_again = Counter()  # lines, and how often there was a reason
        self.app = None

    def __enter__(self):
        self.collector.start()
        self.start_app()
        return self

    def __exit__(self, *_):
        self.app.close()
        self.collector.close()

    def start_app(self):
        self.app = Told(self.app_folder, self.collector.url, OTEL_SERVICE_NAME="voice-calls", **self.env)

    def log(self, count=EACH):
        prefix = f"p{len(self.logged)}"
        self.app.do(f"log {prefix} {count}")
        self.logged += [f"{prefix}-{number:04d}" for number in range(count)]

    def move(self, name):
        if name in {"down", "kill"}:
            # The back end may have taken what is under way, and the answer is lost with the connection.
            self.may_come_again.update(self.logged[self.settled :])
        if name == "up" and self.end.name == "cloudwatch":
            # Its exporter takes a stream that it could not make for made: while CloudWatch comes back, the first record
            # of a batch may fail and the others arrive, and then the whole batch is sent again.
            self.may_come_again.update(self.logged[self.settled :])
        if name == "down":
            self.end.sink.refuse()
        elif name == "up":
            self.end.sink.accept()
        elif name == "kill":
            self.collector.kill()
        elif name == "start":
            self.collector.start()
        elif name == "restart":
            self.app.terminate()
            self.app.close()
            self.start_app()

    def arrived(self):
        """How often each line arrived."""
        return Counter(log.message for log in self.end.stored() if log.message in self.set_of_logged())

    def set_of_logged(self):
        return set(self.logged)

    def missing(self):
        return self.set_of_logged() - {log.message for log in self.end.stored()}

    def twice(self):
        return {line: count for line, count in self.arrived().items() if count > 1}

    def until_all(self, seconds=60.0):
        try:
            self.end.sink.wait_for(lambda: not self.missing(), "every line", seconds)
        except AssertionError as error:
            missing = sorted(self.missing())
            raise AssertionError(
                f"{len(missing)} of {len(self.logged)} are missing: {missing[:5]}; {error}\n"
                f"{self.app.said()[-2000:]}\n{self.collector.describe()}"
            ) from None
        self.collector.until(lambda: self.collector.metric("otelcol_exporter_queue_size") == 0, "empty queue")
        self.settled = len(self.logged)

    def unexpected(self):
        """What came twice without a reason."""
        return {line: count for line, count in self.twice().items() if count > 1 + self.may_come_again[line]}


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


def test_nothing_is_lost_in_some_orders(end, tmp_path):
    """Back end away, Collector killed with -9, application restarted, inside each other: every line arrives, once."""
    with World(tmp_path, end, impatient(end.exporter)) as world:
        in_every_order(world, SOME)


@pytest.mark.slow
def test_nothing_is_lost_in_any_order(end, tmp_path):
    """The same in all thirty orders."""
    assert len(ORDERS) == 30
    with World(tmp_path, end, impatient(end.exporter)) as world:
        in_every_order(world, ORDERS)


@pytest.mark.slow
def test_two_minutes(end, tmp_path):
    """Two minutes without the back end, the Collector killed and the application restarted meanwhile, as deployed."""
    with World(tmp_path, end) as world:
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


@pytest.mark.parametrize("status", [429, 503])
def test_a_back_end_that_asks_for_patience(end, tmp_path, status):
    """A back end that is there and says that it cannot take anything now costs no line."""
    refusal = (
        Answer(400, message="ThrottlingException") if end.name == "cloudwatch" and status == 429 else Answer(status)
    )
    with World(tmp_path, end, impatient(end.exporter)) as world:
        end.sink.always(refusal)
        world.log()
        end.sink.wait_for(lambda: len(end.sink.requests) > 2, "attempts")
        world.collector.stop()
        world.collector.start()
        world.log()
        end.sink.always(Answer())
        world.move("up")
        world.until_all()
        assert world.unexpected() == {}


@pytest.mark.parametrize("how", ["broken connection", "kill -9"])
def test_what_comes_twice(end, tmp_path, how):
    """A line comes twice if the back end took its request and the Collector never learnt it: that request's lines only.

    CloudWatch's exporter makes several requests of a batch, and sends all of them again if one fails.
    """
    with World(tmp_path, end, impatient(end.exporter)) as world:
        world.log()
        world.until_all()
        under_way = set(world.logged)

        def take_and_break(request):
            if how == "kill -9":
                world.collector.kill()
            return Close(accepted=True)

        end.sink.script(take_and_break)
        world.log()
        end.sink.wait_for(lambda: not world.missing(), "the lines")
        if how == "kill -9":
            world.collector.start()
        under_way = set(world.logged) - under_way
        world.log()
        world.until_all()
        assert world.twice() == dict.fromkeys(under_way, 2)


class TestTheDatadogExporter:
    """`datadog-agentless-json.yaml`: its exporter says "delivered" as soon as it has a record in memory."""

    @pytest.fixture
    def world(self, tmp_path):
        with back_end("datadog-json", tmp_path / "back-end") as end, World(tmp_path, end) as world:
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
        world.end.sink.wait_for(lambda: world.missing() <= lost, "what was logged later", 60)
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
        world.end.sink.wait_for(lambda: not (world.missing() & last), "what was logged last", 120)
        assert 1000 < len(world.missing()) < 5000
