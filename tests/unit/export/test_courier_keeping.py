"""The promises of otel_logging.export.courier when nobody takes a batch: kept on disk or in memory, written ahead, also under a processor."""

from __future__ import annotations

import threading

import pytest
from courier_endpoint import PATIENCE, Endpoint, readable, says, send
from export_kit import sdk_record

from otel_logging import trouble
from otel_logging.export.answers import of_status, of_words
from otel_logging.export.batch import BatchingProcessor


class TestMemory:
    def test_without_a_spool(self, courier, books, clock):
        """Without a spool one request waits in memory, and the queue behind it."""
        endpoint = Endpoint(says(503))
        one = courier(endpoint, spool=None)
        assert one.due() is None
        send(one, "a", "b")
        assert (one.blocked, one.in_flight, one.due()) == (True, 2, 0.5)
        assert not one.reached(one.mark())
        clock.now += 1
        one.resume()
        assert (one.blocked, endpoint.took, books.out) == (False, ["a", "b"], 2)

    def test_disk_that_fails(self, courier, books, spool, clock, monkeypatch):
        """A disk that takes nothing makes records wait in memory; they go to disk when it takes them again."""
        endpoint = Endpoint(lambda _bodies: of_status(503))
        one = courier(endpoint)

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(spool, "append", full)
            send(one, "a")
            assert (one.blocked, spool.held) == (True, 0)
            assert trouble.counts()["spool"] == 1
        one.resume()
        assert (one.blocked, spool.held, one.in_flight) == (False, 1, 0)
        assert books.total == 0

    def test_closing_without_a_place(self, courier, books):
        """What waits in memory when the time is over is dropped, and counted."""
        one = courier(Endpoint(says(503)), spool=None)
        send(one, "a", "b")
        one.give_up()
        assert (books.lost, one.in_flight, one.lost) == ({"shutdown": 2}, 0, 2)

    def test_hurry(self, courier, spool):
        """Without time, nothing is sent: it goes to disk."""
        endpoint = Endpoint()
        one = courier(endpoint, hurry=lambda: True)
        send(one, "a")
        assert (endpoint.asked, spool.held) == ([], 1)

    def test_poison(self, courier, books):
        """A record that cannot be encoded costs only itself."""
        endpoint = Endpoint()
        send(courier(endpoint), "a", "\ud800", "b")
        assert endpoint.took == ["a", "b"]
        assert books.lost == {"poison": 1}

    def test_no_exception_is_uncounted(self, courier, books):
        """Even what is no Exception leaves the books balanced, and goes on its way."""
        endpoint = Endpoint()

        def leave(*_):
            raise SystemExit(3)

        endpoint.send = leave
        one = courier(endpoint)
        with pytest.raises(SystemExit):
            send(one, "a", "b")
        assert (books.lost, one.in_flight) == ({"export_failed": 2}, 0)


class TestWriteAhead:
    def test_on_disk_before_anything_else(self, courier, books, spool):
        """A record is on disk when `ahead` returns, and is sent from there, several in one request."""
        endpoint = Endpoint()
        one = courier(endpoint, write_ahead=True)
        for body in "abc":
            assert one.ahead(readable(body))
        assert (spool.held, one.fresh, endpoint.asked) == (3, 3, [])
        mark = one.mark()
        one.ahead(readable("d"))
        assert not one.reached(mark)
        one.resume()
        assert endpoint.asked == [["a", "b", "c", "d"]]
        assert one.reached(mark)
        assert books.out == 4

    def test_poison(self, courier, books, spool):
        """What cannot be encoded is dropped at once."""
        one = courier(Endpoint(), write_ahead=True)
        assert one.ahead(readable("\ud800"))
        assert books.lost == {"poison": 1}
        assert spool.held == 0

    def test_disk_that_fails(self, courier, monkeypatch, spool):
        """A record that the disk does not take goes by the queue."""
        one = courier(Endpoint(), write_ahead=True)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(spool, "append", full)
        assert not one.ahead(readable("a"))

    def test_only_when_asked(self, courier):
        """Without `always`, and after the end, records go by the queue."""
        assert not courier(Endpoint()).ahead(readable("a"))
        one = courier(Endpoint(), write_ahead=True)
        one.shutdown()
        assert not one.ahead(readable("a"))


class TestUnderAProcessor:
    """With the real queue and its thread."""

    @pytest.fixture
    def processor(self, courier, books):
        made = []

        def make(endpoint, **more):
            made.append(BatchingProcessor(courier(endpoint, **more), books, schedule_delay_millis=5))
            return made[-1]

        yield make
        for one in made:
            one.close(100)

    def test_hanging_endpoint(self, processor, spool, books):
        """A flush is kept to its time, and when it is over all is on disk; what is taken after all is not sent again."""
        answer, asked = threading.Event(), threading.Event()

        def hang(_bodies):
            asked.set()
            answer.wait(PATIENCE)

        endpoint = Endpoint(hang)
        one = processor(endpoint)
        one.on_emit(sdk_record("a"))
        assert asked.wait(PATIENCE)
        for body in "bcd":
            one.on_emit(sdk_record(body))
        assert one.force_flush(300) is False
        assert (spool.held, one.held()) == (4, 0)
        answer.set()
        assert one.force_flush(PATIENCE * 1000)
        assert endpoint.took == ["a", "b", "c", "d"]
        assert (books.out, spool.held) == (4, 0)

    def test_end_of_the_process(self, processor, spool):
        """When the process ends, an endpoint that does not answer costs two seconds and no more."""
        answer = threading.Event()
        one = processor(Endpoint(lambda _bodies: answer.wait(PATIENCE) and None))
        one.part()
        one.on_emit(sdk_record("a"))
        assert one.force_flush(PATIENCE * 1000) is False
        assert spool.held == 1
        answer.set()

    def test_close_keeps_what_is_left(self, processor, spool, books):
        """Closing on a dead endpoint puts everything on disk, and drops nothing."""
        one = processor(Endpoint(lambda _bodies: of_words("connection refused")))
        for n in range(20):
            one.on_emit(sdk_record(str(n)))
        assert one.close(2000) is False
        assert (spool.held, one.held(), books.total) == (20, 0, 0)

    def test_write_ahead(self, processor, spool, books):
        """Records that were written ahead are delivered by the worker, and a flush waits for them."""
        endpoint = Endpoint()
        one = processor(endpoint, write_ahead=True)
        for n in range(600):
            one.on_emit(sdk_record(str(n)))
        assert one.force_flush(PATIENCE * 1000)
        assert endpoint.took == [str(n) for n in range(600)]
        assert (books.out, spool.held) == (600, 0)

    def test_without_a_spool(self, processor, books):
        """A flush tells that records wait, and they are delivered when the endpoint answers."""
        endpoint = Endpoint(lambda _bodies: of_status(503))
        one = processor(endpoint, spool=None)
        one.on_emit(sdk_record("a"))
        assert one.force_flush(500) is False
        one.on_emit(sdk_record("b"))
        assert one.held() == 2
        endpoint.answer = lambda _bodies: None
        assert one.force_flush(PATIENCE * 1000)
        assert endpoint.took == ["a", "b"]
