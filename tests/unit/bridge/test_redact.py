"""Redaction in each privacy mode: canaries on the console, at the exporters, in the store; ids stay as they are."""

import base64
import json
import logging
import os
import subprocess
import sys

import pytest

from otel_logging import testing
from otel_logging.bridge import redact
from otel_logging.bridge.sampling import SamplingLogRecordProcessor, read_policies

SID = "CA0123456789abcdef0123456789abcdef"
AUDIO = base64.b64encode(bytes(range(160))).decode()
CANARIES = {
    "audio": (AUDIO, f'{{"event":"media","media":{{"payload":"{AUDIO}"}}}}'),
    "audio preview": (AUDIO[:48], f"sending payload={AUDIO[:48]}..."),
    "dtmf": ("739164", "[DTMF] caller typed digits=739164"),
    "dtmf event": ("'digit': '7'", "{'event': 'dtmf', 'dtmf': {'track': 'inbound_track', 'digit': '7'}}"),
    "bearer": ("t0ps3cr3tb34r3r", "calling with Authorization: Bearer t0ps3cr3tb34r3r"),
    "key": ("sk-proj-abcdefghijklmnop1234", "client made with sk-proj-abcdefghijklmnop1234"),
    "password": ("hunter2", "login password=hunter2 user=bob"),
    "password with spaces": ("my long", '{"password": "my long secret"}'),
    "cookie": ("sid=abcdef123", "Cookie: sid=abcdef123; theme=dark"),
    "url": ("pgpass", "postgres://app:pgpass@db:5432/app"),
    "card": ("4580458045804580", "paid with card 4580458045804580"),
    "card in groups": ("4111 1111 1111 1111", "paid with 4111 1111 1111 1111 today"),
    "phone": ("+972501234567", "call from +972501234567"),
    "local phone": ("050-123-4567", "callback to 050-123-4567, please"),
    "phone in a jid": ("972501234567", "message from 972501234567@s.whatsapp.net"),
    "email": ("dana@example.co.il", "sent to dana@example.co.il"),
    "name": ("דנה כהן", "customer loaded: name=דנה כהן, stage=2"),
    "name in JSON": ("דנה כהן", '{"customer_name": "דנה כהן"}'),
    "transcript": ("לבטל את התור", '💬 [TRANSCRIPT] Customer: "אני רוצה לבטל את התור"'),
}  # fmt: skip
ALWAYS = {"audio", "audio preview", "dtmf", "dtmf event"}
SECRETS = ALWAYS | {"bearer", "key", "password", "password with spaces", "cookie", "url"}
HIDDEN = {"off": ALWAYS, "secrets": SECRETS, "strict": set(CANARIES)}
IDS = [
    SID,
    f"call_sid={SID} payload={SID}",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=4111111111111111",
    "traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "550e8400-e29b-41d4-a716-446655440000",
    "44444444-4444-4444-4444-444444444444",
    "05012345-6789-4012-8345-678901234567",
    "2024-01-21T19:30:26.123456+00:00 and 2024-01-21 19:30:26",
    "1705865426 1705865426.123456 1705865426123 1705865426123456789",
    "sha256 " + "0123456789" * 6 + "0123",
    "/usr/local/lib/python3.11/site-packages/opentelemetry/sdk/_logs/export/__init__.py",
    "num_digits=4 tokens=512 duration=45s bytes=320 user_id=456",
]


@pytest.fixture(params=["off", "secrets", "strict"])
def mode(request):
    return request.param


@pytest.fixture(params=["human", "json"])
def sink(request, mode):
    with testing.capture(privacy=mode, log_json=request.param == "json") as found:
        yield found


def everything(sink):
    """All that left: the console's text and every field of the exported records."""
    sink.flush()
    parts = [sink.console, json.dumps(sink.console, ensure_ascii=False)]
    parts += (f"{one.body!s} {one.attributes!s}" for one in sink.records)
    return "\n".join(parts)


