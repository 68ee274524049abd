"""The promises of otel_logging.export.courier and attempts: what becomes of records, whatever the endpoint answers."""

from __future__ import annotations

import threading

import pytest
from export_kit import Books, sdk_record

from otel_logging import trouble
from otel_logging.export import otlp_request
from otel_logging.export.answers import TAKEN, Answer, Outcome, of_status, of_words
from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.courier import Courier
from otel_logging.export.entry import entry_of
from otel_logging.export.retry import Backoff
from otel_logging.export.spool import Spool

PATIENCE = 30.0


class Endpoint:
    """Answers as told: `answer(bodies)` gives an Answer, None for taken."""

    endpoint = "http://there"

    def __init__(self, answer=lambda bodies: None):
        self.answer = answer
        self.headers = {}
        self.asked = []
        self.took = []
        self.closed = self.forked = 0
        self.seconds = []

    def send(self, blob, seconds=None):
        request = otlp_request._request(blob)
        bodies = [r.body.string_value for one in request.resource_logs for s in one.scope_logs for r in s.log_records]
        self.asked.append(bodies)
        self.seconds.append(seconds)
        answer = self.answer(bodies) or TAKEN
        if answer.outcome is Outcome.TAKEN:
            self.took += bodies
        return answer

    def close(self):
        self.closed += 1

    def after_fork(self):
        self.forked += 1


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "store" / "spool" / "there", "calls")
    yield spool
    spool.release()


@pytest.fixture
def courier(books, spool, clock):
    """A courier with a spool; `spool=None` for one without."""

    def make(endpoint, **more):
        more.setdefault("spool", spool)
        hurry = more.pop("hurry", lambda: False)
        return Courier(endpoint, backoff=Backoff(clock, lambda: 0.0), clock=clock, **more).bind(books, hurry)

    return make


def readable(body):
    return entry_of(sdk_record(body)).record


def send(courier, *bodies):
    courier.taken(len(bodies))
    courier.send([readable(body) for body in bodies])


def says(*statuses):
    """Answers with these statuses, then takes all."""
    left = list(statuses)
    return lambda _bodies: of_status(left.pop(0)) if left else None


class TestOrder:
    def test_spooled_first(self, courier, books, spool, clock):
        """While something is on disk, what is new goes behind it, and all arrive in the order they were made."""
        endpoint = Endpoint(says(503))
        one = courier(endpoint)
        send(one, "a", "b")
        assert (spool.held, one.in_flight, books.out) == (2, 0, 0)
        send(one, "c")
        assert endpoint.asked == [["a", "b"]]  # in the pause nothing is asked
        one.resume()
        assert endpoint.took == []
        clock.now += 1
        assert one.due() == 0
        one.resume()
        send(one, "d")
        assert endpoint.took == ["a", "b", "c", "d"]
        assert (books.out, spool.held, one.due()) == (4, 0, pytest.approx(29))

    def test_forced(self, courier, clock):
        """A flush asks within a pause of ours, and not within one that the endpoint asked for."""
        endpoint = Endpoint(says(503))
        one = courier(endpoint)
        send(one, "a")
        one.resume(force=True)
        assert endpoint.took == ["a"]
        answers = [Answer(Outcome.LATER, "otlp_busy", "is busy", "wait", pause=60.0)]
        endpoint.answer = lambda _bodies: answers.pop() if answers else None
        send(one, "b")
        one.resume(force=True)
        assert endpoint.took == ["a"]
        assert one.due() >= 60
        clock.now += 70
        one.resume()
        assert endpoint.took == ["a", "b"]

    def test_pauses_grow(self, courier, clock):
        """An endpoint that stays away is asked less and less often, up to every half a minute."""
        one = courier(Endpoint(lambda _bodies: of_words("connection refused")))
        send(one, "a")
        pauses = []
        for _ in range(10):
            pauses.append(one.due())
            clock.now += one.due()
            one.resume()
        assert pauses[:4] == [0.5, 1, 2, 4]
        assert pauses[-1] == 30

    def test_adopted_in_between(self, courier, books, spool, clock, tmp_path):
        """What others have left goes one request at a time, is not in our books, and is not waited for by a flush."""
        other = Spool(spool.folder, "other")
        for n in range(3):
            other.append(otlp_request.encode([readable(f"old{n}")]), 1)
        other.release()
        endpoint = Endpoint()
        one = courier(endpoint, batch_size=1)
        one.resume()
        send(one, "new")
        assert endpoint.took == ["old0", "new"]
        assert one.reached(one.mark())
        assert one.due() == 0
        one.resume()
        one.resume()
        assert endpoint.took == ["old0", "new", "old1", "old2"]
        assert books.out == 1
        assert spool.adopted == {"delivered": 3, "dropped": 0}

    def test_adopted_that_is_refused(self, courier, books, spool):
        """A refused record of somebody else's is counted there, and not in our books."""
        other = Spool(spool.folder, "other")
        other.append(otlp_request.encode([readable("good"), readable("bad")]), 2)
        other.release()
        one = courier(Endpoint(lambda bodies: of_status(400) if "bad" in bodies else None))
        one.resume()
        assert spool.adopted == {"delivered": 1, "dropped": 1}
        assert books.total == 0


