"""What the Collector makes of records that somebody else wrote: in one shape, without secrets, without frames."""

from __future__ import annotations

import itertools
import json
import time
import urllib.error

import pytest
from backends import back_end
from collector_process import Collector
from collector_records import CALL, TRACE, any_value, post, record, send, whole_lines, written
from otlp_sink import OtlpSink

from otel_logging import cli

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
LOCAL = ("config.yaml", "policies.yaml")
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    """The Collector as it runs without a back end."""
    with Collector(tmp_path_factory.mktemp("collector"), *LOCAL) as running:
        yield running


@pytest.fixture
def through(collector):
    """Send records, and get what was written of them, by their order; None for one that was left out."""

    def run(*records, **about):
        number = next(NUMBERS)
        for place, one in enumerate(records):
            one["attributes"].append({"key": "place", "value": any_value(f"{number}:{place}")})
        end = record("the end", {"place": f"{number}:end"})
        send(collector, *records, **about)
        send(collector, end)

        def all_there():
            found = {one.attributes["place"]: one for one in written(collector.files) if "place" in one.attributes}
            return found if f"{number}:end" in found else None

        found = collector.until(all_there, "the records")
        return [found.get(f"{number}:{place}") for place in range(len(records))]

    return run


class TestCallSid:
    """Every record finds its call."""

    @pytest.mark.parametrize("name", ["call_sid", "CallSid", "callSid", "call.sid", "twilio.call_sid"])
    def test_from_an_attribute(self, through, name):
        """Whatever a service calls it, the attribute is `call_sid`."""
        (found,) = through(record("text", {name: CALL}))
        assert found.attributes["call_sid"] == CALL

    @pytest.mark.parametrize("name", ["call_sid", "callSid", "CallSid"])
    @pytest.mark.parametrize("body", [dict, json.dumps], ids=["map", "text"])
    def test_from_a_json_body(self, through, name, body):
        """A body that is JSON, as text or as a map, names its call, trace and span."""
        line = {"message": "hello", name: CALL, "trace_id": "c" * 32, "span_id": "d" * 16}
        (found,) = through(record(body(line)))
        assert found.attributes["call_sid"] == CALL
        assert (found.trace_id, found.span_id) == ("c" * 32, "d" * 16)

    def test_from_a_plain_line(self, through):
        """A line that says `call_sid=CA…` belongs to that call; one that only holds such an id does not."""
        named, other = through(record(f"started call_sid={CALL}, business_id=4"), record(f"transfer to {CALL}"))
        assert named.attributes["call_sid"] == CALL
        assert "call_sid" not in other.attributes

    def test_the_attribute_comes_first(self, through):
        """What the record says of itself is not replaced by what its body says; its own ids neither."""
        body = json.dumps({"call_sid": "CA" + "f" * 32, "trace_id": "c" * 32})
        (found,) = through(record(body, {"call_sid": CALL}, traceId="e" * 32, spanId="f" * 16))
        assert found.attributes["call_sid"] == CALL
        assert (found.trace_id, found.span_id) == ("e" * 32, "f" * 16)

    def test_joins_the_trace_of_its_call(self, through):
        """A Twilio call id is a trace id: a record without a trace gets it, any other call id changes nothing."""
        twilio, other = through(record("a", {"call_sid": CALL}), record("b", {"call_sid": "room-7"}))
        assert twilio.trace_id == TRACE
        assert other.trace_id == ""

    @pytest.mark.parametrize("value", ["two words", "x" * 129, "<script>", ""])
    def test_outside_data_is_no_call_id(self, through, value):
        """What does not look like a call id is none, as in the application."""
        (found,) = through(record("text", {"call_sid": value}))
        assert "call_sid" not in found.attributes

    def test_a_number_is_text(self, through):
        """A call id that came as a number is found as text, as all others."""
        (found,) = through(record("text", {"call_sid": 4711}))
        assert found.attributes["call_sid"] == "4711"

    @pytest.mark.parametrize("body", ["{broken", "[1, 2]", "{}", '{"call_sid": 7}', ""])
    def test_a_body_that_is_not_json_passes(self, through, collector, body):
        """Broken JSON arrives as it is, and the Collector does not print it."""
        (found,) = through(record(body, {"mark": "kept"}))
        assert found.attributes["mark"] == "kept"
        assert "{broken" not in collector.said


