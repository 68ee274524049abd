"""A record that is really sent: each answer has its verdict, and what is not proved is said."""

from __future__ import annotations

import json

import pytest
from otlp_sink import Answer, Close, OtlpSink

from otel_logging import ids, settings
from otel_logging.doctor import collector, roundtrip
from otel_logging.doctor.finding import FAILED, OK, WARNING
from otel_logging.doctor.roundtrip import Witnesses, round_trip


@pytest.fixture
def sink(monkeypatch):
    with OtlpSink() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "calls")
        yield made


@pytest.fixture
def trip():
    """A round trip with the environment's settings."""

    def make(witnesses=Witnesses(), call="doctor-1234"):  # noqa: B008 (frozen)
        return round_trip(settings.read(), witnesses, call)

    return make


class TestRecord:
    def test_is_an_ordinary_one(self, sink, trip):
        """It is found as any record of a call is, and no policy of the Collector drops it."""
        trip()
        (record,) = sink.records
        assert record.attributes["call_sid"] == "doctor-1234"
        assert record.attributes["otel_logging.trigger"] == "doctor"
        assert record.trace_id == f"{ids.trace_id_for('doctor-1234'):032x}"
        assert (record.level, record.resource["service.name"]) == ("INFO", "calls")
        assert not sink.invalid

    def test_names_are_call_ids(self):
        """Each examination has a call of its own, with an id that the search takes."""
        assert ids.is_call_id(roundtrip.new_call())
        assert roundtrip.new_call() != roundtrip.new_call()

    def test_none_is_sent_if_none_is_wanted(self, sink, trip):
        """Without a call, an empty request asks whether records are taken, and says how little that proves."""
        one = trip(call=None)
        assert (one.verdict, "Not proved" in one.says) == (OK, True)
        assert (len(sink.requests), sink.records) == (1, [])


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "says", "cure"),
        [
            (Answer(401), "401", "OTEL_EXPORTER_OTLP_HEADERS"),
            (Answer(403), "403", "OTEL_EXPORTER_OTLP_HEADERS"),
            (Answer(404), "no such path", "path"),
            (Answer(413), "too large", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"),
            (Answer(429), "send less", "limits"),
            (Answer(500), "500", "log"),
            (Answer(503), "503", "log"),
            (Answer(302, {"Location": "http://elsewhere"}), "redirect", "leads to"),
            (Answer(200, rejected=1, message="no thanks"), "no thanks", "log"),
            (Close(), "closes connections", "TLS"),
        ],
    )
    def test_each_refusal_is_told(self, sink, trip, answer, says, cure):
        """What is not taken is a failure with the exporter's own words and cure."""
        sink.always(answer)
        one = trip()
        assert one.verdict == FAILED
        assert says in one.says
        assert cure in one.cure

    def test_settings_that_cannot_be_used(self, monkeypatch, trip):
        """Where no exporter can be made, nothing raises."""
        monkeypatch.setattr(roundtrip.otlp, "build_sender", lambda *_: None)
        assert trip().verdict == FAILED

    def test_no_token_is_shown(self, sink, trip, monkeypatch):
        """An endpoint that repeats the token does not make us show it."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr3t-abcdef")
        sink.always(Answer(401, {"Content-Type": "text/plain"}, body=b"who is s3cr3t-abcdef?"))
        one = trip()
        assert one.verdict == FAILED
        assert "s3cr3t" not in str(one.as_json())


class TestProof:
    def test_none(self, sink, trip):
        """Taken and nothing else: said as what it is, with where to look."""
        one = trip()
        assert (one.verdict, "Not proved" in one.says, "doctor-1234" in one.cure) == (OK, True, True)

    def test_by_file(self, sink, trip, tmp_path):
        """A file that holds the record is proof of the way in, and not of the way out."""
        path = tmp_path / "logs" / "collector.jsonl"
        path.parent.mkdir()
        path.write_text(json.dumps({"call_sid": "doctor-1234"}))
        one = trip(Witnesses(outputs=[tmp_path], patience=5))
        assert (one.verdict, one.facts["file"]) == (OK, str(path))
        assert "Not proved: that exporters sent it on" in one.says

    @pytest.fixture
    def counted(self, monkeypatch):
        """The Collector's figures before and after, as its metrics page tells them."""

        def make(before, after):
            pages = iter([before])
            monkeypatch.setattr(collector, "figures", lambda url: next(pages, after))
            return Witnesses(metrics="http://127.0.0.1:8888/metrics", patience=0)

        return make

    def test_by_figures(self, sink, trip, counted):
        """An exporter that sent one record when one came in sent this one."""
        one = trip(counted({("sent", "otlp_http"): 4.0}, {("sent", "otlp_http"): 5.0, ("accepted", ""): 1.0}))
        assert (one.verdict, "otlp_http sent 1" in one.says, "meanwhile" in one.says) == (OK, True, False)

    def test_other_traffic_is_said(self, sink, trip, counted):
        """With other records on the way, a counter is not proof for this one alone."""
        one = trip(counted({}, {("sent", "otlp_http"): 5.0, ("accepted", ""): 5.0}))
        assert (one.verdict, "of 5 that came in meanwhile" in one.says) == (OK, True)

    @pytest.mark.parametrize("what", ["failed", "refused"])
    def test_an_exporter_that_fails(self, sink, trip, counted, what):
        """What an exporter could not deliver is a failure, whatever the others did."""
        one = trip(counted({}, {(what, "x"): 1.0, ("queue", "x"): 0.0, ("sent", "file"): 1.0}))
        assert (one.verdict, one.facts["failed"]) == (FAILED, ["x"])
        assert "key" in one.cure

    def test_an_exporter_that_is_behind(self, sink, trip, counted):
        """What is still in a queue is a warning with its length: a wrong key looks like that."""
        one = trip(counted({}, {("queue", "x"): 3.0, ("sent", "file"): 1.0}))
        assert (one.verdict, "x (3 in its queue)" in one.says) == (WARNING, True)

    def test_the_datadog_exporter_proves_nothing(self, sink, trip, counted):
        """It counts as sent whatever becomes of it, which is said."""
        one = trip(counted({}, {("sent", "datadog/x"): 1.0}))
        assert "Not proved: delivery by `datadog`" in one.says