class TestParts:
    def test_too_large(self, courier, books):
        """413 halves; a record that is too large alone is dropped."""
        endpoint = Endpoint(lambda bodies: of_status(413) if len(bodies) > 2 or "huge" in bodies else None)
        one = courier(endpoint)
        send(one, "a", "b", "huge", "c", "d")
        assert endpoint.took == ["a", "b", "c", "d"]
        assert (books.out, books.lost) == (4, {"too_large": 1})
        assert one.lost == 1

    @pytest.mark.parametrize("bad", [("a",), ("e",), ("c",), ("a", "b"), ("d", "e"), ("a", "c", "e")])
    def test_refused(self, courier, books, bad):
        """400 costs the records at fault, wherever they stand, and keeps the order of the others."""
        endpoint = Endpoint(lambda bodies: of_status(400) if set(bodies) & set(bad) else None)
        send(courier(endpoint), "a", "b", "c", "d", "e")
        assert endpoint.took == [body for body in "abcde" if body not in bad]
        assert books.lost == {"rejected": len(bad)}

    @pytest.mark.parametrize("status", [400, 500])
    def test_all_refused(self, courier, books, spool, clock, status):
        """An endpoint that refuses everything costs nothing, and is not asked about every record."""
        endpoint = Endpoint(lambda _bodies: of_status(status))
        one = courier(endpoint)
        send(one, *map(str, range(512)))
        assert len(endpoint.asked) < 20
        assert (spool.held, books.total) == (512, 0)
        endpoint.answer = lambda _bodies: None
        clock.now += 1
        one.resume()
        assert endpoint.took == list(map(str, range(512)))

    def test_alone_after_others(self, courier, books):
        """A refused record that is alone is dropped if the endpoint has taken others lately, a few times in a row."""
        endpoint = Endpoint()
        one = courier(endpoint, spool=None)
        send(one, "good")
        endpoint.answer = lambda bodies: of_status(400) if any(b.startswith("bad") for b in bodies) else None
        for n in range(3):
            send(one, f"bad{n}")
        assert books.lost == {"rejected": 3}
        send(one, "bad3")
        assert one.blocked
        assert books.lost == {"rejected": 3}

    def test_alone_and_first(self, courier, books, spool, clock):
        """A refused record that nothing came before waits for the next ones, which tell whose fault it is."""
        endpoint = Endpoint(lambda bodies: of_status(400) if "bad" in bodies else None)
        one = courier(endpoint)
        send(one, "bad")
        assert spool.held == 1
        send(one, "good")
        clock.now += 1
        one.resume()
        assert endpoint.took == ["good"]
        assert books.lost == {"rejected": 1}

    def test_outage_in_mid_split(self, courier, books, spool, clock):
        """Halves that were taken before an outage are not sent again."""
        left = [of_status(413), None, of_status(503)]
        endpoint = Endpoint(lambda _bodies: left.pop(0) if left else None)
        one = courier(endpoint)
        send(one, "a", "b", "c", "d")
        assert (endpoint.took, spool.held) == (["a", "b"], 2)
        left[:] = [of_status(413), None, of_status(503)]
        clock.now += 1
        one.resume()
        assert (endpoint.took, spool.held) == (["a", "b", "c"], 1)
        clock.now += 5
        one.resume()
        assert endpoint.took == ["a", "b", "c", "d"]
        assert books.out == 4

    def test_partial_success(self, courier, books, capsys):
        """What the endpoint rejects of a request that it takes is counted so, and its words are told."""
        endpoint = Endpoint(lambda _bodies: Answer(Outcome.TAKEN, "otlp_partial", "too old", rejected=2))
        send(courier(endpoint), "a", "b", "c")
        assert (books.out, books.lost) == (1, {"rejected": 2})
        assert "rejected 2 records of it: too old" in capsys.readouterr().err

    def test_unreadable_request(self, courier, books, spool, clock):
        """A request in the spool that protobuf cannot read costs itself."""
        endpoint = Endpoint()
        one = courier(endpoint)
        spool.append(b"\xff\xff", 2)
        spool.append(otlp_request.encode([readable("good")]), 1)
        endpoint.send = lambda blob, seconds=None: (
            of_status(400) if blob == b"\xff\xff" else Endpoint.send(endpoint, blob)
        )
        for _ in range(12):
            one.resume()
            clock.now += 60
            one._attempts._credit = 3
        assert endpoint.took == ["good"]
        assert books.lost["rejected"] + books.lost["spool_damaged"] == 2

    @pytest.mark.parametrize("status", [401, 403, 404, 301, 418])
    def test_denied(self, courier, books, spool, clock, capsys, status):
        """What an operator can put right is said once and costs nothing."""
        endpoint = Endpoint(lambda _bodies: of_status(status))
        one = courier(endpoint)
        for body in "abc":
            send(one, body)
            clock.now += 60
            one.resume()
        assert spool.held == 3
        assert capsys.readouterr().err.count(f"({status}") == 1
        endpoint.answer = lambda _bodies: None
        clock.now += 60
        one.resume()
        assert endpoint.took == ["a", "b", "c"]
        assert books.lost == {}


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


def test_books_of_nobody(spool):
    """A courier that was not forked does not begin anew when it is bound again."""
    endpoint = Endpoint()
    Courier(endpoint, spool=spool).bind(Books(), lambda: False).bind(Books(), lambda: False)
    assert endpoint.forked == 0
