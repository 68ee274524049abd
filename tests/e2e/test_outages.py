"""Outages, with real processes and an endpoint that misbehaves: nothing is lost, nothing is duplicated, order is kept."""

from __future__ import annotations

import signal
import time

import pytest
from otlp_sink import Answer, Close, Hang, OtlpSink
from told import Told


@pytest.fixture
def sink():
    with OtlpSink() as one:
        yield one
        assert one.invalid == []


@pytest.fixture
def start(tmp_path, sink):
    apps = []

    def start(**env):
        apps.append(Told(tmp_path, sink.url, **env))
        return apps[-1]

    yield start
    for app in apps:
        app.close()


def spooled(folder):
    return sorted((folder / "store" / "spool").glob("*/*.spool"))


def bodies(prefix, count):
    return [f"{prefix}-{n:04d}" for n in range(count)]


def arrived(sink, prefix):
    return [body for body in sink.bodies() if isinstance(body, str) and body.startswith(prefix + "-")]


@pytest.mark.parametrize("mode", ["on-failure", "always"])
class TestNextProcess:
    def test_down_for_the_whole_run(self, sink, start, tmp_path, mode):
        """What a process could not deliver is delivered by the next one, once, in order, with its own Resource."""
        sink.refuse()
        app = start(OTEL_LOGGING_SPOOL=mode, OTEL_SERVICE_NAME="first")
        app.do("log a 700")
        assert app.do("flush 5") is False
        stats = app.balance()
        assert stats["held"] == stats["spool"]["held"] == 701  # and the boot line
        assert stats["dropped"] == {}
        app.do("log b 30")
        begun = time.monotonic()
        assert app.end() == 0
        assert time.monotonic() - begun < 4
        assert "lost" not in app.said()
        assert spooled(tmp_path)
        sink.accept()
        other = start(OTEL_LOGGING_SPOOL=mode, OTEL_SERVICE_NAME="second")
        other.do("log c 1")
        sink.wait_for(lambda: len(sink.records) >= 733, "all of both processes")
        assert arrived(sink, "a") == bodies("a", 700)
        assert arrived(sink, "b") == bodies("b", 30)
        assert {r.resource["service.name"] for r in sink.records if str(r.body).startswith(("a-", "b-"))} == {"first"}
        assert other.do("flush 5") is True
        stats = other.balance()
        assert stats["spool"] == {"held": 0, "adopted_delivered": 731, "adopted_dropped": 0}
        assert (stats["created"], stats["exported"]) == (2, 2)
        assert other.end() == 0
        assert len(sink.records) == 733
        leftover = [path for path in spooled(tmp_path) if path.stat().st_size > 200]
        assert leftover == []

    def test_flapping(self, sink, start, mode):
        """503, 429, refused connections, connections that break: in mid-run all arrive, once and in order."""
        app = start(OTEL_LOGGING_SPOOL=mode)
        app.do("log a 20")
        sink.wait_for(lambda: arrived(sink, "a") == bodies("a", 20), "the first records")
        sink.script(Answer(503), Close(), Answer(429, {"Retry-After": "1"}), Answer(502), Close())
        for part in range(10):
            app.do(f"log b{part} 50")
        sink.wait_for(lambda: len(arrived(sink, "b9")) == 50, "all after answers")
        sink.refuse()
        app.do("log c 600")
        assert app.do("flush 1") is False
        sink.accept()
        app.do("log d 10")
        sink.wait_for(lambda: len(arrived(sink, "d")) == 10, "all after a refusal")
        assert app.do("flush 5") is True
        expected = [*bodies("a", 20), *(b for part in range(10) for b in bodies(f"b{part}", 50))]
        expected += [*bodies("c", 600), *bodies("d", 10)]
        assert [r.body for r in sink.records if r.logger == "outage"] == expected
        stats = app.balance()
        assert (stats["held"], stats["dropped"], stats["exported"]) == (0, {}, stats["created"])
        assert app.end() == 0

    def test_no_answer(self, sink, start, tmp_path, mode):
        """An endpoint that takes a request and never answers: the end is bounded, and the next process delivers."""
        sink.always(Hang(Close()))
        app = start(OTEL_LOGGING_SPOOL=mode)
        app.do("log a 30")
        begun = time.monotonic()
        assert app.end() == 0
        assert time.monotonic() - begun < 8
        assert spooled(tmp_path)
        sink.always(Answer())
        sink.release()
        other = start(OTEL_LOGGING_SPOOL=mode)
        sink.wait_for(lambda: len(arrived(sink, "a")) >= 30, "the records of the first")
        assert other.end() == 0
        assert arrived(sink, "a") == bodies("a", 30)

    @pytest.mark.parametrize("end", ["leave", "SIGTERM"])
    def test_other_ends(self, sink, start, mode, end):
        """`os._exit` and SIGTERM on a dead endpoint lose nothing either."""
        sink.refuse()
        app = start(OTEL_LOGGING_SPOOL=mode)
        app.do("log a 40")
        if end == "leave":
            assert app.tell("leave") == 0
        else:
            app.process.send_signal(signal.SIGTERM)
            assert app.process.wait(60) == -signal.SIGTERM
        sink.accept()
        other = start(OTEL_LOGGING_SPOOL=mode)
        sink.wait_for(lambda: len(arrived(sink, "a")) >= 40, "the records of the first")
        assert other.end() == 0
        assert arrived(sink, "a") == bodies("a", 40)

    def test_forked_children(self, sink, start, mode):
        """Children have files of their own, and what they leave is delivered by their parent."""
        sink.refuse()
        app = start(OTEL_LOGGING_SPOOL=mode)
        app.do("log p 10")
        app.do("flush 2")
        for child in range(3):
            assert app.do(f"child c{child} 10") == 0
        app.do("log p2 5")
        assert app.end() == 0
        sink.accept()
        other = start(OTEL_LOGGING_SPOOL=mode)
        sink.wait_for(lambda: len([r for r in sink.records if r.logger == "outage"]) >= 45, "all of them")
        assert other.end() == 0
        for prefix, count in (("p", 10), ("c0", 10), ("c1", 10), ("c2", 10), ("p2", 5)):
            assert arrived(sink, prefix) == bodies(prefix, count)


