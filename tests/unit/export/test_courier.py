"""The promises of otel_logging.export.courier and attempts: what becomes of records, whatever the endpoint answers."""

from __future__ import annotations

import pytest
from courier_endpoint import Endpoint, readable, says, send
from export_kit import Books

from otel_logging.export import otlp_request
from otel_logging.export.answers import Answer, Outcome, of_status, of_words
from otel_logging.export.courier import Courier
from otel_logging.export.spool import Spool


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


def test_books_of_nobody(spool):
    """A courier that was not forked does not begin anew when it is bound again."""
    endpoint = Endpoint()
    Courier(endpoint, spool=spool).bind(Books(), lambda: False).bind(Books(), lambda: False)
    assert endpoint.forked == 0