@pytest.mark.parametrize("name", CANARIES)
class TestCanaries:
    def test_in_the_message(self, sink, mode, name):
        """What a mode hides in a message is neither printed nor exported; what it does not hide is."""
        secret, text = CANARIES[name]
        logging.getLogger("app").warning(text)
        assert (secret not in everything(sink)) is (name in HIDDEN[mode])
        assert len(sink.records) == 1

    def test_in_an_attribute(self, sink, mode, name):
        """An extra is a text like any other, at any depth."""
        secret, text = CANARIES[name]
        logging.getLogger("app").warning("received", extra={"event": {"raw": [text]}})
        assert (secret not in everything(sink)) is (name in HIDDEN[mode])

    def test_in_a_traceback(self, sink, mode, name):
        """An exception's message and traceback are redacted, on the console as well."""
        secret, text = CANARIES[name]
        try:
            raise ValueError(text)
        except ValueError:
            logging.getLogger("app").exception("it failed")
        if name in HIDDEN[mode]:
            assert secret not in everything(sink)
        assert "ValueError" in sink.console


class TestAttributes:
    @pytest.mark.parametrize(
        ("key", "value", "needed"),
        [
            ("password", "aa bb", "secrets"),
            ("db_password", "x y", "secrets"),
            ("apiKey", "abc", "secrets"),
            ("http.request.header.authorization", "Basic abc", "secrets"),
            ("access_token", "abc def", "secrets"),
            ("digits", "73", "off"),
            ("Digits", 73, "off"),
            ("customer_name", "דנה כהן", "strict"),
            ("customerName", "Dana Cohen", "strict"),
            ("name", "דנה", "strict"),
            ("phone", 972501234567, "strict"),
            ("transcript", "שלום\nעולם", "strict"),
            ("turn.user_text", "שלום", "strict"),
            ("turn.agent_text", "see you on Friday", "strict"),
            ("card_number", "4580 4580 4580 4580", "strict"),
        ],
    )
    def test_names_tell(self, mode, key, value, needed):
        """The whole value of an attribute goes when its name says what it holds."""
        order = ["off", "secrets", "strict"]
        with testing.capture(privacy=mode) as sink:
            logging.getLogger("app").warning("x", extra={"data": {key: value}})
            found = sink.records[0].attributes["data"]
        hidden = order.index(mode) >= order.index(needed)
        assert (str(value).split()[-1] not in str(found)) is hidden

    def test_sound_as_bytes(self, mode):
        """Audio given as bytes does not leave in any mode."""
        with testing.capture(privacy=mode) as sink:
            logging.getLogger("app").warning("frame", extra={"frame": bytes(range(160))})
            assert sink.records[0].attributes["frame"] == "[AUDIO]"

    def test_bound_before_the_name(self):
        """What is bound to a call that has no name yet reaches records that wait, redacted."""
        from otel_logging.calls.call import open_call

        with testing.capture(privacy="strict") as sink:
            call = open_call(origin="test")
            with call.activate():
                logging.getLogger("app").info("early")
                call.bind(customer_name="דנה כהן")
                call.name(SID, "test")
            sink.flush()
            assert [one.call_sid for one in sink.records] == [SID]
            assert "דנה" not in str(sink.records[0].attributes)


class TestIds:
    @pytest.mark.parametrize("text", IDS)
    def test_stay(self, text, mode):
        """Call ids, trace ids, UUIDs, digests, times and paths are left alone in every mode, in body and attributes."""
        with testing.capture(privacy=mode) as sink:
            logging.getLogger("app").warning(text, extra={"about": text})
            record = sink.records[0]
        assert (record.body, record.attributes["about"]) == (text, text)
        assert text in sink.console