class TestWriteAhead:
    @pytest.mark.parametrize("endpoint", ["down", "hanging", "up"])
    def test_kill_9(self, sink, start, endpoint):
        """With `always`, kill -9 loses nothing that `logger.info` had returned from."""
        if endpoint == "down":
            sink.refuse()
        elif endpoint == "hanging":
            sink.always(Hang(Close()))
        app = start(OTEL_LOGGING_SPOOL="always")
        app.do("log a 100")
        app.do("log b 3")
        assert app.tell("die") == -signal.SIGKILL
        sink.accept()
        sink.always(Answer())
        sink.release()
        other = start(OTEL_LOGGING_SPOOL="always")
        sink.wait_for(lambda: len(arrived(sink, "b")) >= 3, "the last records")
        assert other.do("flush 5") is True
        assert other.end() == 0
        if endpoint == "up":  # a batch that was delivered, but not yet noted as delivered, may come again
            assert sorted(set(arrived(sink, "a"))) == bodies("a", 100)
            assert sorted(set(arrived(sink, "b"))) == bodies("b", 3)
        else:
            assert arrived(sink, "a") == bodies("a", 100)
            assert arrived(sink, "b") == bodies("b", 3)

    def test_adopted_exactly_once(self, sink, start):
        """Several processes that start at once deliver what was left, once."""
        sink.refuse()
        app = start(OTEL_LOGGING_SPOOL="always")
        app.do("log a 500")
        app.tell("die")
        sink.accept()
        others = [start() for _ in range(4)]
        sink.wait_for(lambda: len(arrived(sink, "a")) >= 500, "the records of the first")
        assert [other.end() for other in others] == [0] * 4
        assert arrived(sink, "a") == bodies("a", 500)