class TestTime:
    """Nobody finds a record of 1970, and nobody pays for one of next year."""

    @pytest.mark.parametrize("unit", [SECOND, 1_000_000, 1_000], ids=["s", "ms", "us"])
    def test_other_units(self, through, unit):
        """Seconds, milliseconds and microseconds taken for nanoseconds are put right."""
        now = time.time_ns()
        (found,) = through(record("text", timeUnixNano=str(now // unit)))
        assert found.time == now // unit * unit

    def test_absent(self, through):
        """Without a time it was when it was seen; without both it was now."""
        seen = time.time_ns() - 7 * SECOND
        observed, none = through(
            record("a", timeUnixNano="0", observedTimeUnixNano=str(seen)),
            record("b", timeUnixNano="0", observedTimeUnixNano="0"),
        )
        assert observed.time == seen
        assert seen < none.time <= time.time_ns()

    @pytest.mark.parametrize(
        "off", [2 * 3600 * SECOND, 400 * DAY, -40 * 365 * DAY], ids=["hours", "next-year", "1980s"]
    )
    def test_insane(self, through, off):
        """A time that cannot be true is replaced, and what it said is kept."""
        now = time.time_ns()
        (found,) = through(record("text", timeUnixNano=str(now + off), observedTimeUnixNano=str(now + off)))
        assert abs(found.time - now) < 600 * SECOND
        year = time.gmtime((now + off) // SECOND).tm_year
        assert found.attributes["otel_logging.original_time"].startswith(f"{year}-")

    def test_what_can_be_true_stays(self, through):
        """A record of last month (a spool, a recall) and one of a clock a minute ahead keep their times."""
        now = time.time_ns()
        times = [now - 30 * DAY, now, now + 60 * SECOND]
        found = through(*(record("text", timeUnixNano=str(one)) for one in times))
        assert [one.time for one in found] == times
        assert not any("otel_logging.original_time" in one.attributes for one in found)


class TestNames:
    """What people search by has one name."""

    def test_logger_name(self, through):
        """The scope's name becomes `logger.name`, unless the record has one."""
        bare, named = through(record("a"), record("b", {"logger.name": "own"}), scope="server.media_ws_ai")
        assert bare.attributes["logger.name"] == "server.media_ws_ai"
        assert named.attributes["logger.name"] == "own"

    def test_host(self, through):
        """Host and system are added where the sender does not say; what it says stays."""
        (bare,) = through(record("a"))
        (told,) = through(record("b"), resource={"service.name": "voice", "host.name": "theirs"})
        assert bare.resource["service.name"] == "voice"
        assert bare.resource["host.name"] not in {"", "theirs"}
        assert told.resource["host.name"] == "theirs"


class TestPolicies:
    """The rules of the application hold for what others send."""

    def test_frames_are_left_out(self, through):
        """A frame at INFO goes; the line beside it stays."""
        frame, line = through(
            record("[AUDIO_DELTA] response_id=r1, bytes=320"), record("[CALL_START] direction=inbound")
        )
        assert frame is None
        assert line is not None

    def test_triggered_records_pass(self, through):
        """What an override let through is not dropped a second time."""
        (found,) = through(record("[AUDIO_DELTA] bytes=320", {"otel_logging.trigger": "error"}))
        assert found is not None

    @pytest.mark.parametrize("severity", [13, 17, 21])
    def test_only_low_severities(self, through, severity):
        """WARN and above is never a frame."""
        (found,) = through(record("[AUDIO_DELTA] bytes=320", severityNumber=severity))
        assert found is not None


class TestPrivacy:
    """Secrets, audio and digits do not pass, wherever in a record they stand."""

    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("Authorization: Bearer abcdefghij0123456789", "abcdefghij0123456789"),
            ("key sk-proj-abcdefghijklmnop0123", "abcdefghijklmnop0123"),
            ("AKIAABCDEFGHIJKLMNOP used", "AKIAABCDEFGHIJKLMNOP"),
            ('{"password": "hunter22"}', "hunter22"),
            ("redis://user:hunter22@redis:6379", "hunter22"),
            ("media payload=" + "Ab1/" * 30, "Ab1/Ab1/"),
            ("chunk " + "Ab1/" * 60, "Ab1/Ab1/"),
            ("DTMF digits pressed: 4711", "4711"),
            ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "MIIB"),
        ],
    )
    @pytest.mark.parametrize("place", ["body", "attribute", "nested", "stack"])
    def test_by_form(self, through, text, secret, place):
        """In the body, an attribute, a nested attribute and a traceback."""
        attributes = {
            "body": {},
            "attribute": {"note": text},
            "nested": {"note": {"deep": [text]}},
            "stack": {"exception.stacktrace": f"Traceback\n  {text}\nValueError"},
        }[place]
        (found,) = through(record(text if place == "body" else "text", attributes, severityNumber=13))
        assert secret not in json.dumps(found.raw, ensure_ascii=False)
        # Nor does anything tell where to look for it.
        assert not [name for name in found.attributes if name.startswith("redaction.")]

    @pytest.mark.parametrize(
        "name", ["password", "db.password", "api_key", "X-Authorization", "access_token", "dtmf", "digits"]
    )
    def test_by_name(self, through, name):
        """An attribute whose name says so has no value any more, text or number."""
        text, number = through(record("a", {name: "c4n4ry"}), record("b", {name: 4711}))
        assert text.attributes[name] == number.attributes[name] == "****"

    def test_what_is_no_secret_stays(self, through):
        """Ids, digests, counts, marks of the application and ordinary text are as they were."""
        attributes = {
            "call_sid": CALL, "digest": "ab12" * 32, "token_count": 17, "llm.tokens": 4, "author": "x", "ratio": 0.5,
            "ok": True, "request.id": "0b2c1f6e-5d4e-4c1f-9a51-0a4f2a1f8a11",
        }  # fmt: skip
        bodies = ["password=[REDACTED]", "Authorization: [REDACTED]", "DTMF [DTMF]", "שלום, 3 slots at 14:00", "12345"]
        found = through(*(record(body, attributes) for body in bodies))
        assert [one.body for one in found] == bodies
        for one in found:
            assert attributes.items() <= one.attributes.items()


class TestSize:
    """One record is never larger than a back end takes."""

    def test_cut(self, through):
        """A huge body and attribute are cut at a letter's border and say so; the rest of the record stays."""
        (found,) = through(record("ש" * 600_000, {"big": "ת" * 200_000, "call_sid": CALL}))
        for text, limit in ((found.body, 500_000), (found.attributes["big"], 100_000)):
            assert len(text.encode()) <= limit + 20
            assert text.endswith("… [cut]")
            assert "\ufffd" not in text
        assert found.attributes["call_sid"] == CALL


class TestFiles:
    """The local output is JSON that our own search reads."""

    def test_search_reads_them(self, through, collector, capsys):
        """`otel-logging call` shows a call of another service from the Collector's files."""
        call = "CA" + "5" * 32
        through(record("🚀 [CALL_START] direction=inbound", {"callSid": call}))
        assert cli.main(["call", call, "--store", str(collector.files), "--json"]) == 0
        assert "CALL_START" in capsys.readouterr().out

    def test_private(self, collector, through):
        """Nobody else looks into the folders of files and queue."""
        through(record("text"))
        for folder in (collector.files / "logs", collector.files / "traces", collector.storage / "queue"):
            assert folder.stat().st_mode & 0o077 == 0, folder

    def test_spans(self, collector):
        """The `call` spans are taken and written, secrets redacted."""
        now = time.time_ns()
        span = {
            "traceId": TRACE, "spanId": "a" * 16, "name": "call", "kind": 2,
            "startTimeUnixNano": str(now - SECOND), "endTimeUnixNano": str(now),
            "attributes": [
                {"key": "call_sid", "value": any_value(CALL)}, {"key": "note", "value": any_value("password=hunter22")},
            ],
        }  # fmt: skip
        scopes = [{"scope": {"name": "otel_logging"}, "spans": [span]}]
        post(f"{collector.url}/v1/traces", {"resourceSpans": [{"resource": {}, "scopeSpans": scopes}]})
        path = collector.files / "traces" / "collector.jsonl"
        (line,) = collector.until(lambda: whole_lines(path), "the span")
        text = json.dumps(line)
        assert CALL in text
        assert "hunter22" not in text


class TestMemory:
    """The Collector's memory is bounded, and a refusal loses nothing."""

    def test_over_the_limit_it_says_try_again(self, tmp_path):
        """Above its limit it answers 503, which every exporter repeats, and stays up."""
        with Collector(
            tmp_path, *LOCAL, env={"COLLECTOR_MEMORY_LIMIT_MIB": "2", "COLLECTOR_MEMORY_SPIKE_MIB": "1"}
        ) as small:

            def refused():
                try:
                    send(small, record("text"))
                except urllib.error.HTTPError as error:
                    with error:
                        return error.code
                return None

            assert small.until(refused, "a refusal") == 503
            assert small.healthy()


@pytest.fixture(scope="module")
def sink():
    """Where Datadog would be."""
    with OtlpSink() as listening:
        yield listening


@pytest.fixture(scope="module")
def datadog(sink, tmp_path_factory):
    """The Collector as it ships to Datadog."""
    env = {"DD_API_KEY": "0" * 32, "DD_OTLP_LOGS_ENDPOINT": f"{sink.url}/v1/logs"}
    with Collector(tmp_path_factory.mktemp("datadog"), *LOCAL, "datadog.yaml", env=env) as running:
        yield running


@pytest.fixture
def arrived(datadog, sink):
    """Send one record, and get it as it arrived."""

    def run(one):
        before = len(sink.records)
        send(datadog, one)
        sink.wait_for(lambda: len(sink.records) > before, "the record")
        return sink.records[before]

    return run


class TestDatadog:
    """What goes to Datadog has the names that Datadog knows, and none that it takes for its own."""

    def test_errors(self, arrived):
        """`exception.*` becomes `error.*`, moved and not copied."""
        error = {"exception.type": "ValueError", "exception.message": "bad", "exception.stacktrace": "Traceback …"}
        found = arrived(record("text", {**error, "exception.escaped": True}))
        errors = {key: value for key, value in found.attributes.items() if key.startswith(("error.", "exception."))}
        assert errors == {
            "error.kind": "ValueError", "error.message": "bad", "error.stack": "Traceback …", "exception.escaped": True,
        }  # fmt: skip

    def test_reserved_names(self, arrived):
        """An attribute that would take the place of the record's own gets another name."""
        names = ["status", "level", "Severity", "message", "msg", "service", "host", "trace_id", "date"]
        found = arrived(record("text", dict.fromkeys(names, "theirs")))
        assert {f"app.{name}" for name in names} <= found.attributes.keys()
        assert not found.attributes.keys() & set(names)

    def test_old_records(self, arrived):
        """Datadog takes 18 hours: what is older is dated now and says when it was."""
        old = time.time_ns() - 2 * DAY
        found = arrived(record("text", timeUnixNano=str(old)))
        assert found.time > time.time_ns() - 600 * SECOND
        assert found.attributes["otel_logging.original_time"][:4] == str(time.gmtime(old // SECOND).tm_year)

    def test_no_local_files_beside_it(self, arrived, datadog):
        """Transcripts do not lie about on the Collector's disk because nobody said otherwise."""
        arrived(record("text"))
        assert list(datadog.files.rglob("*")) == []

    @pytest.mark.parametrize(("signal", "field"), [("traces", "resourceSpans"), ("metrics", "resourceMetrics")])
    def test_other_signals_are_not_refused(self, datadog, signal, field):
        """An application that exports its spans and metrics gets no error for it."""
        post(f"{datadog.url}/v1/{signal}", {field: [{"resource": {}}]})


class TestCloudWatch:
    """What goes to CloudWatch stays JSON and stays acceptable."""

    def test_what_grows_as_json_is_cut_by_what_it_comes_to(self, tmp_path):
        """Texts of characters that JSON writes as six bytes, and many long attributes, still make one whole event."""
        with back_end("cloudwatch", tmp_path / "cloud") as cloud:
            with Collector(tmp_path / "c", *LOCAL, *cloud.configs[1:], env=cloud.env) as collector:
                many = {f"k{number}": "x" * 30_000 for number in range(12)}
                worst = {f"k{number}": "<" * 30_000 for number in range(250)}
                send(
                    collector,
                    record("body" + "<" * 100_000, {"call_sid": CALL}),
                    record("nul " + "\x01" * 40_000, {"call_sid": CALL, **many}),
                    record("many", {"call_sid": CALL, **many}),
                    record("wors" + "&" * 100_000, {"call_sid": CALL, "exception.stacktrace": "<" * 90_000, **worst}),
                )
                collector.until(lambda: len(cloud.stored()) == 4, "four events")
            stored = {log.message[:4]: log for log in cloud.stored()}
            assert not any(log.cut for log in stored.values())
            assert {log.attributes["call_sid"] for log in stored.values()} == {CALL}
            assert stored["wors"].attributes["exception.stacktrace"].endswith("… [cut]")

    def test_sizes_times_and_streams(self, tmp_path):
        """A huge record is whole JSON below 256 KiB, an old one is dated now, a stream's name is an allowed one."""
        with back_end("cloudwatch", tmp_path / "cloud") as cloud:
            with Collector(tmp_path / "c", *LOCAL, *cloud.configs[1:], env=cloud.env) as collector:
                stack = 'File "x.py"\n' * 20_000
                send(
                    collector,
                    record(
                        "huge",
                        {"exception.stacktrace": stack, "call_sid": CALL, **dict.fromkeys("abcde", "x " * 40_000)},
                    ),
                    record("ש" * 300_000, {"call_sid": CALL}),
                    record("old", timeUnixNano=str(time.time_ns() - 20 * DAY)),
                    resource={"service.name": "voice:blue*"},
                )
                collector.until(lambda: len(cloud.stored()) == 3, "three events")
                assert collector.metric("otelcol_exporter_send_failed_log_records") == 0
            stored = {log.message[:4]: log for log in cloud.stored()}
            assert not any(log.cut for log in stored.values())
            assert stored["huge"].attributes["call_sid"] == CALL
            assert stored["huge"].attributes["exception.stacktrace"].endswith("… [cut]")
            assert "otel_logging.original_time" in stored["old"].attributes
            assert {log.service for log in stored.values()} == {"voice-blue-"}