class TestNames:
    @pytest.mark.parametrize(("secret", "hiding"), [("hunter2", {"secrets", "strict"}), ("+972501234567", {"strict"})])
    def test_of_loggers(self, sink, mode, secret, hiding):
        """A logger made for one caller does not tell who it is: neither on the console nor as scope or attribute."""
        logging.getLogger(f"calls.password={secret}" if secret == "hunter2" else f"calls {secret}").warning("x")
        sink.flush()
        made = sink._logs.all()[0]
        assert made.instrumentation_scope.name == made.log_record.attributes["logger.name"]
        assert (secret not in made.instrumentation_scope.name + everything(sink)) is (mode in hiding)

    def test_of_the_scopes_of_others(self):
        """So does the scope of a record from another bridge; one without secrets stays the object it was."""
        from opentelemetry._logs import LogRecord
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

        exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        policies = read_policies([], privacy="secrets")
        provider.add_log_record_processor(SamplingLogRecordProcessor(SimpleLogRecordProcessor(exporter), policies))
        provider.get_logger("calls.password=hunter2", "1.0").emit(LogRecord(body="x"))
        provider.get_logger("calls").emit(LogRecord(body="x"))
        scopes = [one.instrumentation_scope for one in exporter.get_finished_logs()]
        assert [(one.name, one.version) for one in scopes] == [("calls.password=[REDACTED]", "1.0"), ("calls", None)]

    def test_are_few(self):
        """Names are remembered, and not without end."""
        from otel_logging.policy import everywhere

        policies = read_policies([], privacy="secrets")
        for number in range(everywhere._MAX_NAMES + 2):
            assert policies.redact_name(f"app.{number}") == f"app.{number}"
        assert len(policies._everywhere._names) == 2


class TestSpans:
    def test_of_calls(self, mode):
        """What is bound to a call, and the exception that left it, stand on its span as they may leave the process."""
        import otel_logging

        with testing.capture(privacy=mode) as sink:
            with pytest.raises(ValueError), otel_logging.call(SID, note="password=hunter2"):
                otel_logging.bind(customer_name="דנה כהן")
                raise ValueError("password=hunter2")
            span = sink.spans[0]
        assert span.attributes["call_sid"] == SID
        (event,) = span.events
        assert (event.name, event.attributes["exception.type"]) == ("exception", "ValueError")
        assert "test_of_calls" in event.attributes["exception.stacktrace"]
        told = f"{dict(span.attributes)} {dict(event.attributes)}"
        # The traceback shows the line of source, in which a password is no value of anything.
        assert ("note': 'password=hunter2" not in told) is (mode != "off")
        assert ("message': 'password=hunter2" not in told) is (mode != "off")
        assert ("דנה" not in told) is (mode == "strict")


class TestRecords:
    def test_the_applications_record_is_its_own(self):
        """Other handlers of the application see what it logged; only our outputs are redacted."""
        seen = []

        class Other(logging.Handler):
            def emit(self, record):
                seen.append(record.getMessage())

        with testing.capture() as sink:
            other = Other()
            logging.getLogger("app").addHandler(other)
            logging.getLogger("app").warning("password=%s", "hunter2")
            assert seen == ["password=hunter2"]
            assert sink.bodies == ["password=[REDACTED]"]
            assert "password=[REDACTED]" in sink.console

    def test_a_clean_record_is_printed_as_it_is(self):
        """The console says what the exported record says, rendered once."""
        policies = read_policies(["voice"], privacy="secrets")
        with testing.capture() as sink:
            logging.getLogger("app").warning("all well")
            sink.flush()
            made = sink._logs.all()[0].log_record
        record = logging.makeLogRecord({"msg": "all well"})
        assert redact.printable(policies, record, made) == ("all well", "", "")

    def test_foreign_records(self):
        """Records of other bridges are redacted by the processor, once, whatever number of processors they pass."""
        from opentelemetry._logs import LogRecord
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

        policies = read_policies([], privacy="strict", pseudonym_key=b"k")
        exporters = [InMemoryLogRecordExporter(), InMemoryLogRecordExporter()]
        provider = LoggerProvider(shutdown_on_exit=False)
        for exporter in exporters:
            provider.add_log_record_processor(SamplingLogRecordProcessor(SimpleLogRecordProcessor(exporter), policies))
        attributes = {"customer_name": "דנה", "n": 3, "t": ("a", "b")}
        provider.get_logger("x").emit(LogRecord(body="from +972501234567", attributes=attributes))
        for exporter in exporters:
            record = exporter.get_finished_logs()[0].log_record
            assert record.body.startswith("from phone:")
            assert dict(record.attributes)["customer_name"].startswith("name:")
            assert dict(record.attributes)["n"] == 3

    def test_resource_and_scope(self, tmp_path):
        """Policies may change what records share: each record then has a resource and a scope of its own."""
        rules = tmp_path / "rules.yaml"
        rules.write_text(
            "id: p\nlog:\n  match: [{log_field: body, exists: true}]\n  transform:\n"
            "    remove: [{resource_attribute: telemetry.sdk.name}]\n    add: [{scope_attribute: a, value: b}]\n"
        )
        with testing.capture(policies=[str(rules)]) as sink:
            logging.getLogger("app").warning("x")
            sink.flush()
            made = sink._logs.all()[0]
        assert "telemetry.sdk.name" not in made.resource.attributes
        assert made.instrumentation_scope.attributes == {"a": "b"}

    def test_remembered(self):
        """What is remembered is redacted by a function that asks for the policies in force each time."""
        inside = [read_policies([], privacy="off")]
        function = redact.remembered(lambda: inside[0])
        given = {"password": "x y", "n": 1}
        assert function("password=hunter2", given) == ("password=hunter2", given)
        inside[0] = read_policies([], privacy="secrets")
        assert function("password=hunter2", given) == ("password=[REDACTED]", {"password": "[REDACTED]", "n": 1})
        assert given == {"password": "x y", "n": 1}

    def test_fails_open(self, monkeypatch):
        """A redaction that fails leaves the record, and its policy says so."""
        with testing.capture() as sink:
            from otel_logging.boot import configure
            from otel_logging.policy.template import Template

            def broken(*_):
                raise RuntimeError("no")

            monkeypatch.setattr(Template, "replace", broken)
            logging.getLogger("app").warning("password=hunter2")
            assert sink.bodies == ["password=hunter2"]
            errors = [one.errors for one in configure.configured().pipeline.policies.stats()]
        assert ("failed on 1 records, last with RuntimeError",) in errors