class TestAnswers:
    def test_too_large_is_split(self, sink, start):
        """413 splits a batch; a record that is too large alone is dropped, and counted."""
        sink.always(
            lambda request: Answer(
                413 if len(request.records) > 3 or any("a-0007" in str(r.body) for r in request.records) else 200
            )
        )
        app = start()
        app.do("log a 40")
        sink.wait_for(lambda: len(arrived(sink, "a")) >= 39, "all but one")
        assert app.do("flush 5") is True
        assert app.balance()["dropped"] == {"too_large": 1}
        assert arrived(sink, "a") == [body for body in bodies("a", 40) if body != "a-0007"]
        assert app.end() == 0

    def test_bad_request_isolates_the_record(self, sink, start):
        """400 costs the record at fault and no other, and order is kept."""
        sink.always(lambda request: Answer(400 if any(str(r.body).endswith("3") for r in request.records) else 200))
        app = start()
        app.do("log a 40")
        sink.wait_for(lambda: len(arrived(sink, "a")) >= 36, "all but four")
        assert app.do("flush 5") is True
        assert app.balance()["dropped"] == {"rejected": 4}
        assert arrived(sink, "a") == [body for body in bodies("a", 40) if not body.endswith("3")]
        assert app.end() == 0

    def test_endpoint_that_refuses_everything(self, sink, start):
        """An endpoint that answers 400 to all is wrong itself: nothing is dropped, and few requests are made."""
        sink.always(Answer(400))
        app = start()
        app.do("log a 300")
        assert app.do("flush 3") is False
        stats = app.balance()
        assert (stats["dropped"], stats["held"]) == ({}, 301)
        assert len(sink.requests) < 60
        sink.always(Answer())
        app.do("log b 1")
        sink.wait_for(lambda: arrived(sink, "b"), "the last record")
        assert arrived(sink, "a") == bodies("a", 300)
        assert app.end() == 0

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_denied_is_said_once(self, sink, start, status):
        """A wrong token is said once; when it is put right, the next process delivers what was spooled."""
        sink.always(lambda request: Answer(200 if request.headers.get("x-token") == "right" else status))
        app = start(OTEL_EXPORTER_OTLP_HEADERS="x-token=wrong")
        for part in range(3):
            app.do(f"log a{part} 10")
            app.do("flush 1")
        assert app.balance()["held"] == 31
        assert app.end() == 0
        assert app.said().count(f"({status}") == 1
        other = start(OTEL_EXPORTER_OTLP_HEADERS="x-token=right")
        sink.wait_for(lambda: len(arrived(sink, "a2")) == 10, "the records of the first")
        assert arrived(sink, "a0") == bodies("a0", 10)
        assert other.end() == 0

    def test_partial_success(self, sink, start):
        """What the endpoint says it rejected of a batch is counted as rejected, and why is said."""
        sink.script(Answer(200, rejected=2, message="too old"))
        app = start()
        app.do("log a 5")
        assert app.do("flush 5") is True or app.balance()["dropped"]
        stats = app.balance()
        assert sum(stats["dropped"].values()) == stats["dropped"]["rejected"] <= 2
        assert "too old" in app.said()
        assert app.end() == 0

    def test_retry_after(self, sink, start):
        """An endpoint that asks for a pause gets it, also from a flush."""
        sink.script(Answer(503, {"Retry-After": "2"}))
        app = start()
        app.do("log a 5")
        sink.wait_for(lambda: sink.requests, "the first request")
        assert app.do("flush 0.5") is False
        sink.wait_for(lambda: arrived(sink, "a") == bodies("a", 5), "all of them")
        assert sink.requests[1].at - sink.requests[0].at >= 2
        assert app.end() == 0


class TestWithoutASpool:
    @pytest.mark.parametrize("how", ["off", "no folder"])
    def test_memory_bridges_an_outage(self, sink, start, tmp_path, how):
        """Without a spool, or where its folder cannot be written, records wait in memory, in order."""
        store = {"OTEL_LOGGING_SPOOL": "off"} if how == "off" else {"OTEL_LOGGING_STORE": "/proc/nowhere"}
        sink.refuse()
        app = start(**store)
        app.do("log a 1500")
        assert app.do("flush 1") is False
        stats = app.balance()
        assert (stats["held"], stats["spool"]["held"]) == (1501, 0)
        sink.accept()
        sink.wait_for(lambda: len(arrived(sink, "a")) >= 1500, "all of them")
        assert arrived(sink, "a") == bodies("a", 1500)
        assert app.do("flush 5") is True
        assert app.end() == 0
        assert app.said().count("cannot be written") == (how == "no folder")

    def test_read_only_store_with_always(self, sink, start):
        """Writing ahead falls back on the queue."""
        app = start(OTEL_LOGGING_SPOOL="always", OTEL_LOGGING_STORE="/proc/nowhere")
        app.do("log a 20")
        assert app.do("flush 5") is True
        assert arrived(sink, "a") == bodies("a", 20)
        assert app.end() == 0


def test_configured_anew_in_an_outage(sink, start):
    """A second `configure()` keeps what is spooled, as this process's own, and the books balance."""
    sink.refuse()
    app = start()
    app.do("log a 10")
    assert app.do("flush 1") is False
    assert app.do("configure") is True
    app.do("log b 10")
    app.balance()
    sink.accept()
    sink.wait_for(lambda: len(arrived(sink, "b")) >= 10, "all of them")
    assert app.do("flush 5") is True
    stats = app.balance()
    assert (stats["held"], stats["exported"]) == (0, stats["created"])
    assert arrived(sink, "a") == bodies("a", 10)
    assert app.end() == 0


def test_other_destinations_are_left_alone(sink, start):
    """What was meant for one endpoint, or one tenant of it, never goes to another."""
    sink.refuse()
    app = start(OTEL_EXPORTER_OTLP_HEADERS="x-scope-orgid=one")
    app.do("log a 10")
    assert app.end() == 0
    sink.accept()
    other = start(OTEL_EXPORTER_OTLP_HEADERS="x-scope-orgid=two")
    other.do("log b 10")
    assert other.do("flush 5") is True
    assert other.end() == 0
    assert arrived(sink, "a") == []
    last = start(OTEL_EXPORTER_OTLP_HEADERS="x-scope-orgid=one")
    sink.wait_for(lambda: arrived(sink, "a") == bodies("a", 10), "them at last")
    assert last.end() == 0