class TestPseudonyms:
    def test_the_same_caller_is_known_again(self):
        """One caller has one pseudonym, however the number is written; another key or caller gives another."""

        def of(text, key):
            return read_policies([], privacy="strict", pseudonym_key=key).redact_text(text).partition("phone:")[2]

        first = of("call from +972501234567", b"k")
        assert len(first) == 16
        assert of("call from 050-123-4567", b"k") == first
        assert of("jid 972501234567@s.whatsapp.net", b"k") == first
        assert of("call from +972501234568", b"k") != first
        assert of("call from +972501234567", b"other") != first
        assert of("call from +972501234567", None) == ""

    def test_secrets_never_have_one(self):
        """A hash of a password is of no use to anybody but an attacker."""
        policies = read_policies([], privacy="strict", pseudonym_key=b"k")
        assert policies.redact_text("password=hunter2") == "password=[REDACTED]"

    def test_a_name_has_one_pseudonym_everywhere(self):
        """In a text and as an attribute the same name is known again."""
        policies = read_policies([], privacy="strict", pseudonym_key=b"k")
        said = policies.redact_text("customer loaded: name=דנה כהן, stage=2")
        given = policies.redact_text("דנה כהן", "customer_name")
        assert given.startswith("name:")
        assert said == f"customer loaded: name={given}, stage=2"


_SERVICE = """
import json, logging, sys
import otel_logging
otel_logging.configure(logs_exporter="local", store=sys.argv[1], privacy=sys.argv[2], service_name="s")
logging.getLogger().setLevel(logging.INFO)
app = logging.getLogger("app")
with otel_logging.call("CA" + "a1" * 16):
    for text in json.load(sys.stdin):
        app.debug("below " + text)
        app.info("[AUDIO_DELTA] dropped " + text)
        app.info(text, extra={"about": text})
    app.error("it broke")
otel_logging.shutdown()
"""


def test_nothing_is_in_the_store(mode, tmp_path):
    """In a real process whose call goes wrong: nothing that is hidden is in the store, the attic or on the console."""
    texts = [text for _, text in CANARIES.values()]
    done = subprocess.run(
        [sys.executable, "-c", _SERVICE, str(tmp_path), mode], input=json.dumps(texts), capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    stored = "\n".join(path.read_bytes().decode("utf-8", "replace") for path in written)
    assert "it broke" in stored
    assert "it broke" in done.stdout
    for name in HIDDEN[mode]:
        secret = CANARIES[name][0]
        assert secret not in done.stdout, name
        assert secret not in stored, name
        assert json.dumps(secret)[1:-1] not in stored, name
